//! The tokens of structured header fields: RFC 822, section 3.3, as qmail reads them.

/// Lists are folded when a line would grow beyond about this many bytes.
pub const LINE: usize = 80;

/// A lexical token. The bytes of the first four are without quotes, brackets, parentheses and
/// backslashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// `joe`
    Atom(Vec<u8>),
    /// `"joe smith"`; also an atom with bytes that are to be quoted.
    Quoted(Vec<u8>),
    /// `[127.0.0.1]`
    Literal(Vec<u8>),
    /// `(a comment)`, with inner parentheses.
    Comment(Vec<u8>),
    /// `@`
    At,
    /// `,`
    Comma,
    /// `<`
    Left,
    /// `>`
    Right,
    /// `:`
    Colon,
    /// `;`
    Semicolon,
    /// `.`
    Dot,
}

use Token::{At, Atom, Colon, Comma, Comment, Dot, Left, Literal, Quoted, Right, Semicolon};

/// The tokens of a text. `None` if a quote, bracket or comment does not end, or if a closing
/// bracket or parenthesis stands alone.
pub fn parse(text: &[u8]) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        tokens.push(match byte {
            b' ' | b'\t' | b'\r' | b'\n' => continue,
            b')' | b']' => return None,
            b'.' => Dot,
            b',' => Comma,
            b'@' => At,
            b'<' => Left,
            b'>' => Right,
            b':' => Colon,
            b';' => Semicolon,
            b'"' => Quoted(enclosed(&mut rest, None, b'"')?),
            b'[' => Literal(enclosed(&mut rest, None, b']')?),
            b'(' => Comment(enclosed(&mut rest, Some(b'('), b')')?),
            first => atom(first, &mut rest),
        });
    }
    Some(tokens)
}

/// Reads up to the closing byte. With an opening byte the pairs nest, and inner ones are kept. A
/// backslash takes the next byte as it is.
fn enclosed(rest: &mut &[u8], open: Option<u8>, close: u8) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    let mut depth = 1;
    loop {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        if byte == close {
            depth -= 1;
            if depth == 0 {
                return Some(content);
            }
        } else if Some(byte) == open {
            depth += 1;
        }
        if byte == b'\\' {
            let (&escaped, after) = rest.split_first()?;
            *rest = after;
            content.push(escaped);
        } else {
            content.push(byte);
        }
    }
}

/// Reads the rest of an atom. One with bytes that RFC 822 does not allow becomes a quoted string.
fn atom(first: u8, rest: &mut &[u8]) -> Token {
    let mut content = Vec::new();
    let mut next = Some(first);
    while let Some(byte) = next {
        if byte != b'\\' {
            content.push(byte);
        } else if let Some((&escaped, after)) = rest.split_first() {
            content.push(escaped);
            *rest = after;
        }
        next = rest.first().copied().filter(|byte| !b" \t\r\n([\"<>;:@,.".contains(byte));
        if next.is_some() {
            *rest = &rest[1..];
        }
    }
    let odd = |byte: &u8| !byte.is_ascii_graphic() || b"()<>@,;:\\\".[]".contains(byte);
    if content.iter().any(odd) { Quoted(content) } else { Atom(content) }
}

/// The text of a field, its newline included: a blank after colons and commas, between words and
/// before `<`; a new line (`LF SP`) after a comma where the next part would not fit.
pub fn text(tokens: &[Token]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut line: Vec<u8> = Vec::new();
    let mut first = true;
    let mut before = None;
    for part in tokens.split_inclusive(|token| *token == Comma) {
        let mut piece = Vec::new();
        for token in part {
            if before.is_some_and(|before| needs_blank(before, token)) {
                piece.push(b' ');
            }
            write(&mut piece, token);
            before = Some(token);
        }
        if !first && line.len() + 2 + piece.len() > LINE {
            text.append(&mut line);
            text.push(b'\n');
            line.push(b' ');
        }
        line.append(&mut piece);
        first = false;
    }
    text.append(&mut line);
    text.push(b'\n');
    text
}

