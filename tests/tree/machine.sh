#!/bin/sh
# machine.sh make|enter: a throwaway machine, to run the examples of the man pages on.
#
# tests/tree/machine.rs calls it in mount and process namespaces of its own. DISK is a folder that
# lies over / on that machine: `make` fills it once, `enter` runs a script on top of it. What the
# script changes is in memory, and gone with the last process.
set -eu

account() {
  echo "$1:x:$2:$3::$4:/bin/sh" >>"$DISK/etc/passwd"
  echo "$1:x:$2:" >>"$DISK/etc/group"
}

make_accounts() {
  mkdir -p "$DISK/etc"
  account root 0 0 /root
  account daemon 1 1 /
  account nobody 65534 65534 /nonexistent
  echo qmail:x:2108: >>"$DISK/etc/group"
  account alias 7000 2109 /var/qmail/alias
  account qmaild 64011 64010 /var/qmail
  number=7001
  for user in qmaill qmailp qmailq qmailr qmails; do
    account $user $number 2108 /var/qmail
    number=$((number + 1))
  done
  for user in joe bob www wwwlog logger tinydns ssl-cert; do
    account $user $number $number /home/$user
    number=$((number + 1))
  done
  mount --bind "$DISK/etc/passwd" /etc/passwd
  mount --bind "$DISK/etc/group" /etc/group
  echo 'smtp 25/tcp' >"$DISK/etc/services"
}

install_programs() {
  DESTDIR=$DISK PREFIX=/usr/local QMAILHOME=/var/qmail SPLIT=23
  SUBSET='rules net supervise mail'
  export DESTDIR PREFIX QMAILHOME SPLIT SUBSET
  sh "$TREE/tools/install.sh"
  mkdir -p "$DISK/usr/sbin" "$DISK/usr/lib" "$DISK/usr/local/sbin"
  ln -s /var/qmail/bin/sendmail "$DISK/usr/sbin/sendmail"
}

# A mail host, mail.example.com, with a user called joe.
make_mail() {
  cd "$DISK/var/qmail/control"
  echo mail.example.com >me
  for file in locals rcpthosts defaulthost defaultdomain plusdomain; do
    echo example.com >$file
  done
  mkdir -p "$DISK/home/joe"
  chown joe:joe "$DISK/home/joe"
}

# program NAME: from standard input.
program() { mkdir -p "$(dirname "$1")"; { echo '#!/bin/sh'; cat; } >"$1"; chmod 755 "$1"; }

# The programs of other people that examples name. They say that they run, as whom, and for what.
make_servers() {
  cd "$DISK"
  up='echo "server up: $(id -un) $(printenv UID) ${PORT-}"; exec sleep 1000'
  for name in srv/server usr/local/bin/tinydns; do echo "$up" | program $name; done
  echo 'sh -c "echo server up; exec sleep 1000" &' | program usr/sbin/oldserver
  echo 'echo reported' | program usr/local/sbin/report
  echo 'cat >"$HOME/procmail"' | program usr/local/bin/procmail
  cp -L /bin/sh usr/local/bin/gamed
}

# Services with logs, run by whoever starts svscan, and one in the folder where examples are run.
make_services() {
  cd "$DISK"
  mkdir service
  for name in server echo dns; do
    echo 'exec 2>&1; echo "server up"; exec sleep 1000' | program etc/$name/run
    echo 'exec multilog t ./main' | program etc/$name/log/run
    ln -s /etc/$name service/$name
  done
  mkdir etc/server/env
  echo 'echo "server up"; exec sleep 1000' | program srv/services/inner/run
}

# What the folder has in which examples are run.
make_place() {
  cd "$DISK"
  mkdir -p srv/env srv/main srv/errors var/log var/lock run
  chmod 1777 srv srv/main srv/errors
  echo 80 >srv/env/PORT
  printf 'Subject: test\n\nHello.\n' >srv/message
  echo 'Everything is fine.' >srv/report
  printf 'all:\n\t@echo made\n' >srv/Makefile
  for rules in tcp.smtp tcp.qmqp tcp.proxies proxies; do
    echo ':allow' >etc/$rules
    usr/local/bin/tcprules etc/$rules.cdb etc/$rules.tmp <etc/$rules
  done
}

# The source, as somebody has it who has run `make`, but for what was built.
make_source() {
  mkdir -p "$DISK/usr/src/catena/target/built"
  cd "$TREE"
  cp -r --parents Makefile man tools/install.sh tools/install.table tools/mail/boot \
    tools/mail/examples supervise/completion "$DISK/usr/src/catena"
}

# The programs are many megabytes: they are mounted, not copied.
put_programs_aside() {
  mv "$DISK/usr/local/bin" "$DISK.programs"
  mv "$DISK/var/qmail/bin" "$DISK.mail"
  mkdir "$DISK/usr/local/bin" "$DISK/var/qmail/bin"
}

# enter SCRIPT: its standard input becomes ./example. It has LIMIT seconds.
enter() {
  mount -t tmpfs none "$DISK.top"
  cd "$DISK.top"
  mkdir work root
  cp -a "$DISK" upper
  mount -t overlay none -o lowerdir=/,upperdir=upper,workdir=work root
  cd root
  mount --bind "$DISK.programs" usr/local/bin
  mount --bind "$DISK.mail" var/qmail/bin
  mount -t proc none proc
  mount -t tmpfs none dev
  for name in null zero full random urandom tty; do
    : >dev/$name
    mount --bind /dev/$name dev/$name
  done
  mount -t tmpfs -o mode=1777 none tmp
  echo "nameserver $DNS" >etc/resolv.conf
  cat >srv/example
  chmod 755 srv/example
  : >srv/in
  exec timeout -s KILL $LIMIT env -i HOME=/home/joe \
    PATH=/usr/local/bin:/var/qmail/bin:/usr/bin:/bin:/usr/sbin:/sbin \
    chroot . sh -c 'cd /srv; set -eu; eval "$0"' "$1" 2>&1
}

case $1 in
  make)
    make_accounts; install_programs; make_mail; make_servers; make_services; make_place
    make_source; put_programs_aside ;;
  enter) enter "$2" ;;
esac
