//! Who may do what on a machine where all is installed: the users of qmail, somebody with an
//! account, and root, looked at with real user ids.

use crate::machine::{Disk, Machine};
use std::time::Duration;
use tests::ran;

/// A script starts hundreds of processes; none of them waits for anything.
const LIMIT: Duration = Duration::from_secs(120);

#[test]
fn an_installed_system_gives_nobody_more_than_he_needs() {
    let Some(disk) = Disk::new() else { return };
    let machine = disk.machine();
    each_user_has_the_rights_of_his_work(&machine);
    qmail_queue_is_not_led_astray(&machine);
    nothing_runs_as_root_that_need_not(&machine);
    links_and_odd_files_lead_to_nobody_elses_mail(&machine);
}

/// Runs a script on a machine and gives what it prints.
#[track_caller]
fn printed(machine: &Machine, script: &str, input: &str) -> String {
    let (code, said, err) = ran(&machine.run_within(LIMIT, script, input));
    assert_eq!((code, &err[..]), (Some(0), ""), "{said}");
    said
}

/// May read, write, and run or enter, as each of these users.
const RIGHTS: &str = "\
path                      joe    alias  qmaild qmaill qmailp qmailq qmailr qmails
.                         r-x    r-x    r-x    r-x    r-x    r-x    r-x    r-x
alias                     r-x    rwx    r-x    r-x    r-x    r-x    r-x    r-x
bin                       r-x    r-x    r-x    r-x    r-x    r-x    r-x    r-x
boot                      r-x    r-x    r-x    r-x    r-x    r-x    r-x    r-x
control                   r-x    r-x    r-x    r-x    r-x    r-x    r-x    r-x
users                     r-x    r-x    r-x    r-x    r-x    r-x    r-x    r-x
control/me                r--    r--    r--    r--    r--    r--    r--    r--
queue                     ---    ---    ---    r-x    r-x    rwx    r-x    r-x
queue/bounce              ---    ---    ---    ---    ---    ---    ---    rwx
queue/info                ---    ---    ---    ---    ---    ---    ---    rwx
queue/info/0              ---    ---    ---    ---    ---    ---    ---    rwx
queue/intd                ---    ---    ---    ---    ---    rwx    ---    ---
queue/local               ---    ---    ---    ---    ---    ---    ---    rwx
queue/local/0             ---    ---    ---    ---    ---    ---    ---    rwx
queue/lock                ---    ---    ---    r-x    r-x    rwx    r-x    r-x
queue/lock/sendmutex      ---    ---    ---    ---    ---    ---    ---    rw-
queue/lock/tcpto          ---    ---    ---    r--    r--    r--    rw-    r--
queue/lock/trigger        ---    ---    ---    -w-    -w-    -w-    -w-    rw-
queue/mess                ---    ---    ---    r-x    r-x    rwx    r-x    r-x
queue/mess/0              ---    ---    ---    r-x    r-x    rwx    r-x    r-x
queue/pid                 ---    ---    ---    ---    ---    rwx    ---    ---
queue/remote              ---    ---    ---    ---    ---    ---    ---    rwx
queue/remote/0            ---    ---    ---    ---    ---    ---    ---    rwx
queue/todo                ---    ---    ---    r-x    r-x    rwx    r-x    r-x
MESS                      ---    ---    ---    r--    r--    rw-    r--    r--
INTD                      ---    ---    ---    ---    ---    rw-    ---    ---
TODO                      ---    ---    ---    r--    r--    rw-    r--    r--
bin/qmail-queue           --x    --x    --x    --x    --x    rwx    --x    --x
bin/qmail-send            --x    --x    --x    --x    --x    --x    --x    --x
bin/qmail-lspawn          ---    ---    ---    ---    ---    ---    ---    ---
bin/qmail-start           ---    ---    ---    ---    ---    ---    ---    ---
bin/qmail-clean           --x    --x    --x    --x    --x    --x    --x    --x
bin/qmail-newu            ---    ---    ---    ---    ---    ---    ---    ---
bin/qmail-remote          --x    --x    --x    --x    --x    --x    --x    --x
bin/qmail-smtpd           r-x    r-x    r-x    r-x    r-x    r-x    r-x    r-x
bin/qmail-inject          r-x    r-x    r-x    r-x    r-x    r-x    r-x    r-x
/usr/local/bin/tcpserver  r-x    r-x    r-x    r-x    r-x    r-x    r-x    r-x
";

