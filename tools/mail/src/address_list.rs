//! Address lists in header fields: `To: joe, "Ann" <ann@b>, friends: c@d, e;`. RFC 822, section
//! 6. They are read from right to left, which needs no look-ahead.

use crate::token::Token::{self, At, Atom, Colon, Comma, Comment, Dot, Left, Literal, Quoted};
use crate::token::Token::{Right, Semicolon};

/// Gives every address of the field `tokens` (its name and colon first) to `rewrite`, which may
/// change it, and gives back the field with the changed addresses. Missing commas are added.
/// `None` if this is no address list.
pub fn rewrite(tokens: Vec<Token>, rewrite: impl FnMut(&mut Vec<Token>)) -> Option<Vec<Token>> {
    let mut name = tokens;
    let rest = name.split_off(name.len().min(2));
    let mut list = List { rest, out: Vec::new(), address: Vec::new(), rewrite };
    list.read()?;
    list.out.reverse();
    name.append(&mut list.out);
    Some(name)
}

/// A list being read; `out` and `address` are backwards.
struct List<R> {
    rest: Vec<Token>,
    out: Vec<Token>,
    address: Vec<Token>,
    rewrite: R,
}

impl<R: FnMut(&mut Vec<Token>)> List<R> {
    fn read(&mut self) -> Option<()> {
        let mut in_group = false;
        // Whether a word may join the address at its left; otherwise a comma is missing.
        let mut joins = true;
        while let Some(token) = self.rest.pop() {
            match token {
                Semicolon => {
                    self.end_address_with_comma();
                    if in_group {
                        return None;
                    }
                    in_group = true;
                    joins = true;
                    self.out.push(Semicolon);
                }
                Colon => {
                    self.end_address();
                    if !in_group {
                        return None;
                    }
                    in_group = false;
                    joins = true;
                    self.out.push(Colon);
                    self.group_name();
                }
                Right => {
                    self.end_address_with_comma();
                    self.out.push(Right);
                    self.route_address()?;
                    joins = false;
                }
                Atom(_) | Quoted(_) | Literal(_) => {
                    if !joins {
                        self.end_address_with_comma();
                    }
                    joins = false;
                    self.address.push(token);
                }
                Comment(_) => self.out.push(token),
                Comma => {
                    self.end_address();
                    joins = true;
                    self.out.push(Comma);
                }
                At | Dot | Left => {
                    joins = true;
                    self.address.push(token);
                }
            }
        }
        self.end_address();
        Some(())
    }

    /// What stands before a group's colon, up to the comma before it.
    fn group_name(&mut self) {
        while let Some(token) = self.rest.pop() {
            let last = token == Comma;
            self.out.push(token);
            if last {
                return;
            }
        }
    }

    /// The inside of `<...>`, which is an address even if it is empty, and the words before it.
    fn route_address(&mut self) -> Option<()> {
        loop {
            match self.rest.pop()? {
                Left => break,
                token => self.address.push(token),
            }
        }
        self.give();
        self.out.push(Left);
        while let Some(token) =
            self.rest.pop_if(|token| matches!(token, Comment(_) | Atom(_) | Quoted(_) | At | Dot))
        {
            self.out.push(token);
        }
        Some(())
    }

    fn end_address(&mut self) {
        if !self.address.is_empty() {
            self.give();
        }
    }

    fn end_address_with_comma(&mut self) {
        if !self.address.is_empty() {
            self.give();
            self.out.push(Comma);
        }
    }

    fn give(&mut self) {
        self.address.reverse();
        (self.rewrite)(&mut self.address);
        self.out.extend(self.address.drain(..).rev());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{parse, text, unquoted};

    /// The field and its addresses in order.
    fn read(field: &str) -> Option<(String, Vec<String>)> {
        let mut seen = Vec::new();
        let tokens = rewrite(parse(field.as_bytes()).unwrap(), |address| {
            seen.insert(0, String::from_utf8(unquoted(address)).unwrap());
            address.push(Dot);
        });
        tokens.map(|tokens| (String::from_utf8(text(&tokens)).unwrap(), seen))
    }

    #[test]
    fn every_address_is_found_and_rewritten_in_place() {
        let cases: [(&str, &str, &[&str]); 6] = [
            ("To: a@b, c", "To: a@b., c.\n", &["a@b", "c"]),
            ("To: joe smith@a.b", "To: joe., smith@a.b.\n", &["joe", "smith@a.b"]),
            ("To: Joe \"X\" <@a,@b:j@c>", "To: Joe \"X\" <@a, @b: j@c.>\n", &["@a,@b:j@c"]),
            ("To: x: a, b;, c", "To: x: a., b.;, c.\n", &["a", "b", "c"]),
            ("To: nobody:;", "To: nobody: ;\n", &[]),
            // Comments before a bare address move behind it, as in the original.
            ("To: (c) a (d), <>", "To: a.(c) (d), <.>\n", &["a", ""]),
        ];
        for (field, text, addresses) in cases {
            let expected = (text.to_owned(), addresses.iter().map(|a| (*a).to_owned()).collect());
            assert_eq!(read(field), Some(expected));
        }
        assert!(["To: a;;", "To: a:b", "To: a>"].iter().all(|bad| read(bad).is_none()));
    }
}
