//! Hostile bytes on whole programs, where the loop that reads them is the program's own. Each run
//! ends soon, with a code that its man page has, with few and printable words, without a panic,
//! and without harm to the mail.

use crate::installation::{Installation, installation};
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::process::Output;
use std::thread;
use std::time::{Duration, SystemTime};
use tests::{Hostile, fed, ran, redirected, set, shown};

/// Cases of a program in `make test`: each starts a process.
const RUNS: u64 = 60;

/// How many there are.
pub fn runs() -> u64 {
    set("RUNS").unwrap_or(RUNS)
}

/// A program, what it reads, and what must hold afterwards.
struct Case {
    /// Words of the command.
    command: &'static [&'static str],
    samples: Vec<Vec<u8>>,
    words: &'static [&'static [u8]],
    /// How it may end.
    codes: &'static [i32],
    /// Lines that it may say to standard error.
    lines: usize,
}

impl Case {
    /// Tries it in this installation. `check` sees the input and what came of it.
    fn attack(&self, home: &Installation, check: impl Fn(&[u8], &Output)) {
        let run = |bytes: &[u8]| {
            let mut command = home.program(self.command[0]);
            command.args(&self.command[1..]).current_dir(home.home());
            let certificate = home.join("pem");
            command.env("TCPREMOTEIP", "192.0.2.7").env("CERTFILE", certificate);
            fed(&mut command, bytes)
        };
        self.attack_by(run, check);
    }

    fn attack_by(&self, run: impl Fn(&[u8]) -> Output, check: impl Fn(&[u8], &Output)) {
        let name = &self.command.join(" ");
        let hostile = Hostile { name, samples: self.samples.clone(), words: self.words };
        hostile.attack(runs(), |bytes| {
            let output = run(bytes);
            let (code, _, said) = ran(&output);
            assert!(code.is_some_and(|code| self.codes.contains(&code)), "{code:?}: {said}");
            // words to a user may show his own line; a log is one line of ASCII
            let plain = said.bytes().all(|byte| byte == b'\n' || (32..127).contains(&byte));
            assert!((plain || self.lines > 1) && !said.contains("internal error"), "{said}");
            assert!(said.lines().count() <= self.lines, "{said}");
            check(bytes, &output);
        });
    }
}

/// Leaves no message in the queue, whatever comes of the test.
struct Emptied<'a>(&'a Installation);

impl Drop for Emptied<'_> {
    fn drop(&mut self) {
        empty(self.0);
    }
}

fn empty(home: &Installation) {
    for folder in ["mess", "intd", "todo"] {
        for number in home.numbers(folder) {
            fs::remove_file(home.join(home.file(folder, number))).unwrap();
        }
    }
}

fn nothing(_: &[u8], _: &Output) {}

/// As many messages are queued as were accepted, each whole. Then they are gone.
#[track_caller]
fn assert_queued(home: &Installation, accepted: usize) {
    let _empty = Emptied(home);
    let queued = home.numbers("todo");
    assert_eq!(queued.len(), accepted, "queued, and accepted");
    let left = home.numbers("mess");
    assert_eq!(left, queued, "in mess, and in todo");
    for number in queued {
        for folder in ["mess", "intd", "todo"] {
            let text = fs::read(home.join(home.file(folder, number))).unwrap();
            let fine = match folder {
                "mess" => text.starts_with(b"Received: (qmail "),
                _ => text.starts_with(b"u") && text.ends_with(b"\0"),
            };
            assert!(fine, "{folder}: {}", shown(&text));
        }
    }
}

/// A netstring of each part, and one around all.
fn package(parts: &[&str]) -> Vec<u8> {
    let parts: String = parts.iter().map(|part| format!("{}:{part},", part.len())).collect();
    format!("{}:{parts},", parts.len()).into_bytes()
}

