//! Messages to the system log, by the C library: it finds /dev/log again after a restart of the
//! log daemon.

use std::ffi::CString;
use std::io;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// Somebody should act at once.
    Alert = libc::LOG_ALERT as isize,
    /// Something is not as it should be.
    Warning = libc::LOG_WARNING as isize,
    /// Everything else.
    Info = libc::LOG_INFO as isize,
}

/// The system log under one tag and facility.
pub struct Syslog {
    /// The C library keeps a pointer to it.
    _tag: &'static CString,
}

impl Syslog {
    /// `facility` is the number that syslog.conf's documentation gives, 2 for mail.
    pub fn open(tag: &[u8], facility: u32) -> io::Result<Self> {
        let tag: &'static CString = Box::leak(Box::new(CString::new(tag)?));
        let facility = libc::c_int::try_from(facility).map_err(|_| io::ErrorKind::InvalidInput)?;
        // SAFETY: the tag lives for ever. The facility is a number that is only stored.
        unsafe { libc::openlog(tag.as_ptr(), 0, facility << 3) };
        Ok(Syslog { _tag: tag })
    }

    /// Logs a line. A NUL ends it.
    pub fn log(&self, priority: Priority, text: &[u8]) {
        let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
        let Ok(text) = CString::new(&text[..end]) else { return };
        // SAFETY: the format takes one string, and is given one.
        unsafe { libc::syslog(priority as libc::c_int, c"%s".as_ptr(), text.as_ptr()) };
    }
}
