//! tcplog: turn the log of tcpserver into one line per connection, or into counts.
#![cfg_attr(not(test), no_main)]

use base::input::{Ending, Input};
use base::opt::Opts;
use base::out::Out;
use base::{Args, Code, Result, Unable};
use memchr::memchr;
use net::log::{Summary, Visits};

base::program!("tcplog", run);

const USAGE: &str = "tcplog [ -j | -p ]";

/// Longer lines are none of tcpserver's, whose names are cut after 100 bytes.
const LONGEST: usize = 4096;

fn run(words: Args) -> Result<Code> {
    let mut opts = Opts::new(words, "jp", USAGE);
    let mut form = None;
    while let Some(letter) = opts.next()? {
        form = Some(letter);
    }
    let usage = opts.bad_usage();
    if !opts.rest().is_empty() {
        return Err(usage);
    }
    let (mut input, mut out) = (Input::stdin(), Out::stdout());
    let (mut visits, mut summary) = (Visits::default(), Summary::default());
    while let Some(line) = next_line(&mut input, &mut out)? {
        let Some(visit) = visits.line(&line) else { continue };
        match form {
            None => out.put(visit.words()).unable("write output")?,
            Some(b'j') => out.put(visit.json()).unable("write output")?,
            Some(_) => summary.add(&visit),
        }
    }
    if form == Some(b'p') {
        summary.write(&mut out, visits.open()).unable("write output")?;
    }
    out.flush().unable("write output")?;
    Ok(Code::DONE)
}

/// The next line, without its newline; what is too long is cut. Before it waits, all is written.
fn next_line(input: &mut Input, out: &mut Out) -> Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let mut whole = true;
    loop {
        if memchr(b'\n', input.buffered()).is_none() {
            out.flush().unable("write output")?;
        }
        let mut piece = Vec::new();
        let ending = input.line(&mut piece, LONGEST).unable("read input")?;
        if whole {
            line = piece;
        }
        match ending {
            Ending::Newline => return Ok(Some(line)),
            Ending::End => return Ok((!line.is_empty()).then_some(line)),
            Ending::TooLong => whole = false,
        }
    }
}
