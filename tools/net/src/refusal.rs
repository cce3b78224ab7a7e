//! What a client hears that may not send mail: an SMTP conversation that leads nowhere.

const GREETING: &[u8] = b"220 rblsmtpd.local\r\n";
const FINE: &[u8] = b"250 rblsmtpd.local\r\n";
const GOODBYE: &[u8] = b"221 rblsmtpd.local\r\n";

/// Commands that cannot begin a message.
const HARMLESS: [&[u8]; 5] = [b"helo", b"ehlo", b"mail", b"rset", b"noop"];
/// Bytes of a line's first word that are kept: a command, a carriage return, and one more, which
/// makes the word longer than any command.
const KEPT: usize = 6;

/// The conversation: bytes in, replies out. It keeps a few bytes, however long the lines are.
pub struct Conversation {
    /// The reply to every command that is not harmless.
    reply: Vec<u8>,
    word: Vec<u8>,
    /// The line has been one word so far.
    in_word: bool,
}

impl Conversation {
    /// `message` is a reply code, a blank and [`printable`] text, without line end.
    pub fn new(message: &[u8]) -> Self {
        let reply = [message, b"\r\n"].concat();
        Conversation { reply, word: Vec::with_capacity(KEPT), in_word: true }
    }

    /// What is said first.
    pub fn greeting(&self) -> &'static [u8] {
        GREETING
    }

    /// Takes bytes and adds the replies to all lines that end in them. `false`: the client has
    /// said goodbye.
    pub fn hear(&mut self, bytes: &[u8], replies: &mut Vec<u8>) -> bool {
        for byte in bytes {
            match byte {
                b'\n' => {
                    let reply = self.reply();
                    replies.extend_from_slice(reply);
                    if reply == GOODBYE {
                        return false;
                    }
                    self.word.clear();
                    self.in_word = true;
                }
                b' ' => self.in_word = false,
                _ if self.in_word && self.word.len() < KEPT => self.word.push(*byte),
                _ => {}
            }
        }
        true
    }

    /// The reply to the line that ends here. A carriage return before the newline is no part of
    /// it; any other is part of its word, as are tabs and NULs.
    fn reply(&self) -> &[u8] {
        let bare = self.word.strip_suffix(b"\r").filter(|_| self.in_word);
        let word = bare.unwrap_or(&self.word);
        if word.eq_ignore_ascii_case(b"quit") {
            GOODBYE
        } else if HARMLESS.iter().any(|command| word.eq_ignore_ascii_case(command)) {
            FINE
        } else {
            &self.reply
        }
    }
}

/// At most `most` bytes of a text, as they may stand in a reply and a log: what is not printable
/// ASCII is `?`.
pub fn printable(text: &[u8], most: usize) -> Vec<u8> {
    let shown = |byte: &u8| if (32..=126).contains(byte) { *byte } else { b'?' };
    text.iter().take(most).map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::tests::Random;

    /// The codes of the replies to this input, given in pieces of this size; `.` if it goes on.
    fn codes(input: &[u8], size: usize) -> String {
        let mut conversation = Conversation::new(b"553 no");
        let mut replies = Vec::new();
        let on = input.chunks(size).all(|piece| conversation.hear(piece, &mut replies));
        let text = String::from_utf8(replies).unwrap();
        let codes: Vec<&str> = text.split_terminator("\r\n").map(|line| &line[..3]).collect();
        codes.join(" ") + if on { "." } else { "" }
    }

    #[test]
    fn harmless_commands_are_fine_and_all_else_is_refused() {
        let input = b"HELO x\r\nehlo\nmail from:<a@b>\r\nRcpt to:<c>\r\nrset\r\nnoop\r\n\r\n\nx\n";
        assert_eq!(codes(input, 100), "250 250 250 553 250 250 553 553 553.");
        assert_eq!(codes(b"noop\nQUIT\r\nnoop\n", 100), "250 221");
    }

    #[test]
    fn a_word_ends_at_a_blank_and_the_end_of_its_line() {
        let odd = b"noop\tx\n noop\nnoop\0\nnoop\r\r\nnoop\r \nnoopx\nnoo\nnoop\rx\nnoop\r\r\r\n";
        assert_eq!(codes(odd, 100), "553 553 553 553 553 553 553 553 553.");
        assert_eq!(codes(b"noop \r\r\nquit", 100), "250.");
    }

    #[test]
    fn it_does_not_matter_how_the_bytes_come() {
        let input = b"noop\r\nnoop \r\nnooop\r\nrcpt\r\nquit x\r\n";
        for size in 1..input.len() {
            assert_eq!(codes(input, size), "250 250 553 553 221", "{size}");
        }
    }

    #[test]
    fn any_bytes_get_one_reply_per_line() {
        let mut random = Random::new(1);
        let pieces: [&[u8]; 9] =
            [b"\n", b"\r\n", b" ", b"noop", b"mail", b"\0", b"\xff", b"\r", b"xxxxxxxxxxxx"];
        for _ in 0..10_000 {
            let count = random.below(40);
            let input: Vec<u8> =
                (0..count).flat_map(|_| pieces[random.below(9)]).copied().collect();
            let lines = input.iter().filter(|byte| **byte == b'\n').count();
            let codes = codes(&input, 1 + random.below(20));
            assert_eq!(codes.split_whitespace().filter(|code| *code != ".").count(), lines);
        }
    }

    #[test]
    fn texts_are_cut_and_made_printable() {
        assert_eq!(printable(b"a\r\0\t\x7f\x80\xff~ b", 9), b"a??????~ ");
    }
}
