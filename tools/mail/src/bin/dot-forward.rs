//! dot-forward: forward mail as a .forward file says.
#![cfg_attr(not(test), no_main)]

use base::files::open_read;
use base::input::Input;
use base::opt::Opts;
use base::sys::spawn::Spawn;
use base::sys::{fd, signal, wait};
use base::{Args, Code, Die, Result, Unable, env, say};
use mail::alias_line::{Address, Entry, Includes, entries};
use mail::control::Control;
use mail::default_hosts::DefaultHosts;
use mail::feed::feed;
use mail::program_exit::{Verdict, verdict};
use mail::submission::Submission;
use queue::home;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

base::program!("dot-forward", run);

const USAGE: &str = "dot-forward [ -nN ] file ...";

/// The exit code that ends a .qmail file.
const FORWARDED: Code = Code(99);

/// What an entry of a .forward file asks for.
enum Action {
    /// To go on with the .qmail file.
    Direct,
    /// To run a shell command.
    Run(Vec<u8>),
    /// To forward to this address.
    Forward(Vec<u8>),
}

fn run(words: Args) -> Result<Code> {
    let mut opts = Opts::new(words, "nN", USAGE);
    let mut dry = false;
    while let Some(letter) = opts.next()? {
        dry = letter == b'n';
    }
    if !dry && !fd::is_open(0) {
        return Err(Die::later("unable to read message: file descriptor not open"));
    }
    fd::fill_standard().unable("open /dev/null")?;
    signal::ignore(signal::PIPE).unable("ignore SIGPIPE")?;
    signal::default(signal::CHILD).unable("reset SIGCHLD")?;
    for file in opts.rest() {
        match actions_of(Path::new(&file))? {
            None => {}
            Some(actions) if !actions.is_empty() => {
                if dry {
                    show(&actions)
                } else {
                    follow(&actions)?
                }
                return Ok(if is_direct(&actions) { Code::DONE } else { FORWARDED });
            }
            Some(_) if dry => tell(b"skipping empty file ", file.as_bytes()),
            Some(_) => {}
        }
    }
    if dry {
        tell(b"direct delivery", b"");
    }
    Ok(Code::DONE)
}

/// What a file asks for; none if there is no such file. It is understood as a whole before
/// anything is done.
fn actions_of(name: &Path) -> Result<Option<Vec<Action>>> {
    let file = match open_read(name) {
        Err(why) if why.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.unable(format_args!("open {}", name.display()))?,
    };
    let hosts = DefaultHosts::of(&Control::of(&home::folder())).unable("read controls")?;
    let me = Me::new();
    let mut actions = Vec::new();
    let mut input = Input::new(file.as_fd());
    while let Some(line) = input.whole_line().unable(format_args!("read {}", name.display()))? {
        if line.starts_with(b"#") {
            continue;
        }
        let unparsable = || {
            let line = String::from_utf8_lossy(line);
            Die::later(format_args!("unable to parse this line: {line}"))
        };
        for entry in entries(line, Includes::Unknown).ok_or_else(unparsable)? {
            if let Entry::Address(address) = entry
                && !address.text.is_empty()
            {
                actions.push(me.action(&address, &hosts)?);
            }
        }
    }
    Ok(Some(actions))
}

/// The user whose mail it is.
struct Me {
    user: Vec<u8>,
    address: Vec<u8>,
}

impl Me {
    fn new() -> Self {
        let user = env::get("USER").unwrap_or_default();
        let address = [&user[..], b"@", &env::get("HOST").unwrap_or_default()].concat();
        Me { user, address }
    }

    fn action(&self, address: &Address, hosts: &DefaultHosts) -> Result<Action> {
        let text = &address.text;
        if address.has_host {
            return Ok(match text.eq_ignore_ascii_case(&self.address) {
                true => Action::Direct,
                false => Action::Forward(hosts.complete(address)),
            });
        }
        match &text[..] {
            name if name.eq_ignore_ascii_case(&self.user) => Ok(Action::Direct),
            [b'|', command @ ..] => Ok(Action::Run(command.to_vec())),
            [b'/', ..] => {
                let file = String::from_utf8_lossy(text);
                Err(Die::later(format_args!("file delivery {file} not supported")))
            }
            _ => Ok(Action::Forward(hosts.complete(address))),
        }
    }
}

/// Whether the rest of the .qmail file counts.
fn is_direct(actions: &[Action]) -> bool {
    actions.iter().any(|action| matches!(action, Action::Direct))
}

/// Says what would be done.
fn show(actions: &[Action]) {
    for action in actions {
        match action {
            Action::Direct => {}
            Action::Run(command) => tell(b"pipe through ", command),
            Action::Forward(address) => tell(b"forward ", address),
        }
    }
    if is_direct(actions) {
        tell(b"direct delivery", b"");
    }
}

fn tell(what: &[u8], which: &[u8]) {
    say::raw(&[what, which, b"\n"].concat());
}

/// Runs the commands, then queues the message for all addresses.
fn follow(actions: &[Action]) -> Result<()> {
    let line = |name| env::get(name).unwrap_or_default();
    let delivered_to = line("DTLINE");
    let head = [&line("UFLINE")[..], &line("RPLINE"), &delivered_to].concat();
    let mut recipients = Vec::new();
    for action in actions {
        match action {
            Action::Direct => {}
            Action::Run(command) => run_command(command, &head)?,
            Action::Forward(address) => recipients.push(&address[..]),
        }
    }
    if !recipients.is_empty() {
        forward(&delivered_to, &recipients)?;
    }
    Ok(())
}

/// Gives a shell command the message behind these lines, and the next one the same.
fn run_command(command: &[u8], head: &[u8]) -> Result<()> {
    let command = OsString::from_vec(command.to_vec());
    let words = [OsString::from("/bin/sh"), "-c".into(), command];
    let (read, write) = fd::pipe().unable("create pipe")?;
    let child = Spawn::new(&words)
        .fd(0, read.as_fd())
        .last_words("dot-forward: fatal: unable to run /bin/sh".into())
        .start()
        .unable("fork")?;
    drop(read);
    let copied = feed(head, child, write);
    let status = wait::child(child).unable("wait for child")?;
    copied.unable("read message")?;
    match verdict(status) {
        Verdict::Done => fd::rewind(fd::STDIN).unable("rewind input"),
        Verdict::Never => Err(Die::silent(Code::PERM.0)),
        Verdict::Later => Err(Die::silent(Code::TEMP.0)),
        Verdict::Crashed => Err(Die::later("child crashed")),
    }
}

/// Queues the message for these addresses.
fn forward(delivered_to: &[u8], recipients: &[&[u8]]) -> Result<()> {
    let mut queue = Submission::open(&home::folder()).unable("run qmail-queue")?;
    queue.put(delivered_to);
    queue.put_rest_of(fd::STDIN).unable("read message")?;
    queue.sender(&env::get("NEWSENDER").unwrap_or_default());
    for recipient in recipients {
        queue.recipient(recipient);
    }
    match queue.close() {
        Ok(number) => {
            say::line(format_args!("info: qp {number}"));
            Ok(())
        }
        Err(refusal) => {
            let start = b"dot-forward: fatal: unable to forward message: ";
            say::raw(&[&start[..], &refusal.text, b"\n"].concat());
            Err(Die::silent(if refusal.permanent { Code::PERM.0 } else { Code::TEMP.0 }))
        }
    }
}