fn each_user_has_the_rights_of_his_work(machine: &Machine) {
    let script = r#"
        cd /var/qmail
        echo To: joe | setuidgid joe qmail-inject
        number=$(ls queue/todo) place=$(ls queue/mess/*/*)
        paths='. alias bin boot control users control/me queue queue/bounce queue/info queue/info/0
            queue/intd queue/local queue/local/0 queue/lock queue/lock/sendmutex queue/lock/tcpto
            queue/lock/trigger queue/mess queue/mess/0 queue/pid queue/remote queue/remote/0
            queue/todo MESS INTD TODO bin/qmail-queue bin/qmail-send bin/qmail-lspawn
            bin/qmail-start bin/qmail-clean bin/qmail-newu bin/qmail-remote bin/qmail-smtpd
            bin/qmail-inject /usr/local/bin/tcpserver'
        cat >look <<'EOF'
            name=$1
            shift
            printf '%-6s\n' $name
            for file; do
                may=
                for right in r w x; do test -$right $file && may=$may$right || may=$may-; done
                printf '%-6s\n' $may
            done
EOF
        files=
        for path in $paths; do
            case $path in
                MESS) files="$files $place" ;;
                INTD) files="$files queue/intd/$number" ;;
                TODO) files="$files queue/todo/$number" ;;
                *) files="$files $path" ;;
            esac
        done
        printf '%-25s\n' path $paths >/tmp/paths
        columns=
        for user in joe alias qmaild qmaill qmailp qmailq qmailr qmails; do
            setuidgid $user sh ./look $user $files >/tmp/$user
            columns="$columns /tmp/$user"
        done
        paste -d ' ' /tmp/paths $columns"#;
    let said = printed(machine, script, "");
    let said: String = said.lines().map(|line| line.trim_end().to_owned() + "\n").collect();
    assert_eq!(said, RIGHTS, "\n{said}");
}

/// What `qmail-queue` is started in by somebody who wishes it ill, and its exit code. Each is a
/// shell command that runs "$@" so.
const SURROUNDINGS: &[(&str, &str)] = &[
    ("\"$@\"", "0"),
    ("env LD_PRELOAD=/tmp/x.so LD_LIBRARY_PATH=/tmp LD_AUDIT=/tmp/x.so \"$@\"", "0"),
    ("env GLIBC_TUNABLES=glibc.malloc.check=3 MALLOC_TRACE=/tmp/t RUST_BACKTRACE=full \"$@\"", "0"),
    ("env -i \"$@\"", "0"),
    ("env QMAILHOME=/tmp/evil PATH=/tmp HOME=/tmp TZ=:/etc/shadow LC_ALL=/tmp/x \"$@\"", "0"),
    ("umask 0; \"$@\"", "0"),
    ("umask 777; \"$@\"", "0"),
    ("mkdir /tmp/gone.$$; cd /tmp/gone.$$; rmdir /tmp/gone.$$; \"$@\"", "0"),
    ("env --ignore-signal=ALRM,CHLD,PIPE,TERM,HUP \"$@\"", "0"),
    ("env --block-signal=ALRM,CHLD,PIPE,XFSZ \"$@\"", "0"),
    ("perl -e 'exec {$ARGV[0]} (\"\")' \"$@\"", "0"),
    ("perl -e 'exec {$ARGV[0]} (\"x\" x 100000, (\"y\") x 1000)' \"$@\"", "0"),
    ("\"$@\" 2>&-", "0"),
    ("\"$@\" 2>&- 3>&- 4>&- 5>&-", "0"),
    ("\"$@\" <&-", "refused"),
    ("\"$@\" >&-", "refused"),
    ("\"$@\" <&- >&-", "refused"),
    ("\"$@\" <&- >&- 2>&- 3>&- 4>&- 5>&-", "refused"),
    ("ulimit -c unlimited; \"$@\"", "0"),
    ("ulimit -f 0; \"$@\"", "refused"),
    ("ulimit -n 3; \"$@\"", "refused"),
    ("ulimit -n 4; \"$@\"", "refused"),
    ("ulimit -n 5; \"$@\"", "refused"),
    ("ulimit -v 1000; \"$@\"", "refused"),
    ("ulimit -s 64; \"$@\"", "refused"),
    ("ulimit -u 0; \"$@\"", "refused"),
];

/// Codes that tell the caller to try again, or that it was never started.
const REFUSED: [&str; 15] =
    ["51", "52", "53", "54", "61", "62", "63", "64", "65", "66", "81", "126", "127", "137", "139"];

fn qmail_queue_is_not_led_astray(machine: &Machine) {
    let numbered =
        |(number, (how, _)): (usize, &(&str, &str))| format!("case{number}() ( {how} )\n");
    let cases: String = SURROUNDINGS.iter().enumerate().map(numbered).collect();
    let script = r#"
        cat >try <<'EOF'
            . ./example
            printf 'Fjoe@example.com\0Tbob@example.com\0\0' >/tmp/envelope.$1
            case$1 /var/qmail/bin/qmail-queue <message 1</tmp/envelope.$1
EOF
        mkdir -m 777 /tmp/evil
        number=0
        while grep -q "^case$number(" example; do
            setuidgid joe sh ./try $number 2>/tmp/errors && code=0 || code=$?
            cd /var/qmail/queue
            for file in todo/* intd/* mess/*/*; do
                [ ! -e $file ] || code="$code $(stat -c %U:%a $file)"
            done
            for file in mess/*/*; do
                [ ! -e $file ] || tail -n 1 $file | grep -q Hello || [ ! -e todo/* ] || code=torn
            done
            rm -f todo/* intd/* mess/*/* pid/*
            cd /srv
            echo $number $code
            number=$((number + 1))
        done
        ls -A /tmp/evil
        ls /srv /var/qmail/queue /tmp | grep -x core || :"#;
    let said = printed(machine, script, &cases);
    assert_eq!(said.lines().count(), SURROUNDINGS.len(), "{said}");
    let mut wrong = Vec::new();
    for ((how, wanted), line) in SURROUNDINGS.iter().zip(said.lines()) {
        let found: Vec<&str> = line.split(' ').skip(1).collect();
        let whole = found == ["0", "qmailq:644", "qmailq:644", "qmailq:644"];
        // what is left of a message that is not in todo, qmail-clean removes: it has one name,
        // or two
        let refused = REFUSED.contains(&found[0]) && found.len() < 4;
        if !whole && (*wanted == "0" || !refused) {
            wrong.push(format!("{how}: {line}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A mail system as its services run it, and the user of each of its programs.
fn nothing_runs_as_root_that_need_not(machine: &Machine) {
    let script = r#"
        program() { { echo '#!/bin/sh'; cat; } >$1; chmod 755 $1; }
        mkdir -p /etc/smtpd/log/main /etc/qmail/log/main /services
        chown qmaill /etc/*/log/main
        echo 'exec tcpserver -vRHl0 -u qmaild 0 2525 qmail-smtpd 2>&1' | program /etc/smtpd/run
        echo 'exec qmail-start ./Mailbox' | program /etc/qmail/run
        for name in smtpd qmail; do
            echo 'exec setuidgid qmaill multilog t ./main' | program /etc/$name/log/run
            ln -s /etc/$name /services
        done
        svscan /services >/tmp/svscan 2>&1 &
        soon grep status /etc/smtpd/log/main/current
        soon grep status /etc/qmail/log/main/current
        certificate
        export CERTFILE=/etc/ssl/mail.pem KEYFILE=/etc/ssl/mail.key TLS_UID=65534 TLS_GID=65534
        host 4650 tlsd setuidgid qmaild qmail-smtpd
        host 1100 qmail-popup a.example checkpassword qmail-pop3d Maildir
        password joe
        setuidgid joe maildirmake /home/joe/Maildir
        # hold NAME WORD COMMAND: a client that stays, after it has heard this
        hold() {
            name=$1 word=$2
            shift 2
            mkfifo /tmp/hold.$name
            "$@" </tmp/hold.$name >/tmp/heard.$name &
            eval "exec $((hold += 1))>/tmp/hold.$name"
            [ $name != pop3 ] || printf 'USER joe\nPASS secret\n' >/tmp/hold.$name
            soon grep -e "$word" /tmp/heard.$name
        }
        hold=5
        hold smtp ESMTP tcpclient -RHl0 127.0.0.1 2525 mconnect-io
        hold smtps ESMTP sslconnect 127.0.0.1 4650 -X
        hold popup '+OK <' tcpclient -RHl0 127.0.0.1 1100 mconnect-io
        hold pop3 '+OK .$' tcpclient -RHl0 127.0.0.1 1100 mconnect-io
        soon sh -c 'grep -lx qmail-pop3d /proc/[0-9]*/comm'
        for folder in /proc/[0-9]*; do
            name=$(cat $folder/comm 2>/dev/null) || continue
            case $name in
                qmail-*|checkpassword|tcpserver|tlsd|splogger|multilog|svscan|supervise) stat -c "%U $name" $folder ;;
            esac
        done | sort -u"#;
    let said = printed(machine, script, "");
    // who waits for a password, or for a connection whose program must become one user or another,
    // is root
    let expected = "\
joe qmail-pop3d
nobody tlsd
qmaild qmail-smtpd
qmaild tcpserver
qmaill multilog
qmailq qmail-clean
qmailr qmail-rspawn
qmails qmail-send
root qmail-lspawn
root qmail-popup
root supervise
root svscan
root tcpserver
";
    assert_eq!(said, expected, "\n{said}");
}

