//! How system calls can fail though the caller did nothing wrong, and what they are called.

use crate::tamper::{Call, Fault, Kind, Strike};
use libc::c_long;
use nix::errno::Errno;

/// All faults that a call can meet.
pub fn all(call: &Call) -> Vec<Strike> {
    let errors = errors(call.number, call.file).iter().map(|error| Fault::Error(*error));
    let parts = SHORT.contains(&call.number) && call.file != Kind::Packets;
    let short = parts.then_some(Fault::Short);
    let strike = |fault| Strike { call: call.clone(), fault };
    errors.chain(short).chain([Fault::Kill]).map(strike).collect()
}

/// A program that meets this fault has to go on as if nothing had happened.
pub fn is_harmless(strike: &Strike) -> bool {
    let sync = [libc::SYS_fsync, libc::SYS_fdatasync].contains(&strike.call.number);
    strike.fault == Fault::Short || strike.fault == Fault::Error(Errno::EINTR) && !sync
}

/// `EIO`, `short`, `kill`
pub fn shown(fault: Fault) -> String {
    match fault {
        Fault::Error(error) => format!("{error:?}"),
        Fault::Short => "short".into(),
        Fault::Kill => "kill".into(),
    }
}

/// Calls that may do a part of what they are asked for.
const SHORT: [c_long; 9] = [
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_getrandom,
];

/// The errors that a call may give. A pipe knows no disk that is full or broken.
fn errors(call: c_long, file: Kind) -> &'static [Errno] {
    use Errno::*;
    match call {
        libc::SYS_read | libc::SYS_write | libc::SYS_writev
            if matches!(file, Kind::Pipe | Kind::Packets) =>
        {
            &[EINTR]
        }
        libc::SYS_write | libc::SYS_writev if file == Kind::Nonblocking => &[],
        libc::SYS_read if file == Kind::Nonblocking => &[EAGAIN],
        libc::SYS_write | libc::SYS_writev | libc::SYS_pwrite64 | libc::SYS_copy_file_range => {
            &[ENOSPC, EDQUOT, EIO, EINTR]
        }
        libc::SYS_read | libc::SYS_readv | libc::SYS_pread64 => &[EIO, EINTR],
        libc::SYS_open | libc::SYS_openat | libc::SYS_creat => {
            &[ENOSPC, EIO, EMFILE, ENFILE, ENOMEM, EINTR]
        }
        libc::SYS_fsync | libc::SYS_fdatasync | libc::SYS_sync_file_range => &[EIO, ENOSPC, EINTR],
        libc::SYS_link
        | libc::SYS_linkat
        | libc::SYS_rename
        | libc::SYS_renameat
        | libc::SYS_renameat2
        | libc::SYS_mkdir
        | libc::SYS_mkdirat
        | libc::SYS_mknod
        | libc::SYS_mknodat
        | libc::SYS_symlink
        | libc::SYS_symlinkat => &[ENOSPC, EIO, ENOMEM],
        libc::SYS_pipe2 | libc::SYS_socket | libc::SYS_socketpair | libc::SYS_dup => {
            &[EMFILE, ENFILE, ENOMEM]
        }
        libc::SYS_inotify_init1 | libc::SYS_signalfd4 | libc::SYS_pidfd_open => &[EMFILE, ENOMEM],
        libc::SYS_inotify_add_watch => &[ENOSPC, ENOMEM],
        libc::SYS_dup2 | libc::SYS_dup3 => &[EMFILE, EINTR],
        libc::SYS_fcntl => &[EMFILE, EIO],
        libc::SYS_flock => &[ENOLCK, EINTR],
        libc::SYS_fork | libc::SYS_vfork | libc::SYS_clone | libc::SYS_clone3 => &[EAGAIN, ENOMEM],
        libc::SYS_execve => &[ENOMEM, EIO],
        libc::SYS_mmap | libc::SYS_brk | libc::SYS_mremap | libc::SYS_mprotect => &[ENOMEM],
        libc::SYS_accept | libc::SYS_accept4 => {
            &[EMFILE, ENFILE, ENOMEM, ENOBUFS, ECONNABORTED, EAGAIN, EINTR]
        }
        libc::SYS_connect => &[ECONNREFUSED, EINTR],
        libc::SYS_sendto | libc::SYS_recvfrom => &[ENOBUFS, EINTR],
        libc::SYS_wait4 | libc::SYS_waitid => &[EINTR],
        libc::SYS_poll | libc::SYS_ppoll | libc::SYS_select | libc::SYS_pselect6 => {
            &[ENOMEM, EINTR]
        }
        libc::SYS_nanosleep | libc::SYS_clock_nanosleep => &[EINTR],
        libc::SYS_getrandom => &[EINTR],
        libc::SYS_close => &[EIO, EINTR],
        // these cannot fail when called rightly, and nobody looks; or not end at all
        libc::SYS_exit
        | libc::SYS_exit_group
        | libc::SYS_arch_prctl
        | libc::SYS_rt_sigreturn
        | libc::SYS_futex
        | libc::SYS_getpid
        | libc::SYS_getppid
        | libc::SYS_gettid
        | libc::SYS_getuid
        | libc::SYS_geteuid
        | libc::SYS_getgid
        | libc::SYS_getegid
        | libc::SYS_umask
        | libc::SYS_rt_sigaction
        | libc::SYS_rt_sigprocmask
        | libc::SYS_kill
        | libc::SYS_pidfd_send_signal
        | libc::SYS_setsid => &[],
        _ => &[EIO],
    }
}

