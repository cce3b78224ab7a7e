//! Whether a client may send mail: what $RBLSMTPD says, or all that lists say of it.

use crate::dnsbl::Failed;

/// What stands for the text of a list that fails.
const LOOKUP_ERROR: &[u8] = b"temporary RBL lookup error";
/// $RBLSMTPD is cut after so many bytes.
const TEXT_BYTES: usize = 200;

/// What becomes of a client. Texts may hold any bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may send mail.
    Run,
    /// It may, and this is known of it.
    Inform(Vec<u8>),
    /// It may not.
    Refuse {
        /// Its mail bounces; otherwise it may be sent again later.
        bounce: bool,
        /// What it is told.
        text: Vec<u8>,
    },
}

impl Decision {
    /// What the value of $RBLSMTPD says.
    pub fn told(value: &[u8]) -> Self {
        let cut = |text: &[u8]| text[..text.len().min(TEXT_BYTES)].to_vec();
        match value {
            [] => Decision::Run,
            [b'-', text @ ..] => Decision::Refuse { bounce: true, text: cut(text) },
            text => Decision::Refuse { bounce: false, text: cut(text) },
        }
    }
}

/// How a list is to be understood: rblsmtpd's options that stand before it.
#[derive(Clone, Copy, Debug)]
pub struct Mode {
    /// -b: the mail bounces at once.
    pub bounce: bool,
    /// -c: a list that fails lists the client, or does not allow it.
    pub fail_closed: bool,
    /// -i: a listing is only told.
    pub inform: bool,
    /// -S: what a listing counts.
    pub weight: u32,
    /// -s: what all listings must count together.
    pub threshold: u32,
}

impl Default for Mode {
    fn default() -> Self {
        Mode { bounce: false, fail_closed: false, inform: false, weight: 1, threshold: 1 }
    }
}

/// What the lists so far have said.
#[derive(Default)]
pub struct Tally {
    /// The weights of all listings.
    counted: u32,
    /// One has failed: nothing bounces any more.
    failed: bool,
}

impl Tally {
    /// Takes what a blocking list says, the text of its listing, and decides if it can.
    pub fn block(
        &mut self,
        listing: Result<Option<Vec<u8>>, Failed>,
        mode: Mode,
    ) -> Option<Decision> {
        self.failed |= listing.is_err();
        let error = mode.fail_closed.then(|| LOOKUP_ERROR.to_vec());
        let text = listing.unwrap_or(error)?;
        self.counted = self.counted.saturating_add(mode.weight);
        match self.counted >= mode.threshold {
            false => None,
            true if mode.inform => Some(Decision::Inform(text)),
            true => Some(Decision::Refuse { bounce: mode.bounce && !self.failed, text }),
        }
    }

    /// Takes whether an allowing list has the client, and decides if it can.
    pub fn allow(&mut self, listed: Result<bool, Failed>, mode: Mode) -> Option<Decision> {
        self.failed |= listed.is_err();
        listed.unwrap_or(!mode.fail_closed).then_some(Decision::Run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(bounce: bool, text: &str) -> Option<Decision> {
        Some(Decision::Refuse { bounce, text: text.into() })
    }

    fn listing() -> Result<Option<Vec<u8>>, Failed> {
        Ok(Some(b"no".to_vec()))
    }

    #[test]
    fn the_variable_accepts_delays_or_bounces() {
        assert_eq!(Decision::told(b""), Decision::Run);
        assert_eq!(Some(Decision::told(b"no")), refused(false, "no"));
        assert_eq!(Some(Decision::told(b"--")), refused(true, "-"));
        assert_eq!(Some(Decision::told(&[b'x'; 300])), refused(false, &"x".repeat(200)));
    }

    #[test]
    fn a_listing_refuses_and_bounces_unless_a_list_has_failed() {
        let mode = Mode { bounce: true, ..Mode::default() };
        let mut tally = Tally::default();
        assert_eq!(tally.block(Ok(None), mode), None);
        assert_eq!(tally.block(listing(), mode), refused(true, "no"));
        assert_eq!(tally.block(Err(Failed), mode), None);
        assert_eq!(tally.block(listing(), mode), refused(false, "no"));
    }

    #[test]
    fn failures_are_open_or_closed() {
        let closed = Mode { fail_closed: true, bounce: true, ..Mode::default() };
        let error = "temporary RBL lookup error";
        assert_eq!(Tally::default().block(Err(Failed), closed), refused(false, error));
        let allow = |listed, mode| Tally::default().allow(listed, mode);
        assert_eq!(allow(Err(Failed), Mode::default()), Some(Decision::Run));
        assert_eq!(allow(Err(Failed), closed), None);
        assert_eq!(
            (allow(Ok(false), closed), allow(Ok(true), closed)),
            (None, Some(Decision::Run))
        );
    }

    #[test]
    fn weights_are_added_until_they_reach_the_threshold() {
        let mode = |weight| Mode { weight, threshold: 5, inform: true, ..Mode::default() };
        let mut tally = Tally::default();
        assert_eq!(tally.block(listing(), mode(4)), None);
        assert_eq!(tally.block(listing(), mode(0)), None);
        assert_eq!(tally.block(listing(), mode(u32::MAX)), Some(Decision::Inform(b"no".to_vec())));
    }
}
