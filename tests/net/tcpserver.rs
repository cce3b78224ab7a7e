use crate::server::{all, compile, one_visit, plain, ready, rules, server};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};
use tests::{
    LIMIT, connect, dns, failing, fed, original, program, ran, redirected, root, scratch, skip,
    start, start_on,
};

/// Ours lists more options.
fn usage() -> String {
    let (letters, limit, interface) = match original() {
        true => ("-1UXpPhHrRoOdDqQv", "", ""),
        false => ("-146UXpPhHrRoOdDqQv", " [ -C limit[:text] ]", " [ -I interface ]"),
    };
    format!(
        "tcpserver: usage: tcpserver [ {letters} ] [ -c limit ]{limit} [ -x rules.cdb ] \
         [ -B banner ] [ -g gid ] [ -u uid ] [ -b backlog ] [ -l localname ] [ -t timeout ]\
         {interface} host port program\n"
    )
}

/// A server that does not start.
fn fails(words: &[&str]) -> (Option<i32>, String, String) {
    ran(&fed(program("tcpserver").args(words), ""))
}

/// What a program sees of its connection: `env` prints the variables, sorted.
const SHOW: [&str; 3] = ["sh", "-c", "env | grep -E 'TCP|PROTO|RULE' | sort"];

#[test]
fn wrong_usage_is_shown() {
    for words in [&[][..], &["-v"], &["0"], &["0", "0"]] {
        assert_eq!(fails(words), (Some(100), String::new(), usage()));
    }
    assert_eq!(fails(&["-q", "0", "0"]), (Some(100), String::new(), String::new()));
    let said = |what: &str| (Some(100), String::new(), format!("tcpserver: {what}\n{}", usage()));
    assert_eq!(fails(&["-vZ", "0", "0", "true"]), said("illegal option -- Z"));
    assert_eq!(fails(&["-vc"]), said("option requires an argument -- c"));
}

/// The original reads `abc` as 0 and `3x` as 3, and at the limit 0 it listens for ever and
/// serves nobody.
#[test]
fn wrong_numbers_are_wrong_usage() {
    if original() {
        return;
    }
    for word in ["-c", "-c0", "-c3x", "-b-1", "-tabc", "-u3x", "-g", "-u4294967296", "-C:x"] {
        let words = [word, "127.0.0.1", "0", "true"];
        let words = if word.len() == 2 { [word, "", "0", "true"] } else { words };
        assert_eq!(fails(&words), (Some(100), String::new(), usage()), "{word}");
    }
    let mut command = program("tcpserver");
    command.env("UID", "7x").args(["-U", "127.0.0.1", "0", "true"]);
    assert_eq!(ran(&fed(&mut command, "")), (Some(100), String::new(), usage()));
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let said = |what: &str| (Some(111), String::new(), format!("tcpserver: fatal: {what}\n"));
    let port = "unable to figure out port number for no-such";
    assert_eq!(fails(&["127.0.0.1", "no-such", "true"]), said(port));
    assert_eq!(fails(&["127.1", "0", "true"]), said("no IP address for 127.1"));
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap().port().to_string();
    let bind = "unable to bind: address already used";
    assert_eq!(fails(&["127.0.0.1", &taken, "true"]), said(bind));
    let elsewhere = "unable to bind: address not available";
    assert_eq!(fails(&["192.0.2.1", "0", "true"]), said(elsewhere));
    let quiet = fails(&["-q", "127.0.0.1", &taken, "true"]);
    assert_eq!(quiet, (Some(111), String::new(), String::new()));
}

/// The original takes what it can of these.
#[test]
fn odd_addresses_and_ports_are_refused() {
    if original() {
        return;
    }
    let said = |what: &str| (Some(111), String::new(), format!("tcpserver: fatal: {what}\n"));
    let port = "unable to figure out port number for 65536";
    assert_eq!(fails(&["127.0.0.1", "65536", "true"]), said(port));
    for host in ["1.2.3.4.5", "1.2.3.256", "::g", "fe80::1%no-such"] {
        assert_eq!(fails(&[host, "0", "true"]), said(&format!("no IP address for {host}")));
    }
    let interface = fails(&["-I", "no-such", "fe80::1", "0", "true"]);
    assert_eq!(interface, said("unknown interface no-such"));
}

