//! The status file of a service, as the svstat of daemontools and of encore and the sv of runit
//! read it.

use base::tai64;
use std::time::Duration;

/// Bytes that supervise writes.
pub const SIZE: usize = 20;

/// Bytes that every reader must find.
const SHORTEST: usize = 18;

/// What is to become of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// It is started again whenever it ends.
    Up,
    /// It is not started.
    Down,
    /// It is not started again when it ends.
    Once,
}

/// How far the service has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing runs.
    Stopped,
    /// The `start` script runs.
    Starting,
    /// `start` has ended well, and there is no `run`.
    Started,
    /// `run` runs.
    Running,
    /// The `stop` script runs.
    Stopping,
    /// It is not started again before somebody says so.
    Failed,
}

/// What a status file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The TAI64N stamp of the last start or death.
    pub since: [u8; 12],
    /// The process; 0 if there is none.
    pub pid: u32,
    /// The process has been stopped by the order `p`.
    pub paused: bool,
    /// What is to become of the service.
    pub want: Want,
    /// How far it has come. Unknown in the short file of daemontools.
    pub state: Option<State>,
}

impl Status {
    /// Bytes 0 to 11: stamp; 12 to 15: pid, little-endian; 16: paused; 17: want (`u`, `d` or NUL);
    /// 18: state as a number; 19: 1 if there is a process.
    pub fn pack(&self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        bytes[..12].copy_from_slice(&self.since);
        bytes[12..16].copy_from_slice(&self.pid.to_le_bytes());
        bytes[16] = u8::from(self.paused && self.pid != 0);
        bytes[17] = match self.want {
            Want::Up => b'u',
            Want::Down => b'd',
            Want::Once => 0,
        };
        bytes[18] = self.state.map_or(0, |state| state as u8);
        bytes[19] = u8::from(self.pid != 0);
        bytes
    }

    /// Reads the file of any supervise: 18 bytes or more. `None` if it is shorter.
    pub fn parse(bytes: &[u8]) -> Option<Status> {
        let short: &[u8; SHORTEST] = bytes.first_chunk()?;
        let (since, rest) = short.split_first_chunk()?;
        let (pid, rest) = rest.split_first_chunk()?;
        let &[paused, want] = rest else { return None };
        Some(Status {
            since: *since,
            pid: u32::from_le_bytes(*pid),
            paused: paused != 0,
            want: match want {
                b'u' => Want::Up,
                b'd' => Want::Down,
                _ => Want::Once,
            },
            state: bytes.get(18).and_then(|number| State::from_number(*number)),
        })
    }

    /// Whole seconds from the stamp to `now`, a time since the Unix epoch; 0 if the stamp lies
    /// in the future.
    pub fn age(&self, now: Duration) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.since;
        let second = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        tai64::EPOCH.wrapping_add(now.as_secs()).saturating_sub(second)
    }
}

impl State {
    fn from_number(number: u8) -> Option<State> {
        use State::*;
        [Stopped, Starting, Started, Running, Stopping, Failed].get(usize::from(number)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_800_000_000);

    fn status() -> Status {
        Status {
            since: tai64::pack(NOW),
            pid: 0x0102_0304,
            paused: true,
            want: Want::Down,
            state: Some(State::Running),
        }
    }

    #[test]
    fn every_byte_has_its_place() {
        let bytes = *b"\x40\0\0\0\x6b\x49\xd2\x0a\0\0\0\0\x04\x03\x02\x01\x01d\x03\x01";
        assert_eq!(status().pack(), bytes);
        assert_eq!(Status::parse(&bytes), Some(status()));
        assert_eq!(Status::parse(&bytes[..18]), Some(Status { state: None, ..status() }));
        assert_eq!(Status::parse(&bytes[..17]), None);
    }

    #[test]
    fn nobody_is_paused_if_nobody_runs() {
        let down = Status { pid: 0, state: Some(State::Stopped), want: Want::Once, ..status() };
        assert_eq!(down.pack()[12..], [0; 8]);
    }

    #[test]
    fn the_age_is_never_negative() {
        assert_eq!(status().age(NOW + Duration::from_millis(2900)), 2);
        assert_eq!(status().age(NOW - Duration::from_secs(1)), 0);
    }

    #[test]
    fn any_bytes_are_a_status_or_none() {
        let mut seed = 1u64;
        for case in 0..10_000 {
            let mut bytes = vec![0; case % 48];
            for byte in &mut bytes {
                seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                *byte = (seed >> 56) as u8;
            }
            let age = Status::parse(&bytes).map(|status| status.age(NOW));
            assert_eq!(age.is_some(), bytes.len() >= 18);
        }
    }
}
