//! unixcat: print what a server on a Unix socket says.
#![cfg_attr(not(test), no_main)]

use base::input::Input;
use base::sys::{fd, unix};
use base::{Args, Code, Die, Result, Unable};
use std::os::fd::AsFd;
use std::path::Path;

base::program!("unixcat", run);

const USAGE: &str = "unixcat socket";

/// Every failure, as in ucspi-unix.
const FAILED: u8 = 1;

fn run(words: Args) -> Result<Code> {
    let [path] = &words[..] else { return Err(Die::usage(USAGE).with_code(FAILED)) };
    copy(Path::new(path)).map_err(|die| die.with_code(FAILED))
}

/// What is read is written at once.
fn copy(path: &Path) -> Result<Code> {
    // The socket must not become standard output.
    fd::fill_standard().unable("open /dev/null")?;
    let socket = unix::stream().unable("create socket")?;
    unix::connect(socket.as_fd(), path).unable(format_args!("connect to {}", path.display()))?;
    let mut input = Input::new(socket.as_fd());
    loop {
        let piece = input.fill().unable(format_args!("read from {}", path.display()))?;
        if piece.is_empty() {
            return Ok(Code::DONE);
        }
        fd::write_all(fd::STDOUT, piece).unable("write output")?;
        let count = piece.len();
        input.consume(count);
    }
}
