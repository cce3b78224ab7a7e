//! Who hands messages to the queue, by himself or from .qmail: the good exit code means that it is
//! queued, wholly.

use crate::installation::{Installation, installation};
use crate::sweep::{Case, sampled, sweep};
use crate::tamper::{Fault, Strike, held};
use std::fs::{self, File};
use std::process::{Command, Stdio};
use tests::{behind, fed, original};

const MESSAGE: &str = "To: you@b.example, she@c.example\n\
    Notice-Requested-Upon-Delivery-To: joe@a.example\nSubject: sweep\n\nText.\n";

/// A way to the queue.
struct Way {
    /// The program and its words.
    words: &'static [&'static str],
    /// What qmail-local tells it.
    env: &'static [(&'static str, &'static str)],
    /// The end of the message, and of the envelope.
    text: &'static str,
    envelope: &'static str,
    /// The exit code that promises the message.
    done: i32,
}

const INJECT: usize = 0;
const SENDMAIL: usize = 1;
const FORWARD: usize = 2;
const REDIRECT: usize = 3;
const FASTFORWARD: usize = 4;
const DOT_FORWARD: usize = 5;
const NEW_INJECT: usize = 6;
const PREDATE: usize = 7;
const RECEIPT: usize = 8;

/// The end of the message that all of them but qreceipt queue.
const TEXT: &str = "Subject: sweep\n\nText.\n";

/// The recipients as the header or a table has them.
const BOTH: &str = "\0Tshe@c.example\0Tyou@b.example\0";

const WAYS: [Way; 9] = [
    Way { words: &["qmail-inject"], env: &[], text: TEXT, envelope: BOTH, done: 0 },
    Way { words: &["sendmail", "-t", "-i"], env: &[], text: TEXT, envelope: BOTH, done: 0 },
    Way {
        words: &["forward", "she@c.example", "you@b.example"],
        env: &[("NEWSENDER", "me@far"), ("DTLINE", "D\n")],
        text: TEXT,
        envelope: "\0Fme@far\0Tshe@c.example\0Tyou@b.example\0",
        done: 0,
    },
    Way {
        // a condition that holds, by a program of ours that reads the message
        words: &["condredirect", "she@c.example", "addcr"],
        env: &[("SENDER", "me@far"), ("DTLINE", "D\n")],
        text: TEXT,
        envelope: "\0Fme@far\0Tshe@c.example\0",
        done: 99,
    },
    Way {
        words: &["fastforward", "-p", "table.cdb"],
        env: &[("SENDER", "me@far"), ("DTLINE", "D\n"), ("RECIPIENT", "joe@a.example")],
        text: TEXT,
        envelope: "\0Fme@far\0Tshe@c.example\0Tyou@b.example\0",
        done: 99,
    },
    Way {
        words: &["dot-forward", ".forward"],
        env: &[("NEWSENDER", "me@far"), ("USER", "joe"), ("HOST", "a.example")],
        text: TEXT,
        envelope: "\0Fme@far\0Tshe@c.example\0Tyou@b.example\0",
        done: 99,
    },
    Way {
        words: &["new-inject"],
        env: &[],
        text: TEXT,
        envelope: "\0Tyou@b.example\0Tshe@c.example\0",
        done: 0,
    },
    Way {
        words: &["predate", "sendmail", "-t", "-i"],
        env: &[],
        text: TEXT,
        envelope: BOTH,
        done: 0,
    },
    Way {
        words: &["qreceipt", "joe@a.example"],
        env: &[("SENDER", "me@far")],
        text: " joe@a.example. Thanks for asking.\n",
        envelope: "\0F\0Tme@far\0",
        done: 0,
    },
];

const PART: &str = "queued, but not wholly";

/// A program by the number of its way.
struct Hand<const WAY: usize>(Installation);

impl<const WAY: usize> Hand<WAY> {
    /// Debian's originals start qmail-queue at one place only. Ours is there for them alone.
    fn at_their_home(&self, command: &Command) -> Command {
        let (user, group) = self.0.user();
        let mut unshare = Command::new("unshare");
        let bind = format!(
            "mount --bind \"$0\" /var/lib/qmail && \
             exec setpriv --reuid {user} --regid {group} --clear-groups \"$@\""
        );
        unshare.args(["-m", "sh", "-c", &bind]).arg(self.0.home());
        behind(unshare, command)
    }
}

