//! qmail-send: deliver mail messages from the queue.
//!
//! Descriptor 0 is the log; 1 and 2 lead to qmail-lspawn and back, 3 and 4 to qmail-rspawn, 5 and
//! 6 to qmail-clean: qmail-start made it so.
#![cfg_attr(not(test), no_main)]

use base::files;
use base::sys::signal::{self, Signals};
use base::sys::{clock, fd, lock};
use base::{Args, Code, Die, Result};
use mail::control::Control;
use mail::send::channel::descriptors;
use mail::send::controls::Controls;
use mail::send::log;
use mail::send::manager::Manager;
use mail::send::rewrite::Side;
use queue::home;
use queue::paths::Paths;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

base::program!("qmail-send", run);

fn run(_: Args) -> Result<Code> {
    clock::often();
    let cannot = |why: &'static str| {
        move |_: io::Error| {
            log::alert(format_args!("cannot start: {why}"));
            Die::silent(Code::TEMP.0)
        }
    };
    std::env::set_current_dir(home::folder())
        .map_err(cannot("unable to switch to home directory"))?;
    let controls = Controls::read(&Control::of(Path::new(".")));
    let controls = controls.map_err(cannot("unable to read controls"))?;
    std::env::set_current_dir("queue").map_err(cannot("unable to switch to queue directory"))?;
    let paths = Paths::read().map_err(cannot("unable to switch to queue directory"))?;
    let mutex = files::open_write(Path::new("lock/sendmutex"));
    let mutex = mutex.map_err(cannot("unable to open mutex"))?;
    let running = cannot("qmail-send is already running");
    lock::try_exclusive(mutex.as_fd()).map_err(running)?;
    let signals = prepare().map_err(cannot("hath the daemon spawn no fire?"))?;
    let most = [slots(Side::Local, controls.local), slots(Side::Remote, controls.remote)];
    let [Ok(local), Ok(remote)] = most else {
        return Err(cannot("hath the daemon spawn no fire?")(io::ErrorKind::UnexpectedEof.into()));
    };
    let control = Control::of(Path::new(".."));
    let manager = Manager::new(paths, control, controls, [local, remote]);
    let mut manager = manager.map_err(cannot("hath the daemon spawn no fire?"))?;
    manager.load(&signals);
    manager.run(&signals);
    // The lock goes last: nobody else may begin before the schedule is saved.
    drop(mutex);
    Ok(Code::DONE)
}

/// Signals as events, and spawners that never make us wait.
fn prepare() -> io::Result<Signals> {
    signal::ignore(signal::PIPE)?;
    for side in Side::BOTH {
        fd::set_nonblocking(descriptors(side).0, true)?;
    }
    Signals::catch(&[signal::TERM, signal::ALARM, signal::HANGUP])
}

/// Deliveries at once: what the control file wants, but no more than the spawner can do, which is
/// the first thing that it tells.
fn slots(side: Side, wanted: u64) -> io::Result<usize> {
    let mut most = [0];
    match fd::read(descriptors(side).1, &mut most)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(wanted.min(most[0].into()) as usize),
    }
}
