//! Input cut at its newlines, without a copy.

/// The pieces of `bytes`: each ends with its newline, except the last if there is none behind it.
pub fn pieces(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    let ends = memchr::memchr_iter(b'\n', bytes).map(|at| at + 1).chain([bytes.len()]);
    ends.map(move |end| &bytes[std::mem::replace(&mut start, end)..end])
        .filter(|piece| !piece.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_put_together_are_the_input() {
        let cut = |text| pieces(text).collect::<Vec<&[u8]>>();
        assert_eq!(cut(b"one\n\ntwo"), [&b"one\n"[..], b"\n", b"two"]);
        assert_eq!(cut(b"one\n"), [b"one\n"]);
        assert_eq!(cut(b""), [&b""[..]; 0]);
    }
}
