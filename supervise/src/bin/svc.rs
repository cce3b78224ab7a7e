//! svc: give orders to supervise.
#![cfg_attr(not(test), no_main)]

use base::opt::Opts;
use base::sys::signal;
use base::{Args, Code, Die, Result, Unable, errno, say};
use std::ffi::OsString;
use supervise::folder::Folder;
use supervise::order::{LETTERS, ORDERS};

base::program!("svc", run);

fn run(words: Args) -> Result<Code> {
    let mut opts = Opts::new(words, LETTERS, "");
    let mut letters = Vec::new();
    while let Some(letter) = opts.next().map_err(options)? {
        if !letters.contains(&letter) {
            letters.push(letter);
        }
    }
    signal::ignore(libc::SIGPIPE).unable("ignore broken pipes")?;
    for folder in opts.rest() {
        order(folder, &letters);
    }
    Ok(Code::DONE)
}

/// The letter that is wrong, then all that are right, in the original's form.
fn options(wrong: Die) -> Die {
    let first = wrong.text.lines().next().unwrap_or_default();
    let known = ORDERS.map(|(letter, _, word)| format!("{} {word}", char::from(letter)));
    Die { text: format!("{first}\nsvc options: {}", known.join(", ")), ..wrong }
}

/// A service that cannot be reached does not keep the others from being told.
fn order(folder: OsString, letters: &[u8]) {
    let name = folder.display().to_string();
    let folder = match Folder::enter(folder) {
        Ok(folder) => folder,
        Err(why) => return say::unable(format_args!("chdir to {name}"), &why),
    };
    match folder.control() {
        Ok(control) => {
            if let Err(why) = control.patient().and_then(|control| control.order(letters)) {
                let why = errno::words(&why);
                say::warning(format_args!("error writing commands to {name}: {why}"));
            }
        }
        Err(why) if why.raw_os_error() == Some(libc::ENXIO) => {
            say::warning(format_args!("unable to control {name}: supervise not running"));
        }
        Err(why) => say::unable(format_args!("control {name}"), &why),
    }
}
