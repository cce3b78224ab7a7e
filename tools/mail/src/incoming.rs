//! A message that comes in by QMTP or QMQP, and the answer to it: `K` accepted, `Z` refused for
//! now, `D` refused for good, then a text.

use crate::caller::Caller;
use crate::hops::{self, Hops};
use crate::received;
use crate::submission::{Refusal, Submission};
use base::env::Env;
use base::sys::clock;
use queue::staying::Staying;

/// A message that is going in circles.
const TOO_MANY_HOPS: &str = "Dtoo many hops, this message is looping (#5.4.6)";

/// Addresses of so many bytes or more are not taken: as the originals have it.
pub const ADDRESS: usize = 1000;

/// A message on its way from a client to the queue program. Dropped, it is not queued.
pub struct Incoming {
    submission: Submission,
    hops: Hops,
}

impl Incoming {
    /// Gives the queue program the Received line.
    pub fn open(mut submission: Submission, env: &Env, protocol: &str) -> Self {
        submission.put(&received::line(&Caller::of(env), None, protocol, clock::seconds()));
        Incoming { submission, hops: Hops::default() }
    }

    /// Adds bytes of the message, whose lines end in LF.
    pub fn text(&mut self, bytes: &[u8]) {
        self.hops.look(bytes);
        self.submission.put(bytes);
    }

    /// Ends the message and gives the sender.
    pub fn sender(&mut self, sender: &[u8]) {
        self.submission.sender(sender);
    }

    /// Adds a recipient.
    pub fn recipient(&mut self, recipient: &[u8]) {
        self.submission.recipient(recipient);
    }

    /// Has the message dropped.
    pub fn discard(&mut self) {
        self.submission.discard();
    }

    /// Ends the envelope, and gives the answer, and who takes the next message.
    pub fn close(mut self) -> (Vec<u8>, Option<Staying>) {
        let looping = self.hops.count() >= hops::TOO_MANY;
        if looping {
            self.discard();
        }
        match self.submission.close_and_keep() {
            Ok((qp, staying)) => (format!("Kok {} qp {qp}", clock::seconds()).into(), staying),
            Err(_) if looping => (TOO_MANY_HOPS.into(), None),
            Err(Refusal { permanent, text }) => {
                let letter = if permanent { b'D' } else { b'Z' };
                // No control characters, whatever the queue program says.
                let text = text.iter().map(|byte| (*byte).max(b' '));
                ([letter].into_iter().chain(text).collect(), None)
            }
        }
    }
}
