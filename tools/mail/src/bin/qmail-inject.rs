//! qmail-inject: complete a mail message's header and send it.
#![cfg_attr(not(test), no_main)]

use base::date::Date;
use base::env;
use base::input::{Ending, Input};
use base::opt::Opts;
use base::out::Out;
use base::sys::clock;
use base::{Args, Code, Die, Result, Unable};
use mail::address;
use mail::address_list;
use mail::control::{Control, Names};
use mail::field;
use mail::host_rules::HostRules;
use mail::submission::Submission;
use mail::token::{self, Token};
use queue::home;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

base::program!("qmail-inject", run);

const USAGE: &str = "qmail-inject [ -nNaAhH ] [ -fsender ] [ recip ... ]";

/// Bytes of a header; what is longer is no mail.
const HEADER: usize = 64 << 20;

/// What a field does, by its name. Fields that are not here pass unchanged.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Addresses are completed and are recipients; counts for Mail-Followup-To.
    To,
    /// As `To`, without Mail-Followup-To.
    OtherRecipients,
    /// Recipients of a resent message.
    ResentRecipients,
    /// Addresses are completed.
    Sender,
    /// The envelope sender.
    ReturnPath,
    /// Left out.
    ContentLength,
    /// Looked for only.
    Noted,
}

/// Known fields.
const FIELDS: [(&str, Kind); 23] = [
    ("To", Kind::To),
    ("Cc", Kind::To),
    ("Bcc", Kind::OtherRecipients),
    ("Apparently-To", Kind::OtherRecipients),
    ("Resent-To", Kind::ResentRecipients),
    ("Resent-Cc", Kind::ResentRecipients),
    ("Resent-Bcc", Kind::ResentRecipients),
    ("Sender", Kind::Sender),
    ("From", Kind::Sender),
    ("Reply-To", Kind::Sender),
    ("Return-Receipt-To", Kind::Sender),
    ("Errors-To", Kind::Sender),
    ("Resent-Sender", Kind::Sender),
    ("Resent-From", Kind::Sender),
    ("Resent-Reply-To", Kind::Sender),
    ("Return-Path", Kind::ReturnPath),
    ("Content-Length", Kind::ContentLength),
    ("Date", Kind::Noted),
    ("Message-ID", Kind::Noted),
    ("Resent-Date", Kind::Noted),
    ("Resent-Message-ID", Kind::Noted),
    ("Mail-Followup-To", Kind::Noted),
    ("Subject", Kind::Noted),
];

/// Fields of which one makes the message a resent one.
const RESENT: [&str; 8] = [
    "Resent-Sender",
    "Resent-From",
    "Resent-Reply-To",
    "Resent-To",
    "Resent-Cc",
    "Resent-Bcc",
    "Resent-Date",
    "Resent-Message-ID",
];

fn run(words: Args) -> Result<Code> {
    let (options, recipients) = Options::read(words)?;
    // Before the change of folder: the file's name is relative to the caller's.
    let lists = followup_lists()?;
    let home = home::folder();
    std::env::set_current_dir(&home).map_err(|_| Die::later("internal bug"))?;
    let mut inject = Inject::new(options, lists, home)?;
    for recipient in &recipients {
        inject.argument(recipient.as_bytes())?;
    }
    let mut input = Input::with_size(base::sys::fd::STDIN, 65536);
    let rest = inject.header(&mut input)?;
    inject.send(&rest, &mut input)
}

/// The command line and $QMAILINJECT.
struct Options {
    /// -n: print the message instead of sending it.
    print: bool,
    /// -f: the envelope sender.
    sender: Option<Vec<u8>>,
    /// -a, -H and -A: recipients on the command line count.
    arguments: bool,
    /// -h, -H, and -A without arguments: recipients in the header count.
    header: bool,
    /// c: `From: address (Name)`.
    comment: bool,
    /// s: ignore Return-Path.
    ignore_return_path: bool,
    /// f: delete From.
    delete_from: bool,
    /// i: delete Message-ID.
    delete_id: bool,
    /// r: an envelope sender for each recipient.
    per_recipient: bool,
    /// m: an envelope sender for this message.
    per_message: bool,
}

impl Options {
    fn read(words: Args) -> Result<(Self, Args)> {
        let letters = env::get("QMAILINJECT").unwrap_or_default();
        let has = |letter: u8| letters.contains(&letter);
        let mut options = Options {
            print: false,
            sender: None,
            arguments: true,
            header: true,
            comment: has(b'c'),
            ignore_return_path: has(b's'),
            delete_from: has(b'f'),
            delete_id: has(b'i'),
            per_recipient: has(b'r'),
            per_message: has(b'm'),
        };
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
        options.arguments = from != b'h';
        options.header = match from {
            b'a' => false,
            b'A' => recipients.is_empty(),
            _ => true,
        };
        Ok((options, recipients))
    }
}