#[test]
fn qmail_smtpd() {
    let home = installation();
    home.control("rcpthosts", "d\n").control("databytes", "100000\n");
    let session = "EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nx\r\n.\r\n";
    let case = Case {
        command: &["qmail-smtpd"],
        samples: vec![
            format!("{session}{session}QUIT\r\n").into(),
            "HELO a\r\nMAIL FROM:<>\r\nRCPT TO:<\"x y\"@d>\r\nDATA\r\n\r\nx\n.\n".into(),
            "EHLO a\r\nSTARTTLS\r\nHELP\r\nVRFY x\r\nRSET\r\nNOOP\r\n".into(),
        ],
        words: &[
            b"\r\n",
            b"\n",
            b"\r",
            b".",
            b"\r\n.\r\n",
            b"\n.\n",
            b"\r.\r",
            b"\n.\r\n",
            b"\r\n.\n",
            b"\r\n.\r",
            b"\0",
            b"<",
            b">",
            b"\"",
            b"@d",
            b"MAIL FROM:<a@b>\r\n",
            b"RCPT TO:<c@d>\r\n",
            b"DATA\r\n",
            b"QUIT\r\n",
        ],
        codes: &[0, 1],
        lines: 0,
    };
    case.attack(&home, |bytes, output| {
        let text = shown(&output.stdout);
        assert!(
            text.lines().all(|line| line.len() > 3 && line[..3].parse::<u16>().is_ok()),
            "{text}"
        );
        let accepted = text.lines().filter(|line| line.contains(" qp ")).count();
        assert!(accepted <= memchr::memmem::find_iter(bytes, b"\n.\r\n").count());
        assert_queued(&home, accepted);
    });
}

#[test]
fn qmail_qmtpd() {
    let home = installation();
    home.control("rcpthosts", "d\n");
    let one = |text: &str| {
        let part = |part: &str| format!("{}:{part},", part.len());
        [part(text), part("a@b"), part(&[part("c@d"), part("e@f")].concat())].concat()
    };
    let case = Case {
        command: &["qmail-qmtpd"],
        samples: vec![
            [one("\nSubject: x\n\ntext\n"), one("\rSubject: x\r\n\r\n")].concat().into(),
            one("\n").into(),
        ],
        words: &[b":", b",", b"0:,", b"\n", b"\r", b"200000000:", b"99999999999999999999:", b"\0"],
        codes: &[0, 100, 111],
        lines: 0,
    };
    case.attack(&home, |_, output| {
        let accepted = memchr::memmem::find_iter(&output.stdout, b"Kok ").count();
        // its answers come recipient by recipient, and not at all if what follows is no QMTP
        let queued = home.numbers("todo").len();
        assert_queued(&home, queued);
        assert!(accepted == 0 || queued > 0, "{accepted} recipients accepted, nothing queued");
    });
}

#[test]
fn qmail_qmqpd() {
    let home = installation();
    let case = Case {
        command: &["qmail-qmqpd"],
        samples: vec![package(&["Subject: x\n\ntext\n", "joe@b.example", "ann@a.example", "b@c"])],
        words: &[b":", b",", b"0:,", b"1:a,", b"\0", b"200000000:", b"99999999999999999999:"],
        codes: &[0, 100, 111],
        lines: 0,
    };
    case.attack(&home, |_, output| {
        assert_queued(&home, memchr::memmem::find_iter(&output.stdout, b":Kok ").count());
    });
}

#[test]
fn qmail_pop3d() {
    let home = installation();
    home.maildir("Maildir");
    // messages of this second might still be coming in: then they are not shown
    let fill = || {
        home.write("Maildir/new/1.a", "Subject: x\n\n.\ntext\n").write("Maildir/cur/2.b:2,S", "");
        for name in ["new/1.a", "cur/2.b:2,S"] {
            let file = fs::File::open(home.join("Maildir").join(name)).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(100)).unwrap();
        }
    };
    fill();
    let case = Case {
        command: &["qmail-pop3d", "Maildir"],
        samples: vec![
            "STAT\r\nLIST\r\nUIDL\r\nRETR 1\r\nTOP 1 0\r\nDELE 2\r\nLAST\r\nRSET\r\nNOOP\r\n"
                .into(),
            "LIST 1\r\nUIDL 2\r\nCAPA\r\nQUIT\r\n".into(),
        ],
        words: &[
            b"\r\n",
            b"\n",
            b" ",
            b"\0",
            b"-1",
            b"18446744073709551617",
            b"1",
            b"TOP ",
            b"RETR ",
        ],
        codes: &[0, 1],
        lines: 0,
    };
    case.attack(&home, |bytes, output| {
        assert!(output.stdout.starts_with(b"+OK"));
        let all = home.place().names("Maildir/new").len() + home.place().names("Maildir/cur").len();
        let upper = bytes.to_ascii_uppercase();
        let told = ["DELE", "QUIT"].map(|word| memchr::memmem::find(&upper, word.as_bytes()));
        assert!(all == 2 || told.iter().all(Option::is_some), "{all} left");
        for name in home.place().names("Maildir/cur") {
            fs::remove_file(home.join("Maildir/cur").join(name)).unwrap();
        }
        fill();
    });
}

