//! sslserver: accept TCP connections, speak TLS on each and run a program for it.

use crate::certificates::{Authority, ECDSA, authority};
use crate::server::{all, compile, visit};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use tests::{LIMIT, Running, connect, fed, program, ran, root, skip, start, until};

fn mail() -> Authority {
    let authority = authority();
    authority.issue("mail", ECDSA, "mail.example");
    authority
}

/// A server that has printed its port.
struct Server {
    running: Running,
    port: u16,
}

/// `sslserver -1vHl0 OPTIONS 127.0.0.1 0 WORDS`, with the certificate `mail.pem`.
#[track_caller]
fn served(authority: &Authority, env: &[(&str, &str)], options: &[&str], words: &[&str]) -> Server {
    let mut server = program("sslserver");
    authority.on("mail", &mut server).current_dir(authority.place.path());
    server.args(["-1vHl0"]).args(options).args(["127.0.0.1", "0"]).args(words);
    let running = start(server.envs(env.iter().copied()));
    let port = running.wait_out("\n").trim().parse().unwrap();
    Server { running, port }
}

impl Server {
    /// What our own client is told, after saying a line.
    fn says(&self, authority: &Authority) -> String {
        let mut stream = authority.client(connect(self.port));
        let mut answer = String::new();
        stream.write_all(b"hello\n").unwrap();
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    /// The log when so many visits have ended, without the numbers that are never the same.
    #[track_caller]
    fn log(&self, visits: usize) -> String {
        let mut log = String::new();
        until(LIMIT, &format!("the end of {visits} visits in the log"), || {
            log = self.running.err();
            let last_end = log.match_indices("sslserver: end ").nth(visits - 1);
            let after = last_end.map_or("", |(at, _)| &log[at..]);
            after.contains("\nsslserver: status: ") && after.ends_with('\n')
        });
        log.lines().map(|line| self.constant(line) + "\n").collect()
    }

    /// A line with N for the process and the visitor's port, and PORT for ours.
    fn constant(&self, line: &str) -> String {
        match line.splitn(4, ' ').collect::<Vec<_>>()[..] {
            [name, word @ ("pid" | "ok" | "deny" | "ssl" | "end"), _, rest] => {
                let rest = rest.replace(&format!(":{} ", self.port), ":PORT ");
                let rest = match (word, rest.rsplit_once(':')) {
                    ("ok" | "deny", Some((rest, _))) => format!("{rest}:N"),
                    _ => rest,
                };
                format!("{name} {word} N {rest}")
            }
            _ => line.to_owned(),
        }
    }
}

const SHOW: &str = "read line; env | grep -E '^(PROTO|SSL|TCP|CERT|KEY)' | \
    grep -v '^SSL_CERT_' | LC_ALL=C sort | sed 's/PORT=.*/PORT=/'";

#[test]
fn the_variables_are_those_of_ssl() {
    let authority = mail();
    let ends = |start: &str| {
        let names = ["LOCALHOST=0", "LOCALIP=127.0.0.1", "LOCALPORT=", "REMOTEIP=127.0.0.1"];
        let lines = names.iter().chain(&["REMOTEPORT="]).map(|name| format!("{start}{name}\n"));
        lines.collect::<String>()
    };
    let ssl = "SSL_CIPHER=TLS_AES_256_GCM_SHA384\nSSL_PROTOCOL=TLSv1.3\n\
        SSL_TLS_SNI_SERVERNAME=mail.example\n";
    let ssl = ends("SSL") + ssl;
    let old = [("TCPREMOTEHOST", "forged"), ("SSLREMOTEINFO", "forged")];
    let server = served(&authority, &old, &[], &["sh", "-c", SHOW]);
    assert_eq!(server.says(&authority), format!("PROTO=SSL\n{ssl}"));
    let server = served(&authority, &old, &["-e"], &["sh", "-c", SHOW]);
    assert_eq!(server.says(&authority), format!("PROTO=TCP\n{ssl}{}", ends("TCP")));
}

#[test]
fn the_log_is_that_of_tcpserver_with_a_line_more() {
    let authority = mail();
    for (options, more) in [(&[][..], ""), (&["-V"], " TLSv1.3:TLS_AES_256_GCM_SHA384")] {
        let server = served(&authority, &[], options, &["sh", "-c", "read line; echo $line"]);
        assert_eq!(server.says(&authority), "hello\n");
        let expected = format!(
            "sslserver: status: 0/40\nsslserver: status: 1/40\nsslserver: pid N from 127.0.0.1\n\
             sslserver: ok N 0:127.0.0.1:PORT :127.0.0.1::N\nsslserver: ssl N accept{more}\n\
             sslserver: end N status 0\nsslserver: status: 0/40\n"
        );
        assert_eq!(server.log(1), expected);
    }
}

#[test]
fn who_does_not_speak_tls_is_dropped() {
    let authority = mail();
    for (options, said) in [
        (
            &["-v"][..],
            "sslserver: warning: dropping SSL connection, unable to accept TLS: \
             received corrupt message of type InvalidContentType\n",
        ),
        (&["-q"], ""),
    ] {
        let server = served(&authority, &[], options, &["echo", "ran"]);
        let mut stream = connect(server.port);
        stream.write_all(b"EHLO mail.example\r\n").unwrap();
        assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap(), 7);
        if options == ["-v"] {
            assert!(server.log(1).contains(said), "{}", server.log(1));
            assert!(server.log(1).contains("end N status 28416"), "{}", server.log(1));
        } else {
            assert_eq!(server.running.err(), said);
        }
    }
}

