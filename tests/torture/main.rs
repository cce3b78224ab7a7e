//! Machinery that tries to break what the programs promise: every system call fails in every way,
//! one after the other. tests/torture/README.md says what is swept and what must hold.
#![cfg(target_arch = "x86_64")]

#[allow(dead_code)] // The mail programs' own tests use the rest.
#[path = "../mail/installation.rs"]
mod installation;
mod sweep;
mod tamper;

mod delivering;
mod logging;
mod queueing;
mod submitting;
mod tables;
