//! What the mail programs share: formats, addresses, control files, the way into the queue.

pub mod address;
pub mod control;
pub mod submission;
