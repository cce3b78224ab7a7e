//! Who takes mail out of a Maildir: no message is lost, whatever fails and wherever it is cut off.

use crate::sweep::{Case, sweep};
use crate::tamper::held;
use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};
use tests::{Scratch, as_user, program, root, scratch};

/// Who owns the Maildir when the tests run as root: nobody.
const OWNER: u32 = 65534;

/// Messages: where they are at first, and their texts.
const MESSAGES: [(&str, &str); 3] = [
    ("Maildir/new/1.a", "Subject: one\n\nFrom here\n"),
    ("Maildir/cur/2.b:2,S", "Subject: two\n\n.\ntwo\n"),
    ("Maildir/new/3.c", "Subject: three\n\nthree\n"),
];

/// A Maildir, and what somebody says who reads it.
struct Reader {
    place: Scratch,
}

impl Reader {
    fn new(said: &str) -> Self {
        let place = scratch();
        place.dir("Maildir/tmp").dir("Maildir/new").dir("Maildir/cur");
        place.write("said", said);
        Reader { place }
    }

    fn renew(&self) {
        for folder in ["new", "cur"] {
            let folder = format!("Maildir/{folder}");
            for name in self.place.names(&folder) {
                fs::remove_file(self.place.join(&folder).join(name)).unwrap();
            }
        }
        for (name, text) in MESSAGES {
            self.place.write(name, text);
            // the youngest are not shown: they may not be all that came in that second
            let file = File::options().write(true).open(self.place.join(name)).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)).unwrap();
        }
        if root() {
            let name = |name: &str| name.to_owned();
            let files = MESSAGES.iter().map(|(file, _)| name(file));
            let folders = ["tmp", "new", "cur"].map(|folder| format!("Maildir/{folder}"));
            files.chain(folders).chain([name("Maildir")]).for_each(|name| {
                self.place.chown(name, OWNER, OWNER);
            });
        }
    }

    /// qmail-pop3d, whose answers are in a file.
    fn pop3d(&self) -> Command {
        let mut pop3d = program("qmail-pop3d");
        let mut command = held(pop3d.arg("Maildir").current_dir(self.place.path()));
        if root() {
            as_user(OWNER, OWNER, &mut command);
        }
        command.stdin(File::open(self.place.join("said")).unwrap());
        command.stdout(File::create(self.place.join("answers")).unwrap()).stderr(Stdio::null());
        command
    }

    /// The messages that are there, counted from 1. Each is whole, and there once.
    fn left(&self) -> Result<Vec<usize>, String> {
        let mut left = Vec::new();
        for folder in ["Maildir/new", "Maildir/cur"] {
            for name in self.place.names(folder) {
                let number = name[..1].parse::<usize>().map_err(|_| format!("a file {name}"))?;
                if self.place.text(format!("{folder}/{name}")) != MESSAGES[number - 1].1 {
                    return Err(format!("message {number} is damaged"));
                }
                left.push(number);
            }
        }
        left.sort();
        Ok(left)
    }
}

/// A client removes the first message, reads the second one, and quits.
struct Quit(Reader);

/// What it is told if all goes well.
const ALL_WELL: &str = "+OK \r\n+OK \r\n+OK \r\nSubject: two\r\n\r\n..\r\ntwo\r\n.\r\n+OK \r\n";

impl Case for Quit {
    fn new() -> Self {
        Quit(Reader::new("DELE 1\r\nRETR 2\r\nQUIT\r\n"))
    }

    fn renew(&self) {
        self.0.renew();
    }

    fn command(&self) -> Command {
        self.0.pop3d()
    }

    fn is_done(&self, code: Option<i32>) -> bool {
        let done = ["2.b:2,S", "3.c:2,"];
        code == Some(0)
            && self.0.place.text("answers") == ALL_WELL
            && self.0.place.names("Maildir/cur") == done
    }

    fn check(&self, _: Option<i32>) -> Result<(), String> {
        let (answers, left) = (self.0.place.text("answers"), self.0.left()?);
        match &left[..] {
            [2, 3] => {}
            [1, 2, 3] if answers == ALL_WELL => {
                return Err("removed, it says, but it is not".into());
            }
            [1, 2, 3] => {}
            _ => return Err(format!("only messages {left:?}")),
        }
        // an end that looks like the end of a message, and is not
        let text = answers.split_once("Subject: two\r\n").map(|(_, text)| text);
        let whole = text.is_none_or(|text| text.starts_with("\r\n..\r\ntwo\r\n.\r\n"));
        if text.is_some_and(|text| text.contains("\r\n.\r\n")) && !whole {
            return Err("a message is cut short".into());
        }
        Ok(())
    }
}

/// The line breaks before the client has quit.
struct Cut(Reader);

impl Case for Cut {
    fn new() -> Self {
        Cut(Reader::new("DELE 1\r\nDELE 3\r\n"))
    }

    fn renew(&self) {
        self.0.renew();
    }

    fn command(&self) -> Command {
        self.0.pop3d()
    }

    fn check(&self, _: Option<i32>) -> Result<(), String> {
        let left = self.0.left()?;
        if left == [1, 2, 3] { Ok(()) } else { Err(format!("only messages {left:?}")) }
    }
}

/// All mail goes from the Maildir to an mbox that has some already.
struct Move(Reader);

/// What is in the mbox before, and behind it in the end.
const BEFORE: &str = "From a@b.example Thu Jan  1 00:00:00 1970\nSubject: old\n\nOld.\n\n";
const MOVED: [&str; 3] = [
    "\nSubject: one\n\n>From here\n\n",
    "\nSubject: two\n\n.\ntwo\n\n",
    "\nSubject: three\n\nthree\n\n",
];

impl Case for Move {
    fn new() -> Self {
        Move(Reader::new(""))
    }

    fn renew(&self) {
        self.0.renew();
        self.0.place.write("mbox", BEFORE);
    }

    fn command(&self) -> Command {
        let mut program = program("maildir2mbox");
        program.env("MAIL", "mbox").env("MAILTMP", "mbox.tmp").env("MAILDIR", "Maildir");
        let mut command = held(program.current_dir(self.0.place.path()));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn is_done(&self, code: Option<i32>) -> bool {
        code == Some(0) && self.0.left().is_ok_and(|left| left.is_empty())
    }

    fn check(&self, code: Option<i32>) -> Result<(), String> {
        let (mbox, left) = (self.0.place.text("mbox"), self.0.left()?);
        let new = mbox.strip_prefix(BEFORE).ok_or("the old mail is damaged")?;
        let moved = MOVED.iter().all(|text| new.contains(text));
        match code {
            _ if !moved && !new.is_empty() => Err("the new mail is damaged".into()),
            _ if !moved && left.len() != 3 => Err("mail is lost".into()),
            Some(0) if !moved => Err("done, it says, but the mbox is old".into()),
            None | Some(0 | 111 | 127) => Ok(()),
            Some(other) => Err(format!("no temporary failure: {other}")),
        }
    }
}

#[test]
fn a_session_that_ends_with_quit_removes_what_was_asked() {
    sweep::<Quit>("qmail-pop3d");
}

#[test]
fn a_session_that_is_cut_removes_nothing() {
    sweep::<Cut>("qmail-pop3d that is cut off");
}

#[test]
fn maildir2mbox_keeps_each_message_somewhere() {
    sweep::<Move>("maildir2mbox");
}