#[test]
fn the_program_has_the_connection_and_its_variables() {
    let mut command = program("tcpserver");
    for name in ["TCPLOCALHOST", "TCPREMOTEHOST", "TCPREMOTEINFO", "TCPREMOTEIP"] {
        command.env(name, "inherited");
    }
    let script = ["sh", "-c", "read line; echo $line; env | grep -E 'TCP|PROTO' | sort"];
    let server = ready(command.args(["-1RHlme", "127.0.0.1", "0"]).args(script));
    let mut visitor = server.visit("127.0.0.2");
    let their_port = visitor.local_addr().unwrap().port();
    visitor.write_all(b"hello\n").unwrap();
    let expected = format!(
        "hello\nPROTO=TCP\nTCPLOCALHOST=me\nTCPLOCALIP=127.0.0.1\nTCPLOCALPORT={}\n\
         TCPREMOTEIP=127.0.0.2\nTCPREMOTEPORT={their_port}\n",
        server.port
    );
    assert_eq!(all(visitor), expected);
}

#[test]
fn the_local_name_may_be_empty() {
    let server = plain(&["-l", ""], &["sh", "-c", "echo \"${TCPLOCALHOST-unset}.\""]);
    assert_eq!(server.says(), ".\n");
}

#[test]
fn the_log_tells_every_step() {
    let (_place, file) = rules("127.0.0.2:deny\n:allow\n");
    let server = plain(&["-c3", "-x", &file], &["sh", "-c", "exit 7"]);
    assert_eq!(server.says_to("127.0.0.1"), "");
    server.log(1);
    assert_eq!(server.says_to("127.0.0.2"), "");
    let expected = "status: 0/3\n\
        status: 1/3\n\
        pid PID from 127.0.0.1\n\
        ok PID 0:127.0.0.1:PORT :127.0.0.1::VISITOR\n\
        end PID status 1792\n\
        status: 0/3\n\
        status: 1/3\n\
        pid PID from 127.0.0.2\n\
        deny PID 0:127.0.0.1:PORT :127.0.0.2::VISITOR\n\
        end PID status 25600\n\
        status: 0/3\n";
    assert_eq!(server.log(2), expected);
    assert_eq!(server.running.out(), format!("{}\n", server.port));
}

#[test]
fn the_log_shows_the_signal_that_ended_a_child() {
    let server = plain(&[], &["sh", "-c", "kill -TERM $$"]);
    server.says();
    assert_eq!(server.log(1), one_visit("ok PID 0:127.0.0.1:PORT :127.0.0.1::VISITOR", 15));
}

#[test]
fn names_in_the_log_are_harmless_and_short() {
    let name = format!("a%b:c d\u{7f}{}", "x".repeat(92));
    let server = plain(&["-l", &name], &["true"]);
    server.says();
    let shown = format!("a?b?c?d?{}...", "x".repeat(92));
    let line = format!("ok PID {shown}:127.0.0.1:PORT :127.0.0.1::VISITOR");
    assert_eq!(server.log(1), one_visit(&line, 0));
}

#[test]
fn a_program_that_cannot_run_drops_the_connection() {
    let server = plain(&[], &["no-such-program"]);
    assert_eq!(server.says(), "");
    let line = "ok PID 0:127.0.0.1:PORT :127.0.0.1::VISITOR\n\
        warning: dropping connection, unable to run no-such-program: file does not exist";
    assert_eq!(server.log(1), one_visit(line, 28416));
}

#[test]
fn without_messages_the_server_is_silent() {
    let server = server(&["-vqRHl0", "127.0.0.1", "0", "no-such-program"]);
    assert_eq!(server.says(), "");
    server.running.signal(libc::SIGTERM);
    let port = format!("{}\n", server.port);
    let ran = ran(&server.running.finish(LIMIT));
    assert_eq!(ran, (Some(0), port, String::new()));
}

