//! tcprulescheck: say what compiled rules do with a connection.
#![cfg_attr(not(test), no_main)]

use base::opt::Opts;
use base::out::Out;
use base::{Args, Code, Die, Result, Unable, env};
use rules::item::{Item, items};
use rules::keys::shown;
use rules::network::Network;
use rules::{Found, Peer, Rules};
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

base::program!("tcprulescheck", run);

const USAGE: &str = "tcprulescheck rules.cdb";

fn run(words: Args) -> Result<Code> {
    let mut opts = Opts::new(words, "v", USAGE);
    let mut verbose = false;
    while opts.next()?.is_some() {
        verbose = true;
    }
    let words = opts.rest();
    let [file, who @ ..] = &words[..] else {
        return Err(Die::usage(USAGE));
    };
    let ip = given(who.first(), "TCPREMOTEIP");
    let host = given(who.get(1), "TCPREMOTEHOST");
    let info = given(who.get(2), "TCPREMOTEINFO");
    let ip = ip.as_deref().unwrap_or(b"0.0.0.0");
    let peer = Peer { ip, host: host.as_deref(), info: info.as_deref() };

    let mut tried = Vec::new();
    let rules = Rules::open(Path::new(file));
    let found = rules.and_then(|rules| {
        rules.find(&peer, |key| {
            if verbose {
                tried.push(key.to_vec());
            }
        })
    });
    let found = found.unable(format_args!("read {}", file.display()))?;
    let mut out = Out::stdout();
    tell(&mut out, &tried, found.as_ref()).and_then(|()| out.flush()).unable("write output")?;
    Ok(Code::DONE)
}

/// A word of the command line, else the variable. An empty word is none at all.
fn given(word: Option<&OsString>, variable: &str) -> Option<Vec<u8>> {
    match word {
        Some(word) => Some(word.as_bytes().to_vec()).filter(|word| !word.is_empty()),
        None => env::get(variable),
    }
}

/// The keys that were tried, but for networks that are not in the file; the rule; what it does.
fn tell(out: &mut Out, tried: &[Vec<u8>], found: Option<&Found>) -> io::Result<()> {
    for key in tried {
        if found.is_some_and(|found| found.key == *key) && Network::from_bits(key).is_some() {
            put(out, &[b"try ", &shown(key)])?;
        } else if Network::from_bits(key).is_none() {
            put(out, &[b"try ", key])?;
        }
    }
    let Some(found) = found else {
        return put(out, &[b"default:\nallow connection"]);
    };
    put(out, &[b"rule ", &shown(&found.key), b":"])?;
    for item in items(&found.data) {
        match item {
            Item::Deny => return put(out, &[b"deny connection"]),
            Item::Set(variable) => put(out, &[b"set environment variable ", variable])?,
        }
    }
    put(out, &[b"allow connection"])
}

/// Writes a line.
fn put(out: &mut Out, parts: &[&[u8]]) -> io::Result<()> {
    out.put(parts.concat())?;
    out.put(b"\n")
}
