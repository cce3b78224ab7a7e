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
const LETTERS: &str = "tf:r:F:b:vimxEJGUne:p:o:B:A:N:O:R:V:X:h:d:L:";

/// What is to be done.
struct Options {
    /// -t: recipients from the header too.
    from_header: bool,
    /// -f, -r: the envelope sender.
    sender: Option<OsString>,
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
    let mut env = Env::inherited();
    let (mut options, recipients) = read(words, &mut env)?;
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

fn read(words: Args, env: &mut Env) -> Result<(Options, Args)> {
    let mut options = Options { from_header: false, sender: None, mode: Mode::Inject };
    let mut opts = Opts::new(words, LETTERS, USAGE);
    while let Some(letter) = opts.next()? {
        match letter {
            b't' => options.from_header = true,
            b'f' | b'r' => {
                options.sender = Some(opts.argument().to_owned());
                from_follows_sender(opts.argument().as_bytes(), env);
            }
            b'F' => drop(env.set("MAILNAME", opts.argument())),
            b'b' => match opts.argument().as_bytes().first() {
                Some(b'm') => options.mode = Mode::Inject,
                Some(b'p') => options.mode = Mode::Queue,
                Some(b's') => options.mode = Mode::Smtp,
                _ => return Err(opts.bad_usage()),
            },
            _ => {}
        }
    }
    Ok((options, opts.rest()))
}

/// -f sets the From field too, unless the message has one.
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
