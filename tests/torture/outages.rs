//! After a power cut: what was answered for is there, and nothing half passes for whole.

use crate::disk::Names::{Apart, InOrder};
use crate::disk::State;
use crate::installation::{Installation, installation, installation_made_by};
use crate::replay::{complaints, replay};
use crate::trace::{Act, Event, Record, record};
use crate::whole::{BEFORE, MESSAGES, accepted, recipients, recorded, soon, text};
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::SystemTime;
use tests::{LIMIT, Scratch, fed, program, ran, scratch};

/// States of each cut that are tried where a recovery takes long.
const FEW: usize = 3;

/// And where there is none, or a quick one.
const MANY: usize = 200;

/// How many times as many the long form tries.
const LONG: usize = 20;

#[test]
fn accepted_mail_survives_a_power_cut() {
    mail_in_order(false, FEW);
    mail_apart(true, FEW);
}

#[test]
#[ignore = "torture"]
fn accepted_mail_survives_every_power_cut() {
    for together in [false, true] {
        mail_in_order(together, FEW * LONG / 2);
        mail_apart(together, FEW * LONG / 2);
    }
}

const MAIL: [&str; 2] = ["mail, accepted first", "mail, all at once"];

fn mail_in_order(together: bool, most: usize) {
    let name = MAIL[usize::from(together)];
    replay(name, &recorded(together), (InOrder, most), |state, past| {
        delivers(state, |home| has_mail(home, accepted(past)), |home| home.folders().is_empty())
    });
}

/// Here, of a message that has ended, a name may be left for which there is no text.
fn mail_apart(together: bool, most: usize) {
    let name = MAIL[usize::from(together)];
    replay(name, &recorded(together), (Apart, most), |state, past| {
        let has_mail = |home: &_| has_mail(home, accepted(past));
        delivers(state, has_mail, |home| has_mail(home).is_ok())
    });
}

/// Starts everything, and looks at the mail when there is quiet.
pub fn delivers(
    state: &State,
    has_mail: impl Fn(&Installation) -> Result<(), String>,
    quiet: impl Fn(&Installation) -> bool,
) -> Result<(), String> {
    let home = installation_made_by(|root| state.make(root));
    renumber(&home);
    let running = home.start();
    let came = soon(|| quiet(&home));
    running.signal(libc::SIGTERM);
    running.wait(LIMIT);
    let found = has_mail(&home);
    let left = if came { Ok(()) } else { Err(format!("{:?} are not empty", home.folders())) };
    found.and(left).map_err(|why| format!("{why}\n{}", running.out()))
}

/// Messages are called after the inodes of their texts, which are others here: a new text may well
/// get the number of an old one, and then it cannot be queued. So the old ones get numbers that no
/// inode has, in the same of the 23 folders.
fn renumber(home: &Installation) {
    const MORE: u64 = 23 << 40;
    for folder in home.folders() {
        for number in home.numbers(folder) {
            let [old, new] = [number, number + MORE].map(|n| home.join(home.file(folder, n)));
            fs::rename(old, new).unwrap();
        }
    }
}

/// All that was accepted is where it belongs, and nothing else is there.
fn has_mail(home: &Installation, accepted: usize) -> Result<(), String> {
    let folder = Path::new("alias/Maildir/new");
    let mut maildir = Vec::new();
    for name in home.place().names(folder) {
        let mail = home.place().text(folder.join(name));
        let whole = (0..MESSAGES).any(|number| mail.ends_with(&text(number)));
        if !whole {
            return Err(format!("a part of a message in the Maildir: {mail}"));
        }
        maildir.push(mail);
    }
    let mbox = home.place().text("alias/Mailbox");
    let mbox = mbox.strip_prefix(BEFORE).ok_or("the old mail is damaged")?;
    // each begins behind an empty line
    let mbox: Vec<&str> = mbox.split("\n\nFrom ").collect();
    for number in 0..accepted {
        let text = text(number);
        let in_maildir = |to: &str, words: &str| {
            let to = format!("Delivered-To: {to}@a.example\n");
            let is_it = |mail: &String| [&to, words, &text].iter().all(|part| mail.contains(*part));
            maildir.iter().any(is_it)
        };
        for to in recipients(number) {
            let found = match *to {
                "box" => mbox.iter().any(|mail| mail.contains(text.trim_end())),
                "nobody" => in_maildir("ann", "<nobody@a.example>:\n"),
                to => in_maildir(to, "\nSubject: message"),
            };
            if !found {
                return Err(format!("message {number} to {to} is lost"));
            }
        }
    }
    Ok(())
}

