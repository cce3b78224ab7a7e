//! softlimit: run a program under new resource limits.
#![cfg_attr(not(test), no_main)]

use base::env::{self, Env};
use base::opt::Opts;
use base::sys::exec::Prepared;
use base::{Args, Code, Die, Result, Unable, errno, number};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
use std::io;
use std::os::unix::ffi::OsStrExt;

base::program!("softlimit", run);

const USAGE: &str = "softlimit [-a allbytes] [-c corebytes] [-d databytes] [-f filebytes] \
    [-l lockbytes] [-m membytes] [-o openfiles] [-p processes] [-r residentbytes] \
    [-s stackbytes] [-t cpusecs] child";

/// An option letter, the end of its variable's name, and what both limit.
type Limit = (u8, &'static str, &'static [Resource]);

const LIMITS: [Limit; 11] = [
    (b'a', "ALLBYTES", &[Resource::RLIMIT_AS]),
    (b'c', "COREBYTES", &[Resource::RLIMIT_CORE]),
    (b'd', "DATABYTES", &[Resource::RLIMIT_DATA]),
    (b'f', "FILEBYTES", &[Resource::RLIMIT_FSIZE]),
    (b'l', "LOCKEDBYTES", &[Resource::RLIMIT_MEMLOCK]),
    (
        b'm',
        "MEMBYTES",
        &[
            Resource::RLIMIT_DATA,
            Resource::RLIMIT_STACK,
            Resource::RLIMIT_MEMLOCK,
            Resource::RLIMIT_AS,
        ],
    ),
    (b'o', "OPENFILES", &[Resource::RLIMIT_NOFILE]),
    (b'p', "PROCS", &[Resource::RLIMIT_NPROC]),
    (b'r', "RSSBYTES", &[Resource::RLIMIT_RSS]),
    (b's', "STACKBYTES", &[Resource::RLIMIT_STACK]),
    (b't', "CPUSECS", &[Resource::RLIMIT_CPU]),
];

/// What a limit is set to.
#[derive(Clone, Copy)]
enum Value {
    /// This, or the hard limit if that is lower.
    AtMost(u64),
    /// None, neither soft nor hard.
    Unlimited,
}

fn run(words: Args) -> Result<Code> {
    let mut opts = Opts::new(words, "a:c:d:f:l:m:o:p:r:s:t:", USAGE);
    let mut settings = Vec::new();
    for (_, name, resources) in LIMITS {
        if let Some(text) = env::get(&format!("SOFTLIMIT_{name}")) {
            settings.push((resources, value(&text).ok_or_else(|| opts.bad_usage())?));
        }
    }
    while let Some(letter) = opts.next()? {
        let value = value(opts.argument().as_bytes()).ok_or_else(|| opts.bad_usage())?;
        let limit = LIMITS.iter().find(|(known, ..)| *known == letter);
        settings.extend(limit.map(|(_, _, resources)| (*resources, value)));
    }
    let bad_usage = opts.bad_usage();
    let child = opts.rest();
    let [name, ..] = &child[..] else {
        return Err(bad_usage);
    };
    let what = format!("run {}", name.display());
    // Before the limits, which may leave no memory.
    let prepared = Prepared::new(name.as_bytes(), &child, &Env::inherited()).unable(&what)?;
    for (resources, value) in settings {
        for resource in resources {
            set(*resource, value)?;
        }
    }
    Err(Die::temp(&what, &prepared.exec()))
}

/// `=` is the hard limit, `-` no limit, the empty word 0, every other word a decimal number.
fn value(text: &[u8]) -> Option<Value> {
    match text {
        b"=" => Some(Value::AtMost(u64::MAX)),
        b"-" => Some(Value::Unlimited),
        b"" => Some(Value::AtMost(0)),
        _ if text.iter().all(u8::is_ascii_digit) => number::leading(text).map(Value::AtMost),
        _ => None,
    }
}

fn set(resource: Resource, value: Value) -> Result<()> {
    let (soft, hard) = match value {
        Value::Unlimited => (RLIM_INFINITY, RLIM_INFINITY),
        Value::AtMost(limit) => {
            let (_, hard) = getrlimit(resource).map_err(|why| failed("getrlimit", why.into()))?;
            (limit.min(hard), hard)
        }
    };
    setrlimit(resource, soft, hard).map_err(|why| failed("setrlimit", why.into()))
}

fn failed(call: &str, why: io::Error) -> Die {
    Die::later(format_args!("{call} failed: {}", errno::words(&why)))
}
