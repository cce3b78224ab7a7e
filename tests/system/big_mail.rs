//! Mail that is too much of everything, for the programs behind the network, which a stranger's
//! message reaches, too: endless lines and headers, and recipients without number. No program has
//! more than 4 MB for it, by softlimit, and all do their work.
//!
//! `$FLOOD` is how many megabytes a message has instead of 4; `make torture` takes 100, of which
//! there are seven copies at a time.

use crate::installation::{Installation, envelope, installation};
use crate::limits::{MEMORY, flood_size, limited, memory};
use crate::sending::{LOCAL, sending};
use std::fs::{self, File};
use std::io::{BufWriter, Seek, Write};
use std::process::Command;
use std::time::Duration;
use tests::{Running, ran, redirected, start, until};

/// A gigabyte takes its time.
const LIMIT: Duration = Duration::from_secs(600);

/// All the memory that a program may ask for, its own file not included.
const ENOUGH: &[&str] = &["-d", "4000000"];

/// A message: its head, a piece that comes again and again, and its tail.
struct Shape(&'static str, &'static str, &'static str);

const SHAPES: [Shape; 6] = [
    Shape("Subject: x\n\n", "x", "\n"),
    Shape("Subject: x\n\n", "\n", ""),
    Shape("Subject: ", "x", "\n\ntext\n"),
    Shape("To: a@b", ",\n c@d", "\n\ntext\n"),
    Shape("", "X: y\n", "\ntext\n"),
    Shape("From ", "\0", "\n"),
];

impl Shape {
    /// Writes such a message to the file `message`. Gives its size.
    fn write(&self, home: &Installation) -> u64 {
        let Shape(head, piece, tail) = self;
        let mut file = BufWriter::new(File::create(home.join("message")).unwrap());
        file.write_all(head.as_bytes()).unwrap();
        let block = piece.repeat(65536 / piece.len());
        (0..flood_size()).step_by(65536).for_each(|_| file.write_all(block.as_bytes()).unwrap());
        file.write_all(tail.as_bytes()).unwrap();
        file.stream_position().unwrap()
    }
}

/// A host that takes all mail, and keeps none; the way there is in `smtproutes`.
fn far_away(home: &Installation) -> Running {
    home.script("sink", "cat >/dev/null; cat <&1 >/dev/null");
    let mut server = home.program("tcpserver");
    server.args(["-1RHl0", "127.0.0.1", "0", "qmail-smtpd"]);
    let server = start(server.env("QMAILQUEUE", home.join("bin/sink")).env("RELAYCLIENT", ""));
    let port = server.wait_out("\n").trim().to_owned();
    home.control("smtproutes", format!(":127.0.0.1:{port}\n"));
    server
}

/// The program in little memory, with the message as its input.
fn little(home: &Installation, words: &[&str], redirections: &str) -> Command {
    let mut command = home.program(words[0]);
    command.args(&words[1..]).current_dir(home.home());
    let redirections = format!("<message {redirections}");
    let mut command = redirected(&redirections, &limited(ENOUGH, &command));
    home.as_its_user(&mut command);
    command
}

/// From the queue to a Maildir, an mbox, a program and another host, and back as a bounce.
#[test]
fn a_message_of_any_shape_goes_every_way() {
    let home = installation();
    let _server = far_away(&home);
    home.maildir("alias/Maildir").write("alias/.qmail-sender", "#\n");
    home.write("alias/.qmail-all", "./Maildir/\n./mbox\n|cat >copy\n&ann@c.example\n");
    let mut all = home.program("qmail-start");
    let run = start(home.as_its_user(&mut limited(ENOUGH, all.arg("./Mailbox"))));
    let recipients = ["all@a.example", "nobody@a.example"];
    home.write("envelope", envelope("sender@a.example", &recipients));
    for (before, shape) in SHAPES.iter().enumerate() {
        let size = shape.write(&home);
        let queued = little(&home, &["qmail-queue"], "1<envelope").output().unwrap();
        assert_eq!(ran(&queued), (Some(0), String::new(), String::new()));
        // the message, its copy to the other host, and the bounce
        let ends = || {
            assert!(run.ended().is_none(), "{}", run.err());
            run.out().matches("end msg").count()
        };
        until(LIMIT, "all is delivered", || ends() == 3 * (before + 1));
        let log = run.out();
        let count = |words: &str| log.matches(words).count();
        assert_eq!(count("success: did_2+1+1/"), before + 1, "{log}");
        assert_eq!(count("_accepted_message."), before + 1, "{log}");
        assert_eq!(count("success: did_0+0+0/"), before + 1, "{log}");
        assert_eq!(count("\nbounce msg"), before + 1, "{log}");
        for name in [&home.place().names("alias/Maildir/new")[0][..], "../../mbox", "../../copy"] {
            let file = home.join("alias/Maildir/new").join(name);
            assert!(file.metadata().unwrap().len() > size, "{name}");
            fs::remove_file(file).unwrap();
        }
    }
}

/// What .qmail files run, and how each ends.
pub const PROGRAMS: [(&[&str], i32); 9] = [
    (&["bouncesaying", "no", "false"], 0),
    (&["condredirect", "x@y", "false"], 0),
    (&["except", "false"], 0),
    (&["forward", "x@c.example"], 0),
    (&["preline", "cat"], 0),
    (&["predate", "cat"], 0),
    (&["qreceipt", "x@y"], 0),
    (&["dot-forward", "-n", "forward"], 99),
    (&["qmail-remote", "c.example", "x@y", "x@c.example"], 0),
];

#[test]
fn the_programs_that_a_message_is_given_to_take_little_memory() {
    let home = installation();
    let _server = far_away(&home);
    home.script("qmail-queue", "cat >/dev/null; cat <&1 >/dev/null");
    home.write("forward", "x@c.example\n");
    for shape in &SHAPES {
        shape.write(&home);
        for (words, code) in PROGRAMS {
            let mut command = little(&home, words, "2>&1 >/dev/null");
            let mail = [("SENDER", "x@y"), ("RECIPIENT", "all@a.example"), ("NEWSENDER", "x@y")];
            let lines = [("DTLINE", "D: x\n"), ("RPLINE", "R: x\n"), ("UFLINE", "From x\n")];
            command.envs(mail).envs(lines).envs([("USER", "x"), ("EXT", ""), ("DEFAULT", "")]);
            let o = command.env("LOCAL", "all").env("HOST", "a.example").output().unwrap();
            let said = ran(&o);
            assert_eq!(said.0, Some(code), "{words:?} {:?}: {said:?}", shape.1);
        }
    }
}

/// Fields that name recipients, and all that stand before them, are in memory at once: where there
/// is not enough of it, the message is not taken.
#[test]
fn a_header_too_big_for_memory_is_refused_for_now() {
    let home = installation();
    Shape("", "X: y\n", "\ntext\n").write(&home);
    for name in ["qmail-inject", "new-inject", "sendmail"] {
        let said = ran(&little(&home, &[name, "x@c.example"], "").output().unwrap());
        assert_eq!((said.0, home.folders().is_empty()), (Some(111), true), "{name}: {said:?}");
        assert!(said.2.ends_with("fatal: out of memory\n"), "{name}: {said:?}");
    }
}

/// A message for a hundred thousand, of whom each has his own order.
#[test]
fn recipients_without_number_take_no_memory() {
    const COUNT: usize = 100_000;
    let home = installation();
    home.control("concurrencylocal", "120\n").write("message", "Subject: x\n\n");
    let recipients: Vec<String> = (0..COUNT).map(|n| format!("u{n}@a.example")).collect();
    let recipients: Vec<&str> = recipients.iter().map(|name| &name[..]).collect();
    home.write("envelope", envelope("", &recipients));
    let queued = little(&home, &["qmail-queue"], "1<envelope").output().unwrap();
    assert_eq!(ran(&queued), (Some(0), String::new(), String::new()));
    let mut sending = sending(&home);
    for recipient in recipients {
        assert_eq!(sending.answer(LOCAL, "K"), recipient);
    }
    sending.log("end msg");
    let peak = memory(sending.run.pid()).unwrap();
    assert!(peak < MEMORY, "{peak} kB");
    home.wait_empty();
    sending.stop();
}

/// Many refuse it, at length, and all of their words go back.
#[test]
fn refusals_without_number_take_no_memory() {
    const COUNT: usize = 2000;
    let home = installation();
    let recipients: Vec<String> = (0..COUNT).map(|n| format!("u{n}@a.example")).collect();
    let recipients: Vec<&str> = recipients.iter().map(|name| &name[..]).collect();
    home.send("Subject: x\n\n", "sender@a.example", &recipients);
    let mut sending = sending(&home);
    let refusal = format!("D{}\n", "no ".repeat(1000));
    recipients.iter().for_each(|_| drop(sending.answer(LOCAL, &refusal)));
    let bounce = sending.order(LOCAL);
    assert_eq!((&bounce.sender[..], &bounce.recipient[..]), ("", "sender@a.example"));
    let text = fs::metadata(home.join("queue/mess").join(&bounce.message)).unwrap();
    assert!(text.len() as usize > COUNT * 3000, "{}", text.len());
    let peak = memory(sending.run.pid()).unwrap();
    assert!(peak < MEMORY, "{peak} kB");
    sending.report(LOCAL, bounce.number, "K");
    home.wait_empty();
    sending.stop();
}
