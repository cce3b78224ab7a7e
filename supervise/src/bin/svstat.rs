//! svstat: print the status of services.
#![cfg_attr(not(test), no_main)]

use base::opt::Opts;
use base::out::Out;
use base::sys::clock;
use base::{Args, Code, Result, Unable};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use supervise::json::{self, Object};
use supervise::status::{State, Status, Want};
use supervise::view::View;

base::program!("svstat", run);

const USAGE: &str = "svstat [ -jlL ] [ dir ... ]";

/// What is printed of a service.
#[derive(Clone, Copy, PartialEq)]
enum What {
    /// A line for it, and one for its log script if it has one.
    Both,
    /// The former.
    Service,
    /// The latter.
    Log,
    /// An object with everything.
    Json,
}

fn run(words: Args) -> Result<Code> {
    let mut opts = Opts::new(words, "jlL", USAGE);
    let mut what = What::Both;
    while let Some(letter) = opts.next()? {
        what = match letter {
            b'j' => What::Json,
            _ if what == What::Json => what,
            b'l' => What::Service,
            _ => What::Log,
        };
    }
    let mut out = Out::stdout();
    for name in &opts.rest() {
        let text = if what == What::Json { object(name) } else { lines(name, what) };
        out.put(text).unable("write output")?;
    }
    out.flush().unable("write output")?;
    Ok(Code::DONE)
}

fn object(name: &OsStr) -> Vec<u8> {
    let mut object = Object::of_service(name.as_bytes());
    json::put(&mut object, &View::of(name), clock::now());
    (object.end() + "\n").into_bytes()
}

fn lines(name: &OsStr, what: What) -> Vec<u8> {
    let line = |between: &str, text: String| {
        [name.as_bytes(), between.as_bytes(), b": ", text.as_bytes(), b"\n"].concat()
    };
    let view = match View::of(name) {
        Ok(view) => view,
        Err(hidden) => return line("", hidden.text()),
    };
    let service = line("", told(&view));
    let log = view.log.map(|log| line(" log", of_log(&log)));
    match what {
        What::Log => log.unwrap_or_else(|| line("", "no log service".to_owned())),
        What::Service => service,
        _ => [service, log.unwrap_or_default()].concat(),
    }
}

/// `up (pid 5) 3 seconds, normally down, paused, want down`
fn told(view: &View) -> String {
    let up = view.status.pid != 0;
    let normally = match (up, view.normally_up) {
        (true, false) => ", normally down",
        (false, true) => ", normally up",
        _ => "",
    };
    let ready = if view.ready() == Some(true) { ", ready" } else { "" };
    format!("{}{normally}{}{ready}", since(&view.status), remarks(&view.status))
}

fn of_log(status: &Status) -> String {
    since(status) + &remarks(status)
}

fn since(status: &Status) -> String {
    let seconds = status.age(clock::now());
    match status.pid {
        0 => format!("down {seconds} seconds"),
        pid => format!("up (pid {pid}) {seconds} seconds"),
    }
}

fn remarks(status: &Status) -> String {
    let up = status.pid != 0;
    let remarks = [
        (up && status.paused, ", paused"),
        (!up && status.want == Want::Up, ", want up"),
        (up && status.want == Want::Down, ", want down"),
        (status.state == Some(State::Starting), ", starting"),
        (status.state == Some(State::Started), ", started"),
        (status.state == Some(State::Stopping), ", stopping"),
        (status.state == Some(State::Failed), ", failed"),
    ];
    remarks.iter().filter(|(holds, _)| *holds).map(|(_, remark)| *remark).collect()
}