impl<const WAY: usize> Case for Hand<WAY> {
    fn new() -> Self {
        let home = installation();
        home.write("message", MESSAGE).write(".forward", "you@b.example, she@c.example\n");
        let table = "joe@a.example: she@c.example, you@b.example;\n";
        let mut setforward = home.program("setforward");
        setforward.args(["table.cdb", "table.tmp"]).current_dir(home.home());
        assert!(fed(&mut setforward, table).status.success());
        Hand(home)
    }

    fn renew(&self) {
        for number in self.0.numbers("todo") {
            fs::remove_file(self.0.join(self.0.file("todo", number))).unwrap();
        }
    }

    fn command(&self) -> Command {
        let Way { words, env, .. } = WAYS[WAY];
        let mut program = self.0.program(words[0]);
        program.args(&words[1..]).envs(env.iter().copied()).current_dir(self.0.home());
        let mut command = held(&program);
        if original() {
            command = self.at_their_home(&command);
        } else {
            self.0.as_its_user(&mut command);
        }
        command.stdin(File::open(self.0.join("message")).unwrap());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn is_done(&self, code: Option<i32>) -> bool {
        code == Some(WAYS[WAY].done)
    }

    /// If who writes to a pipe is killed, the end of a part looks like that of the whole.
    fn excused(strike: &Strike, why: &str) -> bool {
        WAY == PREDATE && strike.fault == Fault::Kill && strike.call.who.is_empty() && why == PART
    }

    fn check(&self, code: Option<i32>) -> Result<(), String> {
        let Way { text, envelope, done, .. } = WAYS[WAY];
        let queued = self.0.numbers("todo");
        let read = |folder, number| fs::read_to_string(self.0.join(self.0.file(folder, number)));
        for number in &queued {
            let whole = read("todo", *number).is_ok_and(|text| text.ends_with(envelope))
                && read("mess", *number).is_ok_and(|message| message.ends_with(text));
            if !whole {
                return Err(PART.into());
            }
        }
        match (code, queued.len()) {
            (Some(code), 0) if code == done => Err("taken, it says, but nothing is queued".into()),
            (_, 2..) => Err("queued twice".into()),
            // 127 is a start that the C library gives up
            (None | Some(111 | 127), _) => Ok(()),
            (Some(code), _) if code == done => Ok(()),
            (Some(other), _) => Err(format!("no temporary failure: {other}")),
        }
    }
}

#[test]
fn qmail_inject_says_done_only_when_it_is() {
    sweep::<Hand<INJECT>>("qmail-inject");
}

#[test]
fn sendmail_says_done_only_when_it_is() {
    sweep::<Hand<SENDMAIL>>("sendmail");
}

#[test]
fn new_inject_says_done_only_when_it_is() {
    sampled::<Hand<NEW_INJECT>>("new-inject", 4);
}

#[test]
fn predate_says_done_only_when_it_is() {
    sampled::<Hand<PREDATE>>("predate", 4);
}

#[test]
fn qreceipt_says_done_only_when_it_is() {
    sampled::<Hand<RECEIPT>>("qreceipt", 4);
}

#[test]
fn forward_says_done_only_when_it_is() {
    sampled::<Hand<FORWARD>>("forward", 4);
}

#[test]
fn condredirect_says_done_only_when_it_is() {
    sampled::<Hand<REDIRECT>>("condredirect", 4);
}

#[test]
fn fastforward_says_done_only_when_it_is() {
    sampled::<Hand<FASTFORWARD>>("fastforward", 4);
}

#[test]
fn dot_forward_says_done_only_when_it_is() {
    sampled::<Hand<DOT_FORWARD>>("dot-forward", 4);
}

#[test]
#[ignore = "torture"]
fn forwarders_say_done_only_when_it_is_whatever_fails() {
    sweep::<Hand<FORWARD>>("forward");
    sweep::<Hand<REDIRECT>>("condredirect");
    sweep::<Hand<FASTFORWARD>>("fastforward");
    sweep::<Hand<DOT_FORWARD>>("dot-forward");
    sweep::<Hand<NEW_INJECT>>("new-inject");
    sweep::<Hand<PREDATE>>("predate");
    sweep::<Hand<RECEIPT>>("qreceipt");
}
