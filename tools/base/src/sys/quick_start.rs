//! The way from the kernel to `main` in a static program: glibc's, without its questions.
//!
//! glibc's own `__libc_start_main` asks the processor more than forty times what it can do
//! (CPUID), to choose among its string functions. In a virtual machine each question goes to
//! the hypervisor: together half a millisecond, three times what all the rest of a program's
//! start takes. This one is linked in its place, does in the same order what our programs need
//! of it, and lets the string functions be those that every x86-64 has (SSE2).
//!
//! Left out on purpose: GLIBC_TUNABLES, the search path for shared objects, and relocation (the
//! programs are not position-independent). The clock goes through a system call until
//! [`many_clock_reads`] is called.
//!
//! The Makefile sets `--cfg quick_start` where it knows the C library: the names below are
//! glibc's, found in its libc.a from 2.36 to 2.41, and not promised to stay. Without it the
//! programs are started by glibc, and nothing else differs.

use std::ffi::{c_char, c_int, c_ulong, c_void};

/// `main` and the functions that run before it.
type Main = unsafe extern "C" fn(c_int, *const *const c_char, *const *const c_char) -> c_int;

/// A relocation whose value is what a function at ADDEND returns (ELF64, R_X86_64_IRELATIVE).
#[repr(C)]
struct Relocation {
    place: *mut usize,
    info: u64,
    addend: usize,
}

/// An entry of the list that the kernel puts behind the environment (getauxval(3)).
#[repr(C)]
struct Auxiliary {
    kind: c_ulong,
    value: c_ulong,
}

unsafe extern "C" {
    // Made by the linker.
    static __rela_iplt_start: [Relocation; 0];
    static __rela_iplt_end: [Relocation; 0];
    static __init_array_start: [Main; 0];
    static __init_array_end: [Main; 0];
    // glibc's.
    static mut environ: *const *const c_char;
    static mut __libc_stack_end: *const c_void;
    static mut _dl_stack_flags: c_int;
    fn _dl_aux_init(list: *const Auxiliary);
    fn __libc_setup_tls();
    fn __libc_early_init(first: bool);
    fn _dl_non_dynamic_init();
}

// Sizes in bytes that steer glibc's string functions. They live beside the start that fills
// them, and so must be here: the values are those of a processor of which nothing is known.
std::arch::global_asm!(
    ".section .data.quick_start, \"aw\"",
    ".balign 8",
    ".macro size name, value",
    ".globl \\name",
    ".hidden \\name",
    "\\name: .quad \\value",
    ".endm",
    "size __x86_data_cache_size, 0x8000",
    "size __x86_data_cache_size_half, 0x4000",
    "size __x86_shared_cache_size, 0x100000",
    "size __x86_shared_cache_size_half, 0x80000",
    "size __x86_shared_non_temporal_threshold, 0xc0000",
    "size __x86_memset_non_temporal_threshold, 0xc0000",
    "size __x86_rep_movsb_threshold, 0x800",
    "size __x86_rep_movsb_stop_threshold, 0xc0000",
    "size __x86_rep_stosb_threshold, 0x800",
    "size __x86_string_control, 0",
    "size _dl_x86_features_tlsdesc_state_size, 0",
    ".purgem size",
    ".text",
);

/// The permissions of a thread's stack: readable and writable (PF_R, PF_W).
const STACK_FLAGS: c_int = 6;
/// What `_start` calls. Everything before `__libc_setup_tls` must do without libc.
///
/// # Safety
/// For `_start` alone, with what the kernel left on the stack.
#[unsafe(no_mangle)]
unsafe extern "C" fn __libc_start_main(
    main: Main,
    argc: c_int,
    argv: *const *const c_char,
    _init: *const c_void,
    _fini: *const c_void,
    _unloaded: *const c_void,
    stack_end: *const c_void,
) -> c_int {
    // SAFETY: the kernel ends argv with a null pointer; the environment, so ended too, and the
    // auxiliary list follow. The variables are glibc's, read by nobody yet: there is one thread.
    // The calls are made as glibc's start makes them, in its order.
    unsafe {
        let variables = argv.add(argc as usize + 1);
        environ = variables;
        __libc_stack_end = stack_end;
        let mut at = variables;
        while !(*at).is_null() {
            at = at.add(1);
        }
        let auxiliary = at.add(1).cast();
        _dl_aux_init(auxiliary);
        choose_functions();
        __libc_setup_tls();
        guard(auxiliary);
        _dl_stack_flags = STACK_FLAGS;
        __libc_early_init(true);
        if value(auxiliary, libc::AT_SECURE) != 0 {
            open_standard();
        }
        let mut before = (&raw const __init_array_start).cast::<Main>();
        while before < (&raw const __init_array_end).cast() {
            (*before)(argc, argv, variables);
            before = before.add(1);
        }
        libc::exit(main(argc, argv, variables))
    }
}

/// Fills the places of functions that exist in several versions.
unsafe fn choose_functions() {
    let mut at = (&raw const __rela_iplt_start).cast::<Relocation>();
    // SAFETY: the linker made the list; each place is writable until main.
    unsafe {
        while at < (&raw const __rela_iplt_end).cast() {
            let choose: extern "C" fn() -> usize = std::mem::transmute((*at).addend);
            *(*at).place = choose();
            at = at.add(1);
        }
    }
}

/// The value of this kind in the list; 0 if it has none.
unsafe fn value(mut list: *const Auxiliary, kind: c_ulong) -> c_ulong {
    // SAFETY: the list ends with AT_NULL.
    unsafe {
        while (*list).kind != libc::AT_NULL {
            if (*list).kind == kind {
                return (*list).value;
            }
            list = list.add(1);
        }
    }
    0
}

/// Sets the two secrets of libc's C code, against overwritten stacks and overwritten pointers,
/// from the 16 random bytes that the kernel gives.
unsafe fn guard(auxiliary: *const Auxiliary) {
    // SAFETY: AT_RANDOM points to 16 bytes; fs points to the thread's block (x86-64 ABI).
    unsafe {
        let random = value(auxiliary, libc::AT_RANDOM) as *const u64;
        if random.is_null() {
            return;
        }
        // The lowest byte is 0, which no string that runs over has.
        let [stack, pointer] = [random.read() & !0xff, random.add(1).read()];
        std::arch::asm!("mov fs:[0x28], {}", "mov fs:[0x30], {}", in(reg) stack, in(reg) pointer);
    }
}

/// A set-user-id program finds descriptors 0, 1 and 2 open, so that no file of its own gets
/// one of these numbers. Reading from what this opens, or writing to it, fails.
unsafe fn open_standard() {
    // SAFETY: system calls on numbers and a constant string.
    unsafe {
        for (fd, name, how) in [
            (0, c"/dev/full", libc::O_WRONLY),
            (1, c"/dev/null", libc::O_RDONLY),
            (2, c"/dev/null", libc::O_RDONLY),
        ] {
            if libc::fcntl(fd, libc::F_GETFD) == -1
                && libc::open(name.as_ptr(), how | libc::O_NOFOLLOW) != fd
            {
                libc::abort();
            }
        }
    }
}

/// From here on the clock is read without a system call.
pub(super) fn many_clock_reads() {
    // SAFETY: the part of glibc's start that finds the kernel's shared page; it reads the
    // environment and allocates. Called by programs with one thread, at their start.
    unsafe { _dl_non_dynamic_init() }
}
