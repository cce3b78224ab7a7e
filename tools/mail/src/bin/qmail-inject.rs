//! qmail-inject: complete a mail message's header and send it.
#![cfg_attr(not(test), no_main)]

use base::env;
use base::input::{Ending, Input};
use base::opt::Opts;
use base::out::Out;
use base::sys::clock;
use base::sys::fd;
use base::{Args, Code, Die, Result, Unable};
use mail::address;
use mail::compose::{Header, Setting, Unparsable};
use mail::control::{Control, Names};
use mail::field;
use mail::host_rules::HostRules;
use mail::submission::Submission;
use queue::home;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

base::program!("qmail-inject", run);

const USAGE: &str = "qmail-inject [ -nNaAhH ] [ -fsender ] [ recip ... ]";

/// Bytes of a header; what is longer is no mail.
const HEADER: usize = 64 << 20;

/// Bytes of input that are read at once.
const BUFFER: usize = 65536;

fn run(words: Args) -> Result<Code> {
    let options = Options::read(words)?;
    // Before the change of folder: the file's name is relative to the caller's.
    let lists = followup_lists()?;
    let home = home::folder();
    std::env::set_current_dir(&home).map_err(|_| Die::later("internal bug"))?;
    let setting = setting(&Control::of(&home), lists)?;
    let header = Header::new(setting, options.sender.as_deref()).map_err(no_address)?;
    let arguments = options.arguments.iter().map(|recipient| header.completed(recipient));
    let recipients = arguments.collect::<std::result::Result<_, _>>().map_err(no_address)?;
    let mut message = Message { header, recipients, start_of_body: Vec::new() };
    let mut input = Input::with_size(fd::STDIN, BUFFER);
    message.read_header(&mut input)?;
    if options.from_header {
        message.recipients.extend_from_slice(message.header.recipients());
    }
    if options.print { message.print(&mut input) } else { message.send(&home, &mut input) }
}

/// The command line.
struct Options {
    /// -n: print the message instead of sending it.
    print: bool,
    /// -f: the envelope sender.
    sender: Option<Vec<u8>>,
    /// Recipients; none with -h.
    arguments: Vec<Vec<u8>>,
    /// -h, -H, and -A without arguments: the header's recipients count.
    from_header: bool,
}

impl Options {
    fn read(words: Args) -> Result<Self> {
        let mut options =
            Options { print: false, sender: None, arguments: Vec::new(), from_header: true };
        let mut from = b'A';
        let mut opts = Opts::new(words, "aAhHnNf:", USAGE);
        while let Some(letter) = opts.next()? {
            match letter {
                b'n' => options.print = true,
                b'N' => options.print = false,
                b'f' => options.sender = Some(opts.argument().as_bytes().to_vec()),
                other => from = other,
            }
        }
        let recipients = opts.rest();
        options.from_header = match from {
            b'a' => false,
            b'A' => recipients.is_empty(),
            _ => true,
        };
        if from != b'h' {
            options.arguments = recipients.iter().map(|word| word.as_bytes().to_vec()).collect();
        }
        Ok(options)
    }
}

/// The lists in $QMAILMFTFILE, whose subscribers are not to be copied on replies.
fn followup_lists() -> Result<Option<Names>> {
    let Some(file) = env::get("QMAILMFTFILE") else { return Ok(None) };
    Control::names_in(Path::new(OsStr::from_bytes(&file))).map_err(|_| Die::later("read error"))
}

/// Everything that variables and control files say.
fn setting(control: &Control, lists: Option<Names>) -> Result<Setting> {
    let host = |variable: &str, file: &str| match env::get(variable) {
        Some(value) => Ok(value),
        None => match control.line_or_me(file) {
            Ok(line) => Ok(line.unwrap_or_else(|| file.into())),
            Err(_) => Err(Die::later("read error")),
        },
    };
    let hosts = HostRules::new(
        &host("QMAILDEFAULTHOST", "defaulthost")?,
        &host("QMAILDEFAULTDOMAIN", "defaultdomain")?,
        &host("QMAILPLUSDOMAIN", "plusdomain")?,
    );
    let user = first_set(&["QMAILUSER", "MAILUSER", "USER", "LOGNAME"]);
    let user = user.unwrap_or_else(|| b"anonymous".to_vec());
    let author_host = first_set(&["QMAILHOST", "MAILHOST"]);
    let letters = env::get("QMAILINJECT").unwrap_or_default();
    let has = |letter: u8| letters.contains(&letter);
    Ok(Setting {
        hosts: hosts.ok_or_else(|| Die::perm("unable to parse default host or domain"))?,
        id_host: host("QMAILIDHOST", "idhost")?,
        now: clock::seconds(),
        pid: std::process::id(),
        sender_user: env::get("QMAILSUSER").unwrap_or_else(|| user.clone()),
        sender_host: env::get("QMAILSHOST").or_else(|| author_host.clone()),
        user,
        host: author_host,
        name: first_set(&["QMAILNAME", "MAILNAME", "NAME"]),
        lists,
        comment: has(b'c'),
        ignore_return_path: has(b's'),
        delete_from: has(b'f'),
        delete_id: has(b'i'),
        per_recipient: has(b'r'),
        per_message: has(b'm'),
    })
}