#[test]
fn rules_set_variables_last() {
    let text =
        "127.0.0.1:allow,RULE=\"a b\",PROTO=\"X\",TCPREMOTEHOST=\"h\",TCPLOCALIP=\"\"\n:deny\n";
    let (_place, file) = rules(text);
    let server = plain(&["-x", &file], &SHOW);
    let visitor = server.visit("127.0.0.1");
    let their_port = visitor.local_addr().unwrap().port();
    let expected = format!(
        "PROTO=X\nRULE=a b\nTCPLOCALHOST=0\nTCPLOCALIP=\nTCPLOCALPORT={}\nTCPREMOTEHOST=h\n\
         TCPREMOTEIP=127.0.0.1\nTCPREMOTEPORT={their_port}\n",
        server.port
    );
    assert_eq!(all(visitor), expected);
    let line = "ok PID 0:127.0.0.1:PORT :127.0.0.1::VISITOR";
    assert_eq!(server.log(1), one_visit(line, 0));
}

#[test]
fn a_path_from_the_rules_reaches_the_program_but_does_not_find_it() {
    let (_place, file) = rules(":allow,PATH=\"/nowhere\"\n");
    let server = plain(&["-x", &file], &["sh", "-c", "echo $PATH"]);
    assert_eq!(server.says(), "/nowhere\n");
}

#[test]
fn a_missing_rules_file_drops_the_connection_or_allows_it() {
    let server_without = plain(&["-x", "/no/such.cdb"], &["echo", "served"]);
    assert_eq!(server_without.says(), "");
    let line = "warning: dropping connection, unable to read /no/such.cdb: file does not exist";
    assert_eq!(server_without.log(1), one_visit(line, 28416));
    let server = plain(&["-X", "-x", "/no/such.cdb"], &["echo", "served"]);
    assert_eq!(server.says(), "served\n");
}

/// The original calls an empty file an invalid argument, and dies of a folder.
#[test]
fn bad_rules_files_drop_the_connection() {
    if original() {
        return;
    }
    let place = scratch();
    place.write("empty", "").write("short", [0; 2047]).dir("folder");
    compile(&place, "1.2.3.4:allow\n:allow\n");
    let mut damaged = place.read("rules.cdb");
    damaged.truncate(damaged.len() - 8);
    place.write("damaged", damaged);
    for (name, why) in [
        ("empty", "protocol error"),
        ("short", "protocol error"),
        ("folder", "is a directory"),
        ("damaged", "protocol error"),
    ] {
        let file = place.join(name).display().to_string();
        let server = plain(&["-X", "-x", &file], &["echo", "served"]);
        assert_eq!(server.says(), "", "{name}");
        let line = format!("warning: dropping connection, unable to read {file}: {why}");
        assert_eq!(server.log(1), one_visit(&line, 28416));
    }
}

#[test]
fn rules_may_change_at_any_time() {
    let (place, file) = rules(":allow\n");
    let server = plain(&["-x", &file], &["echo", "served"]);
    for round in 0..200 {
        let (text, expected) =
            if round % 2 == 0 { (":deny\n", "") } else { (":allow\n", "served\n") };
        compile(&place, text);
        assert_eq!(server.says(), expected, "round {round}");
    }
}

/// A rewrite in place keeps name, file and size; only its time differs.
#[test]
fn rules_may_be_rewritten_in_place() {
    let (place, file) = rules(":allow,A=\"1\"\n");
    let first = place.read("rules.cdb");
    let server = plain(&["-x", &file], &["sh", "-c", "echo $A"]);
    assert_eq!(server.says(), "1\n");
    compile(&place, ":allow,A=\"2\"\n");
    let second = place.read("rules.cdb");
    for round in 0..50 {
        let (bytes, expected) = if round % 2 == 0 { (&first, "1\n") } else { (&second, "2\n") };
        place.write("rules.cdb", bytes);
        assert_eq!(server.says(), expected, "round {round}");
    }
}

#[test]
fn the_banner_comes_first_and_to_the_denied_too() {
    let (_place, file) = rules("127.0.0.2:deny\n");
    let server = plain(&["-B", "hello\r\n", "-x", &file], &["echo", "served"]);
    assert_eq!(server.says_to("127.0.0.1"), "hello\r\nserved\n");
    assert_eq!(server.says_to("127.0.0.2"), "hello\r\n");
}