/// The lists in $QMAILMFTFILE, whose subscribers are not to be copied on replies.
fn followup_lists() -> Result<Option<Names>> {
    let Some(file) = env::get("QMAILMFTFILE") else { return Ok(None) };
    let file = Path::new(std::ffi::OsStr::from_bytes(&file));
    let folder = file.parent().unwrap_or(Path::new(""));
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    Control::in_folder(folder).names(name).map_err(|_| Die::later("read error"))
}

/// The first of these variables that is set.
fn first_set(names: &[&str]) -> Option<Vec<u8>> {
    names.iter().find_map(|name| env::get(name))
}

/// A message being completed.
struct Inject {
    options: Options,
    home: PathBuf,
    hosts: HostRules,
    id_host: Vec<u8>,
    /// Seconds since 1970, the same everywhere in the message.
    now: u64,
    /// The author's address, and his name.
    user: Vec<u8>,
    host: Option<Vec<u8>>,
    name: Option<Vec<u8>>,
    lists: Option<Names>,
    /// Envelope sender, once it is known.
    sender: Option<Vec<u8>>,
    /// Fields that go out, each with its newline.
    fields: Vec<Vec<u8>>,
    /// Which of [`FIELDS`] were there.
    seen: [bool; FIELDS.len()],
    /// Recipients: of the command line, the header, the Resent- fields, and To and Cc alone.
    arguments: Vec<Vec<u8>>,
    recipients: Vec<Vec<u8>>,
    resent_recipients: Vec<Vec<u8>>,
    to: Vec<Vec<u8>>,
}

impl Inject {
    fn new(options: Options, lists: Option<Names>, home: PathBuf) -> Result<Self> {
        let control = Control::of(&home);
        let setting = |variable: &str, file: &str| match env::get(variable) {
            Some(value) => Ok(value),
            None => match control.line_or_me(file) {
                Ok(line) => Ok(line.unwrap_or_else(|| file.into())),
                Err(_) => Err(Die::later("read error")),
            },
        };
        let hosts = HostRules::new(
            &setting("QMAILDEFAULTHOST", "defaulthost")?,
            &setting("QMAILDEFAULTDOMAIN", "defaultdomain")?,
            &setting("QMAILPLUSDOMAIN", "plusdomain")?,
        );
        let users = ["QMAILUSER", "MAILUSER", "USER", "LOGNAME"];
        let mut inject = Inject {
            hosts: hosts.ok_or_else(|| Die::perm("unable to parse default host or domain"))?,
            id_host: setting("QMAILIDHOST", "idhost")?,
            now: clock::seconds(),
            user: first_set(&users).unwrap_or_else(|| b"anonymous".to_vec()),
            host: first_set(&["QMAILHOST", "MAILHOST"]),
            name: first_set(&["QMAILNAME", "MAILNAME", "NAME"]),
            options,
            home,
            lists,
            sender: None,
            fields: Vec::new(),
            seen: [false; FIELDS.len()],
            arguments: Vec::new(),
            recipients: Vec::new(),
            resent_recipients: Vec::new(),
            to: Vec::new(),
        };
        if let Some(sender) = inject.options.sender.take() {
            inject.sender = Some(inject.completed(&sender)?);
        }
        Ok(inject)
    }

    /// A recipient on the command line.
    fn argument(&mut self, recipient: &[u8]) -> Result<()> {
        if self.options.arguments {
            let recipient = self.completed(recipient)?;
            self.arguments.push(recipient);
        }
        Ok(())
    }

    /// A bare address, as on the command line, with its host completed.
    fn completed(&self, bare: &[u8]) -> Result<Vec<u8>> {
        let Some(mut tokens) = token::parse(&address::quote(bare)) else {
            let shown = String::from_utf8_lossy(bare);
            return Err(Die::perm(format_args!("unable to parse address: {shown}")));
        };
        self.hosts.complete(&mut tokens);
        Ok(token::unquoted(&tokens))
    }

    /// Reads the header; gives what has been read of the body: the line that ended the header.
    fn header(&mut self, input: &mut Input) -> Result<Vec<u8>> {
        let mut current: Vec<u8> = Vec::new();
        let mut room = HEADER;
        loop {
            let mut line = Vec::new();
            let ending = input.line(&mut line, room).map_err(|_| Die::later("read error"))?;
            room -= line.len();
            if ending == Ending::TooLong || room == 0 {
                return Err(Die::perm("header is too long"));
            }
            let more = ending == Ending::Newline || !line.is_empty();
            line.push(b'\n');
            if more && field::continues(&line) && !current.is_empty() {
                current.extend(line);
                continue;
            }
            if !current.is_empty() {
                self.field(std::mem::take(&mut current))?;
            }
            if !more {
                return Ok(Vec::new());
            }
            if line.starts_with(b"From ") {
                current = [b"MBOX-Line: ", &line[..]].concat();
            } else if field::name(&line).is_some() {
                current = line;
            } else if line == b"\n" {
                return Ok(line);
            } else {
                return Ok([b"\n", &line[..]].concat());
            }
        }
    }

