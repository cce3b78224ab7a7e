//! The order of durability, program by program: each is recorded, and its record is read by the
//! checker; then once more for each of its syncs, as if that had been left out.

use crate::accepting::PROTOCOLS;
use crate::installation::{Installation, envelope, installation, installation_of};
use crate::order::{Rule, complaints};
use crate::site::site;
use crate::trace::{Act, Event, Record, record};
use crate::whole::{accepts, recorded};
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use tests::{Scratch, program, scratch};

/// A program that ends by itself, and what must hold.
struct Promise {
    name: &'static str,
    published: fn(&str) -> bool,
    rules: &'static [Rule],
    /// The program whose syncs are needed, each of them.
    syncs: &'static str,
}

impl Promise {
    /// Complains unless all was in time, and unless leaving out a sync would have been found out.
    #[track_caller]
    fn holds(&self, record: &Record) {
        let (tested, wrong) = complaints(record, self.published, self.rules);
        assert!(wrong.is_empty(), "{}:\n{}", self.name, wrong.join("\n"));
        let passes = |at: &&usize| {
            complaints(&record.without(**at), self.published, self.rules).1.is_empty()
        };
        let syncs = record.syncs(self.syncs);
        let needless: Vec<_> = syncs.iter().filter(passes).map(|at| &record.events[*at]).collect();
        println!(
            "{}: {} events, {tested} checks, 0 wrong; each of {} syncs is needed",
            self.name,
            record.events.len(),
            syncs.len(),
        );
        assert!(!syncs.is_empty() && tested > 0, "{}: nothing to check", self.name);
        assert!(needless.is_empty(), "{}: nobody waits for {needless:?}", self.name);
    }
}

fn done(event: &Event, who: &str) -> bool {
    event.who == who && matches!(event.act, Act::Exit { code: 0 })
}

fn in_queue(name: &str) -> bool {
    ["queue/mess/", "queue/intd/", "queue/todo/"].iter().any(|folder| name.starts_with(folder))
}

/// Standard input and output from and to these files, the user of the installation.
fn record_in(home: &Installation, command: &Command, input: &str, output: Option<&str>) -> Record {
    let open = |name: &str| File::open(home.join(name)).unwrap();
    record(
        home.home(),
        command,
        |held| {
            home.as_its_user(held).stdin(open(input)).stderr(Stdio::null());
            match output {
                Some(name) => held.stdout(open(name)),
                None => held.stdout(Stdio::null()),
            };
        },
        |_| (),
    )
}

#[test]
fn qmail_queue_answers_when_all_is_on_disk() {
    for big_todo in [false, true] {
        let home = installation_of(big_todo);
        home.write("message", "Subject: x\n\n".to_owned() + &"A line.\n".repeat(30_000));
        home.write("envelope", envelope("me@a.example", &["you@b.example"]));
        // it reads the envelope from its standard output
        let record = record_in(&home, &home.program("qmail-queue"), "message", Some("envelope"));
        Promise {
            name: "qmail-queue",
            published: |name| name.starts_with("queue/todo/"),
            rules: &[Rule {
                when: |event, _| done(event, "qmail-queue"),
                durable: |_, name| in_queue(name),
            }],
            syncs: "qmail-queue",
        }
        .holds(&record);
    }
}

/// Whether qmail-queue says something: to qmail-send, or to a caller for whom it stays.
fn has_queued(Event { who, act }: &Event) -> bool {
    who == "qmail-queue" && matches!(act, Act::Say { bytes } if !bytes.is_empty())
}

/// Who is told that his message is accepted has it in the queue by then.
#[track_caller]
fn promises(name: &'static str, record: &Record) {
    Promise {
        name,
        published: |name| name.starts_with("queue/todo/"),
        rules: &[Rule {
            when: |event, _| accepts(event) || has_queued(event),
            durable: |_, name| in_queue(name),
        }],
        syncs: "qmail-queue",
    }
    .holds(record);
}

#[test]
fn servers_say_yes_when_all_is_on_disk() {
    for server in PROTOCOLS {
        let home = installation();
        home.write("session", (server.said)());
        let record = record_in(&home, &home.program(server.program), "session", None);
        promises(server.program, &record);
    }
}

#[test]
fn sendmail_and_qmail_inject_end_when_all_is_on_disk() {
    for name in ["sendmail", "qmail-inject"] {
        let home = installation();
        home.write("message", "Subject: x\n\n".to_owned() + &"A line.\n".repeat(30_000));
        let record = record_in(&home, home.program(name).arg("you@b.example"), "message", None);
        promises(name, &record);
    }
}

