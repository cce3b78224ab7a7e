//! The floor that every catena program stands on: starting, dying, options, bytes in and out,
//! and the few system calls that std does not offer as these programs need them.
//!
//! Nothing here prints, exits or reads the environment on its own, except [`say`], [`env`] and
//! the start of a program, whose work that is.

pub mod accounts;
pub mod cdb;
pub mod date;
mod die;
pub mod env;
pub mod errno;
pub mod files;
pub mod input;
pub mod number;
pub mod opt;
pub mod out;
pub mod say;
pub mod sys;
pub mod tai64;

pub use die::{Code, Die, Result, Unable};

/// The words after the program's name, as bytes.
pub type Args = Vec<std::ffi::OsString>;

/// Makes the program's entry point: `program!("NAME", run);` with `fn run(Args) -> Result<Code>`.
///
/// It is C's `main`, so nothing is opened, ignored or reset before `run`: SIGPIPE, descriptors
/// and signal masks arrive as the caller left them. An error becomes one line on stderr and its
/// code. A panic becomes one line and exit 111, or CODE with `program!("NAME", run, panic = CODE)`.
#[macro_export]
macro_rules! program {
    ($name:literal, $run:path) => {
        $crate::program!($name, $run, panic = 111);
    };
    ($name:literal, $run:path, panic = $code:expr) => {
        /// The entry point that C's start-up code calls.
        #[cfg(not(test))]
        // The name `main` and its arguments are the C library's contract.
        #[allow(unsafe_code, clippy::not_unsafe_ptr_arg_deref)]
        #[unsafe(no_mangle)]
        extern "C" fn main(
            argc: ::std::ffi::c_int,
            argv: *const *const ::std::ffi::c_char,
        ) -> ::std::ffi::c_int {
            // SAFETY: called once, by the C library, with the argc and argv of the process.
            unsafe { $crate::sys::start::start($name, argc, argv, $run, $code) }
        }
        #[cfg(test)]
        const _: fn($crate::Args) -> $crate::Result<$crate::Code> = $run;
    };
}
