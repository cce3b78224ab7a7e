//! tcplog: turn the log of tcpserver into one line per connection, or into counts.

use crate::server::plain;
use std::process::Command;
use tests::{LIMIT, bin, fed, program, ran, redirected, shown, start};

const LOG: &str = "\
@4000000037c219bf00000000 tcpserver: status: 1/40
@4000000037c219bf2ef02e94 tcpserver: pid 12 from 1.2.3.4
@4000000037c219bf2ff02e94 tcpserver: ok 12 mx:5.6.7.8:25 a\"b:1.2.3.4:me:1024
@4000000037c219bf2ff02e95 sslserver: pid 13 from 2001:db8::1
@4000000037c219bf2ff02e96 sslserver: deny 13 0:::1:25 :2001:db8::1::4711 MAXCONNIP:2
rblsmtpd: something else \0\x7f
@4000000037c219bf2ff02e97 tcpserver: pid 14 from 1.2.3.4
@4000000037c219c22ef02e93 tcpserver: end 13 status 25600
@4000000037c219c32ef02e94 tcpserver: end 12 status 9
@4000000037c219c40ef02e94 tcpserver: end 14 status 28416
@4000000037c219c42ef02e94 tcpserver: pid 15 from 1.2.3.4
@4000000037c219c42ef02e94 tcpserver: end 16 status 0
";

const WORDS: &str = "\
@4000000037c219bf2ff02e95 2 13 deny 100 0 ::1 25 - 2001:db8::1 - 4711
@4000000037c219bf2ef02e94 4 12 ok sig9 mx 5.6.7.8 25 a\"b 1.2.3.4 me 1024
@4000000037c219bf2ff02e97 4 14 - 111 - - - - 1.2.3.4 - -
";

#[track_caller]
fn gives(options: &[&str], log: &str, expected: &str) {
    let o = fed(program("tcplog").args(options), log);
    assert_eq!(ran(&o), (Some(0), expected.into(), String::new()));
}

#[test]
fn each_ended_connection_is_one_line_of_words() {
    gives(&[], LOG, WORDS);
    gives(&[], "", "");
    gives(&[], &LOG.repeat(2000), &WORDS.repeat(2000));
}

#[test]
fn a_last_line_may_lack_its_newline() {
    let log = &LOG[..LOG.find(" 28416").unwrap() + 6];
    gives(&[], log, WORDS);
}