    /// One field of the header, with its newline.
    fn field(&mut self, line: Vec<u8>) -> Result<()> {
        let known = FIELDS.iter().position(|(name, _)| field::is(&line, name));
        let Some(at) = known else {
            self.fields.push(line);
            return Ok(());
        };
        let (name, kind) = FIELDS[at];
        let deleted = match name {
            "From" => self.options.delete_from,
            "Message-ID" => self.options.delete_id,
            "Return-Path" => self.options.ignore_return_path,
            _ => false,
        };
        if deleted {
            return Ok(());
        }
        self.seen[at] = true;
        let line = match kind {
            Kind::Noted | Kind::ContentLength => line,
            _ => self.addresses(line, kind)?,
        };
        let secret = matches!(name, "Bcc" | "Resent-Bcc");
        if !secret && !matches!(kind, Kind::ReturnPath | Kind::ContentLength) {
            self.fields.push(line);
        }
        Ok(())
    }

    /// Completes the addresses of a field and notes them as what they are. Recipients that cannot
    /// be parsed pass unchanged, as nobody's.
    fn addresses(&mut self, line: Vec<u8>, kind: Kind) -> Result<Vec<u8>> {
        let mut found = Vec::new();
        let tokens = token::parse(&line).and_then(|tokens| {
            address_list::rewrite(tokens, |address| {
                self.hosts.complete(address);
                found.push(token::unquoted(address));
            })
        });
        let Some(tokens) = tokens else {
            return match kind {
                Kind::Sender | Kind::ReturnPath => Err(unparsable(&line)),
                _ => Ok(line),
            };
        };
        match kind {
            Kind::To => {
                self.to.extend_from_slice(&found);
                self.recipients.append(&mut found);
            }
            Kind::OtherRecipients => self.recipients.append(&mut found),
            Kind::ResentRecipients => self.resent_recipients.append(&mut found),
            Kind::ReturnPath => self.return_path(found),
            _ => {}
        }
        Ok(token::text(&tokens))
    }

    /// The first address that is read becomes the envelope sender; lists are read backwards.
    fn return_path(&mut self, found: Vec<Vec<u8>>) {
        if self.sender.is_none()
            && let Some(mut sender) = found.into_iter().next()
        {
            if self.options.per_recipient {
                sender.extend(b"-@[]");
            }
            self.sender = Some(sender);
        }
    }

    fn has(&self, name: &str) -> bool {
        let at = FIELDS.iter().position(|(known, _)| *known == name);
        at.is_some_and(|at| self.seen[at])
    }

