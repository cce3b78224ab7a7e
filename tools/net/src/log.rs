//! The log of tcpserver -v or sslserver -v, put together again visit by visit.
//!
//! A visit is known from its `pid` line on, and whole at its `end` line. Visits whose beginning
//! is not in the log are left out.

use base::number::decimal;
use base::sys::wait::Status;
use base::tai64;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

/// A connection from its beginning to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    /// When it began, a TAI64N label.
    pub start: Vec<u8>,
    /// How long it lasted.
    pub length: Duration,
    /// The process that served it.
    pub pid: u32,
    /// `ok`, `deny`, or empty if it was dropped before it came to that.
    pub verdict: &'static str,
    /// How the process ended.
    pub status: Status,
    /// Host, address and port of our end; host, address, info and port of the other.
    pub ends: [Vec<u8>; 7],
}

/// Visits that have begun and not ended.
#[derive(Default)]
pub struct Visits {
    open: BTreeMap<u32, Visit>,
}

/// In [`Visit::ends`]: the address of the other end.
const REMOTE_IP: usize = 4;

impl Visits {
    /// Takes the next line of a log, without its newline. Gives the visit that has ended by it.
    pub fn line(&mut self, line: &[u8]) -> Option<Visit> {
        let (label, rest) = line.split_at_checked(tai64::LABEL)?;
        let now = time(label)?;
        let rest = rest.strip_prefix(b" tcpserver: ").or(rest.strip_prefix(b" sslserver: "))?;
        let words: Vec<&[u8]> = rest.split(|byte| *byte == b' ').collect();
        let pid: u32 = decimal(words.get(1)?)?.try_into().ok()?;
        match words[..] {
            [b"pid", _, b"from", ip] => {
                let mut ends = [const { Vec::new() }; 7];
                ends[REMOTE_IP] = ip.to_vec();
                let (start, status) = (label.to_vec(), Status(0));
                let length = Duration::ZERO;
                self.open.insert(pid, Visit { start, length, pid, verdict: "", status, ends });
                None
            }
            [word @ (b"ok" | b"deny"), _, local, remote, ..] => {
                let ends = ends(local, remote)?;
                let visit = self.open.get_mut(&pid)?;
                visit.verdict = if word == b"ok" { "ok" } else { "deny" };
                visit.ends = ends;
                None
            }
            [b"end", _, b"status", status] => {
                let status = Status(decimal(status)?.try_into().ok()?);
                let visit = self.open.remove(&pid)?;
                let length = now.saturating_sub(time(&visit.start)?);
                Some(Visit { length, status, ..visit })
            }
            _ => None,
        }
    }

    /// How many there are.
    pub fn open(&self) -> usize {
        self.open.len()
    }
}

/// The time of a label, from the beginning of TAI64.
fn time(label: &[u8]) -> Option<Duration> {
    let (seconds, nanoseconds) = label.strip_prefix(b"@")?.split_at_checked(16)?;
    let nanoseconds = u32::try_from(tai64::hex(nanoseconds)?).ok()?;
    let seconds = tai64::hex(seconds)?;
    // with more nanoseconds, the second might overflow
    (nanoseconds < 1_000_000_000).then(|| Duration::new(seconds, nanoseconds))
}

/// `HOST:IP:PORT` and `HOST:IP:INFO:PORT`, where an address may hold colons itself.
fn ends(local: &[u8], remote: &[u8]) -> Option<[Vec<u8>; 7]> {
    let (local_host, local) = before(local)?;
    let (local_ip, local_port) = after(local)?;
    let (remote_host, remote) = before(remote)?;
    let (remote, remote_port) = after(remote)?;
    let (remote_ip, info) = after(remote)?;
    let ends = [local_host, local_ip, local_port, remote_host, remote_ip, info, remote_port];
    Some(ends.map(<[u8]>::to_vec))
}

/// Splits at the first colon.
fn before(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|byte| *byte == b':')?;
    Some((&text[..at], &text[at + 1..]))
}

/// Splits at the last colon.
fn after(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = text.iter().rposition(|byte| *byte == b':')?;
    Some((&text[..at], &text[at + 1..]))
}