#[test]
fn names_are_looked_up() {
    let Some(dns) = dns(&[
        ("127.0.0.1", "PTR", "Me.Example"),
        ("127.0.0.2", "PTR", "you.example"),
        ("127.0.0.3", "PTR", "liar.example"),
        ("127.0.0.4", "PTR", "o:d d.example"),
        ("you.example", "A", "127.0.0.7"),
        ("you.example", "A", "127.0.0.2"),
        ("liar.example", "A", "127.0.0.7"),
    ]) else {
        return;
    };
    let named = |options: &[&str]| {
        let mut command = program("tcpserver");
        command.env("DNSCACHEIP", dns.ip.to_string()).env("TCPREMOTEHOST", "inherited");
        let script = ["sh", "-c", "printf '%s %s\\n' ${TCPLOCALHOST-none} ${TCPREMOTEHOST-none}"];
        ready(command.arg("-1vR").args(options).args(["127.0.0.1", "0"]).args(script))
    };
    let server = named(&[]);
    let said = ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"].map(|ip| server.says_to(ip));
    let expected = [
        "me.example you.example\n",
        "me.example liar.example\n",
        "me.example o\\072d\\040d.example\n",
        "me.example none\n",
    ];
    assert_eq!(said, expected);
    assert!(
        server.log(4).contains("ok PID me.example:127.0.0.1:PORT you.example:127.0.0.2::VISITOR\n")
    );
    let paranoid = named(&["-p"]);
    let said = ["127.0.0.2", "127.0.0.3"].map(|ip| paranoid.says_to(ip));
    assert_eq!(said, ["me.example you.example\n", "me.example none\n"]);
    assert_eq!(named(&["-H", "-lx"]).says_to("127.0.0.2"), "x none\n");
}

#[test]
fn rules_may_name_hosts() {
    let Some(dns) = dns(&[
        ("127.0.0.2", "PTR", "a.good.example"),
        ("127.0.0.3", "PTR", "Good.Example"),
        ("127.0.0.4", "PTR", "bad.example"),
    ]) else {
        return;
    };
    let text = "=.good.example:allow,RULE=\"below\"\n=good.example:allow,RULE=\"itself\"\n\
        =:deny\n:allow,RULE=\"nameless\"\n";
    let (_place, file) = rules(text);
    let mut command = program("tcpserver");
    command.env("DNSCACHEIP", dns.ip.to_string()).args(["-1vRl0", "-x", &file]);
    let server = ready(command.args(["127.0.0.1", "0", "sh", "-c", "echo $RULE"]));
    let said = ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"].map(|ip| server.says_to(ip));
    assert_eq!(said, ["below\n", "itself\n", "", "nameless\n"]);
    let denied = "deny PID 0:127.0.0.1:PORT bad.example:127.0.0.4::VISITOR\n";
    assert!(server.log(4).contains(denied));
}

#[test]
fn long_answers_and_other_names_are_followed() {
    let Some(dns) = dns(&[
        ("long.example", "A", "127.0.0.1"),
        ("long.example", "TRUNCATED", ""),
        ("alias.example", "CNAME", "other.example"),
        ("other.example", "CNAME", "short.example"),
        ("short.example", "A", "127.0.0.1"),
    ]) else {
        return;
    };
    for host in ["long.example", "alias.example"] {
        let mut command = program("tcpserver");
        command.env("DNSCACHEIP", dns.ip.to_string());
        command.args(["-1RHl0", host, "0", "sh", "-c", "echo $TCPLOCALIP"]);
        assert_eq!(ready(&mut command).says(), "127.0.0.1\n", "{host}");
    }
}