#[test]
fn json_has_the_same_by_names() {
    let expected = "\
{\"start\":\"@4000000037c219bf2ff02e95\",\"seconds\":2,\"pid\":13,\"verdict\":\"deny\",\
\"status\":100,\"signal\":null,\"local_host\":\"0\",\"local_ip\":\"::1\",\"local_port\":25,\
\"remote_host\":null,\"remote_ip\":\"2001:db8::1\",\"info\":null,\"remote_port\":4711}
{\"start\":\"@4000000037c219bf2ef02e94\",\"seconds\":4,\"pid\":12,\"verdict\":\"ok\",\
\"status\":null,\"signal\":9,\"local_host\":\"mx\",\"local_ip\":\"5.6.7.8\",\"local_port\":25,\
\"remote_host\":\"a\\\"b\",\"remote_ip\":\"1.2.3.4\",\"info\":\"me\",\"remote_port\":1024}
{\"start\":\"@4000000037c219bf2ff02e97\",\"seconds\":4,\"pid\":14,\"verdict\":null,\
\"status\":111,\"signal\":null,\"local_host\":null,\"local_ip\":null,\"local_port\":null,\
\"remote_host\":null,\"remote_ip\":\"1.2.3.4\",\"info\":null,\"remote_port\":null}
";
    gives(&["-j"], LOG, expected);
}

#[test]
fn counts_and_lengths_are_for_prometheus() {
    let expected = "\
# HELP tcpserver_connections_total Connections that have ended.
# TYPE tcpserver_connections_total counter
tcpserver_connections_total{verdict=\"deny\",status=\"100\"} 1
tcpserver_connections_total{verdict=\"dropped\",status=\"111\"} 1
tcpserver_connections_total{verdict=\"ok\",status=\"sig9\"} 1
# HELP tcpserver_connection_seconds How long connections lasted.
# TYPE tcpserver_connection_seconds histogram
tcpserver_connection_seconds_bucket{le=\"0.1\"} 0
tcpserver_connection_seconds_bucket{le=\"1\"} 0
tcpserver_connection_seconds_bucket{le=\"10\"} 3
tcpserver_connection_seconds_bucket{le=\"60\"} 3
tcpserver_connection_seconds_bucket{le=\"300\"} 3
tcpserver_connection_seconds_bucket{le=\"1200\"} 3
tcpserver_connection_seconds_bucket{le=\"3600\"} 3
tcpserver_connection_seconds_bucket{le=\"+Inf\"} 3
tcpserver_connection_seconds_sum 11.430
tcpserver_connection_seconds_count 3
# HELP tcpserver_connections_open Connections that have not ended.
# TYPE tcpserver_connections_open gauge
tcpserver_connections_open 1
";
    gives(&["-p"], LOG, expected);
    gives(&["-jp"], LOG, expected);
}

#[test]
fn lines_of_any_length_are_passed_over() {
    let long = format!("{}\n{LOG}", "x".repeat(100_000));
    gives(&[], &long, WORDS);
    let much = "@4000000037c219bf2ef02e94 tcpserver: ok 12 ".to_owned() + &"y".repeat(100_000);
    gives(&[], &much, "");
}

#[test]
fn a_line_is_written_before_more_is_read() {
    let mut tcplog = start(&mut program("tcplog"));
    let end = LOG.find("@4000000037c219c32").unwrap();
    tcplog.write(&LOG[..end]);
    tcplog.wait_out(WORDS.split_inclusive('\n').next().unwrap());
    let next = LOG.find("@4000000037c219c40").unwrap();
    // A part of a line follows.
    tcplog.write(&LOG[end..next + 10]);
    tcplog.wait_out(" 12 ok sig9 ");
    tcplog.write(&LOG[next + 10..]);
    tcplog.close();
    assert_eq!(tcplog.wait(LIMIT).code(), Some(0));
    assert_eq!(tcplog.wait_out(" 111 "), WORDS);
}

#[test]
fn a_real_log_is_understood() {
    let server = plain(&[], &["sh", "-c", "exit 7"]);
    let visits = 3;
    (0..visits).for_each(|_| drop(server.says()));
    server.log(visits);
    let stamped = fed(&mut program_of("tai64n"), server.running.err());
    let (code, out, err) = ran(&fed(&mut program("tcplog"), &stamped.stdout));
    assert_eq!((code, err), (Some(0), String::new()));
    let words: Vec<Vec<&str>> = out.lines().map(|line| line.split(' ').collect()).collect();
    let port = server.port.to_string();
    let known: Vec<_> =
        words.iter().map(|words| [&words[3..11], &words[11..12]].concat()).collect();
    let expected = ["ok", "7", "0", "127.0.0.1", &port, "-", "127.0.0.1", "-"];
    assert_eq!(words.len(), visits, "{out}");
    assert!(known.iter().all(|words| words[..8] == expected), "{out}");
}

/// A program of daemontools, ours or the original.
fn program_of(name: &str) -> Command {
    let ours = bin("tcplog").with_file_name(name);
    Command::new(if ours.exists() { ours } else { name.into() })
}

#[test]
fn an_input_or_output_that_fails_is_temporary_trouble() {
    let cases = [
        (">/dev/full", "write output: out of disk space"),
        (">&-", "write output: file descriptor not open"),
        ("<&-", "read input: file descriptor not open"),
        ("</", "read input: is a directory"),
    ];
    for (redirections, why) in cases {
        let o = fed(&mut redirected(redirections, &program("tcplog")), LOG);
        let said = format!("tcplog: fatal: unable to {why}\n");
        assert_eq!(ran(&o), (Some(111), String::new(), said));
    }
    let o = fed(&mut redirected(">/dev/full", program("tcplog").arg("-p")), "");
    let said = "tcplog: fatal: unable to write output: out of disk space\n";
    assert_eq!(ran(&o), (Some(111), String::new(), said.into()));
}

#[test]
fn an_output_that_nobody_reads_ends_it() {
    let script = "while cat \"$1\"; do :; done | \"$0\" | head -n 1";
    let place = tests::scratch();
    place.write("log", LOG);
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", script]).arg(bin("tcplog")).arg(place.join("log"));
    let o = shell.output().unwrap();
    assert_eq!(shown(&o.stdout).lines().count(), 1);
}

#[test]
fn wrong_usage_is_shown() {
    for words in [&["-x"][..], &["file"]] {
        let (code, out, said) = ran(&program("tcplog").args(words).output().unwrap());
        assert_eq!((code, out), (Some(100), String::new()));
        assert!(said.ends_with("tcplog: usage: tcplog [ -j | -p ]\n"), "{said}");
    }
}
