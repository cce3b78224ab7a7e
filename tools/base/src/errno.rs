//! The words for system errors. People grep for them, so they are the originals' and never the
//! C library's.

use libc as c;
use std::borrow::Cow;
use std::io::{self, ErrorKind};

/// The reason part of a message: `file does not exist`, `access denied`, ...
pub fn words(error: &io::Error) -> Cow<'static, str> {
    match error.raw_os_error() {
        Some(number) => match text(number) {
            Some(text) => text.into(),
            None => format!("unknown error {number}").into(),
        },
        None => match error.kind() {
            ErrorKind::UnexpectedEof => "end of file".into(),
            ErrorKind::InvalidData => "protocol error".into(),
            ErrorKind::InvalidInput => "invalid argument".into(),
            ErrorKind::TimedOut => "timed out".into(),
            ErrorKind::WriteZero => "unable to write".into(),
            ErrorKind::NotFound => "file does not exist".into(),
            _ => error.to_string().into(),
        },
    }
}

/// Whether trying again may help: the set that decides between exit 111 and 100 where the
/// originals ask (qmail's `error_temp`). Everything else, ENOENT and EACCES too, is permanent.
pub fn is_temporary(error: &io::Error) -> bool {
    let Some(number) = error.raw_os_error() else {
        return matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::Interrupted);
    };
    [
        c::EINTR,
        c::ENOMEM,
        c::ETXTBSY,
        c::EIO,
        c::ETIMEDOUT,
        c::EAGAIN,
        c::EDEADLK,
        c::EBUSY,
        c::ENFILE,
        c::EMFILE,
        c::EFBIG,
        c::ENOSPC,
        c::ENETDOWN,
        c::ENETUNREACH,
        c::ENETRESET,
        c::ECONNABORTED,
        c::ECONNRESET,
        c::ENOBUFS,
        c::ETOOMANYREFS,
        c::ECONNREFUSED,
        c::EHOSTDOWN,
        c::EHOSTUNREACH,
        c::EUSERS,
        c::EDQUOT,
        c::ESTALE,
        c::ENOLCK,
    ]
    .contains(&number)
}

/// The words for one errno. Allocates nothing, so it may be used between fork and exec.
#[rustfmt::skip]
pub fn text(number: i32) -> Option<&'static str> {
    Some(match number {
        0 => "no error",
        c::E2BIG => "argument list too long",
        c::EACCES => "access denied",
        c::EADDRINUSE => "address already used",
        c::EADDRNOTAVAIL => "address not available",
        c::EAFNOSUPPORT => "address family not supported",
        c::EAGAIN => "temporary failure",
        c::EALREADY => "operation already in progress",
        c::EBADF => "file descriptor not open",
        c::EBUSY => "device busy",
        c::ECHILD => "no child processes",
        c::ECONNABORTED => "connection aborted",
        c::ECONNREFUSED => "connection refused",
        c::ECONNRESET => "connection reset",
        c::EDEADLK => "operation would cause deadlock",
        c::EDESTADDRREQ => "destination address required",
        c::EDOM => "input out of range",
        c::EDQUOT => "disk quota exceeded",
        c::EEXIST => "file already exists",
        c::EFAULT => "bad address",
        c::EFBIG => "file too big",
        c::EHOSTDOWN => "host down",
        c::EHOSTUNREACH => "host unreachable",
        c::EINPROGRESS => "operation in progress",
        c::EINTR => "interrupted system call",
        c::EINVAL => "invalid argument",
        c::EIO => "input/output error",
        c::EISCONN => "already connected",
        c::EISDIR => "is a directory",
        c::ELOOP => "symbolic link loop",
        c::EMFILE => "process cannot open more files",
        c::EMLINK => "too many links",
        c::EMSGSIZE => "message too long",
        c::ENAMETOOLONG => "file name too long",
        c::ENETDOWN => "network down",
        c::ENETRESET => "network reset",
        c::ENETUNREACH => "network unreachable",
        c::ENFILE => "system cannot open more files",
        c::ENOBUFS => "out of buffer space",
        c::ENODEV => "device does not support operation",
        c::ENOENT => "file does not exist",
        c::ENOEXEC => "exec format error",
        c::ENOLCK => "no locks available",
        c::ENOMEM => "out of memory",
        c::ENOPROTOOPT => "protocol not available",
        c::ENOSPC => "out of disk space",
        c::ENOSYS => "system call not available",
        c::ENOTCONN => "not connected",
        c::ENOTDIR => "not a directory",
        c::ENOTEMPTY => "directory not empty",
        c::ENOTSOCK => "not a socket",
        c::ENOTTY => "not a tty",
        c::ENXIO => "device not configured",
        c::EOPNOTSUPP => "operation not supported",
        c::EPERM => "permission denied",
        c::EPFNOSUPPORT => "protocol family not supported",
        c::EPIPE => "broken pipe",
        c::EPROTO => "protocol error",
        c::EPROTONOSUPPORT => "protocol not supported",
        c::EPROTOTYPE => "wrong protocol type",
        c::ERANGE => "output out of range",
        c::EREMOTE => "object not local",
        c::EROFS => "read-only file system",
        c::ESHUTDOWN => "socket shut down",
        c::ESOCKTNOSUPPORT => "socket type not supported",
        c::ESPIPE => "unseekable descriptor",
        c::ESRCH => "no such process",
        c::ESTALE => "stale NFS file handle",
        c::ETIME => "timer expired",
        c::ETIMEDOUT => "timed out",
        c::ETOOMANYREFS => "too many references",
        c::ETXTBSY => "text busy",
        c::EUSERS => "too many users",
        c::EXDEV => "cross-device link",
        _ => return None,
    })
}