/// A delivery by this .qmail file.
fn delivered(instructions: &str) -> Record {
    let home = installation();
    home.write("message", "Subject: x\n\n".to_owned() + &"A line.\n".repeat(30_000));
    home.write("joe/.qmail", instructions).maildir("joe/Maildir");
    home.give("joe");
    let mut local = home.program("qmail-local");
    local.args(["--", "joe"]).arg(home.join("joe"));
    local.args(["joe", "", "", "a.example", "me@far.example", "./Mailbox"]);
    record_in(&home, &local, "message", None)
}

#[test]
fn qmail_local_ends_when_the_maildir_is_on_disk() {
    Promise {
        name: "qmail-local to a Maildir",
        published: |name| name.starts_with("joe/Maildir/new/"),
        rules: &[Rule {
            when: |event, _| done(event, "qmail-local"),
            durable: |_, name| name.starts_with("joe/Maildir/new/"),
        }],
        syncs: "qmail-local",
    }
    .holds(&delivered("./Maildir/\n"));
}

#[test]
fn qmail_local_ends_when_the_mbox_is_on_disk() {
    Promise {
        name: "qmail-local to an mbox",
        published: |name| name == "joe/Mailbox",
        rules: &[Rule {
            when: |event, _| done(event, "qmail-local"),
            durable: |_, name| name == "joe/Mailbox",
        }],
        syncs: "qmail-local",
    }
    .holds(&delivered("./Mailbox\n"));
}

/// Runs a program in a folder.
fn record_at(place: &Scratch, root: &Path, command: &Command, input: &str) -> Record {
    let ready = |held: &mut Command| {
        held.stdin(File::open(place.join(input)).unwrap()).stdout(Stdio::null());
    };
    record(root, command, ready, |_| ())
}

#[test]
fn multilog_names_a_finished_file_when_it_is_on_disk() {
    let place = scratch();
    let lines: String = (1000..1900).map(|number| format!("line {number}\n")).collect();
    place.write("lines", lines).dir("log");
    let mut multilog = program("multilog");
    multilog.args(["s4096", "n20", "./log"]).current_dir(place.path());
    let record = record_at(&place, place.path(), &multilog, "lines");
    Promise {
        name: "multilog",
        published: |name| name.starts_with("log/@"),
        rules: &[
            // nothing more is read before
            Rule {
                when: |event, name| {
                    matches!(event.act, Act::Write { at: 0, .. }) && name == "log/current"
                },
                durable: |_, name| name.starts_with("log/@"),
            },
            Rule {
                when: |event, _| done(event, "multilog"),
                durable: |_, name| name.starts_with("log/@") || name == "log/current",
            },
        ],
        syncs: "multilog",
    }
    .holds(&record);
}

/// Complains unless a table is on disk when the program that writes it ends.
#[track_caller]
fn is_table(
    name: &'static str,
    published: fn(&str) -> bool,
    rules: &'static [Rule; 1],
    record: &Record,
) {
    Promise { name, published, rules, syncs: name }.holds(record);
}

#[test]
fn tcprules_ends_when_the_rules_are_on_disk() {
    let place = scratch();
    place.write("rules", "127.0.0.1:allow,A=\"x\"\n".repeat(400)).write("rules.cdb", "");
    let mut tcprules = program("tcprules");
    tcprules.args(["rules.cdb", "rules.tmp"]).current_dir(place.path());
    let record = record_at(&place, place.path(), &tcprules, "rules");
    const RULES: [Rule; 1] =
        [Rule { when: |event, _| done(event, "tcprules"), durable: |_, name| name == "rules.cdb" }];
    is_table("tcprules", |name| name == "rules.cdb", &RULES, &record);
}

#[test]
fn qmail_newu_ends_when_the_users_are_on_disk() {
    let place = scratch();
    place.write("users/assign", "=joe:joe:507:100:/home/joe:::\n".repeat(400) + ".\n");
    place.write("users/cdb", "");
    let mut newu = program("qmail-newu");
    newu.env("QMAILHOME", place.path());
    let record = record_at(&place, place.path(), &newu, "users/assign");
    const RULES: [Rule; 1] = [Rule {
        when: |event, _| done(event, "qmail-newu"),
        durable: |_, name| name == "users/cdb",
    }];
    is_table("qmail-newu", |name| name == "users/cdb", &RULES, &record);
}

