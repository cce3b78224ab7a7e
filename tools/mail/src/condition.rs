//! Programs whose exit code is an answer: 0 is yes, 111 is not now, all else is no.

use base::sys::spawn::Spawn;
use base::sys::{signal, wait};
use base::{Code, Die, Result, Unable};
use std::ffi::OsString;

/// Asks a program, which reads the message on our standard input. One that cannot be run says no,
/// unless that may pass.
pub fn holds(program: &[OsString]) -> Result<bool> {
    signal::default(signal::CHILD).unable("reset SIGCHLD")?;
    let child = Spawn::new(program).failure_codes(Code::TEMP.0, Code::PERM.0).start();
    let status = wait::child(child.unable("fork")?).unable("wait for child")?;
    match status.code() {
        None => Err(Die::later("child crashed")),
        Some(0) => Ok(true),
        Some(111) => Err(Die::later("temporary child error")),
        Some(_) => Ok(false),
    }
}
