//! Decimal numbers in options, control files and protocols.

/// All of `text` as a number: digits only, at least one, at most `u64::MAX`.
pub fn decimal(text: &[u8]) -> Option<u64> {
    let (number, rest) = digits(text)?;
    rest.is_empty().then_some(number)
}

/// The digits that `text` starts with, as control files are read: `7 per user` is 7. `None`
/// without a digit; numbers that do not fit are `u64::MAX`.
pub fn leading(text: &[u8]) -> Option<u64> {
    let count = text.iter().take_while(|c| c.is_ascii_digit()).count();
    if count == 0 {
        return None;
    }
    Some(digits(text).map_or(u64::MAX, |(number, _)| number))
}

/// The number that `text` starts with, and what follows it. `None` without a digit or if it does
/// not fit.
pub fn digits(text: &[u8]) -> Option<(u64, &[u8])> {
    let count = text.iter().take_while(|c| c.is_ascii_digit()).count();
    let (digits, rest) = text.split_at_checked(count)?;
    let number = digits
        .iter()
        .try_fold(0u64, |n, digit| n.checked_mul(10)?.checked_add(u64::from(digit - b'0')))?;
    (count > 0).then_some((number, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digits_are_a_decimal() {
        let wrong: [&[u8]; 6] = [b"", b"x", b"3x", b" 3", b"-3", b"18446744073709551616"];
        assert!(wrong.iter().all(|text| decimal(text).is_none()));
        assert_eq!(decimal(b"0018446744073709551615"), Some(u64::MAX));
    }

    #[test]
    fn leading_digits_count_and_the_rest_is_ignored() {
        assert_eq!(leading(b"7 per user"), Some(7));
        assert_eq!(leading(b"many"), None);
        assert_eq!(leading(b"99999999999999999999999"), Some(u64::MAX));
    }
}
