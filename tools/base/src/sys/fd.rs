//! Descriptors: pipes, duplicates, flags, plain reads and writes.

use super::{check, retry};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

/// Standard input, whether open or not.
pub const STDIN: BorrowedFd<'static> = number(0);
/// Standard output, whether open or not.
pub const STDOUT: BorrowedFd<'static> = number(1);
/// Standard error, whether open or not.
pub const STDERR: BorrowedFd<'static> = number(2);

/// A descriptor that the caller of this program passed by its number, say 6 under tcpclient.
/// If it is not open, its use fails with EBADF.
pub const fn number(fd: RawFd) -> BorrowedFd<'static> {
    assert!(fd >= 0);
    // SAFETY: not -1. A number without an open file makes calls fail, nothing worse: no program
    // here keeps memory behind a descriptor.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

/// Takes over an inherited descriptor, so that dropping it closes it.
pub fn take(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_GETFD only looks; from_raw_fd follows only if the number is open.
    check(unsafe { libc::fcntl(fd, libc::F_GETFD) })?;
    // SAFETY: open, and inherited, so that nothing else in this process owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Closes a descriptor by its number; one that is not open is no error.
pub fn close(fd: RawFd) {
    // SAFETY: callers name inherited descriptors that nothing in this process owns.
    unsafe { libc::close(fd) };
}

/// Closes all descriptors but these, in a child that shares nothing else with its parent.
pub fn close_all_but(kept: &[RawFd]) {
    let mut kept: Vec<RawFd> = kept.to_vec();
    kept.sort_unstable();
    let mut from = 0;
    for number in kept {
        close_range(from, number - 1);
        from = number + 1;
    }
    close_range(from, RawFd::MAX);
}

/// Closes all descriptors of a range, ends included.
fn close_range(from: RawFd, to: RawFd) {
    if from > to {
        return;
    }
    let (first, last, flags) = (from as libc::c_uint, to as libc::c_uint, 0 as libc::c_uint);
    // SAFETY: callers own what is open there, and use it no more.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    // Old kernels (before 5.9) cannot, and few programs have that many.
    if closed != 0 {
        (from..=to.min(1023)).for_each(close);
    }
}

/// Closes a file that was written, and says whether what was written is lost: some file systems
/// tell it no earlier.
pub fn close_written(fd: impl Into<OwnedFd>) -> io::Result<()> {
    // SAFETY: the number is ours and is not used again. EINTR closes it too on Linux.
    match check(unsafe { libc::close(fd.into().into_raw_fd()) }) {
        Err(why) if why.raw_os_error() == Some(libc::EINTR) => Ok(()),
        other => other.map(drop),
    }
}

/// Opens /dev/null under each of 0, 1 and 2 that is closed, so that no file which is opened later
/// is taken for standard input, output or error.
pub fn fill_standard() -> io::Result<()> {
    for number in 0..=2 {
        if !is_open(number) {
            // SAFETY: a NUL-ended string; the lowest free number is this one.
            retry(|| unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) })?;
        }
    }
    Ok(())
}

/// Goes back to the start of a file, for everybody who shares it. A pipe fails (ESPIPE).
pub fn rewind(fd: BorrowedFd) -> io::Result<()> {
    // SAFETY: no memory is involved.
    let at = unsafe { libc::lseek(fd.as_raw_fd(), 0, libc::SEEK_SET) };
    if at == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// As [`fill_standard`], but the program that this one becomes finds closed what was closed.
pub fn fill_standard_until_exec() -> io::Result<()> {
    for number in 0..=2 {
        if !is_open(number) {
            let flags = libc::O_RDWR | libc::O_CLOEXEC;
            // SAFETY: a NUL-ended string; the lowest free number is this one.
            retry(|| unsafe { libc::open(c"/dev/null".as_ptr(), flags) })?;
        }
    }
    Ok(())
}

/// Makes the number `to` a copy of `from` that a child inherits.
pub fn copy_to(from: BorrowedFd, to: RawFd) -> io::Result<()> {
    if from.as_raw_fd() == to {
        return keep_across_exec(from);
    }
    // SAFETY: dup2 replaces `to`, which callers name because a protocol fixes it.
    retry(|| unsafe { libc::dup2(from.as_raw_fd(), to) }).map(drop)
}

/// A pipe: its read end and its write end, both closed at exec.
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    // SAFETY: the kernel fills the two numbers.
    check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    // SAFETY: fresh from pipe2 and owned by nobody else.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// Lets the programs that this one becomes or starts inherit the descriptor.
pub fn keep_across_exec(fd: BorrowedFd) -> io::Result<()> {
    // SAFETY: changes a flag of an open descriptor; no memory is involved.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, 0) }).map(drop)
}

/// Closes the descriptor at exec.
pub fn close_at_exec(fd: BorrowedFd) -> io::Result<()> {
    // SAFETY: changes a flag of an open descriptor; no memory is involved.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) }).map(drop)
}

/// Makes reads and writes fail with EAGAIN instead of waiting, or wait again. The setting
/// belongs to the open file, so everybody who shares it is concerned.
pub fn set_nonblocking(fd: BorrowedFd, on: bool) -> io::Result<()> {
    // SAFETY: reads and changes flags of an open descriptor; no memory is involved.
    let flags = check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) })?;
    let wanted = if on { flags | libc::O_NONBLOCK } else { flags & !libc::O_NONBLOCK };
    // SAFETY: as above.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, wanted) }).map(drop)
}

