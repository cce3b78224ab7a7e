//! The files that say what happens to a user's mail: which of them counts for an address, and
//! what its lines mean. dot-qmail(5).

/// What a name ends in that answers for every extension.
const DEFAULT: &[u8] = b"default";

/// The name of the file that belongs to an address: `.qmail`, dash, extension in lower case with
/// dots as colons.
pub fn name(dash: &[u8], ext: &[u8]) -> Vec<u8> {
    [b".qmail", dash, &safe(ext)].concat()
}

/// A file that may answer for an address.
#[derive(Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its name, relative to the home folder.
    pub name: Vec<u8>,
    /// Where in the extension the part begins that its `default` stands for.
    pub default: Option<usize>,
}

/// The files to try, in order: that of the whole extension, then those where `default` stands for
/// the rest after a hyphen, the longest first, then plain `default`.
pub fn candidates(dash: &[u8], ext: &[u8]) -> impl Iterator<Item = Candidate> + use<> {
    let start = [b".qmail", dash].concat();
    let ext = safe(ext);
    let exact = Candidate {
        name: [&start[..], &ext].concat(),
        default: ext.ends_with(DEFAULT).then(|| ext.len() - DEFAULT.len()),
    };
    let ends = (0..=ext.len()).rev();
    let others = ends.filter_map(move |at| {
        let known = &ext[..at];
        matches!(known.last(), None | Some(b'-'))
            .then(|| Candidate { name: [&start[..], known, DEFAULT].concat(), default: Some(at) })
    });
    std::iter::once(exact).chain(others)
}

/// An extension as file names have it: it leads to no parent folder and to no hidden file.
fn safe(ext: &[u8]) -> Vec<u8> {
    ext.iter().map(|byte| if *byte == b'.' { b':' } else { byte.to_ascii_lowercase() }).collect()
}

/// What a line asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instruction<'a> {
    /// Append to this file.
    Mbox(&'a [u8]),
    /// Deliver into this Maildir; the name ends in a slash.
    Maildir(&'a [u8]),
    /// Give the message to this shell command.
    Program(&'a [u8]),
    /// Send it on to this address.
    Forward(&'a [u8]),
    /// From here on there are only addresses.
    ListOnly,
    /// The first line is blank, which hints at an accident.
    BlankStart,
}

/// The instructions of a file, in order; comments, blank lines and unknown `+` lines are left
/// out. A missing last newline is no difference.
pub fn instructions(text: &[u8]) -> impl Iterator<Item = Instruction<'_>> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let lines = text.split(|byte| *byte == b'\n').enumerate();
    lines.filter_map(|(number, line)| match instruction(line) {
        None if number == 0 && content(line).is_empty() => Some(Instruction::BlankStart),
        found => found,
    })
}

/// Reads one line.
fn instruction(line: &[u8]) -> Option<Instruction<'_>> {
    let line = content(line);
    match line {
        [] | [b'#', ..] => None,
        [b'.' | b'/', ..] if line.ends_with(b"/") => Some(Instruction::Maildir(line)),
        [b'.' | b'/', ..] => Some(Instruction::Mbox(line)),
        [b'|', command @ ..] => Some(Instruction::Program(command)),
        [b'&', address @ ..] => Some(Instruction::Forward(address)),
        b"+list" => Some(Instruction::ListOnly),
        [b'+', ..] => None,
        address => Some(Instruction::Forward(address)),
    }
}

/// A line without the blanks at its end. A NUL ends it: neither a file name nor a command can
/// hold one.
fn content(line: &[u8]) -> &[u8] {
    let end = line.iter().rposition(|byte| !matches!(byte, b' ' | b'\t')).map_or(0, |at| at + 1);
    let line = &line[..end];
    &line[..memchr::memchr(0, line).unwrap_or(line.len())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::tests::Random;

    /// The names tried for an address, each with what DEFAULT is then.
    fn tried(dash: &str, ext: &str) -> String {
        let shown = candidates(dash.as_bytes(), ext.as_bytes()).map(|candidate| {
            let name = String::from_utf8(candidate.name).unwrap();
            candidate.default.map_or(name.clone(), |at| format!("{name}({})", &ext[at..]))
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn defaults_are_tried_from_the_longest_to_the_shortest() {
        assert_eq!(tried("", ""), ".qmail .qmaildefault()");
        assert_eq!(tried("-", "a"), ".qmail-a .qmail-default(a)");
        assert_eq!(tried("-", "a-"), ".qmail-a- .qmail-a-default() .qmail-default(a-)");
        let three =
            ".qmail-a-b-c .qmail-a-b-default(C) .qmail-a-default(b-C) .qmail-default(A-b-C)";
        assert_eq!(tried("-", "A-b-C"), three);
        assert_eq!(tried("-/", "x.Y/z"), ".qmail-/x:y/z .qmail-/default(x.Y/z)");
    }

    #[test]
    fn an_extension_that_is_default_itself_has_default_set() {
        let expected =
            ".qmail-a-default(Default) .qmail-a-default(Default) .qmail-default(a-Default)";
        assert_eq!(tried("-", "a-Default"), expected);
        assert_eq!(tried("-", "default"), ".qmail-default(default) .qmail-default(default)");
    }

    #[test]
    fn every_first_character_has_its_meaning() {
        use Instruction::*;
        let text = b"#c\n./m \t\n/d/\n|p  q \n&a@b\n & c\nplain\n+list\n+other\n\n./n\0x/\nlast";
        let expected = [
            Mbox(b"./m"),
            Maildir(b"/d/"),
            Program(b"p  q"),
            Forward(b"a@b"),
            Forward(b" & c"),
            Forward(b"plain"),
            ListOnly,
            Mbox(b"./n"),
            Forward(b"last"),
        ];
        assert!(instructions(text).eq(expected));
    }

    #[test]
    fn a_blank_first_line_is_told_and_a_comment_is_not() {
        use Instruction::*;
        for blank in ["", "\n", " \t\n", "\0x\n", "\n\n"] {
            assert!(instructions(blank.as_bytes()).eq([BlankStart]), "{blank:?}");
        }
        assert!(instructions(b"\na").eq([BlankStart, Forward(b"a")]));
        assert!(instructions(b"#\n\n").eq([]));
        assert!(instructions(b"+x\n").eq([]));
    }

    #[test]
    fn damaged_files_give_instructions_that_hold_no_newline_nul_or_blank_end() {
        let good =
            b"# list\n./Maildir/\n|exec prog \"$SENDER\"\n&a@b.example\n+list\nc@d\n\n./mbox\n";
        let mut random = Random::new(1);
        for _ in 0..10_000 {
            let mut bad = good.to_vec();
            for _ in 0..1 + random.below(4) {
                let at = random.below(bad.len());
                bad[at] = b"\n\0 \t|&+./#\xff"[random.below(11)];
            }
            bad.truncate(1 + random.below(bad.len()));
            for found in instructions(&bad) {
                let text = match found {
                    Instruction::Mbox(text) => text,
                    Instruction::Maildir(text) => text.strip_suffix(b"/").unwrap(),
                    Instruction::Program(text) | Instruction::Forward(text) => text,
                    Instruction::ListOnly | Instruction::BlankStart => continue,
                };
                assert!(memchr::memchr2(b'\n', 0, text).is_none(), "{bad:?}");
            }
        }
    }
}
