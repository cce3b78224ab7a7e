//! sendmail: what programs call that know only Sendmail; runs qmail-inject, qmail-smtpd or
//! qmail-qread.
#![cfg_attr(not(test), no_main)]

use base::env::Env;
use base::opt::Opts;
use base::sys::exec::exec_as;
use base::sys::start;
use base::{Args, Code, Die, Result, Unable};
use mail::address;
use queue::home;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

base::program!("sendmail", run);

const USAGE: &str = "sendmail [ -t ] [ -fsender ] [ -Fname ] [ -bp ] [ -bs ] [ arg ... ]";

/// Beside t, f, r, F and b: what Sendmail knows and what means nothing here.
const LETTERS: &str = "tf:r:F:b:vimxEJGUne:p:o:B:A:C:N:O:R:V:X:h:d:L:";

/// What is to be done.
struct Options {
    /// -t: recipients from the header too.
    from_header: bool,
    /// -f, -r: the envelope sender.
    sender: Option<OsString>,
    /// -F: the author's name.
    name: Option<OsString>,
    mode: Mode,
}

/// -b.
enum Mode {
    /// `m`: take a message from stdin.
    Inject,
    /// `p`: show the queue.
    Queue,
    /// `s`: speak SMTP.
    Smtp,
}

fn run(words: Args) -> Result<Code> {
    let called = start::called();
    if called == b"newaliases" {
        return Err(Die::perm("please use fastforward/newaliases instead"));
    }
    let (mut options, recipients) = read(words)?;
    let mut env = Env::inherited();
    set_author(&options, &mut env);
    if called == b"mailq" {
        options.mode = Mode::Queue;
    }
    let home = home::folder();
    std::env::set_current_dir(&home).unable(format_args!("chdir to {}", home.display()))?;
    let words = match options.mode {
        Mode::Queue => vec!["bin/qmail-qread".into()],
        Mode::Smtp => {
            pretend_local_client(&mut env);
            vec!["bin/qmail-smtpd".into()]
        }
        Mode::Inject => inject(options, recipients),
    };
    let [name, ..] = &words[..] else { return Err(Die::perm("internal: no program")) };
    match exec_as(name.as_bytes(), &words, &env).unable(format_args!("run {}", name.display()))? {}
}

fn read(words: Args) -> Result<(Options, Args)> {
    let mut options = Options { from_header: false, sender: None, name: None, mode: Mode::Inject };
    let mut opts = Opts::new(words, LETTERS, USAGE);
    while let Some(letter) = opts.next()? {
        match letter {
            b't' => options.from_header = true,
            b'f' | b'r' => options.sender = Some(bare(opts.argument())),
            b'F' => options.name = Some(opts.argument().to_owned()),
            b'b' => match opts.argument().as_bytes().first() {
                Some(b'm') => options.mode = Mode::Inject,
                Some(b'p') => options.mode = Mode::Queue,
                Some(b's') => options.mode = Mode::Smtp,
                _ => return Err(opts.bad_usage()),
            },
            _ => {}
        }
    }
    Ok((options, opts.rest().iter().map(|recipient| bare(recipient)).collect()))
}

/// `<joe@a.example>` and `Joe <joe@a.example>` are the address in the brackets, and `<>` is nobody:
/// as Sendmail reads them. No address that could be delivered ends in a bracket.
fn bare(address: &OsStr) -> OsString {
    let inside = address.as_bytes().strip_suffix(b">").and_then(|start| {
        let open = memchr::memrchr(b'<', start)?;
        Some(OsStr::from_bytes(&start[open + 1..]))
    });
    inside.unwrap_or(address).to_owned()
}

/// Whom the From field names, unless the message has one: the envelope sender if there is one,
/// and the name of -F, whichever of them came first.
fn set_author(options: &Options, env: &mut Env) {
    if let Some(sender) = options.sender.as_deref().filter(|sender| !sender.is_empty()) {
        from_follows_sender(sender.as_bytes(), env);
    }
    if let Some(name) = &options.name {
        env.set("MAILNAME", name);
    }
}

/// The author is the envelope sender, of whom no name is known.
fn from_follows_sender(sender: &[u8], env: &mut Env) {
    for name in ["QMAILNAME", "MAILNAME", "NAME", "QMAILHOST", "MAILHOST"] {
        env.unset(name);
    }
    let (user, host) = address::split(sender);
    env.set("QMAILUSER", OsStr::from_bytes(user));
    if let Some(host) = host {
        env.set("QMAILHOST", OsStr::from_bytes(host));
    }
}

fn inject(options: Options, recipients: Args) -> Args {
    let mut words: Args = vec!["bin/qmail-inject".into()];
    words.push(if options.from_header { "-H" } else { "-a" }.into());
    if let Some(sender) = options.sender {
        words.extend(["-f".into(), sender]);
    }
    words.push("--".into());
    words.extend(recipients);
    words
}

/// -bs without a server in front: the client is this machine and may send anywhere.
fn pretend_local_client(env: &mut Env) {
    if env.get("PROTO").is_some() {
        return;
    }
    let client = [
        ("RELAYCLIENT", ""),
        ("DATABYTES", "0"),
        ("PROTO", "TCP"),
        ("TCPLOCALIP", "127.0.0.1"),
        ("TCPLOCALHOST", "localhost"),
        ("TCPREMOTEIP", "127.0.0.1"),
        ("TCPREMOTEHOST", "localhost"),
        ("TCPREMOTEINFO", "sendmail-bs"),
    ];
    for (name, value) in client {
        env.set(name, value);
    }
}
