//! The network half: addresses, DNS, ident, and what UCSPI programs share.
//!
//! ```text
//! address qualify host   what people write             -> addresses and ports
//! dns names ident        addresses                     <> names, users
//! inquiry                which of them are wanted
//! connect listen         addresses                     -> connections, listening sockets
//! connection             a connection                  -> variables, log lines
//! limits rules_file      who may come in, and how many from where
//! dnsbl verdict refusal  what lists say of a client, what follows, what it is told
//! visit                  what tcpserver does for a connection, from the socket to the program
//! server                 connections                   -> visits, each in a child
//! call                   what tcpclient does from its words to the connection
//! log                    what tcpserver has logged     -> visits, counts
//! proxy unix             PROXY headers, Unix sockets   <> who is calling
//! tls                    TLS between a connection and plain descriptors
//! between crlf           what filters around a program and a connection do
//! ```

pub mod address;
pub mod between;
pub mod call;
pub mod connect;
pub mod connection;
pub mod crlf;
pub mod dns;
pub mod dnsbl;
pub mod host;
pub mod ident;
pub mod inquiry;
pub mod limits;
pub mod listen;
pub mod log;
pub mod names;
pub mod proxy;
pub mod qualify;
pub mod refusal;
pub mod rules_file;
pub mod server;
pub mod server_options;
pub mod tls;
pub mod unix;
pub mod verdict;
pub mod visit;
