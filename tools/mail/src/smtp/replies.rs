//! Every reply of qmail-smtpd, without CR LF. Those that begin with the greeting's text have the
//! code alone.

/// The greeting: this, the host's name, [`GREETING_END`].
pub const GREETING: &str = "220 ";
/// What follows the name in the greeting.
pub const GREETING_END: &str = " ESMTP";
/// HELO: this and the host's name.
pub const HELO: &str = "250 ";
/// EHLO: this and the host's name, then [`EXTENSIONS`].
pub const EHLO: &str = "250-";
/// The extensions that are always there.
pub const EXTENSIONS: [&str; 2] = ["PIPELINING", "8BITMIME"];
/// The one that is there if TLS can be begun.
pub const STARTTLS: &str = "STARTTLS";
/// Before an extension that is not the last.
pub const MORE: &str = "250-";
/// Before the last one.
pub const LAST: &str = "250 ";
/// QUIT: this and the host's name.
pub const QUIT: &str = "221 ";

/// MAIL, RCPT, NOOP.
pub const OK: &str = "250 ok";
/// A message is in the queue: this, the time, [`ACCEPTED_QP`], the queue program's number.
pub const ACCEPTED: &str = "250 ok ";
/// What follows the time in the answer to a message.
pub const ACCEPTED_QP: &str = " qp ";
/// RSET.
pub const FLUSHED: &str = "250 flushed";
/// VRFY.
pub const VRFY: &str = "252 send some mail, i'll try my best";
/// HELP.
pub const HELP: &str = "214 qmail-smtpd of catena, see RFC 5321";
/// DATA.
pub const GO_AHEAD: &str = "354 go ahead";

/// STARTTLS: the next bytes are the client's first ones of TLS.
pub const TLS_GO_AHEAD: &str = "220 ready for TLS";
/// STARTTLS cannot be done now: this, why, [`TLS_NOT_NOW_END`].
pub const TLS_NOT_NOW: &str = "454 TLS ";
/// See [`TLS_NOT_NOW`].
pub const TLS_NOT_NOW_END: &str = " (#4.3.0)";
/// STARTTLS with an argument.
pub const TLS_ARGUMENT: &str = "501 no parameters allowed with STARTTLS (#5.5.4)";
/// Something in the clear behind STARTTLS. Ends the session: who knows who has said it.
pub const TLS_UNREAD: &str = "503 nothing may follow STARTTLS (#5.5.1)";
/// A command that may not be given in the clear.
pub const TLS_FIRST: &str = "530 Must issue a STARTTLS command first (#5.7.0)";

/// An unknown command.
pub const UNIMPLEMENTED: &str = "502 unimplemented (#5.5.1)";
/// An address that is too long.
pub const SYNTAX: &str = "555 syntax error (#5.5.4)";
/// A command line that is too long.
pub const LINE_TOO_LONG: &str = "500 command line too long (#5.5.2)";
/// RCPT or DATA without MAIL.
pub const WANT_MAIL: &str = "503 MAIL first (#5.5.1)";
/// DATA without an accepted RCPT.
pub const WANT_RCPT: &str = "503 RCPT first (#5.5.1)";
/// More recipients than are kept.
pub const TOO_MANY_RECIPIENTS: &str = "452 too many recipients (#4.5.3)";
/// RCPT after a sender of badmailfrom.
pub const BAD_MAIL_FROM: &str =
    "553 sorry, your envelope sender is in my badmailfrom list (#5.7.1)";
/// RCPT for a domain that is not in rcpthosts.
pub const NO_GATEWAY: &str =
    "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)";

/// The queue program cannot be started.
pub const NO_QUEUE: &str = "451 qqt failure (#4.3.0)";
/// A message that is going in circles.
pub const TOO_MANY_HOPS: &str = "554 too many hops, this message is looping (#5.4.6)";
/// A message above databytes.
pub const TOO_BIG: &str = "552 sorry, that message size exceeds my databytes limit (#5.3.4)";
/// The queue program refused for good: this and its reason.
pub const REFUSED: &str = "554 ";
/// The queue program refused for now: this and its reason.
pub const DEFERRED: &str = "451 ";

/// A bare LF in a message. Ends the session.
pub const BARE_NEWLINE: &str = "451 See https://cr.yp.to/docs/smtplf.html.";
/// The client is too slow. Ends the session.
pub const TIMEOUT: &str = "451 timeout (#4.4.2)";
/// The control files cannot be read. Ends the session.
pub const CONTROLS: &str = "421 unable to read controls (#4.3.0)";
/// The list of interfaces cannot be read. Ends the session.
pub const OWN_ADDRESSES: &str = "421 unable to figure out my IP addresses (#4.3.0)";
