//! Netstrings, as tests of QMTP and QMQP write and read them.

use tests::shown;

/// These bytes as a netstring.
pub fn netstring(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [format!("{}:", bytes.len()).as_bytes(), bytes, b","].concat()
}

/// A sequence of them.
pub fn netstrings<T: AsRef<[u8]>>(all: &[T]) -> Vec<u8> {
    all.iter().flat_map(netstring).collect()
}

/// What is in a sequence of them. Panics if the bytes are anything else.
#[track_caller]
pub fn texts(mut bytes: &[u8]) -> Vec<String> {
    let mut texts = Vec::new();
    while !bytes.is_empty() {
        let colon = bytes.iter().position(|byte| *byte == b':').unwrap();
        let length: usize = shown(&bytes[..colon]).parse().unwrap();
        let (text, rest) = bytes[colon + 1..].split_at(length);
        assert_eq!(rest[0], b',');
        texts.push(shown(text));
        bytes = &rest[1..];
    }
    texts
}

/// An answer `Kok TIME qp PID` as `Kok`; others as they are.
pub fn undated(answer: &str) -> String {
    let words: Vec<&str> = answer.split(' ').collect();
    match words[..] {
        ["Kok", time, "qp", pid] if time.parse::<u64>().is_ok() && pid.parse::<u32>().is_ok() => {
            "Kok".into()
        }
        _ => answer.into(),
    }
}