/// Whether the number is open.
pub fn is_open(fd: RawFd) -> bool {
    // SAFETY: F_GETFD only looks.
    unsafe { libc::fcntl(fd, libc::F_GETFD) != -1 }
}

/// Has the kernel begin to write a file's data to disk, so that a later fsync waits less. Only a
/// hint: it promises nothing and fails silently.
pub fn start_write_back(fd: BorrowedFd) {
    // SAFETY: no memory is involved.
    unsafe { libc::sync_file_range(fd.as_raw_fd(), 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
}

/// One read, tried again after a signal. 0 is the end.
pub fn read(fd: BorrowedFd, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match read_once(fd, into) {
            Err(why) if why.raw_os_error() == Some(libc::EINTR) => {}
            other => return other,
        }
    }
}

/// One read behind what is in a vector, as much as it has room for; tried again after a signal.
/// 0 is the end, or no room. Memory that nothing is read into is never touched.
pub fn append(fd: BorrowedFd, to: &mut Vec<u8>) -> io::Result<usize> {
    loop {
        let room = to.spare_capacity_mut();
        // SAFETY: the kernel writes at most room.len() bytes into the room.
        let count = unsafe { libc::read(fd.as_raw_fd(), room.as_mut_ptr().cast(), room.len()) };
        match usize::try_from(count).map_err(|_| io::Error::last_os_error()) {
            Ok(count) => {
                // SAFETY: the kernel has written that many bytes behind the old ones.
                unsafe { to.set_len(to.len() + count) };
                return Ok(count);
            }
            Err(why) if why.raw_os_error() == Some(libc::EINTR) => {}
            Err(why) => return Err(why),
        }
    }
}

/// One read; a signal ends it with EINTR.
pub fn read_once(fd: BorrowedFd, into: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the kernel writes at most into.len() bytes into the slice.
    let count = unsafe { libc::read(fd.as_raw_fd(), into.as_mut_ptr().cast(), into.len()) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// One write, tried again after a signal; it may take fewer bytes.
pub fn write(fd: BorrowedFd, bytes: &[u8]) -> io::Result<usize> {
    loop {
        // SAFETY: the kernel reads at most bytes.len() bytes of the slice.
        let count = unsafe { libc::write(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) };
        match usize::try_from(count).map_err(|_| io::Error::last_os_error()) {
            Err(why) if why.raw_os_error() == Some(libc::EINTR) => {}
            other => return other,
        }
    }
}

/// One write that takes what there is room for and does not wait, whatever is set for the
/// descriptor, which others may share: "would block" if there is no room. Files, and pipes before
/// Linux 6.4, cannot be asked so: "unsupported".
pub fn write_now(fd: BorrowedFd, bytes: &[u8]) -> io::Result<usize> {
    let part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    loop {
        // SAFETY: the kernel reads at most bytes.len() bytes of the slice, and no other part.
        let count = unsafe { libc::pwritev2(fd.as_raw_fd(), &part, 1, -1, libc::RWF_NOWAIT) };
        let done = usize::try_from(count).map_err(|_| io::Error::last_os_error());
        match done.as_ref().err().and_then(io::Error::raw_os_error) {
            Some(libc::EINTR) => {}
            Some(libc::EOPNOTSUPP | libc::ENOSYS | libc::EINVAL | libc::EPERM) => {
                return Err(io::ErrorKind::Unsupported.into());
            }
            _ => return done,
        }
    }
}

/// Puts a byte, NUL, into a FIFO that does not wait for room. Unlike a write this leaves the times
/// of the FIFO alone: to note them, a file system with a journal may have to wait for the disk.
pub fn ring(fifo: BorrowedFd) -> io::Result<()> {
    static BYTE: u8 = 0;
    let part = libc::iovec { iov_base: (&raw const BYTE).cast_mut().cast(), iov_len: 1 };
    // SAFETY: one part, a byte that lives and is the same for ever; the pipe only reads it.
    let put = unsafe { libc::vmsplice(fifo.as_raw_fd(), &part, 1, libc::SPLICE_F_NONBLOCK) };
    // Not every kernel, and not every sandbox, lets us.
    if put == 1 { Ok(()) } else { write(fifo, &[BYTE]).map(drop) }
}

/// Writes all bytes, in as many writes as it takes.
pub fn write_all(fd: BorrowedFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match write(fd, bytes)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            count => bytes = &bytes[count..],
        }
    }
    Ok(())
}
