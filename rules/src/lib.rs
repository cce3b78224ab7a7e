//! Rules for connections: who may come in, and with which environment.
//!
//! ```text
//! line       one line of text, as people write it      -> address and items
//! address    IPv4, IPv6 and ranges in that line        -> keys
//! network    10.0.0.0/8, 2001:db8::/32                 -> keys, and keys back to text
//! compile    lines                                     -> records in their order
//! item       what a rule does: deny, set a variable    <> the data of a record
//! keys       the peer of a connection                  -> keys to try, best first
//! lint       lines of text                             -> what is wrong or useless in them
//! ```
//! All of these work on bytes alone. [`Rules`] reads the compiled file, [`dump`] turns it back
//! into lines.

pub mod address;
pub mod compile;
pub mod dump;
pub mod item;
pub mod keys;
pub mod line;
pub mod lint;
pub mod network;
mod reader;

pub use keys::Peer;
pub use reader::{Decision, Found, Rules, lookup};
