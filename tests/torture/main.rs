//! Machinery that tries to break what the programs promise: every system call fails in every way,
//! one after the other, and the power fails at every point. tests/torture/README.md says what is
//! tried and what must hold.
#![cfg(target_arch = "x86_64")]

mod disk;
#[allow(dead_code)] // The mail programs' own tests use the rest.
#[path = "../mail/installation.rs"]
mod installation;
mod order;
mod replay;
#[allow(dead_code)] // So do these.
#[path = "../mail/site.rs"]
mod site;

mod faults;
mod sweep;
mod tamper;
mod trace;
mod whole;

mod delivering;
mod keeping;
mod logging;
mod mailboxes;
mod managing;
mod outages;
mod promises;
mod queueing;
mod submitting;
mod tables;