    /// Sends or prints: new fields, the header, what was read of the body, the rest of it.
    fn send(mut self, start: &[u8], input: &mut Input) -> Result<Code> {
        let resent = RESENT.iter().any(|name| self.has(name));
        if self.sender.is_none() {
            self.default_sender()?;
        }
        let head = [self.new_fields(resent)?, self.fields.concat(), start.to_vec()].concat();
        if self.options.print {
            return self.print(&head, input);
        }
        let mut queue =
            Submission::open(&self.home).map_err(|_| Die::later("unable to run qmail-queue"))?;
        queue.put(&head);
        let complete = copy(input, head.last().copied(), |bytes| {
            queue.put(bytes);
            Ok(())
        });
        complete.map_err(|_| Die::later("read error"))?;
        queue.sender(self.sender.as_deref().unwrap_or_default());
        let from_header = match (self.options.header, resent) {
            (false, _) => &[][..],
            (true, false) => &self.recipients[..],
            (true, true) => &self.resent_recipients[..],
        };
        for recipient in self.arguments.iter().chain(from_header) {
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

    fn print(&self, head: &[u8], input: &mut Input) -> Result<Code> {
        let mut out = Out::stdout();
        let sender = address::quote(self.sender.as_deref().unwrap_or_default());
        let path = [b"Return-Path: <", &sender[..], b">\n"].concat();
        out.put(path).and_then(|()| out.put(head)).unable("write output")?;
        copy(input, head.last().copied(), |bytes| out.put(bytes)).unable("copy the body")?;
        out.flush().unable("write output")?;
        Ok(Code::DONE)
    }

    /// `user@host` of the sender variables, with the letters m and r.
    fn default_sender(&mut self) -> Result<()> {
        let mut user = env::get("QMAILSUSER").unwrap_or_else(|| self.user.clone());
        let host = env::get("QMAILSHOST").or_else(|| self.host.clone());
        if self.options.per_message {
            user.extend(format!("-{}.{}", self.now, std::process::id()).bytes());
        }
        if self.options.per_recipient {
            user.push(b'-');
        }
        let mut tokens = named(b"Return-Path", vec![Token::Quoted(user)], host);
        tokens = again(tokens)?;
        let hosts = &self.hosts;
        let mut found = Vec::new();
        address_list::rewrite(tokens, |address| {
            hosts.complete(address);
            found.push(token::unquoted(address));
        })
        .ok_or_else(|| Die::perm("unable to parse the default envelope sender"))?;
        self.return_path(found);
        Ok(())
    }

    /// The fields that are missing.
    fn new_fields(&self, resent: bool) -> Result<Vec<u8>> {
        let prefix = if resent { "Resent-" } else { "" };
        let has = |name: &str| self.has(&format!("{prefix}{name}"));
        let mut fields = Vec::new();
        let mut add = |field: &[u8]| {
            fields.extend(prefix.bytes());
            fields.extend(field);
        };
        if !has("Date") {
            let date = Date::utc(self.now as i64).mail();
            add(format!("Date: {date}\n").as_bytes());
        }
        if !has("Message-ID") {
            add(&self.message_id());
        }
        if !has("From") {
            add(&self.from()?);
        }
        if !has("To") && !has("Cc") {
            add(b"Cc: recipient list not shown: ;\n");
        }
        if !resent {
            fields.extend(self.followup());
        }
        Ok(fields)
    }

    fn message_id(&self) -> Vec<u8> {
        let Date { year, month, day, hour, minute, second, .. } = Date::utc(self.now as i64);
        let month = month + 1;
        let stamp = format!("{year}{month:02}{day:02}{hour:02}{minute:02}{second:02}");
        let start = format!("Message-ID: <{stamp}.{}.qmail@", std::process::id());
        [start.as_bytes(), &self.id_host, b">\n"].concat()
    }

    /// `From: "Name" <user@host>`, or with the name as a comment, or without one.
    fn from(&self) -> Result<Vec<u8>> {
        let user = match address::quote_local(&self.user) == self.user {
            true => Token::Atom(self.user.clone()),
            false => Token::Quoted(self.user.clone()),
        };
        let host = self.host.clone();
        let tokens = match &self.name {
            None => named(b"From", vec![user], host),
            Some(name) if self.options.comment => {
                let mut tokens = named(b"From", vec![user], host);
                tokens.push(Token::Comment(name.clone()));
                tokens
            }
            Some(name) => {
                let words = vec![Token::Quoted(name.clone()), Token::Left, user];
                let mut tokens = named(b"From", words, host);
                tokens.push(Token::Right);
                tokens
            }
        };
        let tokens = address_list::rewrite(again(tokens)?, |address| self.hosts.complete(address));
        let tokens = tokens.ok_or_else(|| Die::perm("unable to parse the default From field"))?;
        Ok(token::text(&tokens))
    }

    /// Mail-Followup-To, if the message goes to one of the lists: all of To and Cc, last first.
    fn followup(&self) -> Vec<u8> {
        let Some(lists) = &self.lists else { return Vec::new() };
        if self.has("Mail-Followup-To") || !self.to.iter().any(|to| lists.has(to)) {
            return Vec::new();
        }
        let all: Vec<_> = self.to.iter().rev().map(|to| address::quote(to)).collect();
        [b"Mail-Followup-To: ", &all.join(&b",\n  "[..])[..], b"\n"].concat()
    }
}

/// `NAME: words@host`.
fn named(name: &[u8], mut words: Vec<Token>, host: Option<Vec<u8>>) -> Vec<Token> {
    let mut tokens = vec![Token::Atom(name.to_vec()), Token::Colon];
    tokens.append(&mut words);
    if let Some(host) = host {
        tokens.extend([Token::At, Token::Atom(host)]);
    }
    tokens
}

/// Tokens made of whole variables are made text and read again, so that a host becomes atoms and
/// dots.
fn again(tokens: Vec<Token>) -> Result<Vec<Token>> {
    let text = token::text(&tokens);
    token::parse(&text).ok_or_else(|| unparsable(&text))
}

fn unparsable(line: &[u8]) -> Die {
    let line = String::from_utf8_lossy(line);
    Die::perm(format_args!("unable to parse this line:\n{}", line.trim_end_matches('\n')))
}

/// Copies the body, adding a newline if the last line lacks one. `last` is the byte before it.
fn copy(
    input: &mut Input,
    mut last: Option<u8>,
    mut to: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    loop {
        let bytes = input.fill()?;
        let Some(end) = bytes.last().copied() else { break };
        to(bytes)?;
        last = Some(end);
        let count = bytes.len();
        input.consume(count);
    }
    if last.is_some_and(|last| last != b'\n') { to(b"\n") } else { Ok(()) }
}
