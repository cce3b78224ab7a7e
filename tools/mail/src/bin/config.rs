//! config: make the first control files, asking the system and DNS what this host is called.
#![cfg_attr(not(test), no_main)]

use base::env::Env;
use base::sys::{host, interfaces};
use base::{Args, Code, Die, Result, Unable};
use mail::setup::{Setup, checked};
use net::dns::Resolver;
use net::host::{Family, Settings};
use net::names;
use queue::home;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

base::program!("config", run);

const USAGE: &str = "config";

const NO_NAME: &str = "Sorry, I couldn't find your hostname.\n\
    You will have to set up control/me yourself.\n";
const NO_DNS: &str = "Sorry, I couldn't find your host's canonical name in DNS.\n\
    You will have to set up control/me yourself.\n";

fn run(words: Args) -> Result<Code> {
    if !words.is_empty() {
        return Err(Die::usage(USAGE));
    }
    let mut setup = Setup::of(&home::folder());
    let settings = Settings::of(&Env::inherited());
    let mut resolver = settings.resolver();
    let own = lower(&host::name());
    if own.is_empty() {
        setup.say(NO_NAME)?;
        return Ok(Code::TEMP);
    }
    setup.say(&format!("Your hostname is {own}.\n"))?;
    let addresses = settings.addresses(own.as_bytes(), 0, Family::Both).unwrap_or_default();
    let addresses: Vec<IpAddr> = addresses.iter().map(SocketAddr::ip).collect();
    let Some(name) = addresses.iter().find_map(|address| named(&mut resolver, *address)) else {
        setup.say(NO_DNS)?;
        return Ok(Code::TEMP);
    };
    setup.say(&format!("Your host's fully qualified name in DNS is {name}.\n"))?;
    setup.names(checked(&name)?)?;
    locals(&mut setup, &mut resolver, addresses)?;
    Ok(Code::DONE)
}

/// The first name of an address in DNS, in small letters.
fn named(resolver: &mut Resolver, address: IpAddr) -> Option<String> {
    let name = lower(&names::of(resolver, address).ok()??);
    checked(&name).is_ok().then_some(name)
}

fn lower(name: &[u8]) -> String {
    String::from_utf8_lossy(name).to_ascii_lowercase()
}

/// Makes locals and rcpthosts of the names of all addresses: of the host's own, and of those that
/// its interfaces have.
fn locals(setup: &mut Setup, resolver: &mut Resolver, addresses: Vec<IpAddr>) -> Result<()> {
    setup.say("\nChecking local IP addresses:\n")?;
    let all = interfaces::addresses().unable("list the interfaces")?;
    let all: BTreeSet<IpAddr> = all.into_iter().chain(addresses).collect();
    let mut locals: Vec<String> = Vec::new();
    for address in all {
        match named(resolver, address) {
            None => setup.say(&format!(
                "{address}: PTR lookup failed. I assume this address has no DNS name.\n"
            ))?,
            Some(name) => {
                setup.say(&format!("{address}: Adding {name} to control/locals...\n"))?;
                if !locals.contains(&name) {
                    locals.push(name);
                }
            }
        }
    }
    let folder = setup.control().display().to_string();
    setup.say(&format!(
        "\nIf there are any other domain names that point to you,\n\
         you will have to add them to {folder}/locals.\n\
         You don't have to worry about aliases, i.e., domains with CNAME records.\n\n\
         Copying {folder}/locals to {folder}/rcpthosts...\n"
    ))?;
    let lines: String = locals.iter().map(|name| format!("{name}\n")).collect();
    setup.write("locals", &lines)?;
    setup.write("rcpthosts", &lines)?;
    setup.say(
        "Now qmail will refuse to accept SMTP messages except to those hosts.\n\
         Make sure to change rcpthosts if you add hosts to locals or virtualdomains!\n",
    )
}
