//! A program that runs beside the test.

use crate::{LIMIT, comes_true, shown};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

/// A child that runs until it ends or the test does: then its process group is killed.
///
/// The process stays a zombie until this value is dropped, so its pid and its group cannot become
/// somebody else's while the test holds them.
pub struct Running {
    child: Child,
    group: bool,
    stdin: Option<ChildStdin>,
    out: Gathered,
    err: Gathered,
}

/// Starts a program in a process group of its own, with pipes as standard input, output and
/// error; the last two are read all the time. To the program, the input is open and empty until
/// [`Running::write`] or [`Running::close`].
#[track_caller]
pub fn start(command: &mut Command) -> Running {
    let mut running = start_on(Stdio::piped(), command);
    running.stdin = running.child.stdin.take();
    running
}

/// As [`start`], with a standard input of the test's choice: a socket, a file, `Stdio::null()`.
#[track_caller]
pub fn start_on(stdin: impl Into<Stdio>, command: &mut Command) -> Running {
    Running::spawn(command.stdin(stdin).process_group(0), true)
}

impl Running {
    #[track_caller]
    fn spawn(command: &mut Command, group: bool) -> Running {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|e| panic!("start {command:?}: {e}"));
        let out = Gathered::from(child.stdout.take().unwrap());
        let err = Gathered::from(child.stderr.take().unwrap());
        Running { child, group, stdin: None, out, err }
    }

    /// Starts a program in the test's own group and writes all of `input` to it.
    #[track_caller]
    pub(crate) fn alone(command: &mut Command, input: Vec<u8>) -> Running {
        let mut running = Running::spawn(command.stdin(Stdio::piped()), false);
        let mut stdin = running.child.stdin.take().unwrap();
        // a program need not read everything: then this write fails, and that is fine
        thread::spawn(move || stdin.write_all(&input));
        running
    }

    /// The program's process id; also the id of its process group.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Sends a signal (`libc::SIGTERM`) to the program alone. Sent to one that has ended, it does
    /// nothing.
    #[track_caller]
    pub fn signal(&self, number: i32) {
        kill(Pid::from_raw(self.pid()), Signal::try_from(number).unwrap()).unwrap();
    }

    /// Writes to the program's standard input.
    #[track_caller]
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stdin().write_all(bytes.as_ref()).unwrap();
    }

    /// The program's standard input, of one that [`start`] started.
    #[track_caller]
    pub fn stdin(&mut self) -> &mut ChildStdin {
        self.stdin.as_mut().expect("standard input is not a pipe, or is closed")
    }

    /// Ends the program's standard input.
    pub fn close(&mut self) {
        self.stdin = None;
    }

    /// What the program has written to standard output so far.
    pub fn out(&self) -> String {
        shown(&self.out.lock().bytes)
    }

    /// What the program has written to standard error so far.
    pub fn err(&self) -> String {
        shown(&self.err.lock().bytes)
    }

    /// Waits until `text` has appeared on standard output, and gives all that did so far.
    #[track_caller]
    pub fn wait_out(&self, text: &str) -> String {
        let seen = self.out.wait(LIMIT, |stream| stream.contains(text));
        assert!(seen, "no {text:?} on standard output: {}", self.said());
        self.out()
    }

    /// Waits until `text` has appeared on standard error, and gives all that did so far.
    #[track_caller]
    pub fn wait_err(&self, text: &str) -> String {
        let seen = self.err.wait(LIMIT, |stream| stream.contains(text));
        assert!(seen, "no {text:?} on standard error: {}", self.said());
        self.err()
    }

    /// The exit status if the program has ended.
    pub fn ended(&self) -> Option<ExitStatus> {
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        match waitid(Id::Pid(Pid::from_raw(self.pid())), look).unwrap() {
            WaitStatus::Exited(_, code) => Some(ExitStatus::from_raw(code << 8)),
            WaitStatus::Signaled(_, signal, _) => Some(ExitStatus::from_raw(signal as i32)),
            _ => None,
        }
    }

    /// Waits until the program has ended. Panics with what it printed when `limit` is over.
    #[track_caller]
    pub fn wait(&self, limit: Duration) -> ExitStatus {
        let over = comes_true(limit, || self.ended().is_some());
        assert!(over, "still runs after {limit:?}: {}", self.said());
        self.ended().unwrap()
    }

    /// Ends the input, waits for the program to end and for all that it and its children print.
    #[track_caller]
    pub fn finish(mut self, limit: Duration) -> Output {
        self.close();
        let status = self.wait(limit);
        for stream in [&self.out, &self.err] {
            assert!(
                stream.wait(limit, |stream| stream.ended),
                "a child still holds an output: {}",
                self.said()
            );
        }
        let bytes = |stream: &Gathered| stream.lock().bytes.clone();
        Output { status, stdout: bytes(&self.out), stderr: bytes(&self.err) }
    }

    fn said(&self) -> String {
        format!("\nstandard output: {}\nstandard error: {}", self.out(), self.err())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.group {
            // fails if nobody is left in the group
            let _ = killpg(Pid::from_raw(self.pid()), Signal::SIGKILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a thread has read from a pipe.
struct Gathered(Arc<(Mutex<Stream>, Condvar)>);

#[derive(Default)]
struct Stream {
    bytes: Vec<u8>,
    ended: bool,
}

impl Stream {
    fn contains(&self, text: &str) -> bool {
        memchr::memmem::find(&self.bytes, text.as_bytes()).is_some()
    }
}

impl Gathered {
    fn from(mut pipe: impl Read + Send + 'static) -> Gathered {
        let shared = Arc::new((Mutex::new(Stream::default()), Condvar::new()));
        let ours = Arc::clone(&shared);
        thread::spawn(move || {
            let mut buffer = [0; 65536];
            loop {
                let got = match pipe.read(&mut buffer) {
                    Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                    other => other.unwrap_or(0),
                };
                let mut stream = ours.0.lock().unwrap();
                stream.bytes.extend_from_slice(&buffer[..got]);
                stream.ended = got == 0;
                ours.1.notify_all();
                if stream.ended {
                    return;
                }
            }
        });
        Gathered(shared)
    }

    fn lock(&self) -> MutexGuard<'_, Stream> {
        self.0.0.lock().unwrap()
    }

    /// Waits until the stream is `good`; false if it ends or the limit is over before.
    fn wait(&self, limit: Duration, good: impl Fn(&Stream) -> bool) -> bool {
        let more = |stream: &mut Stream| !stream.ended && !good(stream);
        let (stream, _) = self.0.1.wait_timeout_while(self.lock(), limit, more).unwrap();
        good(&stream)
    }
}
