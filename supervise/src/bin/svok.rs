//! svok: check whether supervise is running.
#![cfg_attr(not(test), no_main)]

use base::{Args, Code, Die, Result, Unable};
use supervise::folder::Folder;

base::program!("svok", run);

const USAGE: &str = "svok dir";

fn run(words: Args) -> Result<Code> {
    let [name, ..] = &words[..] else {
        return Err(Die::usage(USAGE));
    };
    let folder = Folder::enter(name).unable(format_args!("chdir to {}", name.display()))?;
    match folder.is_supervised() {
        Ok(()) => Ok(Code::DONE),
        Err(why) if matches!(why.raw_os_error(), Some(libc::ENOENT | libc::ENXIO)) => {
            Ok(Code::PERM)
        }
        Err(why) => Err(Die::temp(format_args!("open {}/supervise/ok", name.display()), &why)),
    }
}
