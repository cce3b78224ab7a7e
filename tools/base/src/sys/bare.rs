//! System calls past the C library, for a child that shares our memory: the library's set errno,
//! which belongs to this program. Nothing here allocates or panics. Results are error numbers;
//! 0 is none.

use super::exec::Environment;
use std::ffi::c_char;

/// This machine's way to call the kernel is known.
pub(super) const KNOWN: bool = cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));

/// A system call. The kernel gives -4095..0 for errors.
///
/// # Safety
/// The arguments are what the call wants.
unsafe fn call(number: libc::c_long, [a, b, c, d]: [usize; 4]) -> isize {
    #[cfg(target_arch = "x86_64")]
    {
        let result: isize;
        // SAFETY: the kernel's convention: it changes rax, rcx and r11. The rest is the caller's.
        unsafe {
            std::arch::asm!("syscall", inlateout("rax") number as isize => result,
                in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d,
                lateout("rcx") _, lateout("r11") _, options(nostack));
        }
        result
    }
    #[cfg(target_arch = "aarch64")]
    {
        let result: isize;
        // SAFETY: the kernel's convention: it changes x0. The rest is the caller's.
        unsafe {
            std::arch::asm!("svc 0", in("x8") number, inlateout("x0") a => result,
                in("x1") b, in("x2") c, in("x3") d, options(nostack));
        }
        result
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        let _ = (number, a, b, c, d);
        -(libc::ENOSYS as isize)
    }
}

/// As [`call`], again if a signal comes meanwhile.
///
/// # Safety
/// As for [`call`].
unsafe fn again(number: libc::c_long, arguments: [usize; 4]) -> isize {
    loop {
        // SAFETY: the caller's.
        let result = unsafe { call(number, arguments) };
        if result != -(libc::EINTR as isize) {
            return result;
        }
    }
}

fn error(result: isize) -> i32 {
    if result < 0 { -result as i32 } else { 0 }
}

/// Writes these parts to a descriptor, in one call; a failure is ignored.
pub(super) fn write(to: i32, parts: [&[u8]; 4]) {
    let parts = parts.map(|part| (part.as_ptr(), part.len()));
    // SAFETY: pairs of address and length, as iovec is, of slices that live until it returns.
    unsafe { again(libc::SYS_writev, [to as usize, parts.as_ptr() as usize, parts.len(), 0]) };
}

/// Makes the number `to` a copy of another, `from`.
pub(super) fn copy_to(from: i32, to: i32) -> i32 {
    // SAFETY: no memory is involved.
    error(unsafe { again(libc::SYS_dup3, [from as usize, to as usize, 0, 0]) })
}

/// Takes back a signal that has come while it was blocked. It has its default effect then.
pub(super) fn discard(signal: i32) {
    for handler in [libc::SIG_IGN, libc::SIG_DFL] {
        // The kernel's own struct: handler, flags, restorer, mask.
        let action = [handler, 0, 0, 0];
        // SAFETY: the kernel reads the action; 8 is the size of its mask.
        unsafe { call(libc::SYS_rt_sigaction, [signal as usize, action.as_ptr() as usize, 0, 8]) };
    }
}

/// Blocks no signal any more.
pub(super) fn unblock_all() {
    let how = libc::SIG_SETMASK as usize;
    let none = 0u64;
    // SAFETY: the kernel reads the mask, of 8 bytes.
    unsafe { call(libc::SYS_rt_sigprocmask, [how, (&raw const none) as usize, 0, 8]) };
}

/// Becomes the program, or says why not.
///
/// # Safety
/// A NUL-ended string, and a NULL-ended list of them.
pub(super) unsafe fn execve(
    file: *const c_char,
    argv: *const *const c_char,
    environment: &Environment,
) -> i32 {
    let envp = environment.envp() as usize;
    // SAFETY: file and argv are the caller's; the environment is such a list too.
    error(unsafe { call(libc::SYS_execve, [file as usize, argv as usize, envp, 0]) })
}

/// Ends the process.
pub(super) fn exit(code: u8) -> ! {
    loop {
        // SAFETY: no memory is involved.
        unsafe { call(libc::SYS_exit_group, [code.into(), 0, 0, 0]) };
    }
}

/// A number in decimal, without memory of its own.
pub(super) fn decimal(mut number: u32, digits: &mut [u8; 10]) -> &[u8] {
    let mut left = 0;
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        left = at;
        if number == 0 {
            break;
        }
    }
    digits.get(left..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimal() {
        for number in [0, 9, 10, 4711, u32::MAX] {
            assert_eq!(decimal(number, &mut [b'x'; 10]), number.to_string().as_bytes());
        }
    }

    #[test]
    fn calls_give_error_numbers() {
        assert_eq!(if KNOWN { copy_to(-1, 0) } else { libc::EBADF }, libc::EBADF);
        assert_eq!(copy_to(2, 2), if KNOWN { libc::EINVAL } else { libc::ENOSYS });
    }
}
