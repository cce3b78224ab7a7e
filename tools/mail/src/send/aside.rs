//! What waits for the disk, done beside the main loop: a thread takes jobs in their order and
//! gives their results, and rings when there are some. Deliveries go on meanwhile.

use base::sys::fd;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Builder;

/// Bytes of the thread's stack. Records and names are on the heap.
const STACK: usize = 128 << 10;

/// A thread that does jobs.
pub struct Aside<J, R> {
    jobs: Sender<J>,
    results: Receiver<R>,
    bell: OwnedFd,
    /// Jobs whose results have not been taken.
    open: usize,
}

impl<J: Send + 'static, R: Send + 'static> Aside<J, R> {
    /// Starts the thread. It ends with this process.
    pub fn new(mut work: impl FnMut(J) -> R + Send + 'static) -> io::Result<Self> {
        let (jobs, todo) = channel();
        let (done, results) = channel();
        let (bell, rope) = fd::pipe()?;
        let run = move || {
            while let Ok(job) = todo.recv() {
                if done.send(work(job)).is_err() || fd::write_all(rope.as_fd(), b"!").is_err() {
                    return;
                }
            }
        };
        Builder::new().stack_size(STACK).spawn(run)?;
        Ok(Aside { jobs, results, bell, open: 0 })
    }

    /// Adds a job. It cannot fail as long as the thread does not panic, which ends everything.
    pub fn ask(&mut self, job: J) {
        if self.jobs.send(job).is_ok() {
            self.open += 1;
        }
    }

    /// Whether nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.open == 0
    }

    /// Readable when there are results.
    pub fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// Takes the results that have come, after the bell has rung.
    pub fn results(&mut self) -> Vec<R> {
        let _ = fd::read(self.bell.as_fd(), &mut [0; 256]);
        let results: Vec<R> = self.results.try_iter().collect();
        self.open -= results.len();
        results
    }
}
