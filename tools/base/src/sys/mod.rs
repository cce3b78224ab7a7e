//! The system calls that std lacks or does differently, and all `unsafe` code of catena.
//!
//! One subject per file, one call or one inseparable pair per function. Every program here has
//! one thread: the few process-wide settings below rely on it and say so.
#![allow(unsafe_code)]

mod bare;
pub mod clock;
pub mod clone;
pub mod exec;
pub mod fd;
pub mod folder;
pub mod fork;
pub mod host;
pub mod ids;
#[cfg(feature = "interfaces")]
pub mod interfaces;
pub mod landlock;
pub mod lock;
pub mod memory;
pub mod nss;
#[cfg(feature = "password")]
pub mod password;
pub mod pending;
pub mod poll;
#[cfg(quick_start)]
mod quick_start;
pub mod random;
pub mod seccomp;
pub mod signal;
pub mod socket;
pub mod spawn;
mod stack;
pub mod start;
pub mod syslog;
pub mod title;
pub mod umask;
pub mod unix;
pub mod utmp;
pub mod wait;

use std::io;

/// A system call's result: -1 means that errno says why.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// As [`check`], trying again when a signal came in between.
fn retry(mut call: impl FnMut() -> libc::c_int) -> io::Result<libc::c_int> {
    loop {
        match check(call()) {
            Err(why) if why.raw_os_error() == Some(libc::EINTR) => {}
            other => return other,
        }
    }
}