/// What a call is called.
pub fn named(call: c_long) -> String {
    let name = NAMES.iter().find(|(number, _)| *number == call);
    name.map_or_else(|| format!("number {call}"), |(_, name)| (*name).to_owned())
}

const NAMES: [(c_long, &str); 51] = [
    (libc::SYS_accept4, "accept4"),
    (libc::SYS_access, "access"),
    (libc::SYS_brk, "brk"),
    (libc::SYS_chdir, "chdir"),
    (libc::SYS_clone, "clone"),
    (libc::SYS_clone3, "clone3"),
    (libc::SYS_close, "close"),
    (libc::SYS_close_range, "close_range"),
    (libc::SYS_connect, "connect"),
    (libc::SYS_dup2, "dup2"),
    (libc::SYS_dup3, "dup3"),
    (libc::SYS_execve, "execve"),
    (libc::SYS_fchmod, "fchmod"),
    (libc::SYS_fcntl, "fcntl"),
    (libc::SYS_flock, "flock"),
    (libc::SYS_fork, "fork"),
    (libc::SYS_fstat, "fstat"),
    (libc::SYS_fsync, "fsync"),
    (libc::SYS_ftruncate, "ftruncate"),
    (libc::SYS_futex, "futex"),
    (libc::SYS_getdents64, "getdents64"),
    (libc::SYS_kill, "kill"),
    (libc::SYS_link, "link"),
    (libc::SYS_linkat, "linkat"),
    (libc::SYS_lseek, "lseek"),
    (libc::SYS_mkdir, "mkdir"),
    (libc::SYS_mmap, "mmap"),
    (libc::SYS_mprotect, "mprotect"),
    (libc::SYS_munmap, "munmap"),
    (libc::SYS_newfstatat, "newfstatat"),
    (libc::SYS_open, "open"),
    (libc::SYS_openat, "openat"),
    (libc::SYS_pipe2, "pipe2"),
    (libc::SYS_poll, "poll"),
    (libc::SYS_read, "read"),
    (libc::SYS_rename, "rename"),
    (libc::SYS_renameat, "renameat"),
    (libc::SYS_renameat2, "renameat2"),
    (libc::SYS_rt_sigaction, "rt_sigaction"),
    (libc::SYS_rt_sigprocmask, "rt_sigprocmask"),
    (libc::SYS_sendto, "sendto"),
    (libc::SYS_socket, "socket"),
    (libc::SYS_stat, "stat"),
    (libc::SYS_statx, "statx"),
    (libc::SYS_sync_file_range, "sync_file_range"),
    (libc::SYS_unlink, "unlink"),
    (libc::SYS_unlinkat, "unlinkat"),
    (libc::SYS_vfork, "vfork"),
    (libc::SYS_wait4, "wait4"),
    (libc::SYS_waitid, "waitid"),
    (libc::SYS_write, "write"),
];
