//! The Received line that the network daemons put on top of a message.

use crate::caller::Caller;
use base::date::Date;

/// `Received: from HOST (HELO helo) (INFO@IP)`, `by LOCAL with PROTOCOL; DATE`, two lines with
/// their newlines. `helo` is left out if it is the client's name in DNS. Bytes that could mean
/// something to a reader of headers are shown as `?`.
pub fn line(caller: &Caller, helo: Option<&[u8]>, protocol: &str, seconds: u64) -> Vec<u8> {
    let mut line = b"Received: from ".to_vec();
    put(&mut line, &caller.host);
    if let Some(helo) = helo.filter(|helo| !helo.eq_ignore_ascii_case(&caller.host)) {
        line.extend_from_slice(b" (HELO ");
        put(&mut line, helo);
        line.push(b')');
    }
    line.extend_from_slice(b" (");
    if let Some(info) = &caller.info {
        put(&mut line, info);
        line.push(b'@');
    }
    put(&mut line, &caller.ip);
    line.extend_from_slice(b")\n  by ");
    put(&mut line, &caller.local);
    let date = Date::utc(seconds as i64).mail();
    line.extend_from_slice(format!(" with {protocol}; {date}\n").as_bytes());
    line
}

fn put(line: &mut Vec<u8>, words: &[u8]) {
    line.extend(words.iter().map(|byte| if is_safe(*byte) { *byte } else { b'?' }));
}

fn is_safe(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".@%+/=:-[]".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(caller: [&str; 4], helo: Option<&str>) -> String {
        let [ip, host, info, local] = caller.map(|word| word.as_bytes().to_vec());
        let info = Some(info).filter(|info| !info.is_empty());
        let caller = Caller { ip, host, info, local };
        let line = line(&caller, helo.map(str::as_bytes), "SMTP", 951868799);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn helo_and_info_are_shown_if_they_say_something() {
        let date = "with SMTP; 29 Feb 2000 23:59:59 -0000\n";
        let named = ["1.2.3.4", "c.example", "", "a.example"];
        let expected = format!("Received: from c.example (1.2.3.4)\n  by a.example {date}");
        assert_eq!(shown(named, None), expected);
        assert_eq!(shown(named, Some("C.Example")), expected);
        let all = ["::1", "unknown", "joe", "a.example"];
        let expected = format!("Received: from unknown (HELO x) (joe@::1)\n  by a.example {date}");
        assert_eq!(shown(all, Some("x")), expected);
    }

    #[test]
    fn odd_bytes_are_question_marks() {
        let line = shown(["(", "a_b", "j\r\noe", "ä"], Some("[1.2.3.4]) x\0"));
        let expected = "Received: from a?b (HELO [1.2.3.4]??x?) (j??oe@?)\n  by ?? with SMTP";
        assert!(line.starts_with(expected), "{line}");
    }
}
