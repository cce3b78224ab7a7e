//! qmail-inject: complete a mail message's header and send it.
#![cfg_attr(not(test), no_main)]

use base::env;
use base::input::Input;
use base::sys::clock;
use base::sys::fd;
use base::{Args, Code, Die, Result};
use mail::address;
use mail::compose::{Header, Setting, Unparsable};
use mail::control::{Control, Names};
use mail::host_rules::HostRules;
use mail::injection::{Message, Options, first_set, followup_lists, read_header};
use queue::home;
use std::cell::LazyCell;
use std::io;

base::program!("qmail-inject", run);

const LETTERS: &str = "aAhHnNf:";
const USAGE: &str = "qmail-inject [ -nNaAhH ] [ -fsender ] [ recip ... ]";

/// Bytes of input that are read at once.
const BUFFER: usize = 65536;

fn run(words: Args) -> Result<Code> {
    let options = Options::read(words, LETTERS, USAGE)?;
    // Before the change of folder: the file's name is relative to the caller's.
    let lists = followup_lists()?;
    let home = home::folder();
    std::env::set_current_dir(&home).map_err(|_| Die::later("internal bug"))?;
    let setting = setting(&Control::of(&home), lists)?;
    let mut header = Header::new(setting, options.sender.as_deref()).map_err(no_address)?;
    let arguments = options.arguments.iter().map(|recipient| header.completed(recipient));
    let mut recipients: Vec<_> =
        arguments.collect::<std::result::Result<_, _>>().map_err(no_address)?;
    let mut input = Input::with_size(fd::STDIN, BUFFER);
    let start_of_body = read_header(&mut input, |field| header.field(field).map_err(unparsable))?;
    if options.from_header {
        recipients.extend_from_slice(header.recipients());
    }
    let sender = header.sender().map_err(unparsable)?.to_vec();
    let text = header.text().map_err(unparsable)?;
    let message = Message { header: text, start_of_body, input: &mut input };
    if options.print {
        message.print(&[b"Return-Path: <", &address::quote(&sender)[..], b">\n"].concat())?;
    } else {
        message.send(&home, &sender, &recipients)?;
    }
    Ok(Code::DONE)
}

/// Everything that variables and control files say.
fn setting(control: &Control, lists: Option<Names>) -> Result<Setting> {
    // Most installations have no other of these files, and one read for all of them is enough.
    let me = LazyCell::new(|| control.line("me"));
    let line = |file: &str| -> io::Result<_> {
        match control.line(file)? {
            Some(line) => Ok(Some(line)),
            None => me.as_ref().cloned().map_err(|why| why.kind().into()),
        }
    };
    let host = |variable: &str, file: &str| match env::get(variable) {
        Some(value) => Ok(value),
        None => match line(file) {
            Ok(line) => Ok(line.unwrap_or_else(|| file.into())),
            Err(_) => Err(Die::later("read error")),
        },
    };
    let hosts = HostRules::new(
        &host("QMAILDEFAULTHOST", "defaulthost")?,
        &host("QMAILDEFAULTDOMAIN", "defaultdomain")?,
        &host("QMAILPLUSDOMAIN", "plusdomain")?,
    );
    let user = first_set(&["QMAILUSER", "MAILUSER", "USER", "LOGNAME"]);
    let user = user.unwrap_or_else(|| b"anonymous".to_vec());
    let author_host = first_set(&["QMAILHOST", "MAILHOST"]);
    let letters = env::get("QMAILINJECT").unwrap_or_default();
    let has = |letter: u8| letters.contains(&letter);
    Ok(Setting {
        hosts: hosts.ok_or_else(|| Die::perm("unable to parse default host or domain"))?,
        id_host: host("QMAILIDHOST", "idhost")?,
        now: clock::seconds(),
        pid: std::process::id(),
        sender_user: env::get("QMAILSUSER").unwrap_or_else(|| user.clone()),
        sender_host: env::get("QMAILSHOST").or_else(|| author_host.clone()),
        user,
        host: author_host,
        name: first_set(&["QMAILNAME", "MAILNAME", "NAME"]),
        lists,
        comment: has(b'c'),
        ignore_return_path: has(b's'),
        delete_from: has(b'f'),
        delete_id: has(b'i'),
        per_recipient: has(b'r'),
        per_message: has(b'm'),
    })
}

fn no_address(bare: Unparsable) -> Die {
    Die::perm(format_args!("unable to parse address: {}", String::from_utf8_lossy(&bare.0)))
}

fn unparsable(line: Unparsable) -> Die {
    let line = String::from_utf8_lossy(&line.0);
    Die::perm(format_args!("unable to parse this line:\n{}", line.trim_end_matches('\n')))
}
