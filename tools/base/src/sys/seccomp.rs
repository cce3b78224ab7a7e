//! seccomp: which system calls this process and its children may make from now on.
//! seccomp(2), linux/filter.h.

use super::check;
use libc::{c_long, sock_filter, sock_fprog};
use std::io;

/// AUDIT_ARCH of the machine: a call of another one is counted otherwise.
#[cfg(target_arch = "x86_64")]
const ARCH: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const ARCH: u32 = 0xC000_00B7;
#[cfg(target_arch = "riscv64")]
const ARCH: u32 = 0xC000_00F3;

/// x32 programs count their calls from here on x86_64; elsewhere there is nothing from here on.
const OTHERS: u32 = 0x4000_0000;

/// Offsets in struct seccomp_data, bytes.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const FIRST_ARGUMENT: u32 = 16;

/// BPF: load a word, jump if equal, if greater or equal, if a bit is set; return.
const LOAD: u16 = 0x20;
const IF_EQUAL: u16 = 0x15;
const IF_AT_LEAST: u16 = 0x35;
const IF_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

const ALLOW: u32 = 0x7FFF_0000;
const FAIL: u32 = 0x0005_0000;

/// So that a name space or a set-user-id program cannot give back what was taken; needed by whoever
/// is not root before he may take anything.
pub fn no_new_privileges() -> io::Result<()> {
    // SAFETY: no memory is involved.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }).map(drop)
}

/// Makes each of these calls fail with EPERM, for good; also any of another architecture. With
/// `alone`, also all that would start a process; threads stay possible.
pub fn forbid(calls: &[c_long], alone: bool) -> io::Result<()> {
    let filter = program(calls, alone);
    let length = filter.len().try_into().map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = sock_fprog { len: length, filter: filter.as_ptr().cast_mut() };
    // SAFETY: the kernel copies `length` instructions; it writes nothing.
    let done =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &program) };
    check(done.try_into().unwrap_or(-1)).map(drop)
}

/// The filter: one test after the other, and at its end "allowed".
fn program(calls: &[c_long], alone: bool) -> Vec<sock_filter> {
    let step = |code, k, jt, jf| sock_filter { code, jt, jf, k };
    let fail = |number: i32| step(RETURN, FAIL | number.unsigned_abs(), 0, 0);
    let mut program = vec![
        step(LOAD, ARCHITECTURE, 0, 0),
        step(IF_EQUAL, ARCH, 1, 0),
        fail(libc::EPERM),
        step(LOAD, NUMBER, 0, 0),
        step(IF_AT_LEAST, OTHERS, 0, 1),
        fail(libc::EPERM),
    ];
    for call in calls {
        let Ok(number) = u32::try_from(*call) else { continue };
        program.extend([step(IF_EQUAL, number, 0, 1), fail(libc::EPERM)]);
    }
    if alone {
        let number = |call: c_long| u32::try_from(call).unwrap_or(u32::MAX);
        // its flags are in memory, which a filter cannot read: callers fall back to clone
        program.extend([step(IF_EQUAL, number(libc::SYS_clone3), 0, 1), fail(libc::ENOSYS)]);
        program.extend([
            step(IF_EQUAL, number(libc::SYS_clone), 0, 3),
            step(LOAD, FIRST_ARGUMENT, 0, 0),
            step(IF_BIT, libc::CLONE_THREAD.unsigned_abs(), 1, 0),
            fail(libc::EPERM),
        ]);
    }
    program.push(step(RETURN, ALLOW, 0, 0));
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_has_a_test_and_the_end_is_allowed() {
        let filter = program(&[libc::SYS_socket, libc::SYS_bind], true);
        assert_eq!(filter.len(), 6 + 2 * 2 + 2 + 4 + 1);
        assert_eq!(filter.last().map(|last| (last.code, last.k)), Some((RETURN, ALLOW)));
        let jumps = filter.iter().enumerate();
        for (at, step) in jumps {
            assert!(at + 1 + usize::from(step.jt.max(step.jf)) < filter.len() + 1);
        }
    }
}
