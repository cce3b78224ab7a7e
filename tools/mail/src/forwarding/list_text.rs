//! Mailing lists as text: an address or a file a line. setmaillist(1).

use super::{Item, LONGEST};
use crate::control::trimmed;
use std::fmt;

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It has a NUL.
    Nul,
    /// It is an address of more than [`LONGEST`] bytes.
    Long,
}

impl fmt::Display for Fault {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        to.write_str(match self {
            Fault::Nul => "NUL in input",
            Fault::Long => "addresses must be under 800 bytes",
        })
    }
}

/// The item that a line, without its newline, stands for; its NUL is with it. Nothing if the line
/// is blank or a comment.
pub fn item(line: &[u8]) -> Result<Vec<u8>, Fault> {
    let ampersand = match trimmed(line) {
        _ if line.contains(&0) => return Err(Fault::Nul),
        [] | [b'#', ..] => return Ok(Vec::new()),
        [b'.' | b'/', ..] => &b""[..],
        address if address.len() > LONGEST => return Err(Fault::Long),
        [b'&', ..] => b"",
        _ => b"&",
    };
    Ok([ampersand, trimmed(line), b"\0"].concat())
}

/// The line, with its newline, that stands for an item without its NUL. `None` if there is none.
pub fn line(item: &[u8]) -> Option<Vec<u8>> {
    let known = matches!(Item::of(item), Item::Address(_) | Item::List(_));
    (known && !item.contains(&b'\n')).then(|| [item, b"\n"].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_items() {
        let cases: [(&[u8], &[u8]); 9] = [
            (b"a@b \t", b"&a@b\0"),
            (b"&a@b", b"&a@b\0"),
            (b" a@b", b"& a@b\0"),
            (b"./f g", b"./f g\0"),
            (b"/f", b"/f\0"),
            (b"# x", b""),
            (b" \t", b""),
            (b"", b""),
            (b"& ", b"&\0"),
        ];
        for (line, expected) in cases {
            assert_eq!(item(line).unwrap(), expected);
        }
        assert_eq!(item(b"# \0"), Err(Fault::Nul));
        assert!(item(&[b'x'; 800]).is_ok() && item(&[b'/'; 900]).is_ok());
        assert_eq!(item(&[b'x'; 801]), Err(Fault::Long));
    }

    #[test]
    fn items_become_lines() {
        assert_eq!(line(b"&a@b ").unwrap(), b"&a@b \n");
        assert_eq!(line(b"./f").unwrap(), b"./f\n");
        assert!([&b""[..], b"|x", b"a@b", b"&a\nb"].iter().all(|item| line(item).is_none()));
    }
}
