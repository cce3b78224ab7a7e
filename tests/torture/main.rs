//! Machinery that tries to break what the programs promise: every system call fails in every way,
//! one after the other, and the power fails at every point. tests/torture/README.md says what is
//! tried and what must hold.
#![cfg(target_arch = "x86_64")]

#[allow(dead_code)] // The mail programs' own tests use the rest.
#[path = "../mail/accounts.rs"]
mod accounts;
#[allow(dead_code)] // So do those of the net's.
#[path = "../net/certificates.rs"]
mod certificates;
mod disk;
mod example;
#[allow(dead_code)] // So do these.
#[path = "../mail/installation.rs"]
mod installation;
#[allow(dead_code)] // So do these.
#[path = "../mail/netstrings.rs"]
mod netstrings;
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

mod accepting;
mod chaining;
mod delivering;
mod encrypting;
mod entering;
mod filtering;
mod greeting;
mod keeping;
mod logging;
mod mailboxes;
mod managing;
mod ordering;
mod outages;
mod promises;
mod queueing;
mod relaying;
mod repairing;
mod reusing;
mod serving;
mod staying;
mod submitting;
mod tables;