/// What joe has put in the way of his mail, and where bob's things must stay as they are. Each
/// delivery ends soon; most are tried again. What is no file at all counts for no .qmail, as in the
/// original.
const TRAPS: &[(&str, &str, &str)] = &[
    // what joe does, what the .qmail says, the exit code
    ("ln -s /home/bob/Mailbox box", "./box", "111"),
    ("ln -s /etc/shadow box", "./box", "111"),
    ("cp -l /home/bob/Mailbox box", "./box", "111"),
    ("mkfifo box", "./box", "111"),
    ("mkdir box", "./box", "111"),
    ("ln -s /dev/full box", "./box", "111"),
    ("ln -s /dev/null box", "./box", "*"),
    ("ln -s box box", "./box", "111"),
    ("ln -s /home/bob/Maildir dir", "./dir/", "111"),
    ("mkdir -p dir/tmp dir/cur; ln -s /home/bob/Maildir/new dir/new", "./dir/", "111"),
    ("mkdir -p dir/new dir/cur; ln -s /home/bob/Maildir/tmp dir/tmp", "./dir/", "111"),
    ("mkdir -p dir/tmp dir/cur; ln -s /tmp dir/new", "./dir/", "111"),
    ("mkdir -p dir/tmp dir/new dir/cur; chmod 500 dir/new", "./dir/", "111"),
    ("rm .qmail; ln -s /etc/shadow .qmail", "", "111"),
    ("rm .qmail; ln -s /home/bob/.qmail .qmail", "", "111"),
    ("rm .qmail; mkfifo .qmail", "", "0"),
    ("rm .qmail; mkdir .qmail", "", "0"),
    ("rm .qmail; ln -s /dev/zero .qmail", "", "0"),
    ("rm .qmail; ln -s .qmail .qmail", "", "0"),
    ("chmod 666 .qmail", "./box", "111"),
    ("chmod 777 .", "./box", "111"),
    ("chmod 1755 .", "./box", "111"),
];

