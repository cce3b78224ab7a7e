//! The tests of the mail programs, one module per program.

#[allow(dead_code)] // Its users come one by one.
mod installation;

#[path = "qmail-queue.rs"]
mod qmail_queue;
