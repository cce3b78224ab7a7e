#!/bin/sh
# demo.sh start|stop: the whole mail system in ./demo, run by an ordinary user.
#
# `make demo` calls it with `start`: it installs into ./demo, writes control files, rules and run
# scripts, starts everything under svscan, sends real mail by SMTP, waits until it has arrived,
# shows what happened, and leaves the system running. `make demo-stop` stops and removes it.
set -eu

tree=$(cd "$(dirname "$0")/.." && pwd)
demo=${DEMO:-$tree/demo}
BUILT=${BUILT:-$tree/target/built}
port=${DEMO_PORT:-2525}
remote_port=${DEMO_REMOTE_PORT:-2526}
home=$demo/qmail remote=$demo/remote
PATH=$demo/bin:$home/bin:$PATH
export DEMO="$demo" DEMO_PORT="$port" DEMO_REMOTE_PORT="$remote_port" PATH

say() { printf '\n== %s\n' "$*"; }

die() { echo "demo: fatal: $*" >&2; stop; exit 111; }

# Waits at most 20 seconds until a command succeeds.
until_true() {
    what=$1 tries=200; shift
    until "$@" 2>/dev/null; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || die "after 20 seconds still not: $what"
        sleep 0.1
    done
}

# Root does not run the demo: it hands over to nobody.
drop_root() {
    [ "$(id -u)" -eq 0 ] || return 0
    rm -rf "$demo" && mkdir "$demo" && chown nobody: "$demo"
    exec "$BUILT/setuidgid" nobody env HOME="$demo" BUILT="$BUILT" sh "$tree/tests/demo.sh" start
}

install_programs() {
    mkdir -p "$demo"
    BUILT=$BUILT DESTDIR= PREFIX=$demo SPLIT=23
    export BUILT DESTDIR PREFIX SPLIT
    QMAILHOME=$home SUBSET='rules net supervise mail'
    export QMAILHOME SUBSET
    run_install
    QMAILHOME=$remote SUBSET=mail
    run_install
    unset QMAILHOME SUBSET PREFIX DESTDIR SPLIT
}

run_install() {
    sh "$tree/tools/install.sh" >>"$demo/install.log" 2>&1 || die "$(tail -n 1 "$demo/install.log")"
}

# Two mail hosts: demo.example, and remote.example that it sends to.
write_controls() {
    for file in me locals rcpthosts; do
        echo demo.example >"$home/control/$file"
        echo remote.example >"$remote/control/$file"
    done
    echo "remote.example:127.0.0.1:$remote_port" >"$home/control/smtproutes"
    write_users "$home" joe
    write_users "$remote" ann
    printf '%s\n' '|(echo "$SENDER wrote to $RECIPIENT:"; cat) >orders' >"$home/joe/.qmail-orders"
    cat >"$demo/tcp.smtp" <<EOF
# This machine may send anywhere.
127.0.0.1:allow,RELAYCLIENT=""
::1:allow,RELAYCLIENT=""
# A guest may send to us only.
127.0.0.99:allow
# Nobody wants these, and these are told why.
127.0.6.0/24:deny
127.0.7.:allow,RBLSMTPD="-Your network sends nothing but spam."
:allow
EOF
    echo ':allow,RELAYCLIENT=""' >"$demo/tcp.remote"
    for rules in smtp remote; do
        tcprules "$demo/tcp.$rules.cdb" "$demo/tcp.$rules.tmp" <"$demo/tcp.$rules"
    done
}

# One user with a Maildir, known by users/cdb: the real accounts of this machine stay untouched.
write_users() {
    maildirmake "$1/$2" && mv "$1/$2" "$1/Maildir" && mkdir "$1/$2" && mv "$1/Maildir" "$1/$2/"
    ids=$(id -un):$(id -u):$(id -g)
    printf '=%s:%s:%s:::\n+%s-:%s:%s:-::\n.\n' "$2" "$ids" "$1/$2" "$2" "$ids" "$1/$2" \
        >"$1/users/assign"
    QMAILHOME=$1 qmail-newu
}

# service NAME COMMAND...: a service folder with a log.
service() {
    folder=$demo/service/.$1 name=$1; shift
    mkdir -p "$folder/log"
    printf '#!/bin/sh\nexec 2>&1\nexec %s\n' "$*" >"$folder/run"
    printf '#!/bin/sh\nexec multilog t ./main\n' >"$folder/log/run"
    chmod 755 "$folder/run" "$folder/log/run"
    mv "$folder" "$demo/service/$name"
}

write_services() {
    mkdir -p "$demo/service"
    smtpd="softlimit -m 16000000 tcpserver -vRHl demo.example -x $demo/tcp.smtp.cdb"
    service smtpd "env QMAILHOME=$home $smtpd 127.0.0.1 $port rblsmtpd qmail-smtpd"
    if grep -q ' lo$' /proc/net/if_inet6 2>/dev/null; then
        service smtpd6 "env QMAILHOME=$home $smtpd ::1 $port rblsmtpd qmail-smtpd"
    fi
    service send "env QMAILHOME=$home qmail-start ./Maildir/"
    smtpd="tcpserver -vRHl remote.example -x $demo/tcp.remote.cdb"
    service remote-smtpd "env QMAILHOME=$remote $smtpd 127.0.0.1 $remote_port qmail-smtpd"
    service remote-send "env QMAILHOME=$remote qmail-start ./Maildir/"
}

