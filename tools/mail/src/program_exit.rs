//! What a program that a delivery runs says by its exit code.

use base::sys::wait::Status;

/// What becomes of the delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Done,
    /// It failed for good.
    Never,
    /// It is to be tried again.
    Later,
    /// A signal ended the program; it is to be tried again.
    Crashed,
}

/// Reads an exit code as qmail-local does, except that 99 is a failure: only a line of a `.qmail`
/// file can end the file.
pub fn verdict(status: Status) -> Verdict {
    match status.code() {
        None => Verdict::Crashed,
        Some(0) => Verdict::Done,
        Some(64 | 65 | 70 | 76 | 77 | 78 | 100 | 112) => Verdict::Never,
        Some(_) => Verdict::Later,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_codes_are_temporary() {
        let of = |code: i32| verdict(Status(code << 8));
        assert_eq!((of(0), of(100), of(112), of(99), of(1)), {
            use Verdict::{Done, Later, Never};
            (Done, Never, Never, Later, Later)
        });
        assert_eq!(verdict(Status(9)), Verdict::Crashed);
    }
}
