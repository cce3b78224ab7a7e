//! Putting a message's header in order: address lists mended, hosts rewritten, fields merged and
//! in the order of mess822. new-inject(1) says what is done; nothing is read or sent here.

use crate::address::{quote, split};
use crate::control::Names;
use crate::field;
use crate::mended_date;
use crate::mended_list::{self, Mailbox};
use base::date::Date;
use net::qualify::Rules;

/// Fields that are address lists. Several of one name are one list.
#[derive(Clone, Copy, PartialEq)]
enum List {
    To,
    Cc,
    Bcc,
    Notice,
    From,
    Sender,
    ReplyTo,
    MailReplyTo,
    FollowupTo,
    ReturnPath,
    EnvelopeRecipients,
    EnvelopeSender,
}

const LISTS: usize = 12;

/// What becomes of a field.
#[derive(Clone, Copy)]
enum Kind {
    List(List),
    Date,
    Id,
    /// It moves to the top, unchanged.
    Top,
    /// It is left out.
    Gone,
}

/// Known fields. Others come last, unchanged.
const FIELDS: [(&str, Kind); 28] = [
    ("To", Kind::List(List::To)),
    ("Cc", Kind::List(List::Cc)),
    ("Bcc", Kind::List(List::Bcc)),
    ("Apparently-To", Kind::List(List::Bcc)),
    ("Notice-Requested-Upon-Delivery-To", Kind::List(List::Notice)),
    ("From", Kind::List(List::From)),
    ("Sender", Kind::List(List::Sender)),
    ("Reply-To", Kind::List(List::ReplyTo)),
    ("Mail-Reply-To", Kind::List(List::MailReplyTo)),
    ("Mail-Followup-To", Kind::List(List::FollowupTo)),
    ("Return-Path", Kind::List(List::ReturnPath)),
    ("Envelope-Recipients", Kind::List(List::EnvelopeRecipients)),
    ("Envelope-Sender", Kind::List(List::EnvelopeSender)),
    ("Date", Kind::Date),
    ("Message-ID", Kind::Id),
    ("Received", Kind::Top),
    ("Delivered-To", Kind::Top),
    ("Errors-To", Kind::Top),
    ("Return-Receipt-To", Kind::Top),
    ("Resent-Sender", Kind::Top),
    ("Resent-From", Kind::Top),
    ("Resent-Reply-To", Kind::Top),
    ("Resent-To", Kind::Top),
    ("Resent-Cc", Kind::Top),
    ("Resent-Bcc", Kind::Gone),
    ("Resent-Date", Kind::Top),
    ("Resent-Message-ID", Kind::Top),
    ("Content-Length", Kind::Gone),
];

/// Lists that nobody but us is to see.
const SECRET: [List; 4] =
    [List::Bcc, List::ReturnPath, List::EnvelopeRecipients, List::EnvelopeSender];

/// Who writes, and how the header is to be treated.
pub struct Setting {
    /// How hosts are rewritten.
    pub rules: Rules,
    /// What follows the time in Message-ID: `.PID.qmail@HOST`.
    pub id: Vec<u8>,
    /// Seconds since 1970.
    pub now: u64,
    /// The author's address; its host may be empty.
    pub author: Vec<u8>,
    /// The author's name.
    pub name: Option<Vec<u8>>,
    /// The default envelope sender.
    pub sender: Vec<u8>,
    /// Mailing lists that get a Mail-Followup-To.
    pub lists: Option<Names>,
    /// R: an envelope sender for each recipient.
    pub per_recipient: bool,
    /// F: From is made anew.
    pub delete_from: bool,
    /// I: Message-ID is made anew.
    pub delete_id: bool,
    /// S: Return-Path is ignored.
    pub ignore_return_path: bool,
}

/// A header that is being put in order.
pub struct Header {
    setting: Setting,
    lists: [Vec<Mailbox>; LISTS],
    /// Lists that were there, even if they were empty or could not be read.
    seen: [bool; LISTS],
    date: Option<String>,
    id: Vec<u8>,
    top: Vec<u8>,
    bottom: Vec<u8>,
}

impl Header {
    /// An empty header.
    pub fn new(setting: Setting) -> Self {
        Header {
            setting,
            lists: [const { Vec::new() }; LISTS],
            seen: [false; LISTS],
            date: None,
            id: Vec::new(),
            top: Vec::new(),
            bottom: Vec::new(),
        }
    }

    /// A bare address with its host rewritten.
    pub fn rewritten(&self, bare: &[u8]) -> Vec<u8> {
        let (local, host) = split(bare);
        let host = host.unwrap_or_default();
        if local.is_empty() && host.is_empty() {
            return Vec::new();
        }
        [local, b"@", &self.setting.rules.rewrite(host)].concat()
    }