#[test]
fn qmail_popup() {
    let home = installation();
    let case = Case {
        command: &["qmail-popup", "a.example", "cat"],
        samples: vec![
            "CAPA\r\nUSER joe\r\nPASS secret\r\n".into(),
            "NOOP\r\nAPOP joe 0123456789abcdef0123456789abcdef\r\n".into(),
        ],
        words: &[b"\r\n", b"\n", b" ", b"\0", b"USER ", b"PASS ", b"APOP ", b"QUIT\r\n"],
        codes: &[0, 1],
        lines: 1,
    };
    case.attack(&home, |_, output| assert!(output.stdout.starts_with(b"+OK <")));
}

#[test]
fn rblsmtpd() {
    let home = installation();
    let case = Case {
        command: &["argv0", "sh", "sh", "-c", "RBLSMTPD=-no exec rblsmtpd true"],
        samples: vec!["HELO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nQUIT\r\n".into()],
        words: &[b"\r\n", b"\n", b"\r", b" ", b"\0", b"QUIT\r\n", b"DATA\r\n"],
        codes: &[0],
        lines: 1,
    };
    case.attack(&home, |_, output| {
        let known = ["220 rblsmtpd.local", "250 rblsmtpd.local", "221 rblsmtpd.local", "553 no"];
        let text = shown(&output.stdout);
        assert!(text.lines().all(|line| known.contains(&line)), "{text}");
    });
}

#[test]
fn proxyin() {
    let case = Case {
        command: &["proxyin", "cat"],
        samples: vec![
            "PROXY TCP4 1.2.3.4 5.6.7.8 1024 25\r\nEHLO a\r\n".into(),
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x01\x02\x03\x04\x05\x06\x07\x08\x04\0\0\x19EHLO a\r\n"
                .into(),
        ],
        words: &[b"\r\n", b"PROXY", b" ", b"\xff\xff", b"\0", b"65536"],
        codes: &[0, 100, 111],
        lines: 1,
    };
    case.attack(&installation(), |bytes, output| assert!(bytes.ends_with(&output.stdout)));
}

#[test]
fn fixcrio() {
    let case = Case {
        command: &["fixcrio", "cat"],
        samples: vec!["a\r\nb\nc\rd\r\r\n".into()],
        words: &[b"\r\n", b"\n", b"\r"],
        codes: &[0],
        lines: 0,
    };
    case.attack(&installation(), |bytes, output| {
        let length = |text: &[u8]| text.iter().filter(|byte| **byte != b'\r').count();
        assert_eq!(length(&output.stdout), length(bytes));
    });
}

#[test]
fn tlsd() {
    let home = installation();
    home.write("pem", net::tls::testing::PEM);
    let case = Case {
        command: &["tlsd", "-T", "5", "sh", "-c", "echo ran"],
        samples: vec![crate::formats::network::hello(), "EHLO a\r\n".into()],
        words: &[
            b"\x16\x03\x01",
            b"\x17\x03\x03",
            b"\x15\x03\x03\0\x02\x01\0",
            b"\xff\xff",
            b"\0\0",
        ],
        codes: &[0, 100, 111],
        lines: 1,
    };
    case.attack(&home, |_, output| {
        assert!(memchr::memmem::find(&output.stdout, b"ran").is_none());
    });
}

#[test]
fn qmail_queue() {
    let home = installation();
    let case = Case {
        command: &["qmail-queue"],
        samples: vec![b"Fme@a.example\0Tyou@b.example\0Tshe@c.example\0\0".into(), b"F\0\0".into()],
        words: &[b"\0", b"F", b"T", b"\0T", b"\0\0", b"@"],
        codes: &[0, 11, 54, 91],
        lines: 0,
    };
    let run = |bytes: &[u8]| {
        fs::write(home.join("envelope"), bytes).unwrap();
        let mut command = redirected("1<\"$QMAILHOME\"/envelope", &home.program("qmail-queue"));
        fed(home.as_its_user(&mut command), "Subject: x\n\ntext\n")
    };
    case.attack_by(run, |_, output| {
        assert_queued(&home, usize::from(output.status.success()));
    });
}

#[test]
fn qmail_inject() {
    let home = installation();
    let case = Case {
        command: &["qmail-inject", "-a", "x@b.example"],
        samples: vec![
            "From: \"Joe \\\"S\" <joe@a.b>\nTo: a, b@c (x), g: d@e, f;\nCc: <@x:y@z>\nBcc: q\n\ntext\n"
                .into(),
            "Resent-To: me\nReturn-Path: <a@b>\nMail-Followup-To: x\n\n".into(),
        ],
        words: &[b"\n", b"\n ", b"<", b">", b"@", b",", b";", b":", b"(", b")", b"\"", b"\\", b"\0", b"To:"],
        codes: &[0, 100, 111],
        // it shows the field that it cannot read, whole
        lines: usize::MAX,
    };
    case.attack(&home, |_, output| assert_queued(&home, usize::from(output.status.success())));
}

