//! Address lists as people write them: `Joe <joe>; a b`, with commas missing, semicolons for
//! commas, and names in three places. Read from left to right, whatever comes is a list.

use crate::address::{literal, quote_local, split};
use crate::token::Token::{self, At, Atom, Colon, Comma, Comment, Dot, Left, Literal, Quoted};
use crate::token::Token::{Right, Semicolon};
use crate::token::{parse, unquoted};

/// Columns of a field's lines, where the addresses allow it.
const COLUMNS: usize = 78;

/// Somebody in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// Who it is, or what the group is called.
    pub name: Option<Vec<u8>>,
    /// The bare address; it may be empty, or lack a host. `None`: a group that has no members.
    pub address: Option<Vec<u8>>,
}

/// The mailboxes of a field with its name and colon. `None` if a quote, comment or bracket does
/// not end. The names of groups that have members are dropped, and routes.
pub fn read(field: &[u8]) -> Option<Vec<Mailbox>> {
    let mut reader = Reader::default();
    let mut tokens = parse(field)?.into_iter().skip(2);
    while let Some(token) = tokens.next() {
        match token {
            Comment(text) => reader.comment(&text),
            Left => {
                let inside = tokens.by_ref().take_while(|token| *token != Right);
                reader.bracketed(inside.filter(|token| !matches!(token, Comment(_))).collect());
            }
            Colon => reader.group_begins(),
            Semicolon => reader.group_ends(),
            Comma => reader.element_ends(),
            Right => {}
            Atom(_) | Quoted(_) | Literal(_) | At | Dot => reader.words.push(token),
        }
    }
    reader.group_ends();
    Some(reader.found)
}

#[derive(Default)]
struct Reader {
    found: Vec<Mailbox>,
    /// What has come since the last comma.
    words: Vec<Token>,
    comment: Option<Vec<u8>>,
    /// The name of the group that has begun, and how many were found before it.
    group: Option<(Vec<u8>, usize)>,
}

impl Reader {
    fn comment(&mut self, text: &[u8]) {
        let comment = self.comment.get_or_insert_default();
        if !comment.is_empty() {
            comment.push(b' ');
        }
        comment.extend(text);
    }

    /// An address in angle brackets: the words before it are a name, unless there are none.
    fn bracketed(&mut self, mut inside: Vec<Token>) {
        if inside.first() == Some(&At)
            && let Some(colon) = inside.iter().position(|token| *token == Colon)
        {
            inside.drain(..=colon);
        }
        let words = phrase(&std::mem::take(&mut self.words));
        let comment = self.comment.take();
        let name = if words.is_empty() { comment } else { Some(words) };
        self.found.push(Mailbox { name, address: Some(unquoted(&inside)) });
    }

    fn group_begins(&mut self) {
        let name = phrase(&std::mem::take(&mut self.words));
        self.comment = None;
        self.group = Some((name, self.found.len()));
    }

    /// A group without members stays, for its name.
    fn group_ends(&mut self) {
        self.element_ends();
        if let Some((name, before)) = self.group.take()
            && self.found.len() == before
        {
            self.found.push(Mailbox { name: Some(name), address: None });
        }
    }

    /// Words that are not joined by dots and at signs are addresses each. A comment is of the last.
    fn element_ends(&mut self) {
        let mut address: Vec<Token> = Vec::new();
        for word in std::mem::take(&mut self.words) {
            let joined =
                matches!(word, At | Dot) || matches!(address.last(), None | Some(At | Dot));
            if !joined {
                self.plain(&address, None);
                address.clear();
            }
            address.push(word);
        }
        let comment = self.comment.take();
        if !address.is_empty() {
            self.plain(&address, comment);
        }
    }

    fn plain(&mut self, address: &[Token], name: Option<Vec<u8>>) {
        self.found.push(Mailbox { name, address: Some(unquoted(address)) });
    }
}

/// Words with blanks between them, and behind dots.
fn phrase(words: &[Token]) -> Vec<u8> {
    let mut text = Vec::new();
    for word in words {
        let mark = matches!(word, Dot | At);
        if !text.is_empty() && !mark && text.last() != Some(&b'@') {
            text.push(b' ');
        }
        text.extend(unquoted(std::slice::from_ref(word)));
    }
    text
}

impl Mailbox {
    /// As it stands in a field: `a@b`, `"Name" <a@b>`, `<>`, `"group": ;`.
    pub fn text(&self) -> Vec<u8> {
        let name = self.name.as_deref().map(quoted);
        match (name, &self.address) {
            (name, None) => [&name.unwrap_or_default()[..], b": ;"].concat(),
            (None, Some(address)) if !is_empty(address) => written(address),
            (name, Some(address)) => {
                let start = name.map_or(Vec::new(), |name| [&name[..], b" "].concat());
                let address = if is_empty(address) { Vec::new() } else { written(address) };
                [&start[..], b"<", &address, b">"].concat()
            }
        }
    }
}