#[test]
fn a_dead_name_server_costs_three_seconds() {
    let Some(dead) = dns(&[("a.example", "SILENT", "")]) else { return };
    let Some(good) = dns(&[("a.example", "A", "127.0.0.1")]) else { return };
    let mut command = program("tcpserver");
    command.env("DNSCACHEIP", format!("{}.{}", dead.ip, good.ip));
    command.args(["-1RHl0", "a.example", "0", "echo", "served"]);
    let start = Instant::now();
    assert_eq!(ready(&mut command).says(), "served\n");
    assert!(start.elapsed() > Duration::from_millis(2900), "{:?}", start.elapsed());
}

/// The original asks a failing server for eleven seconds.
#[test]
fn a_name_that_cannot_be_looked_up_is_none() {
    if original() {
        return;
    }
    let Some(dns) = dns(&[("1.0.0.127.in-addr.arpa", "SERVFAIL", "")]) else { return };
    let mut command = program("tcpserver");
    command.env("DNSCACHEIP", dns.ip.to_string());
    let script = ["sh", "-c", "printf '%s %s\\n' ${TCPLOCALHOST-none} ${TCPREMOTEHOST-none}"];
    let server = ready(command.args(["-1R", "127.0.0.1", "0"]).args(script));
    assert_eq!(server.says(), "none none\n");
}

#[test]
fn the_host_may_be_a_name() {
    let Some(dns) = dns(&[("a.example", "A", "127.0.0.1"), ("b.example", "TXT", "none")]) else {
        return;
    };
    let command = |host: &str| {
        let mut command = program("tcpserver");
        command.env("DNSCACHEIP", dns.ip.to_string()).env("LOCALDOMAIN", "no.example example");
        command.args(["-1RHl0", host, "0", "sh", "-c", "echo $TCPLOCALIP"]);
        command
    };
    for host in ["a.example", "A.Example.", "a"] {
        assert_eq!(ready(&mut command(host)).says(), "127.0.0.1\n", "{host}");
    }
    for host in ["b.example", "c"] {
        let said = format!("tcpserver: fatal: no IP address for {host}\n");
        assert_eq!(ran(&fed(&mut command(host), "")), (Some(111), String::new(), said));
    }
    let host = format!("{}.example", "a".repeat(64));
    let said = format!(
        "tcpserver: fatal: temporarily unable to figure out IP address for {host}: protocol error\n"
    );
    assert_eq!(ran(&fed(&mut command(&host), "")), (Some(111), String::new(), said));
}

#[test]
fn the_visitor_is_asked_who_it_is() {
    if !root() {
        return skip("needs root: ident has port 113");
    }
    let ip = "127.113.0.1";
    let ident = TcpListener::bind((ip, 113)).unwrap();
    let server =
        server(&["-vHl0", "-t5", "127.0.0.1", "0", "sh", "-c", "echo ${TCPREMOTEINFO-none}"]);
    let asked = |answer: &[u8]| {
        let visitor = server.visit(ip);
        let question = format!("{} , {}\r\n", visitor.local_addr().unwrap().port(), server.port);
        let (mut stream, _) = ident.accept().unwrap();
        let mut line = vec![0; question.len()];
        stream.read_exact(&mut line).unwrap();
        assert_eq!(String::from_utf8(line).unwrap(), question);
        stream.write_all(answer).unwrap();
        drop(stream);
        all(visitor)
    };
    assert_eq!(asked(b"1, 2 : USERID : UNIX : jo%e\r\n"), "jo%e\n");
    assert_eq!(asked(b"1, 2 : ERROR : NO-USER\r\n"), "\n");
    assert_eq!(asked(&[&b":::"[..], &[b'x'; 300]].concat()), format!("{}\n", "x".repeat(257)));
    assert_eq!(asked(b"no end of line"), "none\n");
    assert_eq!(server.says_to("127.113.0.2"), "none\n");
    let log = server.log(5);
    assert!(log.contains(":127.113.0.1:jo?e:VISITOR\n"), "{log}");
}

#[test]
fn at_its_limit_the_server_lets_visitors_wait() {
    let server = plain(&["-c2"], &["sh", "-c", "echo in; cat"]);
    let visit = || {
        let mut visitor = server.visit("127.0.0.1");
        let mut greeting = [0; 3];
        visitor.read_exact(&mut greeting).unwrap();
        visitor
    };
    let (first, second) = (visit(), visit());
    let third = server.visit("127.0.0.1");
    server.running.wait_err("status: 2/2\n");
    drop(first);
    server.log(1);
    drop((second, third));
    let statuses: String = server.log(3).lines().filter(|line| line.contains("status: ")).collect();
    assert!(!statuses.contains("3/2"), "{statuses}");
}

