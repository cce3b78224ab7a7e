//! The connection to qmail-clean, which removes what belongs to another user. Requests are sent
//! together; answers come in their order, and nobody waits for them.

use base::sys::fd;
use std::collections::VecDeque;
use std::os::fd::BorrowedFd;

/// What qmail-clean is asked to remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// `intd/N` and the message: it is done, or never began.
    Message(u64),
    /// `intd/N` and `todo/N`: everything in them is in files of ours.
    Todo(u64),
}

impl Request {
    /// The request as it is sent, without the NUL.
    pub fn words(self) -> String {
        match self {
            Request::Message(message) => format!("foop/{message}"),
            Request::Todo(message) => format!("todo/{message}"),
        }
    }
}

/// Requests and answers.
pub struct Cleaner {
    to: BorrowedFd<'static>,
    /// Where the answers come.
    pub from: BorrowedFd<'static>,
    /// Requests without an answer.
    open: VecDeque<Request>,
    /// Those that have not been sent, as they will be.
    unsent: Vec<u8>,
}

/// qmail-clean is gone.
pub struct Gone;

impl Cleaner {
    /// On the descriptors that qmail-start gave us.
    pub fn new() -> Self {
        Cleaner {
            to: fd::number(5),
            from: fd::number(6),
            open: VecDeque::new(),
            unsent: Vec::new(),
        }
    }

    /// Adds a request.
    pub fn ask(&mut self, request: Request) {
        self.unsent.extend_from_slice(request.words().as_bytes());
        self.unsent.push(0);
        self.open.push_back(request);
    }

    /// Sends the requests that have been added, in one write as far as a pipe takes them so.
    pub fn send(&mut self) -> Result<(), Gone> {
        let sent = fd::write_all(self.to, &self.unsent);
        self.unsent.clear();
        sent.map_err(|_| Gone)
    }

    /// Whether a request is still without an answer.
    pub fn waits_for(&self, request: Request) -> bool {
        self.open.contains(&request)
    }

    /// Whether all answers have come.
    pub fn is_idle(&self) -> bool {
        self.open.is_empty()
    }

    /// Takes the answers of one read: whether all of a request's files are gone. An answer that
    /// nobody asked for is dropped.
    pub fn answers(&mut self) -> Result<Vec<(Request, bool)>, Gone> {
        let mut answers = [0; 512];
        match fd::read(self.from, &mut answers) {
            Ok(0) | Err(_) => Err(Gone),
            Ok(count) => {
                let answers = answers[..count].iter().map(|answer| *answer == b'+');
                Ok(answers.map_while(|done| Some((self.open.pop_front()?, done))).collect())
            }
        }
    }
}

impl Default for Cleaner {
    fn default() -> Self {
        Cleaner::new()
    }
}
