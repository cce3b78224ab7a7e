//! What the mail programs share: formats, addresses, control files, the way into the queue and
//! out of it.

pub mod address;
pub mod address_list;
pub mod alias_line;
pub mod aliases;
pub mod assign;
pub mod caller;
pub mod compose;
pub mod control;
pub mod conversation;
pub mod default_hosts;
pub mod delivery;
pub mod dot_qmail;
pub mod exchangers;
pub mod field;
pub mod forwarding;
pub mod hops;
pub mod host_rules;
pub mod incoming;
pub mod maildir;
pub mod mbox;
pub mod netstring;
pub mod own_addresses;
pub mod peer;
pub mod pop3;
pub mod program_exit;
pub mod rcpthosts;
pub mod received;
pub mod routes;
pub mod send;
pub mod smtp;
pub mod spawner;
pub mod submission;
pub mod tcpto;
pub mod token;
