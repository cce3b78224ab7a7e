//! Tests of the whole: real mail through real services, started as users start them.

mod bad_input;
mod big_mail;
mod cut_off;
mod demo;
mod in_home;
mod inetd;
#[allow(dead_code)] // The mail programs' own tests use the rest.
#[path = "../mail/installation.rs"]
mod installation;
mod kill;
mod limits;
mod quick_start;
mod readme;
#[allow(dead_code)]
#[path = "../mail/sending.rs"]
mod sending;
mod services;
mod swaks;
mod tls_limits;
