//! sslserver: accept TCP connections, speak TLS on each and run a program for it.
#![cfg_attr(not(test), no_main)]

use base::opt::Opts;
use base::sys::fd;
use base::{Args, Code, Result};
use net::server_options::Options;
use net::tls::visitor::Tls;
use std::io;

base::program!("sslserver", run);

/// Those of tcpserver and of tlsd, and sslserver's own.
const LETTERS: &str = "146dDvqQhHrRUXx:t:u:g:l:b:B:c:C:pPoOI:sSmzZT:w:3nNeEV";
const USAGE: &str = "sslserver [ -1346UXpPhHrRoOdDqQvVeEsSnNmzZ ] [ -c limit ] \
    [ -C limit[:text] ] [ -x rules.cdb ] [ -B banner ] [ -g gid ] [ -u uid ] [ -b backlog ] \
    [ -l localname ] [ -t timeout ] [ -I interface ] [ -T ssltimeout ] [ -w progtimeout ] \
    host port program";

/// Where -3 reads a password.
const PASSWORD: i32 = 3;

fn run(words: Args) -> Result<Code> {
    let mut opts = Opts::new(words, LETTERS, USAGE);
    let (mut options, mut tls) = (Options::default(), Tls::default());
    options.each.inquiry.info = false;
    options.each.no_delay = true;
    while let Some(letter) = opts.next()? {
        match letter {
            b'3' => read_password(),
            b'n' => tls.delayed = true,
            b'N' => tls.delayed = false,
            b'e' => tls.tcp_names = true,
            b'E' => tls.tcp_names = false,
            b'V' => tls.shows_cipher = true,
            b's' | b'S' | b'm' | b'z' | b'Z' | b'T' | b'w' => tls.options.set(letter, &opts)?,
            letter => options.set(letter, &opts)?,
        }
    }
    options.each.tls = Some(Box::new(tls));
    let usage = opts.bad_usage();
    options.run(opts.rest(), usage)
}

/// Keys with a password are refused when they are read; but whoever writes one shall not be told
/// so by a signal.
fn read_password() {
    let mut bytes = [0; 256];
    let mut read = || -> io::Result<bool> {
        let count = fd::read(fd::number(PASSWORD), &mut bytes)?;
        Ok(count > 0 && !bytes[..count].contains(&0))
    };
    while let Ok(true) = read() {}
    fd::close(PASSWORD);
}
