//! What the mail programs share: formats, addresses, control files, the way into the queue.

pub mod address;
pub mod address_list;
pub mod control;
pub mod field;
pub mod host_rules;
pub mod spawner;
pub mod submission;
pub mod token;