/// An exit code, or `sig` and the number of a signal.
fn shown(status: Status) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => code.to_string(),
        (None, Some(signal)) => format!("sig{signal}"),
        (None, None) => String::new(),
    }
}

impl Visit {
    /// As words for awk, with a newline. What is empty is `-`.
    pub fn words(&self) -> Vec<u8> {
        let Visit { length, pid, verdict, status, .. } = self;
        let mut line = self.start.clone();
        line.extend_from_slice(format!(" {} {pid}", length.as_secs()).as_bytes());
        let status = shown(*status).into_bytes();
        for word in
            [verdict.as_bytes(), &status].into_iter().chain(self.ends.iter().map(|e| &e[..]))
        {
            line.push(b' ');
            line.extend_from_slice(if word.is_empty() { b"-" } else { word });
        }
        line.push(b'\n');
        line
    }

    /// As a JSON object, with a newline. What is empty is null.
    pub fn json(&self) -> String {
        const NAMES: [&str; 7] = [
            "local_host",
            "local_ip",
            "local_port",
            "remote_host",
            "remote_ip",
            "info",
            "remote_port",
        ];
        let number =
            |number: Option<i32>| number.map_or("null".into(), |number| number.to_string());
        let Visit { start, length, pid, verdict, status, ends } = self;
        let (start, verdict) = (quoted(start), quoted(verdict.as_bytes()));
        let (code, signal) = (number(status.code().map(i32::from)), number(status.signal()));
        let mut line = format!(
            "{{\"start\":{start},\"seconds\":{},\"pid\":{pid},\"verdict\":{verdict},\
             \"status\":{code},\"signal\":{signal}",
            length.as_secs()
        );
        for (name, value) in NAMES.iter().zip(ends) {
            let port = decimal(value).filter(|_| name.ends_with("port"));
            let value = port.map_or_else(|| quoted(value), |port| port.to_string());
            line.push_str(&format!(",\"{name}\":{value}"));
        }
        line + "}\n"
    }
}

/// A JSON string; null if it is empty. Bytes that are no UTF-8 are shown as U+FFFD.
fn quoted(text: &[u8]) -> String {
    if text.is_empty() {
        return "null".into();
    }
    let mut shown = String::from("\"");
    for letter in String::from_utf8_lossy(text).chars() {
        match letter {
            '"' | '\\' => shown.extend(['\\', letter]),
            '\0'..' ' => shown.push_str(&format!("\\u{:04x}", u32::from(letter))),
            _ => shown.push(letter),
        }
    }
    shown + "\""
}

/// Visits that have ended, counted.
#[derive(Default)]
pub struct Summary {
    /// By verdict and status.
    counts: BTreeMap<(&'static str, String), u64>,
    /// By length: up to so many of [`BOUNDS`], and longer.
    lengths: [u64; BOUNDS.len() + 1],
    total: Duration,
}

/// Lengths that are told apart, in seconds.
const BOUNDS: [&str; 7] = ["0.1", "1", "10", "60", "300", "1200", "3600"];
/// The same in milliseconds.
const BOUNDS_MS: [u128; 7] = [100, 1000, 10_000, 60_000, 300_000, 1_200_000, 3_600_000];

impl Summary {
    /// Counts a visit.
    pub fn add(&mut self, visit: &Visit) {
        let verdict = if visit.verdict.is_empty() { "dropped" } else { visit.verdict };
        *self.counts.entry((verdict, shown(visit.status))).or_default() += 1;
        let shorter = BOUNDS_MS.iter().take_while(|bound| visit.length.as_millis() > **bound);
        self.lengths[shorter.count()] += 1;
        self.total = self.total.saturating_add(visit.length);
    }