fn needs_blank(before: &Token, next: &Token) -> bool {
    let is_word = |token: &Token| matches!(token, Atom(_) | Quoted(_) | Literal(_) | Comment(_));
    matches!(before, Colon | Comma) || *next == Left || is_word(before) && is_word(next)
}

fn write(text: &mut Vec<u8>, token: &Token) {
    let (open, content, close): (&[u8], &[u8], &[u8]) = match token {
        Atom(content) => (b"", content, b""),
        Quoted(content) => (b"\"", content, b"\""),
        Literal(content) => (b"[", content, b"]"),
        Comment(content) => (b"(", content, b")"),
        mark => (b"", b"", mark_of(mark)),
    };
    text.extend(open);
    for &byte in content {
        if b"\"[]()\\\r\n".contains(&byte) {
            text.push(b'\\');
        }
        text.push(byte);
    }
    text.extend(close);
}

/// The byte of a token without content.
fn mark_of(token: &Token) -> &'static [u8] {
    match token {
        At => b"@",
        Comma => b",",
        Left => b"<",
        Right => b">",
        Colon => b":",
        Semicolon => b";",
        Dot => b".",
        Atom(_) | Quoted(_) | Literal(_) | Comment(_) => b"",
    }
}

/// An address as the envelope has it: without quotes, comments and blanks.
pub fn unquoted(tokens: &[Token]) -> Vec<u8> {
    let mut address = Vec::new();
    for token in tokens {
        match token {
            Comment(_) => {}
            Atom(content) | Quoted(content) => address.extend(content),
            Literal(content) => address.extend([b"[", &content[..], b"]"].concat()),
            mark => address.extend(mark_of(mark)),
        }
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(line: &str) -> Option<String> {
        parse(line.as_bytes()).map(|tokens| String::from_utf8(text(&tokens)).unwrap())
    }

    #[test]
    fn fields_come_out_with_blanks_where_they_belong() {
        let cases = [
            ("To:a@b.c,d", "To: a@b.c, d\n"),
            ("To : \"joe\\\" smith\" <j @ h . x>", "To: \"joe\\\" smith\" <j@h.x>\n"),
            ("To: a (one (two) three)\n b", "To: a (one \\(two\\) three) b\n"),
            ("To: b\u{e9}b@[1.2.3.4]", "To: \"b\u{e9}b\"@[1.2.3.4]\n"),
            ("To: a\\ b", "To: \"a b\"\n"),
            ("Cc: friends: a, b;", "Cc: friends: a, b;\n"),
        ];
        for (line, expected) in cases {
            assert_eq!(again(line).as_deref(), Some(expected));
        }
        assert!(["\"", "(", "[", ")", "]", "(()", "\"\\"].iter().all(|bad| again(bad).is_none()));
    }

    #[test]
    fn long_lists_are_folded_after_a_comma() {
        let list: Vec<_> = (0..12).map(|n| format!("recipient{n}@host.example")).collect();
        let folded = again(&format!("To: {}", list.join(","))).unwrap();
        assert!(folded.lines().all(|line| line.len() <= 82), "{folded}");
        assert_eq!(folded.lines().count(), 4);
        assert_eq!(folded.replace("\n ", "").trim_end(), format!("To: {}", list.join(", ")));
    }

    #[test]
    fn damaged_lines_are_parsed_or_refused() {
        let mut state = 7u64;
        for _ in 0..10_000 {
            let mut line = Vec::new();
            for _ in 0..40 {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let bytes = b"a.@<>:;,()[]\"\\ \t\n\x00\xffz";
                line.push(bytes[(state >> 33) as usize % bytes.len()]);
            }
            if let Some(tokens) = parse(&line) {
                let again = parse(&text(&tokens)).unwrap();
                assert_eq!(unquoted(&again), unquoted(&tokens));
            }
        }
    }
}
