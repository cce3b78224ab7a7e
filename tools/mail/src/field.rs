//! Header fields: names, and where a header ends.

/// The name of a field: one or more visible ASCII bytes; blanks may stand between it and the
/// colon. `None` if the line is no field.
pub fn name(line: &[u8]) -> Option<&[u8]> {
    let length = line.iter().take_while(|byte| matches!(byte, 33..=126) && **byte != b':').count();
    let (name, rest) = line.split_at_checked(length)?;
    let colon = rest.iter().find(|byte| !matches!(byte, b' ' | b'\t'));
    (length > 0 && colon == Some(&b':')).then_some(name)
}

/// Whether the field that this line starts has this name, in any case.
pub fn is(line: &[u8], wanted: &str) -> bool {
    name(line).is_some_and(|name| name.eq_ignore_ascii_case(wanted.as_bytes()))
}

/// Whether the line continues the field before it.
pub fn continues(line: &[u8]) -> bool {
    matches!(line.first(), Some(b' ' | b'\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_has_a_name_and_a_colon() {
        assert_eq!(name(b"To: x"), Some(&b"To"[..]));
        assert_eq!(name(b"To \t: x"), Some(&b"To"[..]));
        assert!(
            [&b": x"[..], b"To", b"", b" To: x", b"T o: x", b"T\xe9: x"]
                .iter()
                .all(|l| name(l).is_none())
        );
        assert!(is(b"to : x", "To") && !is(b"tot: x", "To"));
    }
}
