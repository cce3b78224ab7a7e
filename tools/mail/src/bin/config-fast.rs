//! config-fast: make the first control files, for a host whose name is known.
#![cfg_attr(not(test), no_main)]

use base::{Args, Code, Die, Result};
use mail::setup::{Setup, checked};
use queue::home;

base::program!("config-fast", run);

const USAGE: &str = "config-fast host";

fn run(words: Args) -> Result<Code> {
    let [name] = &words[..] else { return Err(Die::usage(USAGE)) };
    let name = name.to_string_lossy();
    let name = checked(&name)?;
    let mut setup = Setup::of(&home::folder());
    setup.say(&format!("Your fully qualified host name is {name}.\n"))?;
    setup.names(name)?;
    setup.add("locals", name)?;
    setup.add("rcpthosts", name)?;
    setup.say(&format!(
        "Now qmail will refuse to accept SMTP messages except to {name}.\n\
         Make sure to change rcpthosts if you add hosts to locals or virtualdomains!\n"
    ))?;
    Ok(Code::DONE)
}
