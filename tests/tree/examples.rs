//! The examples in the man pages: each does what its page says.

use crate::machine::{Disk, Machine};
use crate::pages::{displays, program_pages};
use crate::programs::{file_name, text};
use std::thread;
use tests::{ran, section};

/// What stands in no output of an example that works.
const BAD: [&str; 6] =
    ["usage:", "illegal option", "not found", "fatal:", "No such file", "Permission denied"];

/// How an example is run that is not merely started and ends, in the words of `hands.sh`, and
/// what its output has. `multilog.8 2` is the second example of that page.
#[rustfmt::skip]
const HOW: &[(&str, &str, &str)] = &[
    ("README.md", "stays status: ask", "\n221 "),
    ("README.md 2", "certificate; user; stays status: ask_tls -cert user.pem -key user.key",
        "\n221 "),
    ("README.md 3", "certificate; stays status: sh -c 'echo QUIT | openssl s_client -quiet \
        -starttls smtp -connect 127.0.0.1:25 2>/dev/null'", "221 "),
    ("README.md 4", "certificate; stays status: sh -c 'echo you | openssl s_client -quiet \
        -connect 127.0.0.1:7007 2>/dev/null'", "hello you, over TLSv1.3"),
    ("README.md 5", "stays status: finger@ 127.0.0.1 joe",
        "here is 127.0.0.1, and there is no joe"),
    ("README.md 6", "stays status: http@ 127.0.0.1", "<p>Hello.\n"),
    ("README.md 7", "stays status: ask_as_proxy 127.0.0.1 25", "tcpaccess: ok "),
    ("README.md 8", "activated $(sed -n s/ExecStart=//p example) & soon ask; ask", "\n221 "),
    ("README.md 9", "read -r _ _ _ _ user program args <example; \
        inetd setuidgid $user argv0 $program $args; ask", "\n221 "),
    ("addcr.1", "smtp; ./example", "\n221 "),
    ("argv0.1", "echo 'echo $0 up; exec sleep 9' >in; stays up", "gamed-chess up"),
    ("bouncesaying.1", "deliver || echo code $?", "code 100\n"),
    ("bouncesaying.1 2", "deliver; cat ~joe/Mailbox", "Subject: test\n"),
    ("condredirect.1", "echo invoice >>message; deliver; waiting", "\nTbob@example.org\n"),
    ("config.8", "./example; cat /var/qmail/control/me", "\nmail.example.org\n"),
    ("config-fast.8", "./example; cat /var/qmail/control/locals", "\nmail.example.org\n"),
    ("confine.8", "mkdir -p main; chown wwwlog main; echo line >in; ./example <in; \
        cat main/current", " line\n"),
    ("confine.8 2", "stays status: letter", "250 ok "),
    ("confine.8 3", "certificate; stays status: ask_tls", "ESMTP"),
    ("confine.8 4", "smtp; ./example", "K127.0.0.5 accepted message"),
    ("confine.8 5", "./example", " Everything is fine.\n"),
    ("checkpassword.8", "password joe; ./example", "joe\n"),
    ("date@.1", "host 13 echo half past nine; ./example", "half past nine\nhalf past nine\n"),
    ("datemail.1", "$(sed 's/.*=//' example) you@b.example <message; waiting", "\nTyou@b.example\n"),
    ("datemail.1 2", "./example; waiting", "\nTjoe@example.com\n"),
    ("delcr.1", "host 13 echo half past nine; ./example", "half past nine\n"),
    ("dot-forward.1", "echo a@b.example >~joe/.forward; deliver; waiting", "\nTa@b.example\n"),
    ("dot-forward.1 2", "./example || test $? = 99",
        "forward ann@example.org\ndirect delivery\n"),
    ("elq.1", ". ./example; env", "MAILTMP=/home/joe/Mailbox.tmp\n"),
    ("envdir.8", "stays up", "server up: www  80\n"),
    ("envdir.8 2", "supervised; ./example; cat /service/server/env/PORT", "8080\n"),
    ("envuidgid.8", "stays up", "server up: root 7011 80\n"),
    ("except.1", "touch ~joe/friends; deliver; waiting", "\nTjoe-other@example.com\n"),
    ("fastforward.1", "echo x: a@b.example >/etc/aliases; newaliases; deliver; waiting",
        "\nTa@b.example\n"),
    ("fastforward.1 2", "echo postmaster: joe >/etc/aliases; newaliases; ./example",
        "to <joe@example.com>\n"),
    ("fghack.8", "stays up", "server up\n"),
    ("finger@.1", "host 79 sh -c 'read -r who; echo $who is fine'; ./example", "postmaster"),
    ("fixcrio.1", "stays status: ask", "\n221 "),
    ("forward.1", "deliver; waiting", "\nTx@example.org\n"),
    ("forward.1 2", "./example; waiting", "\nTx@example.org\n"),
    ("https@.1", "certificate; secured 9100 printf 'HTTP/1.0 200 OK\r\n\r\nnode_load1 0.5\n'; \
        ./example", "node_load1 0.5\n"),
    ("http@.1", "host 9100 printf 'HTTP/1.0 200 OK\r\n\r\nnode_load1 0.5\n'; ./example",
        "node_load1 0.5\n"),
    ("maildir2mbox.1", "maildirmake ~/Maildir; cp message ~/Maildir/new/1; ./example; \
        cat ~/Mailbox", "From XXX "),
    ("maildirmake.1", "./example; cd; ls -d Maildir/*; cat .qmail",
        "Maildir/cur\nMaildir/new\nMaildir/tmp\n./Maildir/\n"),
    ("maildirwatch.1", "maildirmake ~/Maildir; cp message ~/Maildir/new/1; \
        stays Hello true", "FROM ? TO <?>\n"),
    ("mailsubj.1", "./example; waiting", "\nTjoe@example.com\n"),
    ("mconnect-io.1", "smtp; echo QUIT >in; ./example <in", "\n221 "),
    ("mconnect.1", "smtp; ./example", "\n221 "),
    ("multicat.8", "supervised; ./example", " server up\n"),
    ("multicat.8 2", "supervised; ./example", "1\n"),
    ("multicat.8 3", "supervised; stays 'server up' true", ""),
    ("multilog.8", "echo line >in; ./example <in; cat main/current", " line\n"),
    ("multilog.8 2", "printf '%s\n' 'error: e' 'status: s' >in; ./example <in; \
        cut -b27- errors/current status", "error: e\nstatus: s\n"),
    ("multilog.8 3", "yes | head -n 10000 >in; ./example <in; gzip -dc main/@*.s | head -n 1",
        " y\n"),
    ("multilog.8 4", "echo line >in; ./example <in; cat main/current", " line\n"),
    ("multilog.8 5", "supervised; ./example; soon sh -c 'cat /service/server/log/main/@*'", ""),
    ("multilog.8 4", "supervised; ./example; soon sh -c 'cat /service/server/log/main/@*'", ""),
    ("new-inject.1", "./example; waiting", "\nTann@example.com\nTbob@example.org\nTcarol@example.com\n"),
    ("newaliases.1", "./example", "root@:\n, &alias@example.com\n"),
    ("newinclude.1", "./example", "&ann@example.org\n&joe@example.com\n"),
    ("pgrphack.8", "stays up", "server up: www  \n"),
    ("pinq.1", ". ./example; env", "MAILTMP=/home/joe/Mailbox.tmp\n"),
    ("predate.1", "./example", " +0000\n"),
    ("preline.1", "deliver; cat ~joe/procmail", "Return-Path: <me@example.net>\n"),
    ("preline.1 2", "./example", "Return-Path: <joe@example.com>\nSubject: test\n"),
    ("printforward.1", "echo a: b >/etc/aliases; newaliases; ./example", ", &b@example.com\n"),
    ("printmaillist.1", "echo a@b | setmaillist news.bin t; ./example; printmaillist <news.bin",
        "&a@b\n&bob@example.net\n"),
    ("proxyin.1", "stays status: ask_as_proxy 192.0.2.1 2525", "\n221 "),
    ("proxyout.1", "host 2525 proxyin sh -c 'echo caller: $TCPREMOTEIP'; \
        stays status: tcpclient -RHl0 127.0.0.1 25 sh -c 'cat <&6'", "caller: 127.0.0.1\n"),
    ("qail.1", ". ./example; env", "MAILTMP=/home/joe/Mailbox.tmp\n"),
    ("qbiff.1", "deliver; cat ~joe/Mailbox", "Subject: test\n"),
    ("qmail-clean.8", "./example", "+"),
    ("qmail-getpw.8", "./example", "joe\n7006\n7006\n/home/joe\n-\nlist\n"),
    ("qmail-inject.8", "./example; waiting", "\nTann@a.example\nTbob@example.com\n"),
    ("qmail-local.8", "echo '&ann@a.example' >~joe/.qmail-list; chown joe ~joe/.qmail-list; \
        ./example", "ann@a.example"),
    ("qmail-lspawn.8", "queued 1/24; echo ./Mailbox >/var/qmail/alias/.qmail-you; ./example",
        "Kdid 1+0+0\n"),
    ("qmail-newmrh.8", "mkdir /etc/customers; echo C.example >/etc/customers/c; ./example; \
        grep -c c.example /var/qmail/control/morercpthosts.cdb", "1\n"),
    ("qmail-newu.8", "./example; grep -ao '!joe-' /var/qmail/users/cdb", "!joe-\n"),
    ("qmail-pop3d.8", "setuidgid joe maildirmake ~joe/Maildir; cp message ~joe/Maildir/new/1; \
        touch -d 2020-01-01 ~joe/Maildir/new/1; ./example", "+OK 1 22\r\n"),
    ("qmail-popup.8", "password joe; setuidgid joe maildirmake ~joe/Maildir; \
        stays status: tcpclient -RHl0 127.0.0.1 110 \
        sh -c \"printf 'USER joe\\nPASS secret\\nSTAT\\nQUIT\\n' >&7; cat <&6\"", "+OK 0 0\r\n"),
    ("qmail-pw2u.8", "./example", "\n=joe:joe:7006:7006:/home/joe:::\n"),
    ("qmail-qmqpc.8", "host 628 qmail-qmqpd; ./example; waiting", "\nTann@b.example\n"),
    ("qmail-qmqpd.8", "stays status: tcpclient -RHl0 127.0.0.1 628 \
        sh -c 'printf 16:4:text,0:,3:a@b,, >&7; cat <&6'", ":Kok "),
    ("qmail-qmqpd.8 2", "tcprules rules.cdb rules.tmp <example; \
        tcprulescheck rules.cdb 192.0.2.7", "allow connection\n"),
    ("qmail-qmtpd.8", "stays status: tcpclient -RHl0 127.0.0.1 209 \
        sh -c \"printf '5:\\ntext,0:,19:15:joe@example.com,,' >&7; head -c 8 <&6\"", ":Kok "),
    ("qmail-qcheck.8", "cd /var/qmail/queue; chown joe todo; chmod 777 info; rmdir remote/7; \
        /srv/example; cd remote/7; qmail-qcheck", "todo: wrong owner: qmailq\n"),
    ("qmail-qread.8", "qmail; ./example", "1 b.example\n"),
    ("qmail-queue.8", "./example; waiting", "\nTyou@a.example\nTshe@b.example\n"),
    ("qmail-remote.8", "smtp; ./example", "\nK127.0.0.5 accepted message"),
    ("qmail-remote.8 2", "smtp 587; cp example /var/qmail/control/smtproutes; \
        qmail-remote a.example me@a.example you@a.example <message",
        "K127.0.0.5 accepted message"),
    ("qmail-rspawn.8", "smtp; queued 19/4711; ./example", "127.0.0.5 accepted message"),
    ("qmail-send.8", "./example; test ! -e /var/qmail/queue/info/19/4711; \
        touch -d 2020-01-01 /var/qmail/queue/info/19/4711; ./example; \
        find /var/qmail/queue/info -newer message -type f", "info/19/4711\n"),
    ("qmail-showctl.8", "echo >/var/qmail/control/smtproute; ./example",
        "smtproute: I have no idea"),
    ("qmail-smtpd.8", "stays status: ask", "\n221 "),
    ("qmail-smtpd.8 2", "read -r _ _ _ _ user program args <example; \
        inetd setuidgid $user argv0 $program $args; ask", "\n221 "),
    ("qmail-smtpd.8 3", "certificate; stays status: ask_starttls", "221 mail.example.com"),
    ("qmail-start.8", "stays 'status: local'", ""),
    ("qmail-start.8 2", "./example; soon runs splogger; soon runs qmail-send", ""),
    ("qmail-start.8 3", "./example; soon runs splogger; soon runs qmail-send", ""),
    ("qreceipt.1", "sed -i '1i Notice-Requested-Upon-Delivery-To: joe@example.com' message; \
        deliver; waiting", "\nTme@example.net\n"),
    ("qmail-tcpto.8", "./example", "0\n"),
    ("rblsmtpd.1", "stays status: ask", "\n221 "),
    ("rblsmtpd.1 2", "rules \"$(cat example)\"; tcprulescheck /etc/tcp.smtp.cdb 198.51.100.1",
        "RBLSMTPD=-go away\n"),
    ("rblsmtpd.1 3", "host 25 ./example; ask", "\n221 "),
    ("readproctitle.8", "./example & soon svok /service/server; soon runs readproctitle", ""),
    ("recordio.1", "stays status: ask", " > 221 "),
    ("sendmail.8", "./example; waiting", "\nTpostmaster@example.com\n"),
    ("setforward.1", "./example; printforward <forward.cdb", "news@example.com: ?joe@example.com;\n"),
    ("setlock.8", "./example", "reported\n"),
    ("setmaillist.1", "./example; printmaillist <news.bin", "&joe@example.com\n"),
    ("setuidgid.8", "stays up", "server up: www  80\n"),
    ("setuidgid.8 2", "echo line >in; ./example <in; cat main/current", " line\n"),
    ("setuidgid.8 3", "stays up", "server up: www  \n"),
    ("softlimit.8", "stays up", "server up: www  \n"),
    ("splogger.8", "./example & soon runs splogger; soon runs qmail-send", ""),
    ("sslcat.1", "certificate; secured 4000 echo backup; ./example; cat home.tar", "backup\n"),
    ("sslclient.1", "certificate; secured 465 qmail-smtpd; ./example", "220 "),
    ("sslconnect.1", "certificate; secured 465 qmail-smtpd; ./example", "\n221 "),
    ("supervise.8", "rm -r /etc/echo /service/*; svscan /service >/tmp/svscan 2>&1 & ./example; \
        soon grep status: /var/log/echo/current; \
        tcpclient -RHl0 127.0.0.1 7 sh -c 'echo hello >&7; head -n 1 <&6'", "hello\n"),
    ("svc.8", "supervised; ./example; ls /service; soon sh -c \
        'test $(cat /proc/*/comm | grep -cx supervise) = 4'",
        "dns\nserver\n"),
    ("svc.8 2", "supervised; ./example", ""),
    ("svls.8", "supervised; ./example", "log running\n   @4"),
    ("svls.8 2", "supervised; ./example; svc -d /service/dns; soon sh -c \
        'svstat /service/dns | grep down'; svc -u /service/dns; ./example", ""),
    ("svneed.8", "supervised; stays up", "server up: www"),
    ("svok.8", "supervised; stays up", "server up: root  \n"),
    ("svscan.8", "cp -r services ~joe/service; chown -R joe ~joe; \
        setuidgid joe sh -c \"$(sed 's/^@reboot//' example)\" & soon svok ~joe/service/inner; \
        soon runs sleep",
        "server up\n"),
    ("svscan.8 2", "stays up", "server up\n"),
    ("svscan.8 3", "stays up", "server up\n"),
    ("svscanboot.8", "$(cut -d: -f4 example) & soon svok /service/server", ""),
    ("svscanboot.8 2", "./example; soon svok /service/server", ""),
    ("svscanboot.8 3", "svscanboot -d -p /run/svscanboot.pid; soon svok /service/server; \
        ./example; soon ended svscan; soon ended supervise", ""),
    ("svstat.8", "supervised; ./example", ""),
    ("svup.8", "supervised; ./example; svc -d /service/dns; soon sh -c '! svup /service/dns'; \
        ./example", "no name server\n"),
    ("svwait.8", "supervised; ./example; svstat /service/server", "up (pid"),
    ("svwait.8 2", "supervised; ./example; svstat /service/server /service/dns",
        "/dns: down"),
    ("tai64n.8", "./example", " made\n"),
    ("tai64nlocal.8", "supervised; stays up", " server up\n"),
    ("tcp-env.1", "read -r _ _ _ _ user program args <example; \
        inetd setuidgid $user argv0 $program $args; ask", "\n221 "),
    ("tcp-env.1 2", "inetd ./example; ask", "\n221 "),
    ("tcpaccess.1", "stays status: ask_as_proxy 127.0.0.1 25", "\n221 "),
    ("tcpaccess.1 2", "inetd ./example; ask", "\n221 "),
    ("tcpcat.1", "host 4000 echo backup; ./example; cat home.tar", "backup\n"),
    ("tcpclient.1", "smtp; ./example", "220 "),
    ("tcplisten.1", "stays status: ask", "\n221 "),
    ("tcplog.1", "logged; ./example", " 127.0.0.1\n"),
    ("tcplog.1 2", "logged; mkdir /var/lib/node_exporter; ./example; \
        cat /var/lib/node_exporter/smtpd.prom",
        "
tcpserver_connections_total{verdict=\"ok\",status=\"0\"} 1
"),
    ("tcprules.1", "rules \"$(cat example)\"; tcprulescheck /etc/tcp.smtp.cdb 192.0.2.201",
        "allow connection\n"),
    ("tcprules.1 2", "./example; tcprulescheck /etc/tcp.smtp.cdb 192.0.2.7", "allow connection\n"),
    ("tcprulescheck.1", "rules '192.0.2.:allow,RELAYCLIENT=\"\"'; ./example", ""),
    ("tcprulescheck.1 2", "rules '127.:allow,RELAYCLIENT=\"\"'; cp /etc/tcp.smtp .; ./example; \
        ls tcp.smtp.*", "tcp.smtp.cdb\n"),
    ("tcprulesdump.1", "rules '127.0.0.1:allow,RELAYCLIENT=\"\"'; ./example", ""),
    ("tcprulesdump.1 2", "cp /etc/tcp.smtp.cdb .; ./example; tcprulesdump tcp.smtp.cdb",
        "192.0.2.66:deny\n"),
    ("tcpserver.1", "stays status: ask", "\n221 "),
    ("tcpserver.1 2", "rules \"$(cat example)\"; tcprulescheck /etc/tcp.smtp.cdb 10.1.2.3",
        "RELAYCLIENT=\n"),
    ("tcpserver.1 3", "stays '^[0-9]' sh -c 'tcpcat 127.0.0.1 $(cat said)'", "UTC"),
    ("sslserver.1", "certificate; stays status: ask_tls", "\n221 "),
    ("tlsd.1", "certificate; stays status: ask_tls", "\n221 "),
    ("tlsd.1 2", "./example; cp /var/qmail/control/tlsticketkey old; ./example; \
        new=/var/qmail/control/tlsticketkey; \
        tail -c 40 $new | cmp -n 40 - old; wc -c <$new", "80\n"),
    ("tlsc.1", "certificate; secured 465 qmail-smtpd; ./example", "220 "),
    ("tlsio.1", "certificate; ./example; echo good", "good\n"),
    ("unixcat.1", "unixserver /run/greet echo hello & soon test -S /run/greet; ./example",
        "hello\n"),
    ("unixclient.1", "unixserver /run/greet head -n 1 & soon test -S /run/greet; ./example",
        "please\n"),
    ("unixserver.1", "stays status: unixcat /run/greet", "hello, user 0\n"),
    ("who@.1", "host 11 echo joe pts/0; ./example", "joe pts/0\njoe pts/0\n"),
];

/// An example: the page and its number there, the file that it is, what its output has.
struct Example {
    name: String,
    file: String,
    output: String,
}

/// All examples of the pages of programs, and the pipelines of the README.
fn examples() -> Vec<Example> {
    let mut examples = Vec::new();
    let mut add = |page: &str, shown: Vec<String>| {
        for (number, text) in (1..).zip(shown) {
            let name = if number == 1 { page.into() } else { format!("{page} {number}") };
            examples.push(example(name, text));
        }
    };
    for page in program_pages() {
        let shown = displays(&section(&text(&page), "EXAMPLES").unwrap_or_default());
        add(&file_name(&page), shown);
    }
    add("README.md", pipelines());
    examples
}

/// What the README shows in its chapter of pipelines.
fn pipelines() -> Vec<String> {
    let readme = text("README.md");
    let (_, chapter) = readme.split_once("## Ready pipelines\n").unwrap();
    let (chapter, _) = chapter.split_once("\n## ").unwrap();
    let blocks = chapter.split("```\n").skip(1).step_by(2);
    blocks.map(str::to_owned).collect()
}

/// What stands behind `$ ` is typed, and the lines below it are the output.
fn example(name: String, text: String) -> Example {
    match text.strip_prefix("$ ").and_then(|typed| typed.split_once('\n')) {
        Some((file, output)) => Example { name, file: file.into(), output: output.into() },
        None => Example { name, file: text, output: String::new() },
    }
}

/// What is wrong with an example, if anything is.
fn fault(example: &Example, machine: &Machine) -> Option<String> {
    let row = HOW.iter().find(|(name, ..)| *name == example.name);
    let (_, how, output) = row.unwrap_or(&("", "./example", ""));
    let wanted = if output.is_empty() { &example.output } else { *output };
    let (code, said, err) = ran(&machine.run(how, &example.file));
    let fine =
        code == Some(0) && said.contains(wanted) && !BAD.iter().any(|bad| said.contains(bad));
    (!fine).then(|| format!("{}: {how}\n{code:?}, no {wanted:?} in:\n{said}{err}", example.name))
}

/// What is wrong with any of these, run on machines of a network of its own.
fn faults(disk: &Disk, examples: &[Example]) -> Vec<String> {
    let machine = disk.machine();
    examples.iter().filter_map(|example| fault(example, &machine)).collect()
}

#[test]
fn every_example_works() {
    let Some(disk) = Disk::new() else { return };
    let examples = examples();
    let half = examples.len().div_ceil(2);
    let faults: Vec<String> = thread::scope(|scope| {
        let disk = &disk;
        let both: Vec<_> =
            examples.chunks(half).map(|part| scope.spawn(move || faults(disk, part))).collect();
        both.into_iter().flat_map(|part| part.join().unwrap()).collect()
    });
    assert!(faults.is_empty(), "mend the page, or its line in HOW:\n{}", faults.join("\n\n"));
}

#[test]
fn every_row_is_of_an_example() {
    let examples = examples();
    let names = HOW.iter().map(|(name, ..)| name);
    let stray: Vec<_> =
        names.filter(|name| !examples.iter().any(|example| example.name == **name)).collect();
    assert!(stray.is_empty(), "{stray:?}");
}
