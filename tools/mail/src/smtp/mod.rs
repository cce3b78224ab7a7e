//! SMTP, RFC 5321, without I/O: what a server and a client say and understand.

pub mod client;
pub mod command;
pub mod policy;
pub mod replies;
pub mod reply;
pub mod session;
pub mod text;