#[test]
fn qmail_local() {
    let home = installation();
    home.maildir("Maildir").place().chmod(".", 0o755);
    let case = Case {
        command: &["qmail-local"],
        samples: vec!["# list\n./Maildir/\n|true\n&a@b.example\n+list\nc@d\n\n./mbox\n".into()],
        words: &[b"\n", b"|", b"&", b"./", b"/", b"#", b"+list", b" ", b"\0", b"\r"],
        codes: &[0, 100, 111],
        lines: 2,
    };
    let run = |bytes: &[u8]| {
        home.write(".qmail", bytes);
        let mut command = home.program("qmail-local");
        command.arg("-n").arg("joe").arg(home.home());
        command.args(["joe", "", "", "a.example", "me@b.example", "./Mailbox"]);
        fed(&mut command, "Subject: x\n\ntext\n")
    };
    case.attack_by(run, nothing);
}

#[test]
fn qmail_rspawn() {
    let home = installation();
    let _ = fs::remove_file(home.join("bin/qmail-remote"));
    std::os::unix::fs::symlink("/bin/true", home.join("bin/qmail-remote")).unwrap();
    home.send("Subject: x\n\n", "a@b", &["c@d"]);
    let number = home.only("mess");
    let order = format!("\x01{}/{number}\0me@a\0you@b\0", number % 23);
    let case = Case {
        command: &["qmail-rspawn"],
        samples: vec![order.repeat(3).into(), "\x05x\0\0\0".into()],
        words: &[b"\0", b"@", b"/", b"..", b"\0\0\0", b"123"],
        codes: &[0],
        lines: 0,
    };
    case.attack(&home, |bytes, output| {
        let (&first, mut rest) = output.stdout.split_first().unwrap();
        let mut reports = 0;
        while let [_, b'K' | b'Z' | b'D', tail @ ..] = rest {
            rest = &tail[tail.iter().position(|byte| *byte == 0).unwrap() + 1..];
            reports += 1;
        }
        assert!(first == 120 && rest.is_empty() && reports <= bytes.len() / 3, "{reports}");
    });
}

#[test]
fn qmail_clean() {
    let home = installation();
    home.send("Subject: x\n\n", "a@b", &["c@d"]);
    let number = home.only("todo");
    let case = Case {
        command: &["qmail-clean"],
        samples: vec!["foop/7/77\0todo/7/77\0foop/77\0".into()],
        words: &[b"\0", b"/", b"..", b"foop/", b"todo/", b"-1", b"18446744073709551617"],
        codes: &[0, 100],
        lines: 0,
    };
    // its number may turn up by chance: then it is as if qmail-send had said so
    case.attack(&home, |bytes, output| {
        let commands = bytes.iter().filter(|byte| **byte == 0).count();
        assert_eq!(output.stdout.len(), commands);
        let named = memchr::memmem::find(bytes, number.to_string().as_bytes()).is_some();
        assert!(named || home.numbers("todo") == [number]);
    });
}

#[test]
fn qmail_remote() {
    let case = Case {
        command: &["qmail-remote"],
        samples: vec![
            "220 a\r\n250-b\r\n250 PIPELINING\r\n250 ok\r\n250 ok\r\n354 go\r\n250 done\r\n".into(),
            "220-a\r\n220 b\r\n502 x\r\n250 b\r\n250 ok\r\n550 no\r\n221 x\r\n".into(),
        ],
        words: &[
            b"\r\n",
            b"\n",
            b"250 ok\r\n",
            b"354 x\r\n",
            b"550 no\r\n",
            b"421-",
            b"-",
            b"\0",
            b"\x1b[2J",
        ],
        codes: &[0],
        lines: 0,
    };
    let home = installation();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    home.control("smtproutes", format!(":127.0.0.1:{port}\n")).control("timeoutremote", "10\n");
    let run = |bytes: &[u8]| {
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut stream = listener.accept().unwrap().0;
                // the client may have gone
                let _ = stream.write_all(bytes);
                let _ = stream.shutdown(Shutdown::Write);
                let _ = stream.read_to_end(&mut Vec::new());
            });
            let mut command = home.program("qmail-remote");
            fed(command.args(["b.example", "me@a.example", "you@b.example"]), "Subject: x\n\n.\n")
        })
    };
    case.attack_by(run, |_, output| {
        // a report for the recipient, then one for the message
        let reports = output.stdout.split(|byte| *byte == 0).collect::<Vec<_>>();
        let (last, reports) = reports.split_last().unwrap();
        assert!(last.is_empty(), "{}", shown(&output.stdout));
        let (message, recipients) = reports.split_last().unwrap();
        assert!(matches!(message.first(), Some(b'K' | b'Z' | b'D')), "{}", shown(&output.stdout));
        let known = |report: &&[u8]| matches!(report.first(), Some(b'r' | b'h' | b's'));
        assert!(recipients.len() <= 1 && recipients.iter().all(known));
        assert!(output.stdout.len() < 12_000);
    });
}

