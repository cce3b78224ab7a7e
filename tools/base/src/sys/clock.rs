//! Time: the wall clock for stamps, pauses, and local time. For waiting use `Instant`.

use super::poll;
use std::io;
use std::time::{Duration, Instant};

/// Time since the Unix epoch; zero before it.
pub fn now() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: fills a value of this frame. This clock exists, so it does not fail.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &mut time) };
    match u64::try_from(time.tv_sec) {
        Ok(seconds) => Duration::new(seconds, time.tv_nsec as u32),
        Err(_) => Duration::ZERO,
    }
}

/// For programs that stay and read the clock often: from here on that takes no system call.
pub fn often() {
    #[cfg(quick_start)]
    super::quick_start::many_clock_reads();
}

/// Whole seconds since the Unix epoch.
pub fn seconds() -> u64 {
    now().as_secs()
}

/// Does nothing for this long, signals or not.
pub fn pause(length: Duration) {
    let end = Instant::now() + length;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        let _ = poll::poll(&mut [], Some(left));
    }
}

/// The local date and time of a Unix time, by $TZ or /etc/localtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    /// The year, say 2026.
    pub year: i64,
    /// 1 is January.
    pub month: u8,
    /// Day of the month, from 1.
    pub day: u8,
    /// 0..=23.
    pub hour: u8,
    /// 0..=59.
    pub minute: u8,
    /// 0..=60.
    pub second: u8,
    /// Seconds that local time is ahead of UTC.
    pub offset: i64,
}

/// Takes a Unix time apart in local time. Fails if the year does not fit.
pub fn local(seconds: i64) -> io::Result<Local> {
    // SAFETY: an all-zero tm is a value; localtime_r fills it and keeps no pointer to it.
    let mut tm: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both point to values of this frame.
    if unsafe { libc::localtime_r(&seconds, &mut tm) }.is_null() {
        return Err(io::Error::last_os_error());
    }
    Ok(Local {
        year: i64::from(tm.tm_year) + 1900,
        month: tm.tm_mon as u8 + 1,
        day: tm.tm_mday as u8,
        hour: tm.tm_hour as u8,
        minute: tm.tm_min as u8,
        second: tm.tm_sec as u8,
        offset: tm.tm_gmtoff,
    })
}