/// Nobody: what bounces are sent from.
fn is_empty(address: &[u8]) -> bool {
    matches!(address, b"" | b"@")
}

fn written(address: &[u8]) -> Vec<u8> {
    match split(address) {
        (local, None | Some(b"")) => quote_local(local),
        (local, Some(host)) => {
            let host = if literal_text(host) { host.to_vec() } else { quote_local(host) };
            [quote_local(local), host].join(&b'@')
        }
    }
}

/// `[...]` with nothing in it that would end it or the line.
fn literal_text(host: &[u8]) -> bool {
    let inside = host.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]"));
    literal(host).is_some()
        || inside.is_some_and(|text| !text.iter().any(|byte| b"[]\\\r\n\0".contains(byte)))
}

fn quoted(name: &[u8]) -> Vec<u8> {
    let mut text = vec![b'"'];
    for &byte in name {
        if matches!(byte, b'"' | b'\\') {
            text.push(b'\\');
        }
        text.push(if matches!(byte, b'\r' | b'\n' | 0) { b' ' } else { byte });
    }
    text.push(b'"');
    text
}

/// A field of these mailboxes: commas between them, and a new line before one that would not fit.
/// Nothing if there are none.
pub fn field(name: &str, list: &[Mailbox]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut column = name.len() + 1;
    for (place, mailbox) in list.iter().enumerate() {
        let item = mailbox.text();
        let comma = usize::from(place + 1 < list.len());
        if place == 0 {
            text.extend([name.as_bytes(), b": "].concat());
            column += 1 + item.len() + comma;
        } else if column + 1 + item.len() + comma > COLUMNS {
            text.extend(b",\n  ");
            column = 2 + item.len() + comma;
        } else {
            text.extend(b", ");
            column += 1 + item.len() + comma;
        }
        text.extend(item);
    }
    if !text.is_empty() {
        text.push(b'\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::tests::Random;

    /// The field of what was read from it.
    fn again(line: &str) -> String {
        let list = read(line.as_bytes()).unwrap();
        String::from_utf8(field("To", &list)).unwrap().trim_end().into()
    }

    #[test]
    fn lists_are_mended() {
        let cases = [
            ("To:a@b.c,d", "To: a@b.c, d"),
            ("To: joe; ann@b;", "To: joe, ann@b"),
            ("To: joe smith@a.b", "To: joe, smith@a.b"),
            ("To: Joe X. <joe@b> ann", "To: \"Joe X.\" <joe@b>, ann"),
            ("To: joe@b (Joe (the) \"X\")", "To: \"Joe (the) \\\"X\\\"\" <joe@b>"),
            ("To: <@a,@b:joe@c.d>, <>", "To: joe@c.d, <>"),
            ("To: friends: a@b, c;, d", "To: a@b, c, d"),
            ("To: recipient list not shown: ;", "To: \"recipient list not shown\": ;"),
            ("To: \"joe smith\"@[1.2.3.4]", "To: \"joe smith\"@[1.2.3.4]"),
            ("To: a@b>, <c", "To: a@b, c"),
            ("To: ,, ,", ""),
            ("To:", ""),
        ];
        for (line, expected) in cases {
            assert_eq!(again(line), expected, "{line}");
        }
        assert!(["To: \"a", "To: (a", "To: ]"].iter().all(|bad| read(bad.as_bytes()).is_none()));
    }

    #[test]
    fn long_lists_are_folded() {
        let list: Vec<_> = (0..12).map(|n| format!("recipient{n}@host.example")).collect();
        let line = format!("To: {}", list.join(" "));
        let folded = String::from_utf8(field("To", &read(line.as_bytes()).unwrap())).unwrap();
        assert!(folded.lines().all(|line| line.len() <= COLUMNS), "{folded}");
        assert_eq!(folded.lines().count(), 4);
        assert_eq!(folded.replace("\n ", "").trim_end(), format!("To: {}", list.join(", ")));
    }

    #[test]
    fn what_is_written_is_read_the_same() {
        let mut random = Random::new(31);
        for _ in 0..10_000 {
            let bad = random.damaged(b"To: \"a b\" <@x:c@d>, (e) f; g: h@[1.2.3.4], <>;, i j\\@k");
            if let Some(list) = read(&bad) {
                let text = field("To", &list);
                assert!(!text.strip_suffix(b"\n").unwrap_or_default().ends_with(b"\n"));
                let addresses = |list: &[Mailbox]| -> Vec<Vec<u8>> {
                    let all = list.iter().filter_map(|mailbox| mailbox.address.clone());
                    all.filter(|address| !is_empty(address)).collect()
                };
                let same = read(&text).map(|list| addresses(&list));
                assert_eq!(same.unwrap_or_default().len(), addresses(&list).len());
            }
        }
    }
}
