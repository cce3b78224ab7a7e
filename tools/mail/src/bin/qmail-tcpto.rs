//! qmail-tcpto: print the addresses that do not answer.
#![cfg_attr(not(test), no_main)]

use base::out::Out;
use base::sys::clock;
use base::{Args, Code, Die, Result, Unable, errno};
use mail::tcpto::{self, TimeOuts};
use queue::home;

base::program!("qmail-tcpto", run);

fn run(_: Args) -> Result<Code> {
    let mut out = Out::stdout();
    let (text, code) = match tcpto::all(&home::folder().join("queue/lock")) {
        Ok(all) => (all.iter().map(shown).collect(), Code::DONE),
        // On standard output, as the originals have it.
        Err(why) => (format!("fatal: unable to read tcpto: {}\n", errno::words(&why)), Code::TEMP),
    };
    out.put(text).and_then(|()| out.flush()).unable("write output")?;
    if code == Code::DONE { Ok(code) } else { Err(Die::silent(code.0)) }
}

fn shown(time_outs: &TimeOuts) -> String {
    let TimeOuts { ip, count, when } = time_outs;
    let ago = clock::seconds().saturating_sub(*when);
    format!("{ip} timed out {ago} seconds ago; # recent timeouts: {count}\n")
}