/// The first of these variables that is set.
fn first_set(names: &[&str]) -> Option<Vec<u8>> {
    names.iter().find_map(|name| env::get(name))
}

/// A message on its way.
struct Message {
    header: Header,
    recipients: Vec<Vec<u8>>,
    /// The line that ended the header; empty if there is no body.
    start_of_body: Vec<u8>,
}

impl Message {
    /// Reads the header. It ends at an empty line, or at a line that is no field: an empty line is
    /// put before that one.
    fn read_header(&mut self, input: &mut Input) -> Result<()> {
        let mut current: Vec<u8> = Vec::new();
        let mut room = HEADER;
        loop {
            let mut line = Vec::new();
            let ending = input.line(&mut line, room).map_err(|_| Die::later("read error"))?;
            room -= line.len();
            if ending == Ending::TooLong {
                return Err(Die::perm("header is too long"));
            }
            let end = ending == Ending::End && line.is_empty();
            line.push(b'\n');
            if !end && field::continues(&line) && !current.is_empty() {
                current.extend(line);
                continue;
            }
            if !current.is_empty() {
                self.header.field(std::mem::take(&mut current)).map_err(unparsable)?;
            }
            if end {
                return Ok(());
            }
            if line.starts_with(b"From ") {
                current = [b"MBOX-Line: ", &line[..]].concat();
            } else if field::name(&line).is_some() {
                current = line;
            } else {
                let empty = if line == b"\n" { &b""[..] } else { b"\n" };
                self.start_of_body = [empty, &line].concat();
                return Ok(());
            }
        }
    }

    /// -n: what would be sent, after the envelope sender.
    fn print(mut self, input: &mut Input) -> Result<Code> {
        let mut out = Out::stdout();
        let sender = address::quote(self.header.sender().map_err(unparsable)?);
        let path = [b"Return-Path: <", &sender[..], b">\n"].concat();
        let header = self.header.text().map_err(unparsable)?;
        for part in [path, header] {
            out.put(part).unable("write output")?;
        }
        copy(&self.start_of_body, input, |bytes| out.put(bytes)).unable("copy the body")?;
        out.flush().unable("write output")?;
        Ok(Code::DONE)
    }

    fn send(mut self, home: &Path, input: &mut Input) -> Result<Code> {
        self.header.sender().map_err(unparsable)?;
        let header = self.header.text().map_err(unparsable)?;
        let queue = Submission::open(home);
        let mut queue = queue.map_err(|_| Die::later("unable to run qmail-queue"))?;
        queue.put(&header);
        let copied = copy(&self.start_of_body, input, |bytes| {
            queue.put(bytes);
            Ok(())
        });
        copied.map_err(|_| Die::later("read error"))?;
        queue.sender(self.header.sender().map_err(unparsable)?);
        for recipient in &self.recipients {
            queue.recipient(recipient);
        }
        match queue.close() {
            Ok(_) => Ok(Code::DONE),
            Err(refusal) => {
                let text = String::from_utf8_lossy(&refusal.text).into_owned();
                Err(if refusal.permanent { Die::perm(text) } else { Die::later(text) })
            }
        }
    }
}

fn no_address(bare: Unparsable) -> Die {
    Die::perm(format_args!("unable to parse address: {}", String::from_utf8_lossy(&bare.0)))
}

fn unparsable(line: Unparsable) -> Die {
    let line = String::from_utf8_lossy(&line.0);
    Die::perm(format_args!("unable to parse this line:\n{}", line.trim_end_matches('\n')))
}

/// Copies the body, adding a newline if its last line lacks one.
fn copy(
    start: &[u8],
    input: &mut Input,
    mut to: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    to(start)?;
    let mut last = None;
    loop {
        let bytes = input.fill()?;
        let Some(end) = bytes.last() else { break };
        last = Some(*end);
        to(bytes)?;
        let count = bytes.len();
        input.consume(count);
    }
    if last.is_some_and(|last| last != b'\n') { to(b"\n") } else { Ok(()) }
}
