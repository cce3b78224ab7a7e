//! qmail-showctl: explain the control files.
#![cfg_attr(not(test), no_main)]

use base::files;
use base::out::Out;
use base::{Args, Code, Result, Unable};
use mail::control::Control;
use queue::home;
use queue::paths::Paths;
use queue::users::{Role, Users};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

base::program!("qmail-showctl", run);

/// One control file: its name and what its contents mean.
struct File(&'static str, Meaning);

/// How a file is read, and the sentence around what is read.
enum Meaning {
    /// A line, else the default: before it, after it.
    Line(&'static str, &'static str, &'static str),
    /// The number that a line starts with, else the default: before it, after it.
    Number(&'static str, &'static str, &'static str),
    /// A line, else `me`, else the default; before it.
    LineOrMe(&'static str, &'static str),
    /// A sentence for each item of a list: what a missing file means, before an item, after it.
    List(&'static str, &'static str, &'static str),
    /// morercpthosts, whose meaning depends on rcpthosts.
    More,
    /// morercpthosts.cdb, which is to be as new as its source.
    MoreCompiled,
}

use Meaning::{Line, LineOrMe, List, More, MoreCompiled, Number};

#[rustfmt::skip]
const FILES: [File; 30] = [
    File("badmailfrom", List("Any MAIL FROM is allowed.", "", " not accepted in MAIL FROM.")),
    File("bouncefrom", Line("MAILER-DAEMON", "Bounce user name is ", "")),
    File("bouncehost", LineOrMe("bouncehost", "Bounce host name is ")),
    File("concurrencylocal", Number("10", "Local concurrency is ", "")),
    File("concurrencyremote", Number("20", "Remote concurrency is ", "")),
    File("databytes", Number("0", "SMTP DATA limit is ", " bytes")),
    File("defaultdomain", LineOrMe("defaultdomain", "Default domain name is ")),
    File("defaulthost", LineOrMe("defaulthost", "Default host name is ")),
    File("doublebouncehost", LineOrMe("doublebouncehost", "2B recipient host: ")),
    File("doublebounceto", Line("postmaster", "2B recipient user: ", "")),
    File("envnoathost", LineOrMe("envnoathost", "Presumed domain name is ")),
    File("helohost", LineOrMe("helohost", "SMTP client HELO host name is ")),
    File("idhost", LineOrMe("idhost", "Message-ID host name is ")),
    File("localiphost", LineOrMe("localiphost", "Local IP address becomes ")),
    File("locals", List("Messages for me are delivered locally.", "Messages for ", " are delivered locally.")),
    File("me", Line("undefined! Uh-oh", "My name is ", "")),
    File("percenthack", List("The percent hack is not allowed.", "The percent hack is allowed for user%host@", ".")),
    File("plusdomain", LineOrMe("plusdomain", "Plus domain name is ")),
    File("qmqpservers", List("No QMQP servers.", "QMQP server: ", ".")),
    File("queuelifetime", Number("604800", "Message lifetime in the queue is ", " seconds")),
    File("rcpthosts", List("SMTP clients may send messages to any recipient.", "SMTP clients may send messages to recipients at ", ".")),
    File("morercpthosts", More),
    File("morercpthosts.cdb", MoreCompiled),
    File("smtpgreeting", LineOrMe("smtpgreeting", "SMTP greeting: 220 ")),
    File("smtproutes", List("No artificial SMTP routes.", "SMTP route: ", "")),
    File("spawn", Number("120", "Concurrency ceiling of a spawner is ", "")),
    File("timeoutconnect", Number("60", "SMTP client connection timeout is ", " seconds")),
    File("timeoutremote", Number("1200", "SMTP client data timeout is ", " seconds")),
    File("timeoutsmtpd", Number("1200", "SMTP server data timeout is ", " seconds")),
    File("virtualdomains", List("No virtual domains.", "Virtual domain: ", "")),
];

/// Files that the originals do not know: told of where they are.
#[rustfmt::skip]
const OURS: [(&str, &str); 8] = [
    ("bouncemaxbytes", "Bounces copy no more bytes of a message than it says."),
    ("clientca.pem", "SMTP clients are asked for a certificate of these authorities."),
    ("clientcrl.pem", "These certificates of SMTP clients are revoked."),
    ("rewrite", "new-inject rewrites hosts by its lines."),
    ("servercert.pem", "SMTP clients are offered STARTTLS, with this certificate."),
    ("servercerts", "Certificates for other names of this host."),
    ("tlsserverciphers", "Ciphers for SMTP clients."),
    ("tlsticketkey", "SMTP clients can resume TLS sessions."),
];

fn run(_: Args) -> Result<Code> {
    let home = home::folder();
    let control = Control::of(&home);
    let mut out = Out::stdout();
    let mut text = installation(&home);
    for File(name, meaning) in &FILES {
        text.extend(format!("\n{name}: ").bytes());
        let sentence = explain(&control, name, meaning);
        text.extend(sentence.unwrap_or_else(|_| b"Oops! Trouble reading this file.\n".to_vec()));
    }
    for (name, sentence) in OURS {
        if control.path(name).exists() {
            text.extend(format!("\n{name}: {sentence}\n").bytes());
        }
    }
    for name in unknown(&home.join("control")).unable("read control")? {
        text.push(b'\n');
        text.extend(visible(&name));
        text.extend(b": I have no idea what this file does.\n");
    }
    out.put(text).and_then(|()| out.flush()).unable("write output")?;
    Ok(Code::DONE)
}

/// What the originals have compiled in.
fn installation(home: &Path) -> Vec<u8> {
    let split = match std::env::set_current_dir(home.join("queue")).and_then(|()| Paths::read()) {
        Ok(paths) => paths.split.to_string(),
        Err(_) => "unknown".into(),
    };
    let (users, groups) = match Users::of(home) {
        Ok(users) => ids(&users),
        Err(missing) => (format!("there is no user {missing}"), "unknown".into()),
    };
    let home = home.display();
    format!(
        "qmail home directory: {home}.\nuser-ext delimiter: -.\npaternalism (in decimal): 2.\n\
         silent concurrency limit: 120.\nsubdirectory split: {split}.\nuser ids: {users}.\n\
         group ids: {groups}.\n"
    )
    .into_bytes()
}

/// Uids in the order that the originals show (root between qmaill and qmailp), and both gids.
fn ids(users: &Users) -> (String, String) {
    use Role::{Alias, Daemon, Log, Password, Queue, Remote, Send};
    let [alias, daemon, log, password, queue, remote, send] =
        [Alias, Daemon, Log, Password, Queue, Remote, Send].map(|role| users.get(role).uid);
    let root = 0;
    (
        format!("{alias}, {daemon}, {log}, {root}, {password}, {queue}, {remote}, {send}"),
        format!("{}, {}", users.get(Queue).gid, users.get(Alias).gid),
    )
}

/// The sentence or sentences about one file.
fn explain(control: &Control, name: &str, meaning: &Meaning) -> io::Result<Vec<u8>> {
    let sentence = |given: &str, before: &str, value: &[u8], after: &str| {
        [given.as_bytes(), before.as_bytes(), &visible(value), after.as_bytes(), b".\n"].concat()
    };
    const DEFAULT: &str = "(Default.) ";
    Ok(match meaning {
        Line(default, before, after) => match control.line(name)? {
            Some(line) => sentence("", before, &line, after),
            None => sentence(DEFAULT, before, default.as_bytes(), after),
        },
        // What programs make of it: of `10M`, say, 10.
        Number(default, before, after) => match control.number(name)? {
            Some(number) => sentence("", before, number.to_string().as_bytes(), after),
            None => sentence(DEFAULT, before, default.as_bytes(), after),
        },
        LineOrMe(default, before) => match (control.line(name)?, control.line("me")?) {
            (Some(line), _) => sentence("", before, &line, ""),
            (None, Some(me)) => sentence(DEFAULT, before, &me, ""),
            (None, None) => sentence(DEFAULT, before, default.as_bytes(), ""),
        },
        List(default, before, after) => list(control, name, default, before, after)?,
        More if control.items("rcpthosts")?.is_some() => {
            let before = "SMTP clients may send messages to recipients at ";
            list(control, name, "No effect.", before, ".")?
        }
        More => {
            let default = "No rcpthosts; morercpthosts is irrelevant.";
            let before = "No rcpthosts; doesn't matter that morercpthosts has ";
            list(control, name, default, before, ".")?
        }
        MoreCompiled => compiled(control),
    })
}

fn list(
    control: &Control,
    name: &str,
    default: &str,
    before: &str,
    after: &str,
) -> io::Result<Vec<u8>> {
    let Some(items) = control.items(name)? else {
        return Ok(format!("(Default.) {default}\n").into_bytes());
    };
    let mut text = vec![b'\n'];
    for item in items {
        text.extend([before.as_bytes(), &visible(&item), after.as_bytes(), b"\n"].concat());
    }
    Ok(text)
}

/// Bytes that would do things to a terminal, or not be seen at all, are shown as `?`: the CR that
/// keeps a name from ever matching.
fn visible(bytes: &[u8]) -> Vec<u8> {
    let shown = |byte: &u8| if (32..=126).contains(byte) { *byte } else { b'?' };
    bytes.iter().map(shown).collect()
}

/// Whether morercpthosts.cdb is as new as morercpthosts.
fn compiled(control: &Control) -> Vec<u8> {
    let modified = |name| fs::metadata(control.path(name)).and_then(|file| file.modified());
    let text = match (modified("morercpthosts"), modified("morercpthosts.cdb")) {
        (Err(_), Err(_)) => "(Default.) No effect.\n",
        (Err(_), Ok(_)) => "Oops! morercpthosts.cdb exists but morercpthosts doesn't.\n",
        (Ok(_), Err(_)) => "Oops! morercpthosts exists but morercpthosts.cdb doesn't.\n",
        (Ok(source), Ok(cdb)) if source > cdb => {
            "Oops! morercpthosts.cdb is older than morercpthosts.\n"
        }
        (Ok(_), Ok(_)) => "Modified recently enough; hopefully up to date.\n",
    };
    text.into()
}

/// Names in the folder that are none of ours, sorted.
fn unknown(folder: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in files::entries(folder)? {
        let name = entry?.file_name().as_bytes().to_vec();
        let theirs = FILES.iter().map(|File(known, _)| *known);
        let known =
            theirs.chain(OURS.map(|(known, _)| known)).any(|known| known.as_bytes() == name);
        if !known && name.first() != Some(&b'.') {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}