    /// As Prometheus reads it, with the number of visits that have not ended.
    pub fn write(&self, out: &mut impl Write, open: usize) -> io::Result<()> {
        let name = "tcpserver_connections_total";
        writeln!(out, "# HELP {name} Connections that have ended.\n# TYPE {name} counter")?;
        for ((verdict, status), count) in &self.counts {
            writeln!(out, "{name}{{verdict=\"{verdict}\",status=\"{status}\"}} {count}")?;
        }
        let name = "tcpserver_connection_seconds";
        writeln!(out, "# HELP {name} How long connections lasted.\n# TYPE {name} histogram")?;
        let mut count = 0;
        for (bound, more) in BOUNDS.iter().chain(&["+Inf"]).zip(self.lengths) {
            count += more;
            writeln!(out, "{name}_bucket{{le=\"{bound}\"}} {count}")?;
        }
        writeln!(out, "{name}_sum {:.3}\n{name}_count {count}", self.total.as_secs_f64())?;
        let name = "tcpserver_connections_open";
        writeln!(out, "# HELP {name} Connections that have not ended.\n# TYPE {name} gauge")?;
        writeln!(out, "{name} {open}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::tests::Random;

    const LOG: &str = "\
@4000000037c219bf00000000 tcpserver: status: 1/40
@4000000037c219bf2ef02e94 tcpserver: pid 12 from 1.2.3.4
@4000000037c219bf2ff02e94 tcpserver: ok 12 mx:5.6.7.8:25 a?b:1.2.3.4:me:1024
@4000000037c219bf2ff02e95 tcpserver: pid 13 from 2001:db8::1
@4000000037c219bf2ff02e96 sslserver: deny 13 0:::1:25 :2001:db8::1::4711 MAXCONNIP:2
@4000000037c219bf2ff02e97 tcpserver: pid 14 from 1.2.3.4
@4000000037c219c22ef02e93 tcpserver: end 13 status 25600
@4000000037c219c22ef02e94 tcpserver: end 12 status 9
@4000000037c219c32ef02e94 tcpserver: end 14 status 28416
@4000000037c219c32ef02e94 tcpserver: pid 15 from 1.2.3.4
@4000000037c219c32ef02e94 tcpserver: end 16 status 0
";

    fn visits(log: &[u8]) -> (Vec<Visit>, usize) {
        let mut visits = Visits::default();
        let ended = log.split(|byte| *byte == b'\n').filter_map(|line| visits.line(line)).collect();
        (ended, visits.open())
    }

    #[test]
    fn visits_are_shown_in_the_order_of_their_ends() {
        let (ended, open) = visits(LOG.as_bytes());
        let lines: Vec<u8> = ended.iter().flat_map(Visit::words).collect();
        let expected = "\
@4000000037c219bf2ff02e95 2 13 deny 100 0 ::1 25 - 2001:db8::1 - 4711
@4000000037c219bf2ef02e94 3 12 ok sig9 mx 5.6.7.8 25 a?b 1.2.3.4 me 1024
@4000000037c219bf2ff02e97 3 14 - 111 - - - - 1.2.3.4 - -
";
        assert_eq!((String::from_utf8(lines).unwrap(), open), (expected.into(), 1));
    }

    #[test]
    fn json_strings_hold_any_bytes() {
        assert_eq!(quoted(b"a\"b\\c\x07\xff\xc3\xa9"), "\"a\\\"b\\\\c\\u0007\u{fffd}\u{e9}\"");
        assert_eq!(quoted(b""), "null");
    }

    #[test]
    fn a_clock_that_is_set_back_gives_no_length() {
        let log = "@4000000037c219bf00000000 tcpserver: pid 1 from 1.2.3.4\n\
            @4000000037c219be00000000 tcpserver: end 1 status 0";
        assert_eq!(visits(log.as_bytes()).0[0].length, Duration::ZERO);
    }

    #[test]
    fn damaged_logs_do_no_harm() {
        let mut random = Random::new(1);
        for _ in 0..10_000 {
            let mut log = LOG.as_bytes().to_vec();
            for _ in 0..1 + random.below(20) {
                let at = random.below(log.len());
                log[at] = [b' ', b':', b'\n', b'@', b'9', random.below(256) as u8][random.below(6)];
            }
            let (ended, open) = visits(&log);
            assert!(ended.len() + open <= 4);
            let mut summary = Summary::default();
            for visit in &ended {
                assert_eq!(visit.words().iter().filter(|byte| **byte == b'\n').count(), 1);
                assert_eq!(visit.json().lines().count(), 1);
                summary.add(visit);
            }
            summary.write(&mut Vec::new(), open).unwrap();
        }
    }
}
