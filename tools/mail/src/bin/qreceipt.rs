//! qreceipt: confirm the delivery of a message to whoever asks for it.
#![cfg_attr(not(test), no_main)]

use base::input::{Ending, Input};
use base::sys::fd;
use base::{Args, Code, Die, Result, Unable, env, say};
use mail::submission::Submission;
use mail::{address, address_list, field, token};
use queue::home;
use std::os::unix::ffi::OsStrExt;

base::program!("qreceipt", run);

const USAGE: &str = "qreceipt deliveryaddress";

/// The field that asks.
const ASKS: &str = "Notice-Requested-Upon-Delivery-To";

/// Bytes of a field that is looked at; a longer one asks for nothing.
const FIELD: usize = 100_000;

fn run(words: Args) -> Result<Code> {
    let [target, ..] = &words[..] else { return Err(Die::usage(USAGE)) };
    let sender = env::get("SENDER").ok_or_else(|| Die::usage(USAGE))?;
    let mut header = Header { target: target.as_bytes(), asks: false, id: Vec::new() };
    header.read(&mut Input::new(fd::STDIN))?;
    // A bounce is not confirmed.
    if header.asks && !matches!(&sender[..], b"" | b"#@[]") {
        send(&notice(&sender, &header), &sender)?;
    }
    Ok(Code::DONE)
}

/// What a message's header says.
struct Header<'a> {
    target: &'a [u8],
    /// It asks for a notice from our address.
    asks: bool,
    /// The Message-ID field, with its newlines.
    id: Vec<u8>,
}

impl Header<'_> {
    fn read(&mut self, input: &mut Input) -> Result<()> {
        let mut current = Vec::new();
        loop {
            let mut line = Vec::new();
            let mut ending = input.line(&mut line, FIELD).unable("read message")?;
            if !field::continues(&line) {
                self.field(&current)?;
                current.clear();
            }
            if line.is_empty() {
                return Ok(());
            }
            line.push(b'\n');
            if current.len() < FIELD {
                current.extend(&line);
            }
            let mut rest = Vec::new();
            while ending == Ending::TooLong {
                rest.clear();
                ending = input.line(&mut rest, FIELD).unable("read message")?;
            }
            if ending == Ending::End {
                return self.field(&current);
            }
        }
    }

    fn field(&mut self, text: &[u8]) -> Result<()> {
        if field::is(text, "Message-ID") {
            self.id = text.to_vec();
        }
        if text.len() >= FIELD || !field::is(text, ASKS) {
            return Ok(());
        }
        let unparsable = || {
            let text = String::from_utf8_lossy(text.trim_ascii_end()).replace('\n', " ");
            Die::perm(format_args!("unable to parse this: {text}"))
        };
        let tokens = token::parse(text).ok_or_else(unparsable)?;
        let list = address_list::rewrite(tokens, |found| {
            self.asks |= token::unquoted(found) == self.target;
        });
        list.map(drop).ok_or_else(unparsable)
    }
}

/// The whole notice.
fn notice(sender: &[u8], header: &Header) -> Vec<u8> {
    let sender: Vec<u8> =
        address::quote(sender).into_iter().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    let mut text = [b"From: DELIVERY NOTICE SYSTEM <", &sender[..], b">\n"].concat();
    text.extend([b"To: <", &sender[..], b">\n"].concat());
    text.extend(
        b"Subject: success notice\n\n\
        Hi! This is the qreceipt program. Your message was delivered to the\n\
        following address: ",
    );
    text.extend([header.target, b". Thanks for asking.\n"].concat());
    if !header.id.is_empty() {
        text.extend([b"Your ", &header.id[..]].concat());
    }
    text
}

/// Queues the notice; nobody is told if it cannot be delivered.
fn send(notice: &[u8], to: &[u8]) -> Result<()> {
    let mut queue = Submission::open(&home::folder()).unable("fork")?;
    queue.put(notice);
    queue.sender(b"");
    queue.recipient(to);
    match queue.close() {
        Ok(_) => Ok(()),
        Err(refusal) => {
            say::raw(&[b"qreceipt: fatal: ", &refusal.text[..], b"\n"].concat());
            Err(Die::silent(if refusal.permanent { Code::PERM.0 } else { Code::TEMP.0 }))
        }
    }
}
