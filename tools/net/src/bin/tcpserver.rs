//! tcpserver: accept TCP connections and run a program for each.
#![cfg_attr(not(test), no_main)]

use base::opt::Opts;
use base::sys::clock;
use base::{Args, Code, Result};
use net::server_options::{LETTERS, Options};

base::program!("tcpserver", run);

const USAGE: &str = "tcpserver [ -146UXpPhHrRoOdDqQv ] [ -c limit ] [ -C limit[:text] ] \
    [ -x rules.cdb ] [ -B banner ] [ -g gid ] [ -u uid ] [ -b backlog ] [ -l localname ] \
    [ -t timeout ] [ -I interface ] host port program";

fn run(words: Args) -> Result<Code> {
    clock::often();
    let mut opts = Opts::new(words, LETTERS, USAGE);
    let mut options = Options::default();
    while let Some(letter) = opts.next()? {
        options.set(letter, &opts)?;
    }
    let usage = opts.bad_usage();
    options.run(opts.rest(), usage)
}