/// Programs that read text and write a table or text: they say what is wrong, in one line.
#[test]
fn readers_of_text() {
    let home = installation();
    home.control("locals", "a.example\n");
    let texts: [(&'static [&'static str], &str, &'static [i32]); 9] = [
        (
            &["tcprules", "r.cdb", "r.tmp"],
            "127.0.0.1:allow,A=\"b\"\n10.0.0.0/8:deny\n:deny\n",
            &[0, 100, 111],
        ),
        (&["setforward", "f.cdb", "f.tmp"], "a@b: c@d, |prog, ./list;\n?x: y;\n", &[0, 100, 111]),
        (&["setmaillist", "m.bin", "m.tmp"], "a@b\n&c@d\n./list\n", &[0, 100, 111]),
        (&["tai64nlocal"], "@400000004a32f0f80c5d7f14 text\n", &[0]),
        (&["tai64n"], "text\n\ntext", &[0]),
        (&["tcplog"], "@400000004a32f0f80c5d7f14 tcpserver: pid 7 from 127.0.0.1\n", &[0]),
        (&["addcr"], "a\r\nb\n", &[0]),
        (&["delcr"], "a\r\nb\n", &[0]),
        (&["except", "bouncesaying", "no", "true"], "Subject: x\n\n", &[0, 99, 100, 111]),
    ];
    for (command, sample, codes) in texts {
        let case = Case {
            command,
            samples: vec![sample.into()],
            words: &[b"\n", b":", b",", b";", b"@", b"/", b"\0", b"\"", b"99999999999999999999"],
            codes,
            lines: 60,
        };
        case.attack(&home, nothing);
    }
}

/// Programs that read a file made by another program, damaged.
#[test]
fn readers_of_tables() {
    let home = installation();
    let compiled = |program: &str, text: &str| {
        let o = fed(home.program(program).args(["t.cdb", "t.tmp"]).current_dir(home.home()), text);
        assert_eq!(ran(&o), (Some(0), String::new(), String::new()));
        fs::read(home.join("t.cdb")).unwrap()
    };
    let rules =
        compiled("tcprules", "127.0.0.1:allow,A=\"b\"\n10.0.0.0/8:deny\n=.example:deny\n:allow\n");
    let forward = compiled("setforward", "a@b: c@d, ./list;\n?x: y;\n@b: z@b;\n");
    let list = compiled("setmaillist", "a@b\n&c@d\n./list\n");
    let tables: [(&'static [&'static str], &[u8], &'static [i32]); 6] = [
        (&["tcprulesdump", "table"], &rules, &[0, 100, 111]),
        (&["tcprulescheck", "table"], &rules, &[0, 100, 111]),
        (&["tcpaccess", "table", "true"], &rules, &[0, 100, 111]),
        (&["fastforward", "-nd", "table"], &forward, &[0, 99, 100, 111]),
        (&["argv0", "sh", "sh", "-c", "printforward <table"], &forward, &[0, 100, 111]),
        (&["argv0", "sh", "sh", "-c", "printmaillist <table"], &list, &[0, 100, 111]),
    ];
    for (command, sample, codes) in tables {
        let case = Case {
            command,
            samples: vec![sample.to_vec()],
            words: &[b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x01\0\0\0", b"\0\x08\0\0", b"&", b"."],
            codes,
            lines: 4,
        };
        let run = |bytes: &[u8]| {
            home.write("table", bytes);
            let mut program = home.program(command[0]);
            program.args(&command[1..]).current_dir(home.home()).env("TCPREMOTEIP", "10.1.2.3");
            let mail = [("RECIPIENT", "a@b"), ("SENDER", "x"), ("DTLINE", "D: a\n"), ("HOST", "b")];
            program.envs(mail).env("LOCAL", "a").env("DEFAULT", "a").env("EXT", "a");
            fed(&mut program, "Subject: x\n\n")
        };
        case.attack_by(run, nothing);
    }
}
