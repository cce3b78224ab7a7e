//! A child that shares the memory of this program until it becomes another one. Nothing is copied
//! and nobody waits: a server that starts a program for each of many visitors spends half of what
//! fork costs.
//!
//! Between clone and exec there are two processes in one memory. This is sound because
//! - the child runs [`Errand::run`] alone, on a stack that is no other's. It changes nothing but
//!   that stack, and reads what its [`Slot`] holds, which stays as it is until the kernel clears
//!   `busy`: at exec or at the end of the child, when it has left this memory.
//! - the child makes bare system calls. Those of the C library set errno, which is ours too.
//!   It allocates nothing and cannot panic.
//! - handlers of [`super::signal`] may run in it: they only end the process that they run in, or
//!   set atomics and write to a pipe. Exec resets them; what is blocked the child unblocks. A
//!   server ignores nothing: it blocks what it does not want, SIGPIPE above all.
//! - slots and programs are never given back, so that it does not matter who ends first.

use super::exec::{Environment, Program};
use super::stack::Stack;
use super::wait::Pid;
use super::{bare, check};
use crate::errno;
use std::cell::UnsafeCell;
use std::ffi::{OsString, c_int, c_void};
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};
use std::{ptr, thread};

/// Children at most that are on their way to exec, which takes a fraction of a millisecond.
const SLOTS: usize = 8;
/// So often one of them is let run if all slots are taken.
const TRIES: usize = 8;

/// A program that is started again and again.
pub struct Launcher {
    program: &'static Launched,
    slots: Vec<&'static Slot>,
}

struct Launched {
    program: Program,
    /// What is said before the reason, if a child cannot become the program.
    unable: Option<[Vec<u8>; 2]>,
}

/// What one child does.
pub struct Errand {
    /// Each is written to stderr, with the child's number between its two parts.
    pub lines: Vec<[Vec<u8>; 2]>,
    /// Becomes standard input and output of the program.
    pub socket: RawFd,
    /// The program's; without one there is no program, and the child ends with 100.
    pub environment: Option<Environment>,
}

/// Where a child is until it is a program.
struct Slot {
    /// The child's number, set and cleared by the kernel.
    busy: AtomicI32,
    /// The upper end.
    stack: *mut c_void,
    errand: UnsafeCell<Option<(&'static Launched, Errand)>>,
}

impl Launcher {
    /// The program that the first word names. `unable` are last words of a child: what it says if
    /// it cannot set up its descriptors, and if it cannot run the program, a reason following.
    pub fn new(words: &[OsString], unable: Option<[Vec<u8>; 2]>) -> io::Result<Self> {
        let name = words.first().map(|name| name.as_bytes()).unwrap_or_default();
        let launched = Launched { program: Program::new(name, words)?, unable };
        Ok(Launcher { program: Box::leak(Box::new(launched)), slots: Vec::new() })
    }

    /// Starts a child. `None`: too many are on their way; the errand is lost. An error means that
    /// there is no child.
    pub fn start(&mut self, errand: Errand) -> io::Result<Option<Pid>> {
        let Some(slot) = (0..TRIES).find_map(|number| self.free_slot(number)) else {
            return Ok(None);
        };
        // SAFETY: no child reads it, as `busy` says, and this program has one thread.
        unsafe { *slot.errand.get() = Some((self.program, errand)) };
        slot.busy.store(-1, SeqCst);
        let flags = libc::CLONE_VM | libc::CLONE_CHILD_SETTID | libc::CLONE_CHILD_CLEARTID;
        let (own, none) = (ptr::from_ref(slot), ptr::null_mut::<c_void>());
        // SAFETY: the stack is free and stays mapped; `child` gets the slot that it asks for; the
        // kernel writes to `busy`, which is atomic and never given back.
        let pid = check(unsafe {
            let (own, busy) = (own.cast_mut().cast(), slot.busy.as_ptr());
            libc::clone(child, slot.stack, flags | libc::SIGCHLD, own, none, none, busy)
        });
        if pid.is_err() {
            slot.busy.store(0, SeqCst);
        }
        pid.map(Some)
    }