/// A delivery to a user by his .qmail file: what happens in his home, and the installation.
fn delivered(instructions: &str) -> (Record, Installation) {
    let home = installation();
    home.write("joe/Mailbox", BEFORE).write("joe/.qmail", instructions);
    home.maildir("joe/Maildir").give("joe").write("message", text(3));
    let message = File::open(home.join("message")).unwrap();
    let ready = |held: &mut Command| {
        home.as_its_user(held).stdin(message).stdout(Stdio::null());
    };
    let joe = home.join("joe");
    (record(&joe, &local(&home, &joe), ready, |_| ()), home)
}

fn local(home: &Installation, joe: &Path) -> Command {
    let mut local = home.program("qmail-local");
    local.args(["--", "joe"]).arg(joe);
    local.args(["joe", "", "", "a.example", "me@far.example", "./Mailbox"]);
    local
}

/// A program has ended with 0.
fn done(past: &[Event], who: &str) -> bool {
    past.iter().any(|event| event.who == who && matches!(event.act, Act::Exit { code: 0 }))
}

#[test]
fn a_maildir_has_the_whole_message_or_none() {
    maildir(MANY);
}

#[test]
#[ignore = "torture"]
fn a_maildir_has_the_whole_message_or_none_after_every_cut() {
    maildir(MANY * LONG);
}

fn maildir(most: usize) {
    let (record, _) = delivered("./Maildir/\n");
    replay("qmail-local to a Maildir", &record, (Apart, most), has_all_or_none);
}

fn has_all_or_none(state: &State, past: &[Event]) -> Result<(), String> {
    let place = scratch();
    state.make(place.path());
    let mail = place.names("Maildir/new");
    let whole = |name| place.text(format!("Maildir/new/{name}")).ends_with(&text(3));
    match mail.len() {
        0 if done(past, "qmail-local") => Err("delivered, but not there".into()),
        _ if !mail.iter().all(whole) => Err("a part of a message".into()),
        _ => Ok(()),
    }
}

#[test]
fn a_sync_that_is_left_out_is_found_out() {
    let (record, _) = delivered("./Maildir/\n");
    let syncs = record.syncs("qmail-local");
    assert_eq!(syncs.len(), 2);
    for at in syncs {
        let (_, wrong) = complaints(&record.without(at), (Apart, MANY), has_all_or_none);
        assert!(!wrong.is_empty(), "nobody notices {:?}", record.events[at]);
    }
}

#[test]
fn an_mbox_keeps_the_old_mail_and_takes_the_next() {
    mbox(MANY / 4);
}

#[test]
#[ignore = "torture"]
fn an_mbox_keeps_the_old_mail_and_takes_the_next_after_every_cut() {
    mbox(MANY * LONG / 4);
}

/// The message comes again, unless it was delivered, and another one.
fn mbox(most: usize) {
    let (record, home) = delivered("./Mailbox\n");
    replay("qmail-local to an mbox", &record, (Apart, most), |state, past| {
        let place = scratch();
        state.make(place.path());
        home.give(place.path());
        let done = done(past, "qmail-local");
        for text in [text(3), text(0)].iter().skip(done.into()) {
            place.write("next", text);
            let next = File::open(place.join("next")).unwrap();
            let output = local(&home, place.path()).stdin(next).output();
            assert_eq!(ran(&output.unwrap()), (Some(0), "did 1+0+0\n".into(), String::new()));
        }
        let mbox = place.text("Mailbox");
        let head = "\nDelivered-To: joe@a.example\n";
        let whole = |number| {
            let mut messages = mbox.split("\n\nFrom me@far.example ");
            let tail = format!("{head}{}", text(number));
            messages.any(|mail| {
                mail.ends_with(tail.trim_end()) || mail.ends_with(&(tail.clone() + "\n"))
            })
        };
        match () {
            () if !mbox.starts_with(BEFORE) => Err("the old mail is damaged".into()),
            () if !whole(3) => Err("the message is lost".into()),
            () if !whole(0) => Err("the next message is lost".into()),
            () => Ok(()),
        }
    });
}

