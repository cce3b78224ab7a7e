//! tcprules: compile rules for tcpserver.
#![cfg_attr(not(test), no_main)]

use base::cdb::Writer;
use base::input::Input;
use base::opt::Opts;
use base::sys::fd::STDIN;
use base::{Args, Code, Die, Result, Unable, files, say};
use rules::compile::Compiler;
use rules::line::excerpt;
use rules::lint::{Lint, Problem};
use std::io;
use std::path::Path;

base::program!("tcprules", run);

const USAGE: &str = "tcprules rules.cdb rules.tmp";

/// Bytes of input read at once.
const AHEAD: usize = 65536;

fn run(words: Args) -> Result<Code> {
    let mut opts = Opts::new(words, "n", USAGE);
    let mut only_check = false;
    while opts.next()?.is_some() {
        only_check = true;
    }
    let words = opts.rest();
    if only_check {
        return check();
    }
    let [cdb, temporary, ..] = &words[..] else {
        return Err(Die::usage(USAGE));
    };
    compile(Path::new(temporary))?;
    let moved = files::replace(Path::new(temporary), Path::new(cdb));
    moved.unable(format_args!("move {} to {}", temporary.display(), cdb.display()))?;
    Ok(Code::DONE)
}

/// Compiles standard input into a finished file, on disk.
fn compile(temporary: &Path) -> Result<()> {
    let name = temporary.display();
    let unable = |why: io::Error| Die::temp(format_args!("write to {name}"), &why);
    let mut writer = Writer::create(temporary).unable(format_args!("create {name}"))?;
    let mut compiler = Compiler::default();
    let mut input = Input::with_size(STDIN, AHEAD);
    while let Some(line) = input.whole_line().unable("read input")? {
        if !compiler.line(line, |key, data| writer.add(key, data)).map_err(unable)? {
            return Err(refuse(line));
        }
    }
    compiler.finish(|key, data| writer.add(key, data)).map_err(unable)?;
    writer.finish().map_err(unable)
}

/// Says which line is wrong, in its own bytes.
fn refuse(line: &[u8]) -> Die {
    let line = excerpt(line);
    say::raw(&[b"tcprules: fatal: unable to parse this line: ", line, b"\n"].concat());
    Die::silent(Code::PERM.0)
}

/// Says everything that is wrong or useless in standard input, and writes nothing.
fn check() -> Result<Code> {
    let mut lint = Lint::default();
    let mut input = Input::with_size(STDIN, AHEAD);
    while let Some(text) = input.whole_line().unable("read input")? {
        lint.line(text);
    }
    let mut code = Code::DONE;
    for (number, problem) in lint.finish() {
        if matches!(problem, Problem::Bad(_)) {
            code = Code::PERM;
        }
        say::raw(
            &[format!("tcprules: line {number}: ").as_bytes(), &problem.words(), b"\n"].concat(),
        );
    }
    Ok(code)
}