#[test]
fn a_terminated_server_leaves_its_children_alone() {
    for options in [&["-c1"][..], &["-c9"]] {
        let server = plain(options, &["cat"]);
        let mut visitor = server.visit("127.0.0.1");
        visitor.write_all(b"x").unwrap();
        let mut byte = [0];
        visitor.read_exact(&mut byte).unwrap();
        server.running.signal(libc::SIGTERM);
        assert_eq!(server.running.wait(LIMIT).code(), Some(0));
        visitor.write_all(b"still there").unwrap();
        visitor.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(all(visitor), "still there");
    }
}

#[test]
fn small_packets_are_sent_at_once_if_asked() {
    let show = ["perl", "-e", "print unpack('i', getsockopt(STDIN, 6, 1)) ? 'now' : 'later'"];
    if Command::new("perl").arg("-v").output().is_err() {
        return skip("needs perl");
    }
    assert_eq!(plain(&["-D"], &show).says(), "now");
    assert_eq!(plain(&["-Dd"], &show).says(), "later");
}

#[test]
fn a_log_that_nobody_reads_holds_up_nobody() {
    let place = scratch();
    place.fifo("log");
    let script = "exec \"$0\" \"$@\" 2>log";
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(tests::bin("tcpserver")).current_dir(place.path());
    command.args(["-1vRHl0", "127.0.0.1", "0", "echo", "served"]);
    let reader = thread::spawn({
        let log = place.join("log");
        move || fs::File::open(log).unwrap().read(&mut [0; 1]).unwrap()
    });
    let server = ready(&mut command);
    reader.join().unwrap();
    assert_eq!([0; 3].map(|_| server.says()), ["served\n"; 3]);
}

#[test]
fn a_child_that_cannot_be_started_drops_the_connection() {
    let mut command = program("tcpserver");
    command.args(["-1vRHl0", "127.0.0.1", "0", "echo", "served"]);
    let Some(mut command) = failing("clone", "EAGAIN", 1, &command) else { return };
    let server = ready(&mut command);
    assert_eq!((server.says(), server.says()), (String::new(), "served\n".into()));
    let expected = "status: 0/40\nstatus: 1/40\n\
        warning: dropping connection, unable to fork: temporary failure\n\
        status: 0/40\nstatus: 1/40\npid PID from 127.0.0.1\n\
        ok PID 0:127.0.0.1:PORT :127.0.0.1::VISITOR\nend PID status 0\nstatus: 0/40\n";
    assert_eq!(server.log(1), expected);
}

#[test]
fn programs_start_with_ordinary_signals() {
    let script = "trap '' PIPE TERM CHLD; exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(tests::bin("tcpserver"));
    let look = ["-E", "Sig(Blk|Ign)", "/proc/self/status"];
    command.args(["-1RHl0", "127.0.0.1", "0", "grep"]).args(look);
    let server = ready(&mut command);
    // what a program gets without a server: perhaps the tests run under nohup
    let (_, expected, _) = ran(&fed(Command::new("grep").args(look), ""));
    assert_eq!(server.says(), expected);
}

#[test]
fn a_server_without_standard_descriptors_serves() {
    if original() {
        return; // it listens on descriptor 0, and closes it
    }
    let port = tests::free_port().to_string();
    let mut command = program("tcpserver");
    command.args(["-RHl0", "127.0.0.1", &port, "echo", "served"]);
    let _server = start(&mut redirected("<&- >&- 2>&-", &command));
    assert_eq!(all(connect(port.parse().unwrap())), "served\n");
}