    /// A slot that no child is in, one with memory if possible.
    fn free_slot(&mut self, tried: usize) -> Option<&'static Slot> {
        if tried > 0 {
            thread::yield_now();
        }
        let free = self.slots.iter().find(|slot| slot.busy.load(SeqCst) == 0);
        if let Some(slot) = free {
            return Some(slot);
        }
        if self.slots.len() == SLOTS || !bare::KNOWN {
            return None;
        }
        let stack = ManuallyDrop::new(Stack::new().ok()?).top();
        let slot = Slot { busy: AtomicI32::new(0), stack, errand: UnsafeCell::new(None) };
        self.slots.push(Box::leak(Box::new(slot)));
        self.slots.last().copied()
    }
}

/// Where a child begins.
extern "C" fn child(slot: *mut c_void) -> c_int {
    // SAFETY: a slot that is never given back and that nobody changes while the child is here.
    let slot = unsafe { &*slot.cast::<Slot>() };
    // SAFETY: as above.
    match unsafe { &*slot.errand.get() } {
        Some((launched, errand)) => errand.run(launched, slot.busy.load(SeqCst)),
        None => bare::exit(111),
    }
}

impl Launched {
    /// Becomes the program with ordinary signals, or says why not.
    fn become_program(&self, environment: &Environment) -> i32 {
        bare::unblock_all();
        let argv = self.program.argv();
        // SAFETY: the program's own strings.
        self.program.search(|file| unsafe { bare::execve(file, argv, environment) })
    }
}

impl Errand {
    /// In the child.
    fn run(&self, launched: &Launched, pid: Pid) -> ! {
        let mut digits = [0; 10];
        let pid = bare::decimal(pid.unsigned_abs(), &mut digits);
        self.lines.iter().for_each(|[before, after]| bare::write(2, [before, pid, after, b""]));
        if !self.lines.is_empty() {
            bare::discard(libc::SIGPIPE);
        }
        let Some(environment) = &self.environment else { bare::exit(100) };
        let (at, why) = match bare::copy_to(self.socket, 0).max(bare::copy_to(self.socket, 1)) {
            0 => (1, launched.become_program(environment)),
            why => (0, why),
        };
        if let Some(unable) = launched.unable.as_ref().and_then(|unable| unable.get(at)) {
            let number = bare::decimal(why.unsigned_abs(), &mut digits);
            let (words, number) = match errno::text(why) {
                Some(text) => (text, &b""[..]),
                None => ("unknown error ", number),
            };
            bare::write(2, [unable, words.as_bytes(), number, b"\n"]);
        }
        bare::exit(111)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Env;
    use crate::sys::wait;
    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    /// What a child says on its socket, and its exit code.
    fn ran(launcher: &mut Launcher, environment: Option<&Env>) -> (String, Option<u8>) {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let environment = environment.map(Environment::of);
        let errand = Errand { lines: Vec::new(), socket: theirs.as_raw_fd(), environment };
        let pid = launcher.start(errand).unwrap().unwrap();
        drop(theirs);
        let mut said = String::new();
        let _ = ours.write_all(b"word\n");
        let _ = ours.read_to_string(&mut said); // a reset, if the word was not read
        (said, wait::child(pid).unwrap().code())
    }

    #[test]
    fn children_become_the_program_with_socket_and_environment() {
        if !bare::KNOWN {
            return;
        }
        let words = ["sh", "-c", "read word; echo $word $A; exit 7"].map(OsString::from);
        let mut launcher = Launcher::new(&words, None).unwrap();
        for number in 0..100 {
            let mut env = Env::empty();
            let expected = format!("word {number}\n");
            assert_eq!(
                ran(&mut launcher, Some(env.set("A", number.to_string()))),
                (expected, Some(7))
            );
        }
        assert_eq!(ran(&mut launcher, None), (String::new(), Some(100)));
        assert_eq!(launcher.slots.len(), 1);
        let mut missing = Launcher::new(&["/no/such".into()], None).unwrap();
        assert_eq!(ran(&mut missing, Some(&Env::empty())), (String::new(), Some(111)));
    }
}
