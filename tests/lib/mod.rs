//! What the tests of whole programs share: the program under test, a scratch folder, running
//! children, loopback sockets, fake DNS and SMTP servers, failing system calls, damaged input.
//!
//! A test reads: make a scratch folder, start a program, say what came out.
//!
//! ```no_run
//! use tests::{program, ran, scratch};
//! let place = scratch();
//! place.write("rules", ":allow\n");
//! let o = program("tcprules").args(["cdb", "tmp"]).current_dir(place.path()).output().unwrap();
//! assert_eq!(ran(&o), (Some(0), String::new(), String::new()));
//! ```
//!
//! The same tests run on the originals: `UNDER_TEST=/usr/bin cargo test --test supervise`.

mod dns;
mod hostile;
mod page;
mod program;
mod random;
mod running;
mod scratch;
mod smtp;
mod socket;
mod trace;
mod user;

pub use dns::{Dns, dns};
pub use hostile::{Hostile, set};
pub use page::{codes, codes_in, section};
pub use program::{
    behind, bin, fed, fed_within, limited, original, program, ran, redirected, shown,
    with_children_ignored,
};
pub use random::Random;
pub use running::{Running, start, start_on};
pub use scratch::{Scratch, scratch, scratch_in_memory};
pub use smtp::{Smtp, SmtpServer, accepting, smtp, smtp_on, smtp_server, smtp_server_at};
pub use socket::{connect, free_port, listener};
pub use trace::{calls, failing, killed, killed_at, steps, without};
pub use user::{as_user, root, skip};

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a test waits for anything before it fails.
pub const LIMIT: Duration = Duration::from_secs(20);

/// Waits until `condition` holds, looking every few milliseconds, and panics naming `what` when
/// `limit` is over.
#[track_caller]
pub fn until(limit: Duration, what: &str, condition: impl FnMut() -> bool) {
    assert!(comes_true(limit, condition), "after {limit:?} still not: {what}");
}

/// Waits until `condition` holds; false when `limit` is over. The only sleep in all tests.
pub fn comes_true(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    while !condition() {
        if Instant::now() > deadline {
            return false;
        }
        sleep(Duration::from_millis(3));
    }
    true
}

/// Panics if no one of five attempts holds. For what takes a certain time when nothing disturbs it:
/// a busy machine may make any one attempt slow, and a program that is wrong fails all.
#[track_caller]
pub fn one_of_five(attempt: impl FnMut() -> bool) {
    let mut attempt = attempt;
    assert!((0..5).any(|_| attempt()), "five times in a row it took another time");
}

/// The root of the source tree.
pub fn tree() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