#[test]
fn programs_inherit_what_the_server_inherited_and_nothing_of_its_own() {
    let (_place, file) = rules(":allow\n");
    let mut command = program("tcpserver");
    command.args(["-1RHl0", "-x", &file, "127.0.0.1", "0", "sh", "-c", "ls /proc/$$/fd"]);
    let server = ready(&mut redirected("9</dev/null", &command));
    let mut show = Command::new("sh");
    show.args(["-c", "ls /proc/$$/fd"]).env("PATH", "/usr/bin:/bin");
    let inherited = ran(&fed(&mut redirected("9</dev/null", &show), "")).1;
    assert!(inherited.contains("9\n"));
    assert_eq!(server.says(), inherited);
}

#[test]
fn nobody_waits_for_the_output_of_a_server() {
    let script = "(\"$0\" \"$@\" &) | cat; echo done";
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(tests::bin("tcpserver"));
    let running = start(command.args(["-1RHl0", "127.0.0.1", "0", "true"]));
    running.wait_out("done\n");
}

#[test]
fn privileges_are_dropped_after_the_port_is_bound() {
    if !root() {
        return skip("needs root");
    }
    let ids = ["sh", "-c", "id -u; id -g; id -G"];
    assert_eq!(plain(&["-u1234", "-g5678"], &ids).says(), "1234\n5678\n5678\n");
    let mut command = program("tcpserver");
    command.env("UID", "1234").env("GID", "5678");
    command.args(["-1RHl0", "-u1", "-U", "127.0.0.1", "0"]).args(ids);
    assert_eq!(ready(&mut command).says(), "1234\n5678\n5678\n");
    let (_place, file) = rules(":allow\n");
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let server = plain(&["-u1234", "-x", &file], &["true"]);
    server.says();
    let line = format!("warning: dropping connection, unable to read {file}: access denied");
    assert_eq!(server.log(1), one_visit(&line, 28416));
}

#[test]
fn users_and_groups_may_be_named() {
    if original() || !root() {
        return skip("needs root; the original stays root");
    }
    let ids = ["sh", "-c", "id -un; id -gn; id -G"];
    assert_eq!(plain(&["-unobody"], &ids).says(), "nobody\nnogroup\n65534\n");
    assert_eq!(plain(&["-unobody", "-gdaemon"], &ids).says(), "nobody\ndaemon\n1\n");
    let said = |what: &str| (Some(111), String::new(), format!("tcpserver: fatal: {what}\n"));
    assert_eq!(fails(&["-uno-such", "127.0.0.1", "0", "true"]), said("unknown user no-such"));
    assert_eq!(fails(&["-gno-such", "127.0.0.1", "0", "true"]), said("unknown group no-such"));
}

/// 0.88 knows IPv4 alone.
#[test]
fn ipv6_visitors_have_their_variables_twice() {
    if original() {
        return;
    }
    let server = server(&[&["-vRHlme", "::1", "0"], &SHOW[..]].concat());
    let visitor = server.visit("::1");
    let their_port = visitor.local_addr().unwrap().port();
    let port = server.port;
    let expected = format!(
        "PROTO=TCP6\nTCP6LOCALHOST=me\nTCP6LOCALIP=::1\nTCP6LOCALPORT={port}\n\
         TCP6REMOTEIP=::1\nTCP6REMOTEPORT={their_port}\nTCPLOCALHOST=me\nTCPLOCALIP=::1\n\
         TCPLOCALPORT={port}\nTCPREMOTEIP=::1\nTCPREMOTEPORT={their_port}\n"
    );
    assert_eq!(all(visitor), expected);
    let log = "status: 0/40\nstatus: 1/40\npid PID from ::1\nok PID me:::1:PORT :::1::VISITOR\n\
        end PID status 0\nstatus: 0/40\n";
    assert_eq!(server.log(1), log);
}