fn links_and_odd_files_lead_to_nobody_elses_mail(machine: &Machine) {
    let line = |(trap, text, _): &(&str, &str, &str)| format!("{trap}\t{text}\n");
    let traps: String = TRAPS.iter().map(line).collect();
    let script = r#"
        chmod 600 /etc/shadow 2>/dev/null || { echo secret >/etc/shadow; chmod 600 /etc/shadow; }
        mkdir -p /home/bob/Maildir/tmp /home/bob/Maildir/new /home/bob/Maildir/cur
        echo "bob's" >/home/bob/Mailbox
        echo '|echo secret' >/home/bob/.qmail
        chown -R bob:bob /home/bob
        chmod 600 /home/bob/Mailbox /home/bob/.qmail
        chmod 755 /home/bob
        chmod 700 /home/bob/Maildir
        while IFS="$(printf '\t')" read -r trap text; do
            rm -rf /home/joe
            mkdir /home/joe
            echo "$text" >/home/joe/.qmail
            chown -R joe:joe /home/joe
            # as if the kernel did not forbid hard links to what is another's
            case $trap in cp*) cd /home/joe; eval "$trap" ;; *) setuidgid joe sh -c "cd /home/joe; $trap" ;; esac
            cd /srv
            setuidgid joe timeout -s KILL 5 qmail-local joe /home/joe joe '' '' example.com \
                me@example.net ./Mailbox <message >/tmp/report 2>&1 && code=0 || code=$?
            grep -q secret /tmp/report && code=told
            [ "$(cat /home/bob/Mailbox)" = "bob's" ] || code="bob's mailbox"
            [ -z "$(ls /home/bob/Maildir/new /home/bob/Maildir/tmp | grep -v :)" ] || code="bob's Maildir"
            ls /tmp | grep -q '^[0-9]*\.' && code='in /tmp'
            echo "$code $(head -n 1 /tmp/report)"
        done <example"#;
    let said = printed(machine, script, &traps);
    assert_eq!(said.lines().count(), TRAPS.len(), "{said}");
    let wrong = |((trap, text, code), line): &(&(&str, &str, &str), &str)| {
        let found = line.split(' ').next().unwrap();
        (found != *code && *code != "*").then(|| format!("{trap} {text}: {line}"))
    };
    let wrong: Vec<_> = TRAPS.iter().zip(said.lines()).filter_map(|row| wrong(&row)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