#[test]
fn rules_choose_the_certificate_and_who_may_come() {
    let authority = mail();
    authority.issue("other", ECDSA, "other.example");
    let rules = "127.0.0.1:allow,CERTFILE=\"other.pem\",KEYFILE=\"other.key\",CCAFILE=\"-\"\n\
        127.0.0.2:allow,CERTFILE=\"no\"\n:deny\n";
    compile(&authority.place, rules);
    let words = ["sh", "-c", "read line; echo $SSL_SERVER_S_DN_CN $SSL_CLIENT_VERIFY"];
    let env = [("CCAFILE", "ca.pem")];
    let server = served(&authority, &env, &["-sx", "rules.cdb"], &words);
    let seen = authority.s_client(server.port, &[], "hello\n");
    assert_eq!(seen, "other.example NONE\n");
    let to = ([127, 0, 0, 1], server.port).into();
    for from in [[127, 0, 0, 2], [127, 0, 0, 3]] {
        assert_eq!(all(visit(from.into(), to)), "");
    }
    let log = server.log(3);
    let dropped = "sslserver: warning: dropping SSL connection, unable to read no: \
        file does not exist\n";
    assert!(log.contains(dropped), "{log}");
    assert!(log.contains("sslserver: deny N 0:127.0.0.1:PORT :127.0.0.3::N\n"), "{log}");
}

#[test]
fn a_banner_is_encrypted() {
    let authority = mail();
    let server =
        served(&authority, &[], &["-B", "welcome "], &["sh", "-c", "read line; echo $line"]);
    assert_eq!(server.says(&authority), "welcome hello\n");
}

#[test]
fn n_leaves_it_to_the_program() {
    let authority = mail();
    let script =
        "read line; printf y >&$SSLCTLFD; read line <&$SSLREADFD; echo $line >&$SSLWRITEFD";
    let server = served(&authority, &[], &["-n", "-B", "go\n"], &["bash", "-c", script]);
    let mut stream = connect(server.port);
    stream.read_exact(&mut [0; 3]).unwrap();
    stream.write_all(b"STARTTLS\n").unwrap();
    let mut stream = authority.client(stream);
    stream.write_all(b"hello\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "hello\n");
    assert!(server.log(1).contains("sslserver: ssl N accept\n"), "{}", server.log(1));
    let mut plain = connect(server.port);
    plain.shutdown(Shutdown::Write).unwrap();
    assert_eq!(plain.read_to_end(&mut Vec::new()).unwrap(), 3);
}

#[test]
fn client_certificates_are_for_the_host_that_calls() {
    let authority = mail();
    authority.issue("you", ECDSA, "localhost");
    let env = [("CCAFILE", "ca.pem")];
    let words = ["sh", "-c", "read line; echo $SSL_CLIENT_S_DN_CN"];
    for (options, expected) in [(&["-m"][..], "localhost\n"), (&["-z"], "")] {
        // Nobody has looked the name up: there is none.
        let server = served(&authority, &env, options, &words);
        let own = ["-cert", "you.pem", "-key", "you.key"];
        assert_eq!(authority.s_client(server.port, &own, "hello\n"), expected);
        assert_eq!(authority.s_client(server.port, &[], "hello\n"), "");
    }
}

#[test]
fn the_port_is_free_when_the_server_has_ended() {
    let authority = mail();
    let server = served(&authority, &[], &[], &["cat"]);
    let mut stream = authority.client(connect(server.port));
    stream.write_all(b"hello").unwrap();
    stream.read_exact(&mut [0; 5]).unwrap();
    server.running.signal(libc::SIGTERM);
    until(LIMIT, "its end", || server.running.ended().is_some());
    // The visitor is still served, but nobody listens.
    assert!(TcpStream::connect(("127.0.0.1", server.port)).is_err());
    stream.write_all(b"again").unwrap();
    stream.read_exact(&mut [0; 5]).unwrap();
}

#[test]
fn programs_run_as_somebody_and_tls_as_somebody_else() {
    if !root() {
        return skip("needs root");
    }
    let authority = mail();
    authority.place.chmod("mail.key", 0o600);
    let env = [("SSL_UID", "7001"), ("SSL_GID", "7002")];
    let script = "read line; id -u; id -g; grep ^Uid /proc/$(cut -d' ' -f1 \
        /proc/$$/task/$$/children)/status";
    let server = served(&authority, &env, &["-u7003", "-g7004"], &["sh", "-c", script]);
    let ids = "7003\n7004\nUid:\t7001\t7001\t7001\t7001\n";
    assert_eq!(server.says(&authority), ids);
}

#[test]
fn bad_settings_are_told_at_the_start() {
    let authority = mail();
    for (env, why) in [
        (("KEYFILE", "no"), "unable to read no: file does not exist"),
        (("CERTFILE", "mail.key"), "unable to read mail.key: no certificate in it"),
    ] {
        let mut server = program("sslserver");
        authority.on("mail", &mut server).current_dir(authority.place.path());
        let o = fed(server.env(env.0, env.1).args(["127.0.0.1", "0", "true"]), "");
        assert_eq!(ran(&o), (Some(111), String::new(), format!("sslserver: fatal: {why}\n")));
    }
    let o = fed(program("sslserver").arg("-W"), "");
    let (code, _, said) = ran(&o);
    assert!(code == Some(100) && said.contains("sslserver: usage: sslserver [ -1346"), "{said}");
}
