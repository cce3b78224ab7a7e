//! svls: list all services with their states.
#![cfg_attr(not(test), no_main)]

use base::files;
use base::opt::Opts;
use base::out::Out;
use base::sys::{clock, fd};
use base::{Args, Code, Die, Result, Unable, env};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, IsTerminal};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use supervise::json::{self, Object};
use supervise::last_line::last_line;
use supervise::row::{Row, Style};
use supervise::view::{Hidden, View};

base::program!("svls", run);

const USAGE: &str = "svls [ -aj ] [ --color=auto|always|never ] [ dir ]";

/// Where services are, unless an argument or $SVDIR says so.
const PLACES: [&str; 2] = ["/service", "/etc/service"];

struct Options {
    /// Print the last line of each log.
    lines: bool,
    json: bool,
    style: Style,
}

fn run(words: Args) -> Result<Code> {
    let (options, rest) = options(words)?;
    let folder = match &rest[..] {
        [] => place()?,
        [folder] => PathBuf::from(folder),
        _ => return Err(Die::usage(USAGE)),
    };
    let names = names(&folder).unable(format_args!("read {}", folder.display()))?;
    let services: Vec<Service> = names.into_iter().map(|name| Service::of(&folder, name)).collect();
    let rows: Vec<Row> = services.iter().map(Service::row).collect();
    let widths = Row::widths(&rows);
    let mut out = Out::stdout();
    for (service, row) in services.iter().zip(&rows) {
        let line = options.lines.then(|| last_line(&folder.join(&service.name))).flatten();
        let text = match options.json {
            true => service.object(line.as_deref()) + "\n",
            false => row.text(&widths, options.style, line.as_deref()),
        };
        out.put(text).unable("write output")?;
    }
    out.flush().unable("write output")?;
    Ok(if services.iter().all(Service::is_well) { Code::DONE } else { Code(1) })
}

fn options(words: Args) -> Result<(Options, Args)> {
    let is_color = |word: &OsString| word.as_bytes().starts_with(b"--color");
    let (colors, words): (Vec<_>, Vec<_>) = words.into_iter().partition(is_color);
    let color = match colors.last().map(|word| word.as_bytes()) {
        None | Some(b"--color=auto") => {
            let quiet = env::get("NO_COLOR").is_some_and(|value| !value.is_empty());
            fd::STDOUT.is_terminal() && !quiet
        }
        Some(b"--color=always" | b"--color") => true,
        Some(b"--color=never") => false,
        Some(_) => return Err(Die::usage(USAGE)),
    };
    let mut opts = Opts::new(words, "aj", USAGE);
    let (mut lines, mut json) = (false, false);
    while let Some(letter) = opts.next()? {
        lines |= letter == b'a';
        json |= letter == b'j';
    }
    let style = Style { color, symbols: utf8() };
    Ok((Options { lines, json, style }, opts.rest()))
}

/// Whether the terminal shows UTF-8, as the locale says.
fn utf8() -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(env::get);
    let locale = set.into_iter().find(|value| !value.is_empty()).unwrap_or_default();
    let locale = locale.to_ascii_lowercase();
    locale.ends_with(b"utf-8") || locale.ends_with(b"utf8")
}

fn place() -> Result<PathBuf> {
    if let Some(place) = env::get("SVDIR").filter(|place| !place.is_empty()) {
        return Ok(PathBuf::from(OsStr::from_bytes(&place)));
    }
    let place = PLACES.iter().map(PathBuf::from).find(|place| place.is_dir());
    place.ok_or_else(|| Die::later(format_args!("neither {} nor {}", PLACES[0], PLACES[1])))
}

/// The names of services in a scan directory, as svscan sees them, sorted.
fn names(folder: &Path) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in files::entries(folder)? {
        let name = entry?.file_name();
        if !name.as_bytes().starts_with(b".") && may_be_folder(&folder.join(&name)) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// What cannot be looked at is not left out: a service may be there, of which nothing is known.
fn may_be_folder(path: &Path) -> bool {
    match fs::metadata(path) {
        Ok(found) => found.is_dir(),
        Err(why) => why.kind() != io::ErrorKind::NotFound,
    }
}

/// A service and the one that is its log.
struct Service {
    name: OsString,
    seen: std::result::Result<View, Hidden>,
    log: Option<std::result::Result<View, Hidden>>,
}

impl Service {
    fn of(folder: &Path, name: OsString) -> Service {
        let path = folder.join(&name);
        let log = path.join("log");
        let log = may_be_folder(&log).then(|| View::of(log.as_os_str()));
        let seen = View::of(path.as_os_str());
        Service { name, seen, log }
    }

    fn is_well(&self) -> bool {
        let is_well = |seen: &std::result::Result<View, Hidden>| {
            seen.as_ref().is_ok_and(|view| view.is_well())
        };
        is_well(&self.seen) && self.log.as_ref().is_none_or(is_well)
    }

    fn row(&self) -> Row {
        Row::new(self.name.as_bytes(), &self.seen, self.log.as_ref(), self.is_well(), clock::now())
    }

    fn object(&self, line: Option<&[u8]>) -> String {
        let mut object = Object::of_service(self.name.as_bytes());
        json::put(&mut object, &self.seen, clock::now());
        if let Some(log) = &self.log {
            let mut inner = Object::of_service(b"log");
            json::put(&mut inner, log, clock::now());
            object.object("log", inner);
        }
        if let Some(line) = line {
            object.text("last_line", line);
        }
        object.end()
    }
}