    /// Takes one field with its continuation lines and newlines.
    pub fn field(&mut self, line: &[u8]) {
        let known = FIELDS.iter().find(|(name, _)| field::is(line, name));
        match known.map(|(_, kind)| *kind) {
            None => self.bottom.extend(line),
            Some(Kind::Top) => self.top.extend(line),
            Some(Kind::Gone) => {}
            Some(Kind::Id) if self.setting.delete_id => {}
            Some(Kind::Id) => self.id.extend(line),
            Some(Kind::Date) => self.date = mended_date::mended(line).or(self.date.take()),
            Some(Kind::List(List::From)) if self.setting.delete_from => {}
            Some(Kind::List(List::ReturnPath)) if self.setting.ignore_return_path => {}
            Some(Kind::List(list)) => self.list(list, line),
        }
    }

    /// A list that cannot be read is nobody's; one that may be seen passes unchanged.
    fn list(&mut self, list: List, line: &[u8]) {
        self.seen[list as usize] = true;
        match mended_list::read(line) {
            Some(mut found) => {
                for mailbox in &mut found {
                    mailbox.address = mailbox.address.as_deref().map(|bare| self.rewritten(bare));
                }
                self.lists[list as usize].append(&mut found);
            }
            None if SECRET.contains(&list) => {}
            None => self.bottom.extend(line),
        }
    }

    fn addresses(&self, list: List) -> impl Iterator<Item = &Vec<u8>> {
        self.lists[list as usize].iter().filter_map(|mailbox| mailbox.address.as_ref())
    }

    /// The recipients that the header names: in Envelope-Recipients, if there is such a field.
    pub fn recipients(&self) -> Vec<Vec<u8>> {
        let lists: &[List] = match self.seen[List::EnvelopeRecipients as usize] {
            true => &[List::EnvelopeRecipients],
            false => &[List::To, List::Cc, List::Bcc],
        };
        lists.iter().flat_map(|list| self.addresses(*list)).cloned().collect()
    }

    /// The envelope sender: of Envelope-Sender, of Return-Path, or the default one.
    pub fn sender(&self) -> Vec<u8> {
        let named = self.addresses(List::EnvelopeSender).last();
        if let Some(sender) = named.or(self.addresses(List::ReturnPath).last()) {
            return sender.clone();
        }
        let mut sender = self.rewritten(&self.setting.sender);
        if self.setting.per_recipient {
            sender.extend(b"-@[]");
        }
        sender
    }

    /// The whole header.
    pub fn text(&self) -> Vec<u8> {
        let now = Date::utc(self.setting.now as i64);
        let date = self.date.clone().unwrap_or_else(|| now.mail());
        let mut text = self.top.clone();
        text.extend(format!("Date: {date}\n").into_bytes());
        text.extend(if self.id.is_empty() { self.message_id(now) } else { self.id.clone() });
        text.extend(self.from());
        text.extend(self.shown("Sender", List::Sender));
        text.extend(self.shown("Reply-To", List::ReplyTo));
        text.extend(self.shown("Mail-Reply-To", List::MailReplyTo));
        text.extend(self.followup());
        if !self.seen[List::To as usize] && !self.seen[List::Cc as usize] {
            text.extend(b"Cc: recipient list not shown: ;\n");
        }
        text.extend(self.shown("To", List::To));
        text.extend(self.shown("Cc", List::Cc));
        text.extend(self.shown("Notice-Requested-Upon-Delivery-To", List::Notice));
        text.extend(&self.bottom);
        text
    }

    fn shown(&self, name: &str, list: List) -> Vec<u8> {
        mended_list::field(name, &self.lists[list as usize])
    }

    fn message_id(&self, date: Date) -> Vec<u8> {
        let Date { year, month, day, hour, minute, second, .. } = date;
        let month = month + 1;
        let start = format!("Message-ID: <{year}{month:02}{day:02}{hour:02}{minute:02}{second:02}");
        [start.as_bytes(), &self.setting.id, b">\n"].concat()
    }

    fn from(&self) -> Vec<u8> {
        if self.lists[List::From as usize].is_empty() && !self.seen[List::From as usize] {
            let address = self.rewritten(&self.setting.author);
            let author = Mailbox { name: self.setting.name.clone(), address: Some(address) };
            return mended_list::field("From", &[author]);
        }
        self.shown("From", List::From)
    }

    /// Mail-Followup-To as it was, or, if the message goes to one of the lists, all of To and Cc.
    fn followup(&self) -> Vec<u8> {
        let [to, cc] = [List::To, List::Cc].map(|list| &self.lists[list as usize]);
        let ours = |lists: &Names| {
            let mut all = self.addresses(List::To).chain(self.addresses(List::Cc));
            all.any(|address| lists.has(address))
        };
        match &self.setting.lists {
            Some(lists) if !self.seen[List::FollowupTo as usize] && ours(lists) => {
                mended_list::field("Mail-Followup-To", &[&to[..], cc].concat())
            }
            _ => self.shown("Mail-Followup-To", List::FollowupTo),
        }
    }
}

