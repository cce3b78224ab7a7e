//! POP3, RFC 1939: reading mail from afar.

pub mod command;
pub mod maildrop;
pub mod text;

/// What both programs say they can do, RFC 2449.
pub const CAPABILITIES: &[u8] =
    b"+OK \r\nTOP\r\nUSER\r\nUIDL\r\nPIPELINING\r\nIMPLEMENTATION catena\r\n.\r\n";

/// What is said to a command that is too long to be one.
pub const LINE_TOO_LONG: &str = "command line too long";

/// Yes, and nothing more to say.
pub const OK: &[u8] = b"+OK \r\n";

/// No, and why.
pub fn no(why: &str) -> Vec<u8> {
    format!("-ERR {why}\r\n").into()
}
