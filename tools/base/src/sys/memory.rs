//! Memory: a program that gets no more of it says so and ends with its code; std would have it
//! die of a signal. And secrets are wiped out of it.

use super::check;
use super::start::{exit_at_once, program};
use std::alloc::{GlobalAlloc, Layout, System};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};

/// The exit code of a program that gets no memory.
static CODE: AtomicU8 = AtomicU8::new(111);
/// It ends without a word.
static SILENT: AtomicBool = AtomicBool::new(false);

/// Has this program end with this code and without a word when it gets no memory, instead of with
/// `fatal: out of memory` and 111.
pub fn end_silently_with(code: u8) {
    CODE.store(code, Relaxed);
    SILENT.store(true, Relaxed);
}

/// Overwrites a secret with zeros, also where nobody reads them and the compiler knows.
pub fn wipe(secret: &mut [u8]) {
    for byte in secret {
        // SAFETY: a byte of a slice that is ours.
        unsafe { std::ptr::write_volatile(byte, 0) };
    }
}

// There is one for a program. The unit tests of this crate have that of their helper crate.
#[cfg_attr(not(test), global_allocator)]
#[cfg_attr(test, allow(dead_code))]
static MEMORY: Memory = Memory;

/// Keeps the memory of this process from other processes of the same user, and out of core dumps,
/// until it becomes another program.
pub fn keep_secret() -> io::Result<()> {
    // SAFETY: no memory is involved.
    check(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) }).map(drop)
}

/// The system's memory, which never says no: where it would, the program ends.
struct Memory;

// SAFETY: everything is left to System, which keeps the contract; NULL is not handed on.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract, which is System's too; likewise below.
        got(unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        got(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        got(unsafe { System.realloc(old, layout, size) })
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(old, layout) }
    }
}

fn got(memory: *mut u8) -> *mut u8 {
    if memory.is_null() {
        end();
    }
    memory
}

/// The last words, without allocation, and the end.
#[cold]
fn end() -> ! {
    if !SILENT.load(Relaxed) {
        let parts = [program().as_bytes(), b": fatal: out of memory\n"];
        let parts = parts.map(|part| libc::iovec {
            iov_base: part.as_ptr().cast_mut().cast(),
            iov_len: part.len(),
        });
        // SAFETY: two slices that live until the call returns; writev only reads them.
        unsafe { libc::writev(2, parts.as_ptr(), 2) };
    }
    exit_at_once(CODE.load(Relaxed))
}