/// The envelope as fields, as -n shows it.
pub fn envelope(sender: &[u8], recipients: &[Vec<u8>]) -> Vec<u8> {
    let mut text = [b"Envelope-Sender: ", &shown(sender)[..], b"\nEnvelope-Recipients:\n"].concat();
    for recipient in recipients {
        text.extend([b"  ", &shown(recipient)[..], b",\n"].concat());
    }
    text
}

fn shown(address: &[u8]) -> Vec<u8> {
    if address.is_empty() { b"<>".to_vec() } else { quote(address) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::tests::Random;

    fn header(lines: &[&str]) -> Header {
        let mut header = Header::new(Setting {
            rules: Rules::from_file(b"*.:\n=:dh\n*+:.plus.test\n?:.dd.test\n"),
            id: b".7.qmail@id.test".to_vec(),
            now: 0,
            author: b"me@".to_vec(),
            name: Some(b"M. E.".to_vec()),
            sender: b"me@".to_vec(),
            lists: Some(Names::of(&[b"list@x.test".to_vec()])),
            per_recipient: false,
            delete_from: false,
            delete_id: false,
            ignore_return_path: false,
        });
        for line in lines {
            header.field(format!("{line}\n").as_bytes());
        }
        header
    }

    fn text(lines: &[&str]) -> String {
        String::from_utf8(header(lines).text()).unwrap()
    }

    const DATE: &str = "Date: 1 Jan 1970 00:00:00 -0000\n";
    const ID: &str = "Message-ID: <19700101000000.7.qmail@id.test>\n";
    const FROM: &str = "From: \"M. E.\" <me@dh.dd.test>\n";

    #[test]
    fn fields_are_merged_and_have_their_order() {
        let lines = [
            "X-Other: 1",
            "cc: c",
            "TO: a",
            "Subject: s",
            "To: b@h.x.",
            "Received: by x",
            "Bcc: z",
            "Resent-Bcc: z",
            "Date: 14 nov 99 22:13 EST",
            "Reply-To: r@mac+",
            "Content-Length: 7",
        ];
        let date = "Date: 14 Nov 1999 22:13:00 -0500\n";
        let expected = format!(
            "Received: by x\n{date}{ID}{FROM}Reply-To: r@mac.plus.test\n\
             To: a@dh.dd.test, b@h.x\nCc: c@dh.dd.test\nX-Other: 1\nSubject: s\n"
        );
        assert_eq!(text(&lines), expected);
        let recipients = header(&lines).recipients();
        let all: Vec<_> = recipients.iter().map(|one| String::from_utf8_lossy(one)).collect();
        assert_eq!(all, ["a@dh.dd.test", "b@h.x", "c@dh.dd.test", "z@dh.dd.test"]);
    }

    #[test]
    fn what_is_missing_is_added_and_what_cannot_be_read_stays() {
        let nobody = "Cc: recipient list not shown: ;\n";
        assert_eq!(text(&[]), format!("{DATE}{ID}{FROM}{nobody}"));
        assert_eq!(text(&["Bcc: \"x"]), format!("{DATE}{ID}{FROM}{nobody}"));
        assert_eq!(text(&["To: \"x"]), format!("{DATE}{ID}{FROM}To: \"x\n"));
        assert_eq!(text(&["From: \"x"]), format!("{DATE}{ID}{nobody}From: \"x\n"));
        let list = "To: list@x.test\n";
        let followup = "Mail-Followup-To: list@x.test, a@b.c\n";
        let expected = format!("{DATE}{ID}{FROM}{followup}{list}Cc: a@b.c\n");
        assert_eq!(text(&["Cc: a@b.c", "To: list@x.test"]), expected);
    }

    #[test]
    fn the_envelope_may_be_in_the_header() {
        let lines = ["To: a", "Envelope-Recipients: b@c, d@e", "Envelope-Sender: <>"];
        let found = header(&lines);
        assert_eq!((found.sender(), found.recipients().len()), (Vec::new(), 2));
        assert!(!text(&lines).contains("Envelope"));
        assert_eq!(
            envelope(b"", &[b"a b@c".to_vec()]),
            b"Envelope-Sender: <>\nEnvelope-Recipients:\n  \"a b\"@c,\n"
        );
    }

    #[test]
    fn any_header_has_one_author_and_a_date() {
        let mut random = Random::new(41);
        for _ in 0..10_000 {
            let bad = random.damaged(b"From: x (y)\nTo: a, b\nDate: 1 Jan 26 0:00 UT\nBcc: <z>\n");
            let mut header = header(&[]);
            bad.split_inclusive(|byte| *byte == b'\n').for_each(|line| header.field(line));
            let text = header.text();
            assert!(
                text.starts_with(b"Date: ") || memchr::memmem::find(&text, b"\nDate: ").is_some()
            );
        }
    }
}
