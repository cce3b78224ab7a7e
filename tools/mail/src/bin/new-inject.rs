//! new-inject: put a mail message's header in order and send it.
#![cfg_attr(not(test), no_main)]

use base::input::Input;
use base::sys::{clock, fd};
use base::{Args, Code, Die, Result, Unable, env};
use mail::control::{Control, Names};
use mail::injection::{Message, Options, first_set, followup_lists, read_header};
use mail::mended_header::{Header, Setting, envelope};
use net::qualify::Rules;
use queue::home;
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;

base::program!("new-inject", run);

const LETTERS: &str = "aAhHnNFIMRSf:";
const USAGE: &str = "new-inject [ -nNaAhHFIMRS ] [ -f sender ] [ recip ... ]";

/// Bytes of input that are read at once.
const BUFFER: usize = 65536;

fn run(words: Args) -> Result<Code> {
    let options = Options::read(words, LETTERS, USAGE)?;
    // Before the change of folder: the files' names are relative to the caller's.
    let (lists, rewriting) = (followup_lists()?, rewriting_file()?);
    let home = home::folder();
    std::env::set_current_dir(&home).unable(format_args!("switch to {}", home.display()))?;
    let setting = setting(&Control::of(&home), &options.others, lists, rewriting)?;
    let mut header = Header::new(setting);
    let arguments = options.arguments.iter().map(|recipient| header.rewritten(recipient));
    let mut recipients: Vec<Vec<u8>> = arguments.collect();
    let sender = options.sender.map(|sender| header.rewritten(&sender));
    let mut input = Input::with_size(fd::STDIN, BUFFER);
    let start_of_body = read_header(&mut input, |field| {
        header.field(&field);
        Ok(())
    })?;
    if options.from_header {
        recipients.append(&mut header.recipients());
    }
    let sender = sender.unwrap_or_else(|| header.sender());
    let message = Message { header: header.text(), start_of_body, input: &mut input };
    if options.print {
        message.print(&envelope(&sender, &recipients))?;
    } else {
        message.send(&home, &sender, &recipients)?;
    }
    Ok(Code::DONE)
}

/// The instructions in $QMAILREWRITEFILE.
fn rewriting_file() -> Result<Option<Rules>> {
    let Some(file) = env::get("QMAILREWRITEFILE") else { return Ok(None) };
    let text = fs::read(OsStr::from_bytes(&file)).unable("read $QMAILREWRITEFILE")?;
    Ok(Some(Rules::from_file(&text)))
}

/// Everything that variables, letters and control files say.
fn setting(
    control: &Control,
    letters: &[u8],
    lists: Option<Names>,
    rewriting: Option<Rules>,
) -> Result<Setting> {
    let variable = env::get("QMAILINJECT").unwrap_or_default();
    // As option letters they are capitals only.
    let has = |letter: u8| {
        variable.iter().any(|byte| byte.eq_ignore_ascii_case(&letter)) || letters.contains(&letter)
    };
    let user = first_set(&["QMAILUSER", "MAILUSER", "USER", "LOGNAME"]);
    let user = user.unwrap_or_else(|| b"anonymous".to_vec());
    let author_host = first_set(&["QMAILHOST", "MAILHOST"]).unwrap_or_default();
    let sender_host = env::get("QMAILSHOST").unwrap_or_else(|| author_host.clone());
    let (now, pid) = (clock::seconds(), std::process::id());
    let mut sender = env::get("QMAILSUSER").unwrap_or_else(|| user.clone());
    if has(b'M') {
        sender.extend(format!("-{now}.{pid}").bytes());
    }
    if has(b'R') {
        sender.push(b'-');
    }
    let id_host = host(control, "QMAILIDHOST", "idhost")?;
    let rules = match rewriting {
        Some(rules) => rules,
        None => rules(control)?,
    };
    Ok(Setting {
        rules,
        id: [format!(".{pid}.qmail@").as_bytes(), &id_host].concat(),
        now,
        author: [&user[..], b"@", &author_host].concat(),
        name: first_set(&["QMAILNAME", "MAILNAME", "NAME"]),
        sender: [&sender[..], b"@", &sender_host].concat(),
        lists,
        per_recipient: has(b'R'),
        delete_from: has(b'F'),
        delete_id: has(b'I'),
        ignore_return_path: has(b'S'),
    })
}

/// Of control/rewrite, or else of the hosts that qmail-inject adds.
fn rules(control: &Control) -> Result<Rules> {
    match fs::read(control.path("rewrite")) {
        Ok(text) => return Ok(Rules::from_file(&text)),
        Err(why) if why.kind() == ErrorKind::NotFound => {}
        Err(why) => return Err(Die::temp("read control/rewrite", &why)),
    }
    let mut text = b"*.:\n=:".to_vec();
    text.extend(host(control, "QMAILDEFAULTHOST", "defaulthost")?);
    text.extend(b"\n*+:.");
    text.extend(host(control, "QMAILPLUSDOMAIN", "plusdomain")?);
    text.extend(b"\n?:.");
    text.extend(host(control, "QMAILDEFAULTDOMAIN", "defaultdomain")?);
    Ok(Rules::from_file(&text))
}

/// The value of a variable, or the line of a control file, or of `me`.
fn host(control: &Control, variable: &str, file: &str) -> Result<Vec<u8>> {
    if let Some(value) = env::get(variable) {
        return Ok(value);
    }
    let line = control.line_or_me(file).unable(format_args!("read control/{file}"))?;
    Ok(line.unwrap_or_else(|| file.to_ascii_uppercase().into()))
}