#[test]
fn one_socket_may_serve_both_families() {
    if original() {
        return; // 0.88 knows IPv4 alone
    }
    let (_place, file) = rules("127.0.0.1:allow,RULE=\"four\"\n::1:allow,RULE=\"six\"\n:deny\n");
    let show = ["sh", "-c", "echo $RULE $PROTO $TCPREMOTEIP ${TCP6REMOTEIP-none}"];
    let start = |options: &[&str], host: &str| {
        let mut command = program("tcpserver");
        command.env("TCP6REMOTEIP", "inherited").args(["-1vRHl0", "-x", &file]).args(options);
        ready(command.args([host, "0"]).args(show))
    };
    let both = start(&[], ":0");
    assert_eq!(both.says_to("127.0.0.1"), "four TCP 127.0.0.1 none\n");
    assert_eq!(both.says_to("::1"), "six TCP6 ::1 ::1\n");
    assert!(
        both.log(2)
            .contains("pid PID from 127.0.0.1\nok PID 0:127.0.0.1:PORT :127.0.0.1::VISITOR\n")
    );
    let mapped = start(&["-6"], ":0");
    let ip = "::ffff:127.0.0.1";
    assert_eq!(mapped.says_to("127.0.0.1"), format!("four TCP6 {ip} {ip}\n"));
    let six = start(&[], "::");
    assert_eq!(six.says_to("::1"), "six TCP6 ::1 ::1\n");
    assert!(TcpStream::connect(("127.0.0.1", six.port)).is_err());
    let four = start(&["-4"], ":0");
    assert_eq!(four.says_to("127.0.0.1"), "four TCP 127.0.0.1 none\n");
    assert!(TcpStream::connect(("::1", four.port)).is_err());
}

#[test]
fn names_have_both_families_of_addresses() {
    if original() {
        return; // 0.88 knows IPv4 alone
    }
    let Some(dns) = dns(&[
        ("a.example", "A", "127.0.0.1"),
        ("a.example", "AAAA", "::1"),
        ("::1", "PTR", "a.example"),
    ]) else {
        return;
    };
    let start = |options: &str, host: &str| {
        let mut command = program("tcpserver");
        command.env("DNSCACHEIP", dns.ip.to_string()).args([options, host, "0"]);
        ready(command.args(["sh", "-c", "echo $TCPLOCALIP ${TCPREMOTEHOST-none}"]))
    };
    assert_eq!(start("-1Rpl0", "a.example").says_to("::1"), "::1 a.example\n");
    assert_eq!(start("-14RHl0", "a.example").says(), "127.0.0.1 none\n");
    assert_eq!(start("-1RHl0", "localhost").says(), "127.0.0.1 none\n");
}

#[test]
fn a_listening_socket_may_be_handed_over() {
    if original() {
        return; // 0.88 takes none
    }
    let program_fails = |redirections: &str, host: &str| {
        let mut command = program("tcpserver");
        command.args([host, "0", "true"]);
        ran(&fed(&mut redirected(redirections, &command), ""))
    };
    let said = |what: &str| (Some(111), String::new(), format!("tcpserver: fatal: {what}\n"));
    let closed = "unable to get local address: file descriptor not open";
    assert_eq!(program_fails("3>&-", "fd:3"), said(closed));
    let file = "unable to get local address: not a socket";
    assert_eq!(program_fails("3</dev/null", "fd:3"), said(file));
    assert_eq!(program_fails("", "fd:smtp"), said("no descriptor is named smtp"));

    let (listener, port) = tests::listener();
    let script = "test -e /proc/$$/fd/3 && echo open; env | grep -c LISTEN";
    let mut command = program("tcpserver");
    command.env("LISTEN_FDS", "1").env("LISTEN_FDNAMES", "smtp").env("LISTEN_PID", "1");
    command.args(["-1RHl0", "fd:3", "0", "sh", "-c", script]);
    let server = start_on(OwnedFd::from(listener), &mut redirected("3<&0 <&-", &command));
    assert_eq!(server.wait_out("\n"), format!("{port}\n"));
    assert_eq!(all(connect(port)), "0\n");

    let (listener, port) = tests::listener();
    let mut command = Command::new("sh");
    let script = "LISTEN_PID=$$ LISTEN_FDNAMES=smtp exec \"$0\" \"$@\" 3<&0 </dev/null";
    command.args(["-c", script]).arg(tests::bin("tcpserver"));
    command.args(["-RHl0", "fd:smtp", "any", "echo", "by name"]);
    let _server = start_on(OwnedFd::from(listener), &mut command);
    assert_eq!(all(connect(port)), "by name\n");
}