fn lines() -> String {
    (1000..1900).map(|number| format!("line {number}\n")).collect()
}

#[test]
fn finished_logs_are_whole() {
    logs(MANY / 4);
}

#[test]
#[ignore = "torture"]
fn finished_logs_are_whole_after_every_cut() {
    logs(MANY * LONG / 4);
}

fn logs(most: usize) {
    for processor in ["!tr a a", "n20"] {
        let multilog = |place: &Scratch| {
            let mut command = program("multilog");
            command.args(["s4096", "n20", processor, "./log"]).current_dir(place.path());
            command
        };
        let place = scratch();
        place.write("lines", lines());
        let lines = File::open(place.join("lines")).unwrap();
        let ready = |held: &mut Command| {
            held.stdin(lines).stdout(Stdio::null());
        };
        let record = record(place.path(), &multilog(&place), ready, |_| ());
        let name = format!("multilog {processor}");
        replay(&name, &record, (Apart, most), |state, past| {
            let place = scratch();
            state.make(place.path());
            let output = fed(&mut multilog(&place), "");
            assert_eq!(ran(&output), (Some(0), String::new(), String::new()));
            keeps_lines(&place, past)
        });
    }
}

/// What was finished is there once, in order and whole, and so is everything after exit 0; what was
/// not, may be damaged.
fn keeps_lines(place: &Scratch, past: &[Event]) -> Result<(), String> {
    let names = place.names("log");
    let read = |end: &str| -> String {
        let old = names.iter().filter(|name| name.starts_with('@') && name.ends_with(end));
        old.map(|name| place.text(format!("log/{name}"))).collect()
    };
    let finished = read(".s");
    if !lines().starts_with(&finished) {
        return Err(format!("a finished file is damaged or twice there: {names:?}"));
    }
    let named =
        |event: &&Event| matches!(&event.act, Act::Name { name, .. } if name.starts_with("log/@"));
    // the next write comes after a sync of the folder
    let write =
        |event: &Event| event.who == "multilog" && matches!(event.act, Act::Write { at: 0, .. });
    let last = past.iter().rposition(write);
    let due = past[..last.unwrap_or(0)].iter().filter(named).count();
    let kept = names.iter().filter(|name| name.ends_with(".s")).count();
    match () {
        () if kept < due => Err(format!("{kept} of {due} finished files are there: {names:?}")),
        () if done(past, "multilog")
            && finished + &read(".u") + &place.text("log/current") != lines() =>
        {
            Err("not all lines are there".into())
        }
        () => Ok(()),
    }
}

/// A program that writes a table from a text: with the old text, then, recorded, with the new one.
fn table(words: &[&str], [text, compiled]: [&str; 2], [old, new]: [&str; 2]) {
    let place = scratch();
    let mut command = program(words[0]);
    command.args(&words[1..]).current_dir(place.path()).env("QMAILHOME", place.path());
    let mut made = |text_now: &str| {
        place.write(text, text_now);
        assert!(fed(&mut command, text_now).status.success());
        place.read(compiled)
    };
    let (new_table, old_table) = (made(new), made(old));
    place.write(text, new);
    let input = File::open(place.join(text)).unwrap();
    let ready = |held: &mut Command| {
        held.stdin(input).stdout(Stdio::null());
    };
    let record = record(place.path(), &command, ready, |_| ());
    replay(words[0], &record, (Apart, 3 * MANY), |state, past| {
        let place = scratch();
        state.make(place.path());
        match place.read(compiled) {
            found if found == new_table => Ok(()),
            found if found == old_table && !done(past, words[0]) => Ok(()),
            found => Err(format!("a table of {} bytes", found.len())),
        }
    });
}

#[test]
fn rules_are_the_old_ones_or_the_new_ones() {
    let new = "127.0.0.1:allow,A=\"x\"\n".repeat(400);
    table(&["tcprules", "rules.cdb", "rules.tmp"], ["rules", "rules.cdb"], [":deny\n", &new]);
}

