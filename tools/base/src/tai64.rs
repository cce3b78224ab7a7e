//! TAI64N time stamps: `@`, 16 hex digits of seconds, 8 of nanoseconds, lower case.
//!
//! A second is numbered 2^62 + 10 + Unix time: the offset is constant, leap seconds are not
//! counted.

use std::time::Duration;

/// Unix time 0 as a TAI64 second.
pub const EPOCH: u64 = (1 << 62) + 10;

/// Bytes of a label: `@` and 24 digits.
pub const LABEL: usize = 25;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// The label of a time since the Unix epoch.
pub fn label(time: Duration) -> [u8; LABEL] {
    let mut label = [b'@'; LABEL];
    for (digits, byte) in label[1..].chunks_exact_mut(2).zip(pack(time)) {
        digits.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
    label
}

/// Gives a label other nanoseconds, less than 10^9.
pub fn set_nanoseconds(label: &mut [u8; LABEL], nanoseconds: u32) {
    for (digits, byte) in label[17..].chunks_exact_mut(2).zip(nanoseconds.to_be_bytes()) {
        digits.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
}

/// The hex digit of a number below 16. Computed, not looked up: so the digits of a label are made
/// all at once.
fn digit(number: u8) -> u8 {
    number + if number < 10 { b'0' } else { b'a' - 10 }
}

/// A stamp of 12 bytes, big-endian: 8 of seconds, 4 of nanoseconds.
pub fn pack(time: Duration) -> [u8; 12] {
    let mut stamp = [0; 12];
    stamp[..8].copy_from_slice(&EPOCH.wrapping_add(time.as_secs()).to_be_bytes());
    stamp[8..].copy_from_slice(&time.subsec_nanos().to_be_bytes());
    stamp
}

/// The time since the Unix epoch of a packed stamp. `None` before the epoch, or if the
/// nanoseconds are none.
pub fn unpack(stamp: &[u8; 12]) -> Option<Duration> {
    let (seconds, nanoseconds) = stamp.split_first_chunk::<8>()?;
    let seconds = u64::from_be_bytes(*seconds).checked_sub(EPOCH)?;
    let nanoseconds = u32::from_be_bytes(nanoseconds.try_into().ok()?);
    (nanoseconds < 1_000_000_000).then(|| Duration::new(seconds, nanoseconds))
}

/// Reads lower-case hex digits, all of `text`.
pub fn hex(text: &[u8]) -> Option<u64> {
    text.iter().try_fold(0u64, |number, digit| {
        let value = HEX.iter().position(|known| known == digit)? as u64;
        (number >> 60 == 0).then_some(number << 4 | value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manuals_example() {
        let time = Duration::new(935467445, 787492500);
        assert_eq!(&label(time), b"@4000000037c219bf2ef02e94");
        let mut other = label(Duration::new(935467445, 1));
        set_nanoseconds(&mut other, 787492500);
        assert_eq!(other, label(time));
        assert_eq!(unpack(&pack(time)), Some(time));
        assert_eq!(hex(b"4000000037c219bf"), Some(EPOCH + 935467445));
    }

    #[test]
    fn only_lower_case_digits_are_hex() {
        assert_eq!(hex(b"ff"), Some(255));
        assert_eq!(hex(b"fF"), None);
        assert_eq!(hex(b"10000000000000000"), None);
    }
}
