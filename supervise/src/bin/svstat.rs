//! svstat: print the status of services.
#![cfg_attr(not(test), no_main)]

use base::errno;
use base::out::Out;
use base::sys::clock;
use base::{Args, Code, Result, Unable};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use supervise::folder::Folder;
use supervise::status::{State, Status, Want};

base::program!("svstat", run);

/// More than the longest status file that any supervise writes.
const LONGEST: u64 = 128;

fn run(words: Args) -> Result<Code> {
    let mut out = Out::stdout();
    for name in &words {
        let text = match look(name) {
            Ok((status, normally_up)) => told(&status, normally_up),
            Err(trouble) => trouble,
        };
        let line = [name.as_bytes(), b": ", text.as_bytes(), b"\n"].concat();
        out.put(line).unable("write output")?;
    }
    out.flush().unable("write output")?;
    Ok(Code::DONE)
}

/// The status of a service, and whether it has no file `down`; or what is in the way.
fn look(name: &OsStr) -> std::result::Result<(Status, bool), String> {
    let folder = Folder::enter(name).map_err(|why| trouble("chdir", &why))?;
    let normally_up = match fs::metadata(folder.file("down")) {
        Ok(_) => false,
        Err(why) if why.kind() == io::ErrorKind::NotFound => true,
        Err(why) => return Err(trouble("stat down", &why)),
    };
    folder.is_supervised().map_err(|why| match why.raw_os_error() {
        Some(libc::ENXIO) => "supervise not running".to_owned(),
        _ => trouble("open supervise/ok", &why),
    })?;
    let file = File::open(folder.supervise("status"));
    let file = file.map_err(|why| trouble("open supervise/status", &why))?;
    let mut bytes = Vec::new();
    let read = file.take(LONGEST).read_to_end(&mut bytes);
    read.map_err(|why| trouble("read supervise/status", &why))?;
    let status = Status::parse(&bytes);
    let status = status.ok_or_else(|| "unable to read supervise/status: bad format".to_owned())?;
    Ok((status, normally_up))
}

fn trouble(what: &str, why: &io::Error) -> String {
    format!("unable to {what}: {}", errno::words(why))
}

/// `up (pid 5) 3 seconds, normally down, paused, want down`
fn told(status: &Status, normally_up: bool) -> String {
    let up = status.pid != 0;
    let seconds = status.age(clock::now());
    let mut text = match status.pid {
        0 => format!("down {seconds} seconds"),
        pid => format!("up (pid {pid}) {seconds} seconds"),
    };
    let remarks = [
        (up && !normally_up, ", normally down"),
        (!up && normally_up, ", normally up"),
        (up && status.paused, ", paused"),
        (!up && status.want == Want::Up, ", want up"),
        (up && status.want == Want::Down, ", want down"),
        (status.state == Some(State::Starting), ", starting"),
        (status.state == Some(State::Started), ", started"),
        (status.state == Some(State::Stopping), ", stopping"),
        (status.state == Some(State::Failed), ", failed"),
    ];
    text.extend(remarks.iter().filter(|(holds, _)| *holds).map(|(_, remark)| *remark));
    text
}