#[test]
fn users_are_the_old_ones_or_the_new_ones() {
    let new = "=joe:joe:507:100:/home/joe:::\n".repeat(400) + ".\n";
    table(&["qmail-newu"], ["users/assign", "users/cdb"], ["=a:a:1:1:/:::\n.\n", &new]);
}

#[test]
fn forwardings_are_the_old_ones_or_the_new_ones() {
    let new = "joe: &ann@b.example;\n".repeat(400);
    table(&["setforward", "fwd.cdb", "fwd.tmp"], ["fwd", "fwd.cdb"], ["a: &b@c;\n", &new]);
}

#[test]
fn hosts_are_the_old_ones_or_the_new_ones() {
    let files = ["control/morercpthosts", "control/morercpthosts.cdb"];
    table(&["qmail-newmrh"], files, ["a.example\n", &"b.example\n".repeat(400)]);
}

/// A Maildir with two messages, and an mbox.
fn mailboxes() -> Scratch {
    let place = scratch();
    place.dir("Maildir/tmp").write("Maildir/new/1", text(0)).write("Maildir/cur/2:2,S", text(1));
    place.write("mbox", BEFORE);
    place
}

#[test]
fn maildir2mbox_moves_and_never_loses() {
    let move_mail = |place: &Scratch| {
        let mut command = program("maildir2mbox");
        command.env("MAIL", "mbox").env("MAILTMP", "mbox.tmp").env("MAILDIR", "Maildir");
        command.current_dir(place.path());
        command
    };
    let place = mailboxes();
    let ready = |held: &mut Command| {
        held.stdout(Stdio::null());
    };
    let record = record(place.path(), &move_mail(&place), ready, |_| ());
    replay("maildir2mbox", &record, (Apart, MANY), |state, _| {
        let place = scratch();
        state.make(place.path());
        let output = move_mail(&place).output().unwrap();
        assert_eq!(ran(&output), (Some(0), String::new(), String::new()));
        let mbox = place.text("mbox");
        let whole = mbox.starts_with(BEFORE) && mbox.contains(&text(0)) && mbox.contains(&text(1));
        if whole { Ok(()) } else { Err(format!("an mbox of {} bytes", mbox.len())) }
    });
}

#[test]
fn qmail_pop3d_loses_only_what_was_to_go() {
    let home = installation_made_by(|root| {
        let mail = mailboxes();
        mail.write("session", "UIDL\r\nDELE 1\r\nQUIT\r\n");
        let copied = Command::new("cp").arg("-a").arg(mail.join(".")).arg(root).status().unwrap();
        assert!(copied.success());
    });
    // younger ones are not shown
    for name in ["new/1", "cur/2:2,S"] {
        let file = File::open(home.join("Maildir").join(name)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    }
    let mut pop3d = home.program("qmail-pop3d");
    pop3d.arg("Maildir").current_dir(home.home());
    let session = File::open(home.join("session")).unwrap();
    let ready = |held: &mut Command| {
        home.as_its_user(held).stdin(session).stdout(Stdio::null());
    };
    let record = record(home.home(), &pop3d, ready, |_| ());
    let removed = record.events.iter().filter(|event| matches!(event.act, Act::Remove { .. }));
    assert_eq!(removed.count(), 1);
    replay("qmail-pop3d", &record, (Apart, MANY), |state, past| {
        let place = scratch();
        state.make(place.path());
        let files = ["new", "cur"].map(|folder| format!("Maildir/{folder}"));
        let read = |folder: &String| {
            let names = place.names(folder).into_iter();
            names.map(|name| place.text(format!("{folder}/{name}"))).collect::<Vec<_>>()
        };
        let found: Vec<String> = files.iter().flat_map(read).collect();
        let gone = past.iter().any(|event| matches!(event.act, Act::Remove { .. }));
        let least = if gone { 1 } else { 2 };
        let whole = |mail: &String| [text(0), text(1)].contains(mail);
        if found.len() >= least && found.iter().all(whole) {
            Ok(())
        } else {
            Err(format!("{} messages", found.len()))
        }
    });
}