#[test]
fn newaliases_ends_when_the_aliases_are_on_disk() {
    let Some(site) = site() else { return };
    site.place.write("etc/aliases", "Root: joe, ann\n").write("etc/aliases.cdb", "");
    let root = site.place.path();
    let record = record_at(&site.place, root, &site.program("newaliases"), "etc/aliases");
    const RULES: [Rule; 1] = [Rule {
        when: |event, _| done(event, "newaliases"),
        durable: |_, name| name == "etc/aliases.cdb",
    }];
    is_table("newaliases", |name| name == "etc/aliases.cdb", &RULES, &record);
}

fn in_maildir(event: &Event, name: &str) -> bool {
    matches!(event.act, Act::Remove { .. })
        && ["Maildir/new/", "Maildir/cur/"].iter().any(|folder| name.starts_with(folder))
}

#[test]
fn maildir2mbox_removes_what_is_in_the_mbox_on_disk() {
    let place = scratch();
    place.dir("Maildir/tmp").write("Maildir/new/1", "One.\n").write("Maildir/cur/2:2,S", "Two.\n");
    place.write("mbox", "From old\n\nOld.\n\n");
    let mut move_mail = program("maildir2mbox");
    move_mail.env("MAIL", "mbox").env("MAILTMP", "mbox.tmp").env("MAILDIR", "Maildir");
    move_mail.current_dir(place.path());
    let record = record_at(&place, place.path(), &move_mail, "mbox");
    Promise {
        name: "maildir2mbox",
        published: |name| name == "mbox",
        rules: &[Rule { when: in_maildir, durable: |_, name| name == "mbox" }],
        syncs: "maildir2mbox",
    }
    .holds(&record);
}

/// A mark that a recipient is done with.
fn mark(event: &Event, name: &str) -> bool {
    let Act::Write { bytes, .. } = &event.act else { return false };
    bytes == b"D" && ["queue/local/", "queue/remote/"].iter().any(|folder| name.starts_with(folder))
}

fn removes(event: &Event, name: &str, folders: &[&str]) -> bool {
    matches!(event.act, Act::Remove { .. })
        && folders.iter().any(|folder| name.starts_with(&format!("queue/{folder}/")))
}

#[test]
fn qmail_send_removes_nothing_before_what_takes_its_place_is_on_disk() {
    let record = recorded(false);
    Promise {
        name: "servers, sendmail, qmail-send and qmail-local",
        published: |name| name.starts_with("queue/todo/") || name.contains("/Maildir/new/"),
        rules: &[
            Rule {
                when: |event, name| removes(event, name, &["todo", "intd"]),
                durable: |todo, name| is_of(todo, name, &["info", "local", "remote"]),
            },
            Rule { when: mark, durable: |local, name| is_of(local, name, &["bounce"]) },
            // when a bounce has been sent, nothing else comes
            Rule {
                when: |event, name| removes(event, name, &["bounce"]),
                durable: |_, name| name.starts_with("queue/todo/"),
            },
            Rule {
                when: |event, _| done(event, "qmail-queue") || has_queued(event) || accepts(event),
                durable: |_, name| name.starts_with("queue/todo/"),
            },
        ],
        syncs: "qmail-send",
    }
    .holds(&record);
    marks_follow_reports(&record);
}

/// The name is in one of these folders of the queue, and of the same message as the other name.
fn is_of(message: &str, name: &str, folders: &[&str]) -> bool {
    let is_in = |folder: &&str| name.starts_with(&format!("queue/{folder}/"));
    name.rsplit('/').next() == message.rsplit('/').next() && folders.iter().any(is_in)
}

/// No recipient is marked before a spawner has said that he is done with.
#[track_caller]
fn marks_follow_reports(record: &Record) {
    let (mut reports, mut marks) = (0, 0);
    let mut disk = crate::disk::Disk::new(record);
    for (number, event) in record.events.iter().enumerate() {
        if let Act::Say { bytes } = &event.act
            && event.who.ends_with("spawn")
        {
            reports += usize::from(matches!(bytes.get(1), Some(b'K' | b'D')));
        }
        marks += usize::from(mark(event, &crate::order::about(&disk, &event.act)));
        assert!(marks <= reports, "a mark without a report: {event:?}");
        disk.meet(number, &event.act);
    }
    // two messages and two bounces have one recipient each: they are gone when that is served
    assert_eq!((marks, reports), (6, 10));
}