start_services() {
    pgrphack svscan "$demo/service" </dev/null >"$demo/svscan.log" 2>&1 &
    echo $! >"$demo/svscan.pid"
    for folder in "$demo"/service/*; do
        until_true "$folder is up" svok "$folder"
        until_true "the log of $folder is up" svok "$folder/log"
    done
    until_true "port $port answers" tcpclient -RHl0 127.0.0.1 "$port" true
    until_true "port $remote_port answers" tcpclient -RHl0 127.0.0.1 "$remote_port" true
}

# send CLIENT-ADDRESS SERVER RECIPIENT SUBJECT: one message by SMTP, the dialogue shown.
send() {
    say "$4: SMTP from $1 to $2"
    tcpclient -RHl0 -i "$1" "$2" "$port" sh "$tree/tests/demo.sh" dialogue "$3" "$4" || echo '(no connection)'
}

dialogue() {
    reply && command 'EHLO client.example' && command 'MAIL FROM:<sue@client.example>' &&
        command "RCPT TO:<$1>" && command DATA && line "From: sue@client.example" &&
        line "Subject: $2" && line '' && line "This is $2." && command . || :
    command QUIT
}

line() { printf '%s\r\n' "$1" >&7 && printf '  > %s\n' "$1"; }

command() { line "$1" && reply; }

# Shows a whole answer; fails if it is a refusal.
reply() {
    while read -r answer <&6; do
        printf '  < %s\n' "$answer"
        case $answer in [45]??\ *) return 1 ;; ???\ *) return 0 ;; esac
    done
    return 1
}

send_mail() {
    send 127.0.0.1 127.0.0.1 joe@demo.example 'a local message'
    send 127.0.0.1 127.0.0.1 joe-orders@demo.example 'an order for a program'
    send 127.0.0.1 127.0.0.1 ann@remote.example 'a relayed message'
    send 127.0.0.99 127.0.0.1 ann@remote.example 'a refused message'
    send 127.0.6.6 127.0.0.1 joe@demo.example 'a denied client'
    send 127.0.7.7 127.0.0.1 joe@demo.example 'a client that is told why'
    [ ! -d "$demo/service/smtpd6" ] || send ::1 ::1 joe@demo.example 'a local message over IPv6'
    [ -d "$demo/service/smtpd6" ] && expected=2 || expected=1
    until_true 'local mail is delivered' has_files $expected "$home/joe/Maildir/new"
    until_true 'the order is delivered' test -s "$home/joe/orders"
    until_true 'relayed mail is delivered' has_files 1 "$remote/ann/Maildir/new"
    until_true 'the queue is empty' queue_is_empty
}

has_files() { [ "$(ls "$2" | wc -l)" -ge "$1" ]; }

queue_is_empty() { QMAILHOME=$home qmail-qstat | grep -q '^messages in queue: 0$'; }

show() {
    say "joe's Maildir ($home/joe/Maildir/new)"
    for message in "$home"/joe/Maildir/new/*; do cat "$message"; echo; done
    say "what joe's program wrote ($home/joe/orders)" && cat "$home/joe/orders"
    say "ann's Maildir on remote.example" && cat "$remote"/ann/Maildir/new/*
    for name in smtpd send; do
        say "the log of $name, in local time"
        tai64nlocal <"$demo/service/$name/log/main/current"
    done
    say "how a rule decides (tcprulescheck)" && tcprulescheck "$demo/tcp.smtp.cdb" 127.0.7.7
    say "services (svstat)" && svstat "$demo"/service/* "$demo"/service/*/log
    say "it goes on running"
    cat <<EOF
send mail    swaks -s 127.0.0.1:$port -t joe@demo.example     (or any client)
watch        tail -f $demo/service/send/log/main/current | $demo/bin/tai64nlocal
control      $demo/bin/svc -d $demo/service/smtpd             (-u up, -t restart)
the queue    QMAILHOME=$home $home/bin/qmail-qread
stop         make demo-stop
EOF
}

# Waits at most 15 seconds until a process is gone.
gone() {
    tries=150
    while kill -0 "$1" 2>/dev/null; do
        [ $tries -gt 0 ] || return 1
        sleep 0.1; tries=$((tries - 1))
    done
}

# Ends svscan, which ends every service and then its log; removes the folder.
stop() {
    if [ -s "$demo/svscan.pid" ] && pid=$(cat "$demo/svscan.pid") && kill "$pid" 2>/dev/null; then
        # What still delivers after 15 seconds is killed.
        gone "$pid" || { svc -K "$demo"/service/* 2>/dev/null; gone "$pid"; } || :
    fi
    rm -f "$demo/svscan.pid"
}

case ${1-} in
start)
    stop
    drop_root
    rm -rf "$demo"/*
    install_programs
    write_controls
    write_services
    start_services
    send_mail
    show
    ;;
stop) stop; rm -rf "$demo" ;;
dialogue) dialogue "$2" "$3" ;;
*) echo "usage: demo.sh start|stop" >&2; exit 100 ;;
esac
