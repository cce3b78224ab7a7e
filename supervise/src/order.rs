//! The letters that svc sends and supervise obeys.

use base::sys::signal::Signal;

/// What one letter means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Start it, and again whenever it ends.
    Up,
    /// Stop it, and do not start it again.
    Down,
    /// Start it, and not again when it ends.
    Once,
    /// End supervise as soon as nothing runs.
    Exit,
    /// Stop the process until [`Order::Continue`].
    Pause,
    /// Let a paused process go on.
    Continue,
    /// Stop it; what is wanted stays wanted.
    Restart,
    /// Send a signal.
    Send(Signal),
    /// Kill everything that the service has started.
    KillAll,
    /// Signals go to the process group from here on, or (`false`) to the process alone.
    ToGroup(bool),
    /// What follows is for the log script, or (`false`) for the service.
    ToLog(bool),
}

/// The letters with their meaning and, for svc's usage line, a word.
#[rustfmt::skip]
pub const ORDERS: [(u8, Order, &str); 23] = [
    (b'u', Order::Up, "up"),
    (b'd', Order::Down, "down"),
    (b'o', Order::Once, "once"),
    (b'x', Order::Exit, "exit"),
    (b'p', Order::Pause, "pause"),
    (b'c', Order::Continue, "continue"),
    (b'h', Order::Send(libc::SIGHUP), "hup"),
    (b'a', Order::Send(libc::SIGALRM), "alarm"),
    (b'i', Order::Send(libc::SIGINT), "interrupt"),
    (b't', Order::Send(libc::SIGTERM), "term"),
    (b'k', Order::Send(libc::SIGKILL), "kill"),
    (b'q', Order::Send(libc::SIGQUIT), "quit"),
    (b'1', Order::Send(libc::SIGUSR1), "usr1"),
    (b'2', Order::Send(libc::SIGUSR2), "usr2"),
    (b'w', Order::Send(libc::SIGWINCH), "winch"),
    (b'b', Order::Send(libc::SIGABRT), "abort"),
    (b'y', Order::Send(libc::SIGWINCH), "winch"),
    (b'r', Order::Restart, "restart"),
    (b'K', Order::KillAll, "kill all"),
    (b'+', Order::ToGroup(true), "to the group"),
    (b'=', Order::ToGroup(false), "to the process"),
    (b'L', Order::ToLog(true), "to the log"),
    (b'l', Order::ToLog(false), "to the service"),
];

/// The letters of [`ORDERS`], as option letters.
pub const LETTERS: &str = "udoxpchaitkq12wbyrK+=Ll";

impl Order {
    /// The order of this letter. Unknown letters mean nothing.
    pub fn of(letter: u8) -> Option<Order> {
        ORDERS.iter().find(|(known, ..)| *known == letter).map(|(_, order, _)| *order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_letter_stands_for_one_order() {
        let known = (0..=255).filter(|letter| Order::of(*letter).is_some()).count();
        assert_eq!(known, ORDERS.len());
        assert_eq!(LETTERS.as_bytes(), ORDERS.map(|(letter, ..)| letter));
        assert_eq!(Order::of(b'k'), Some(Order::Send(libc::SIGKILL)));
        assert_eq!(Order::of(b'\n'), None);
    }
}
