//! qmail-pw2u: make address assignments of a passwd file.
#![cfg_attr(not(test), no_main)]

use base::input::Input;
use base::opt::Opts;
use base::out::Out;
use base::{Args, Code, Die, Result};
use mail::control::Control;
use mail::passwd::{Assignments, BadHome, Homes, Rules};
use queue::home;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

base::program!("qmail-pw2u", run);

const USAGE: &str = "qmail-pw2u [ -/ohHuUC ] [ -c char ]";

const CONTROLS: &str = "unable to read controls";
const READ: &str = "unable to read input";
const WRITE: &str = "unable to write output";

fn run(words: Args) -> Result<Code> {
    let mut rules = options(words)?;
    std::env::set_current_dir(home::folder()).or(fail("unable to chdir"))?;
    let list = |name| Control::names_in(Path::new(name)).or(fail(CONTROLS));
    rules.include = list("users/include")?;
    rules.exclude = list("users/exclude")?.unwrap_or_default();
    let names = Control::map_in(Path::new("users/mailnames")).or(fail(CONTROLS))?;
    rules.names = names.unwrap_or_default();

    let mut made = Assignments::default();
    let mut input = Input::stdin();
    while let Some(line) = input.whole_line().or(fail(READ))? {
        made.account(line, &rules).or_else(|BadHome(home)| {
            fail(&format!("unable to stat {}", String::from_utf8_lossy(&home)))
        })?;
    }
    if !made.has_alias {
        return fail("unable to find alias user");
    }
    subusers(&mut made, &rules)?;
    let appended = read("users/append")?.unwrap_or_default();
    made.text.extend_from_slice(&appended);
    if appended.last().is_some_and(|last| *last != b'\n') {
        made.text.push(b'\n');
    }
    made.text.extend_from_slice(b".\n");
    let mut out = Out::stdout();
    out.put(&made.text).and_then(|()| out.flush()).or(fail(WRITE))?;
    Ok(Code::DONE)
}

fn fail<T>(what: &str) -> Result<T> {
    Err(Die::later(what))
}

/// What the letters mean, without the files.
fn options(words: Args) -> Result<Rules> {
    let mut rules = Rules {
        homes: Homes::Needed,
        capitals: false,
        dash: Some(b'-'),
        slash: false,
        include: None,
        exclude: Default::default(),
        names: Default::default(),
    };
    let mut opts = Opts::new(words, "/ohHuUc:C", USAGE);
    while let Some(letter) = opts.next()? {
        match letter {
            b'/' => rules.slash = true,
            b'o' => rules.homes = Homes::Needed,
            b'h' => rules.homes = Homes::Compulsory,
            b'H' => rules.homes = Homes::Ignored,
            b'u' => rules.capitals = true,
            b'U' => rules.capitals = false,
            b'c' => rules.dash = opts.argument().as_bytes().first().copied(),
            _ => rules.dash = None,
        }
    }
    Ok(rules)
}

/// Adds what `users/subusers` says.
fn subusers(made: &mut Assignments, rules: &Rules) -> Result<()> {
    let Some(text) = read("users/subusers")? else { return Ok(()) };
    let users = made.users();
    for line in text.split(|byte| *byte == b'\n') {
        made.subuser(line, &users, rules).or_else(|user| {
            fail(&format!("unable to find {} user for subuser", String::from_utf8_lossy(&user)))
        })?;
    }
    Ok(())
}

/// A file's bytes; `None` if there is no file.
fn read(name: &str) -> Result<Option<Vec<u8>>> {
    match fs::read(name) {
        Err(why) if why.kind() == ErrorKind::NotFound => Ok(None),
        text => text.map(Some).or(fail(CONTROLS)),
    }
}
