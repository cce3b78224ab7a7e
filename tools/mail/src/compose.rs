//! Completing a message's header: hosts of addresses, missing fields, recipients and the envelope
//! sender. qmail-inject(8) and qmail-header(5) say what is done; nothing is read or sent here.

use crate::address;
use crate::address_list;
use crate::control::Names;
use crate::field;
use crate::host_rules::HostRules;
use crate::token::{self, Token};
use base::date::Date;

/// What a field does, by its name. Fields that are not listed pass unchanged.
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
const FIELDS: [(&str, Kind); 22] = [
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

/// A text that is no address or address list: the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unparsable(pub Vec<u8>);

/// Who writes, when and where, and how the header is to be treated.
pub struct Setting {
    /// How hosts are completed.
    pub hosts: HostRules,
    /// The host of Message-ID.
    pub id_host: Vec<u8>,
    /// Seconds since 1970.
    pub now: u64,
    /// The number that makes Message-ID unique within a second.
    pub pid: u32,
    /// Local part of the author's address.
    pub user: Vec<u8>,
    /// Host of the author's address; `None` is the default host.
    pub host: Option<Vec<u8>>,
    /// The author's name.
    pub name: Option<Vec<u8>>,
    /// Local part of the default envelope sender.
    pub sender_user: Vec<u8>,
    /// Host of the default envelope sender.
    pub sender_host: Option<Vec<u8>>,
    /// Mailing lists that get a Mail-Followup-To.
    pub lists: Option<Names>,
    /// c: the author's name is a comment.
    pub comment: bool,
    /// s: Return-Path is deleted and ignored.
    pub ignore_return_path: bool,
    /// f: From is deleted and made anew.
    pub delete_from: bool,
    /// i: Message-ID is deleted and made anew.
    pub delete_id: bool,
    /// r: an envelope sender for each recipient.
    pub per_recipient: bool,
    /// m: an envelope sender for this message.
    pub per_message: bool,
}

/// A header that is being completed.
pub struct Header {
    setting: Setting,
    sender: Option<Vec<u8>>,
    /// Fields that go out, each with its newline.
    fields: Vec<Vec<u8>>,
    /// Which of [`FIELDS`] were there.
    seen: [bool; FIELDS.len()],
    recipients: Vec<Vec<u8>>,
    resent_recipients: Vec<Vec<u8>>,
    /// Recipients in To and Cc.
    to: Vec<Vec<u8>>,
}

impl Header {
    /// An empty header. `sender` is the envelope sender if that is known already: a bare address.
    pub fn new(setting: Setting, sender: Option<&[u8]>) -> Result<Self, Unparsable> {
        let mut header = Header {
            setting,
            sender: None,
            fields: Vec::new(),
            seen: [false; FIELDS.len()],
            recipients: Vec::new(),
            resent_recipients: Vec::new(),
            to: Vec::new(),
        };
        if let Some(sender) = sender {
            header.sender = Some(header.completed(sender)?);
        }
        Ok(header)
    }

    /// A bare address, as on a command line, with its host completed.
    pub fn completed(&self, bare: &[u8]) -> Result<Vec<u8>, Unparsable> {
        let mut tokens =
            token::parse(&address::quote(bare)).ok_or_else(|| Unparsable(bare.to_vec()))?;
        self.setting.hosts.complete(&mut tokens);
        Ok(token::unquoted(&tokens))
    }

    /// Takes one field with its continuation lines and newlines.
    pub fn field(&mut self, line: Vec<u8>) -> Result<(), Unparsable> {
        let known = FIELDS.iter().position(|(name, _)| field::is(&line, name));
        let Some(at) = known else {
            self.fields.push(line);
            return Ok(());
        };
        let (name, kind) = FIELDS[at];
        let deleted = match name {
            "From" => self.setting.delete_from,
            "Message-ID" => self.setting.delete_id,
            "Return-Path" => self.setting.ignore_return_path,
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

    /// Completes the addresses of a field and notes them as what they are. A list of recipients
    /// that cannot be parsed passes unchanged and is nobody's, as notqmail has it.
    fn addresses(&mut self, line: Vec<u8>, kind: Kind) -> Result<Vec<u8>, Unparsable> {
        let Some((tokens, mut found)) = self.complete_list(&line) else {
            return match kind {
                Kind::Sender | Kind::ReturnPath => Err(Unparsable(line)),
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

    /// The tokens of a field with its addresses completed, and these, the last one first.
    fn complete_list(&self, line: &[u8]) -> Option<(Vec<Token>, Vec<Vec<u8>>)> {
        let mut found = Vec::new();
        let tokens = address_list::rewrite(token::parse(line)?, |address| {
            self.setting.hosts.complete(address);
            found.push(token::unquoted(address));
        })?;
        Some((tokens, found))
    }

    /// The first address that is read becomes the envelope sender.
    fn return_path(&mut self, found: Vec<Vec<u8>>) {
        if self.sender.is_none()
            && let Some(mut sender) = found.into_iter().next()
        {
            if self.setting.per_recipient {
                sender.extend(b"-@[]");
            }
            self.sender = Some(sender);
        }
    }

    fn has(&self, name: &str) -> bool {
        let at = FIELDS.iter().position(|(known, _)| *known == name);
        at.is_some_and(|at| self.seen[at])
    }

    fn is_resent(&self) -> bool {
        RESENT.iter().any(|name| self.has(name))
    }

    /// The recipients that the header names.
    pub fn recipients(&self) -> &[Vec<u8>] {
        if self.is_resent() { &self.resent_recipients } else { &self.recipients }
    }

    /// The envelope sender; by default `user@host` of the sender's variables, with `-TIME.PID`
    /// for the letter m and `-`, and `-@[]` at the end, for r.
    pub fn sender(&mut self) -> Result<&[u8], Unparsable> {
        if self.sender.is_none() {
            let Setting { now, pid, per_message, per_recipient, .. } = self.setting;
            let mut user = self.setting.sender_user.clone();
            if per_message {
                user.extend(format!("-{now}.{pid}").bytes());
            }
            if per_recipient {
                user.push(b'-');
            }
            let host = self.setting.sender_host.clone();
            let line = named(b"Return-Path", vec![Token::Quoted(user)], host);
            let found = self.complete_list(&line).ok_or(Unparsable(line))?.1;
            self.return_path(found);
        }
        Ok(self.sender.as_deref().unwrap_or_default())
    }

    /// The whole header: the fields that were missing, then those that were given.
    pub fn text(&self) -> Result<Vec<u8>, Unparsable> {
        let resent = self.is_resent();
        let prefix = if resent { "Resent-" } else { "" };
        let has = |name: &str| self.has(&format!("{prefix}{name}"));
        let mut text = Vec::new();
        let mut add = |field: &[u8]| text.extend([prefix.as_bytes(), field].concat());
        let date = Date::utc(self.setting.now as i64);
        if !has("Date") {
            add(format!("Date: {}\n", date.mail()).as_bytes());
        }
        if !has("Message-ID") {
            add(&self.message_id(date));
        }
        if !has("From") {
            add(&self.from()?);
        }
        if !has("To") && !has("Cc") {
            add(b"Cc: recipient list not shown: ;\n");
        }
        if !resent {
            text.extend(self.followup());
        }
        text.extend(self.fields.concat());
        Ok(text)
    }

    fn message_id(&self, date: Date) -> Vec<u8> {
        let Date { year, month, day, hour, minute, second, .. } = date;
        let month = month + 1;
        let stamp = format!("{year}{month:02}{day:02}{hour:02}{minute:02}{second:02}");
        let start = format!("Message-ID: <{stamp}.{}.qmail@", self.setting.pid);
        [start.as_bytes(), &self.setting.id_host, b">\n"].concat()
    }

    /// `From: "Name" <user@host>`, or with the name as a comment, or without one.
    fn from(&self) -> Result<Vec<u8>, Unparsable> {
        let Setting { user, host, name, comment, .. } = &self.setting;
        let user = match address::quote_local(user) == *user {
            true => Token::Atom(user.clone()),
            false => Token::Quoted(user.clone()),
        };
        let mut address = vec![user];
        if let Some(host) = host {
            address.extend([Token::At, Token::Atom(host.clone())]);
        }
        match name {
            None => {}
            Some(name) if *comment => address.push(Token::Comment(name.clone())),
            Some(name) => {
                address.splice(0..0, [Token::Quoted(name.clone()), Token::Left]);
                address.push(Token::Right);
            }
        }
        let line = named(b"From", address, None);
        let (tokens, _) = self.complete_list(&line).ok_or(Unparsable(line))?;
        Ok(token::text(&tokens))
    }

    /// Mail-Followup-To, if the message goes to one of the lists: all of To and Cc, last first.
    fn followup(&self) -> Vec<u8> {
        let Some(lists) = &self.setting.lists else { return Vec::new() };
        if self.has("Mail-Followup-To") || !self.to.iter().any(|to| lists.has(to)) {
            return Vec::new();
        }
        let all: Vec<_> = self.to.iter().rev().map(|to| address::quote(to)).collect();
        [b"Mail-Followup-To: ", &all.join(&b",\n  "[..])[..], b"\n"].concat()
    }
}

/// The text of `NAME: words@host`. What is read from it again are atoms and dots, not whole
/// hosts.
fn named(name: &[u8], mut words: Vec<Token>, host: Option<Vec<u8>>) -> Vec<u8> {
    let mut tokens = vec![Token::Atom(name.to_vec()), Token::Colon];
    tokens.append(&mut words);
    if let Some(host) = host {
        tokens.extend([Token::At, Token::Atom(host)]);
    }
    token::text(&tokens)
}
