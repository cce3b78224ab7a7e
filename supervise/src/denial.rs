//! Classes of system calls that a confined program does without.

use libc::c_long;

/// What a program may be denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// Making sockets and connections. Those that it inherits still work.
    Net,
    /// Opening, making, renaming and removing files. Those that are open still work.
    Files,
    /// Starting processes and becoming another program.
    Exec,
}

/// Ways round the others: of the same user's processes, or of the kernel doing it for one.
const DETOURS: &[c_long] = &[
    libc::SYS_io_uring_setup,
    libc::SYS_pidfd_getfd,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
];

const NET: &[c_long] = &[
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_listen,
    libc::SYS_socket,
];

const FILES: &[c_long] = &[
    libc::SYS_chroot,
    libc::SYS_fchmodat,
    libc::SYS_fchownat,
    libc::SYS_fsopen,
    libc::SYS_linkat,
    libc::SYS_mkdirat,
    libc::SYS_mknodat,
    libc::SYS_mount,
    libc::SYS_move_mount,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_pivot_root,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_setxattr,
    libc::SYS_symlinkat,
    libc::SYS_truncate,
    libc::SYS_umount2,
    libc::SYS_unlinkat,
    libc::SYS_utimensat,
];

/// What only old machines have beside the calls with "at".
#[cfg(target_arch = "x86_64")]
const OLD_FILES: &[c_long] = &[
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_creat,
    libc::SYS_lchown,
    libc::SYS_link,
    libc::SYS_mkdir,
    libc::SYS_mknod,
    libc::SYS_open,
    libc::SYS_rename,
    libc::SYS_rmdir,
    libc::SYS_symlink,
    libc::SYS_unlink,
    libc::SYS_utime,
    libc::SYS_utimes,
];
#[cfg(not(target_arch = "x86_64"))]
const OLD_FILES: &[c_long] = &[];

/// A file in memory would be one that no rule about paths knows.
const EXEC: &[c_long] = &[libc::SYS_execveat, libc::SYS_memfd_create];

#[cfg(target_arch = "x86_64")]
const OLD_EXEC: &[c_long] = &[libc::SYS_fork, libc::SYS_vfork];
#[cfg(not(target_arch = "x86_64"))]
const OLD_EXEC: &[c_long] = &[];

impl Denial {
    /// By the word that users write.
    pub fn named(word: &[u8]) -> Option<Self> {
        match word {
            b"net" => Some(Denial::Net),
            b"files" => Some(Denial::Files),
            b"exec" => Some(Denial::Exec),
            _ => None,
        }
    }

    /// The system calls that fail with EPERM.
    pub fn calls(self) -> Vec<c_long> {
        let (own, old) = match self {
            Denial::Net => (NET, [].as_slice()),
            Denial::Files => (FILES, OLD_FILES),
            Denial::Exec => (EXEC, OLD_EXEC),
        };
        [DETOURS, own, old].concat()
    }
}
