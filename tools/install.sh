#!/bin/sh
# install: put what `make` built into place, as install.table says.
#
# make calls it with BUILT, DESTDIR, PREFIX, QMAILHOME, SUBSET and SPLIT in the environment.
# Run by root, files get the owners of the table. For an ordinary user, and where a user or group
# of the table does not exist, they belong to whoever runs this, and nothing is setuid.
# It may run again over a living installation: programs are replaced by renaming, the queue stays.
set -eu
umask 022
cd "$(dirname "$0")/.."

for family in $SUBSET; do
  case $family in
    rules | net | supervise | mail) ;;
    *) echo "install: fatal: no family $family: rules net supervise mail" >&2; exit 100 ;;
  esac
done

home=$DESTDIR$QMAILHOME
new=
warned=
trap 'rm -f "$new"' EXIT

# An old queue keeps its split: the programs count these folders.
if [ -d "$home/queue/mess/0" ]; then
  set -- "$home"/queue/mess/*/
  SPLIT=$#
fi

# warn TEXT: once.
warn() {
  [ "$warned" ] || echo "install: warning: $1: your own files, nothing setuid" >&2
  warned=yes
}

# give OWNER GROUP MODE PATH: chown takes setuid away, so it comes first.
give() {
  mode=$3
  if [ "$(id -u)" != 0 ]; then
    warn "not root"
    mode=0${mode#?}
  elif ! chown "$1:$2" "$4" 2>/dev/null; then
    warn "no user $1 or no group $2"
    mode=0${mode#?}
  fi
  chmod "$mode" "$4"
}

# program OWNER GROUP MODE PATH: running copies of the old one are not disturbed.
program() {
  name=${4##*/}
  [ -f "$BUILT/$name" ] || { echo "install: fatal: $BUILT/$name is missing: make first" >&2; exit 111; }
  mkdir -p "${4%/*}"
  new=$4.new
  cp "$BUILT/$name" "$new"
  give "$1" "$2" "$3" "$new"
  mv -f "$new" "$4"
  for page in man/"$name".[18]; do page "$page"; done
}

# page FILE: a man page, if there is one.
page() {
  [ -f "$1" ] || return 0
  section=$DESTDIR$PREFIX/share/man/man${1##*.}
  mkdir -p "$section"
  new=$section/${1##*/}.new
  cp "$1" "$new"
  give root root 0644 "$new"
  mv -f "$new" "$section/${1##*/}"
}

# completion OWNER GROUP MODE PATH: what a shell reads to complete the words of one command or more.
completion() {
  shell=bash
  case $4 in */zsh/*) shell=zsh ;; esac
  mkdir -p "${4%/*}"
  new=$4.new
  cp "supervise/completion/$shell" "$new"
  give "$1" "$2" "$3" "$new"
  mv -f "$new" "$4"
}

# boot OWNER GROUP MODE PATH: a script that starts qmail.
boot() {
  new=$4.new
  sed "s|QMAILHOME|$QMAILHOME|" "tools/mail/boot/${4##*/}" >"$new"
  give "$1" "$2" "$3" "$new"
  mv -f "$new" "$4"
}

# folder OWNER GROUP MODE PATH; the others too. What is there keeps its contents.
folder() { mkdir -p "$4"; give "$@"; }
# Its folders have little to do with each other: ext4 may have them far from each other, so that
# new files in one are not looked for among those of the others. Elsewhere nothing is different.
spread() { folder "$@"; chattr +T "$4" 2>/dev/null || :; }
fifo() { [ -p "$4" ] || mkfifo "$4"; give "$@"; }
empty() { [ -e "$4" ] || : >"$4"; give "$@"; }
kilobyte() { [ -e "$4" ] || dd if=/dev/zero of="$4" bs=1024 count=1 2>/dev/null; give "$@"; }
split() {
  number=0
  while [ $number -lt "$SPLIT" ]; do
    folder "$1" "$2" "$3" "$4/$number"
    number=$((number + 1))
  done
}

# In queues that were made for the big-todo patch.
bigtodo() { [ ! -d "$home/queue/todo/0" ] || split "$@"; }

while read -r family kind owner group mode path; do
  case " $SUBSET " in *" $family "*) ;; *) continue ;; esac
  case $path in
    PREFIX/*) path=$DESTDIR$PREFIX/${path#PREFIX/} ;;
    QMAILHOME*) path=$home${path#QMAILHOME} ;;
  esac
  "$kind" "$owner" "$group" "$mode" "$path"
done <tools/install.table

for page in man/*.[57]; do page "$page"; done
