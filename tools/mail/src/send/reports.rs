//! What the spawners report: a byte (which delivery), a letter, a text, NUL.

/// Bytes of a report that are kept, its number included; of a longer one the rest is thrown away.
const LONGEST: usize = 10_000;

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// K: it is done.
    Done,
    /// Z: it may work later.
    Later,
    /// D: it will never work.
    Never,
    /// Another letter, or none.
    Mangled,
}

/// One report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which delivery, as it was ordered.
    pub number: u8,
    /// What became of it.
    pub verdict: Verdict,
    /// The words about it, usually lines.
    pub text: Vec<u8>,
}

/// Takes reports apart, however reads cut them.
#[derive(Debug, Default)]
pub struct Reports {
    /// The report that is being read, from its number on.
    report: Vec<u8>,
}

impl Reports {
    /// Takes the next report off the front of `bytes`; `None` if its end is yet to come.
    pub fn next(&mut self, bytes: &mut &[u8]) -> Option<Report> {
        // The number may be 0 too.
        if self.report.is_empty() {
            let (number, rest) = bytes.split_first()?;
            self.report.push(*number);
            *bytes = rest;
        }
        let end = memchr::memchr(0, bytes);
        let part = &bytes[..end.unwrap_or(bytes.len())];
        let room = LONGEST - self.report.len();
        self.report.extend_from_slice(&part[..part.len().min(room)]);
        *bytes = &bytes[end.map_or(bytes.len(), |end| end + 1)..];
        end?;
        let report = std::mem::take(&mut self.report);
        let (verdict, text) = match report.get(1) {
            Some(b'K') => (Verdict::Done, &report[2..]),
            Some(b'Z') => (Verdict::Later, &report[2..]),
            Some(b'D') => (Verdict::Never, &report[2..]),
            _ => (Verdict::Mangled, &b""[..]),
        };
        Some(Report { number: report[0], verdict, text: text.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::tests::Random;

    fn all(reports: &mut Reports, mut bytes: &[u8]) -> Vec<Report> {
        std::iter::from_fn(|| reports.next(&mut bytes)).collect()
    }

    fn report(number: u8, verdict: Verdict, text: &str) -> Report {
        Report { number, verdict, text: text.into() }
    }

    #[test]
    fn reports_are_the_same_however_they_are_cut() {
        let bytes = b"\0Kdone\n\0\x07Znot now\0\x07Dno\0\x08\0\x09huh\0";
        let expected = [
            report(0, Verdict::Done, "done\n"),
            report(7, Verdict::Later, "not now"),
            report(7, Verdict::Never, "no"),
            report(8, Verdict::Mangled, ""),
            report(9, Verdict::Mangled, ""),
        ];
        for cut in 0..=bytes.len() {
            let mut reports = Reports::default();
            let mut seen = all(&mut reports, &bytes[..cut]);
            seen.extend(all(&mut reports, &bytes[cut..]));
            assert_eq!(seen, expected);
        }
    }

    #[test]
    fn a_long_report_is_cut_and_the_next_one_is_whole() {
        let mut reports = Reports::default();
        let long = [b"\x01K".to_vec(), vec![b'x'; 1_000_000], b"\0\x02Kfine\0".to_vec()].concat();
        let mut seen = Vec::new();
        for piece in long.chunks(4096) {
            seen.extend(all(&mut reports, piece));
            assert!(reports.report.len() <= LONGEST);
        }
        assert_eq!(seen[0].text.len(), LONGEST - 2);
        assert_eq!(seen[1], report(2, Verdict::Done, "fine"));
    }

    #[test]
    fn any_bytes_are_reports() {
        let mut random = Random::new(1);
        let mut reports = Reports::default();
        for _ in 0..10_000 {
            let bytes = [0, b'K', b'Z', b'D', 1, 255, b'\n', b'x'].repeat(random.below(4));
            let at = random.below(8);
            let seen = all(&mut reports, bytes.get(at..).unwrap_or_default());
            assert!(seen.len() <= bytes.len());
        }
    }
}
