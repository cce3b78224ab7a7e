//! One line of rules: `ADDRESS:allow` or `ADDRESS:deny`, and `,NAME="VALUE"` any number of times.

use crate::address::Address;

/// What a line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A comment, or blank.
    Nothing,
    /// Not a rule, for want of a colon. The original ignores it, so we do.
    NoColon,
    /// A rule for this address.
    Rule(Address<'a>),
    /// A mistake.
    Bad,
}

/// Reads a line, with or without its newline. The items of a rule replace what is in `data`.
pub fn parse<'a>(line: &'a [u8], data: &mut Vec<u8>) -> Line<'a> {
    if line.starts_with(b"#") {
        return Line::Nothing;
    }
    let line = trimmed(line);
    // An IPv6 address holds colons itself: the one that counts is before an instruction.
    let end = memchr::memchr_iter(b':', line).find(|at| starts_well(&line[at + 1..]));
    let Some(end) = end else {
        return match line {
            [] => Line::Nothing,
            _ if line.contains(&b':') => Line::Bad,
            _ => Line::NoColon,
        };
    };
    let rule = instructions(&line[end + 1..], data).and_then(|()| Address::parse(&line[..end]));
    rule.map_or(Line::Bad, Line::Rule)
}

/// A line without the newline, blanks and tabs at its end.
pub fn trimmed(line: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b'\n' | b' ' | b'\t');
    let end = line.iter().rposition(|byte| !blank(byte)).map_or(0, |last| last + 1);
    &line[..end]
}

/// A line as messages show it: trimmed, and up to its first NUL.
pub fn excerpt(line: &[u8]) -> &[u8] {
    trimmed(line).split(|byte| *byte == 0).next().unwrap_or_default()
}

fn starts_well(text: &[u8]) -> bool {
    text.starts_with(b"deny") || text.starts_with(b"allow")
}

/// Turns instructions into items. `None` if they are wrong.
fn instructions(text: &[u8], data: &mut Vec<u8>) -> Option<()> {
    data.clear();
    let mut rest = match text.strip_prefix(b"deny") {
        Some(rest) => {
            data.extend_from_slice(b"D\0");
            rest
        }
        None => text.strip_prefix(b"allow")?,
    };
    while let Some(variable) = rest.strip_prefix(b",") {
        let name = memchr::memchr(b'=', variable)?;
        let (quote, value) = variable[name + 1..].split_first()?;
        let end = memchr::memchr(*quote, value)?;
        data.push(b'+');
        data.extend_from_slice(&variable[..=name]);
        data.extend_from_slice(&value[..end]);
        data.push(0);
        rest = &value[end + 1..];
    }
    rest.is_empty().then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::tests::Random;

    /// The address and the items of a line.
    fn read(line: &str) -> (Line<'_>, String) {
        let mut data = b"old".to_vec();
        let line = parse(line.as_bytes(), &mut data);
        (line, String::from_utf8_lossy(&data).replace('\0', "|"))
    }

    fn rule(key: &str) -> Line<'_> {
        Line::Rule(Address::Literal(key.as_bytes()))
    }

    #[test]
    fn comments_and_lines_without_colon_are_no_rules() {
        for line in ["#1:allow", "", "\n", "\t \n"] {
            assert_eq!(read(line).0, Line::Nothing);
        }
        assert_eq!(read("allow\n").0, Line::NoColon);
        assert_eq!(read(" #x:allow"), (rule(" #x"), "".into()));
    }

    #[test]
    fn instructions_become_items() {
        assert_eq!(read("1.2.:allow \t\n"), (rule("1.2."), "".into()));
        assert_eq!(read(":deny"), (rule(""), "D|".into()));
        let all = r#"=x:deny,A="b c",=xx, B=,=,,C=/"/"#;
        assert_eq!(read(all), (rule("=x"), "D|+A=b c|+=| B==|+C=\"|".replace(" B", "+ B")));
        assert_eq!(read("a:allow,A=\"x:deny\""), (rule("a"), "+A=x:deny|".into()));
    }

    #[test]
    fn mistakes_are_bad() {
        let bad = [
            "a:",
            "a:b",
            "a: allow",
            "a:allowed",
            "a:DENY",
            "a:allow,",
            "a:allow,A",
            "a:allow,A=",
            "a:allow,A=x",
            "a:allow,A=\"x\"y",
            "a:allow;A=\"x\"",
            "a:allow\r",
            "a:allow,A=\"x\",",
            "a:b:c",
            "a:b:allow",
            "1.2.3.4/33:allow",
            "x-y:allow",
            "a:deny:allow",
        ];
        for line in bad {
            assert_eq!(read(line).0, Line::Bad, "{line}");
        }
    }

    #[test]
    fn the_colon_before_an_instruction_ends_the_address() {
        let literal = |line| match read(line).0 {
            Line::Rule(Address::Literal(key)) => String::from_utf8_lossy(key).into_owned(),
            other => format!("{other:?}"),
        };
        assert_eq!(literal("2001:db8::allow"), "2001:db8:");
        assert_eq!(literal("::allow,A=\":deny\""), ":");
        let ip = "::".parse().unwrap();
        assert_eq!(read(":::deny").0, Line::Rule(Address::Full { info: b"", ip }));
        assert!(matches!(read("::1/64:allow").0, Line::Rule(Address::Network(_))));
    }

    #[test]
    fn damaged_lines_are_read_or_refused() {
        let good: [&[u8]; 6] = [
            b"10.1.2.3-7:deny,A=\"b\"",
            b"2001:db8::/32:allow",
            b"me@=x.example:allow,B=/c/",
            b"10.1.0.0/17:allow",
            b"::ffff:1.2.3.4:deny",
            b"1.2.3.4:allow,A=\"b\",C='d'",
        ];
        let mut random = Random::new(1);
        let (mut data, mut key) = (Vec::new(), Vec::new());
        for _ in 0..10_000 {
            let mut line = good[random.below(good.len())].to_vec();
            for _ in 0..1 + random.below(3) {
                let at = random.below(line.len());
                match random.below(4) {
                    0 => line[at] = random.below(256) as u8,
                    1 => line.insert(at, b":-/@=.,\"09"[random.below(10)]),
                    2 => drop(line.remove(at)),
                    _ => line.truncate(at + 1),
                }
                if line.is_empty() {
                    break;
                }
            }
            if let Line::Rule(address) = parse(&line, &mut data) {
                let mut count = 0;
                let done: Result<(), ()> = address.each_key(&mut key, |key| {
                    count += 1;
                    assert!(key.len() < 200);
                    Ok(())
                });
                assert!(done.is_ok() && count <= 256 && data.len() <= line.len());
            }
        }
    }
}
