//! fastforward: forward mail as a table says.
#![cfg_attr(not(test), no_main)]

use base::cdb::Reader;
use base::errno::words;
use base::files::open_read;
use base::opt::Opts;
use base::sys::spawn::Spawn;
use base::sys::{fd, signal, wait};
use base::{Args, Code, Die, Result, Unable, env, say};
use mail::forwarding::{INSTRUCTIONS, Item, OWNER, find, is_whole, items, key};
use mail::program_exit::{Verdict, verdict};
use mail::submission::Submission;
use queue::home;
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

base::program!("fastforward", run);

const USAGE: &str = "fastforward [ -nNpPdD ] data.cdb";

const NO_MAILBOX: &str = "Sorry, no mailbox here by that name. (#5.1.1)\n";

/// What -n calls the sender if it is not known.
const SOMEBODY: &[u8] = b"original envelope sender";

/// The exit code that ends a .qmail file.
const FORWARDED: Code = Code(99);

/// A mailing list that is not readable for all may be a secret.
const READABLE: u32 = 0o444;

/// Bytes of the longest mailing list.
const LIST: u64 = 64 << 20;

fn run(words: Args) -> Result<Code> {
    let options = Options::read(words)?;
    if !options.dry && !fd::is_open(0) {
        return Err(Die::later("unable to read message: file descriptor not open"));
    }
    fd::fill_standard().unable("open /dev/null")?;
    signal::ignore(signal::PIPE).unable("ignore SIGPIPE")?;
    signal::default(signal::CHILD).unable("reset SIGCHLD")?;
    let recipient = recipient(options.default)?;
    let mut work = Work::new(&options)?;
    let Some(instructions) = work.find(INSTRUCTIONS, &recipient)? else {
        return match options.pass {
            true => Ok(Code::DONE),
            false => {
                say::raw(NO_MAILBOX.as_bytes());
                Err(Die::silent(Code::PERM.0))
            }
        };
    };
    let sender = work.sender(&recipient)?;
    work.seen.insert(recipient);
    work.obey(&instructions)?;
    work.follow()?;
    work.recipients.reverse();
    match &work.recipients[..] {
        recipients if options.dry => show(&sender, recipients),
        [] => {}
        recipients => forward(&sender, recipients)?,
    }
    Ok(if options.pass { FORWARDED } else { Code::DONE })
}

/// The command line.
struct Options {
    /// -n: only say what would be done.
    dry: bool,
    /// -p: leave unknown recipients to the rest of the .qmail file, and them alone.
    pass: bool,
    /// -d: the recipient is `$DEFAULT@$HOST`.
    default: bool,
    /// The table.
    table: OsString,
}

impl Options {
    fn read(words: Args) -> Result<Self> {
        let (mut dry, mut pass, mut default) = (false, false, false);
        let mut opts = Opts::new(words, "nNpPdD", USAGE);
        while let Some(letter) = opts.next()? {
            let on = letter.is_ascii_lowercase();
            match letter.to_ascii_lowercase() {
                b'n' => dry = on,
                b'p' => pass = on,
                _ => default = on,
            }
        }
        let table = opts.rest().into_iter().next().ok_or_else(|| Die::usage(USAGE))?;
        Ok(Options { dry, pass, default, table })
    }
}

/// Whose mail it is.
fn recipient(default: bool) -> Result<Vec<u8>> {
    let must = |name: &str| Die::perm(format_args!("{name} must be set"));
    if !default {
        return env::get("RECIPIENT").ok_or_else(|| must("$RECIPIENT"));
    }
    let user = env::get("DEFAULT").or_else(|| env::get("EXT"));
    let user = user.ok_or_else(|| must("$DEFAULT or $EXT"))?;
    let host = env::get("HOST").ok_or_else(|| must("$HOST"))?;
    Ok([&user[..], b"@", &host].concat())
}

/// What is found out about a message's recipients.
struct Work<'a> {
    options: &'a Options,
    table: Reader,
    /// Addresses and lists to look at; the last one comes first.
    waiting: Vec<Vec<u8>>,
    /// Those that have been waiting: each counts once, so that loops end.
    seen: HashSet<Vec<u8>>,
    /// To whom the message goes, the last one first.
    recipients: Vec<Vec<u8>>,
}

impl<'a> Work<'a> {
    fn new(options: &'a Options) -> Result<Self> {
        let table = Reader::open(Path::new(&options.table)).map_err(|why| options.broken(&why))?;
        let (waiting, seen, recipients) = (Vec::new(), HashSet::new(), Vec::new());
        Ok(Work { options, table, waiting, seen, recipients })
    }

    fn find(&self, kind: u8, address: &[u8]) -> Result<Option<Vec<u8>>> {
        find(&self.table, kind, address).map_err(|why| self.options.broken(&why))
    }

    fn find_exactly(&self, kind: u8, address: &[u8]) -> Result<Option<Vec<u8>>> {
        self.table.find(&key(kind, address)).map_err(|why| self.options.broken(&why))
    }

    /// Who hears of failures: the recipient's owner, but for the failure of a bounce.
    fn sender(&self, recipient: &[u8]) -> Result<Vec<u8>> {
        let sender = env::get("SENDER").unwrap_or_else(|| SOMEBODY.to_vec());
        if matches!(&sender[..], b"" | b"#@[]") {
            return Ok(sender);
        }
        Ok(self.find(OWNER, recipient)?.unwrap_or(sender))
    }

    /// Runs the programs of a record at once; the rest is to wait.
    fn obey(&mut self, instructions: &[u8]) -> Result<()> {
        for text in items(instructions) {
            match Item::of(text) {
                Item::Program(_) | Item::PrelineProgram(_) if self.options.dry => {
                    say::raw(&[b"run ", &visible(text)[..], b"\n"].concat());
                }
                Item::Program(command) => run_program(&["sh".as_ref(), "-c".as_ref()], command)?,
                Item::PrelineProgram(command) => {
                    run_program(&["preline".as_ref(), "sh".as_ref(), "-c".as_ref()], command)?;
                }
                Item::Address(_) | Item::List(_) => self.waiting.push(text.to_vec()),
                Item::Other => {}
            }
        }
        Ok(())
    }

    /// Looks at all that waits, and at what comes of it. An address whose own owner differs from
    /// this message's stays as it is: it comes here again, with that owner as its sender.
    fn follow(&mut self) -> Result<()> {
        while let Some(text) = self.waiting.pop() {
            if !self.seen.insert(text.clone()) {
                continue;
            }
            match Item::of(&text) {
                Item::Address(address) => {
                    let owned = self.find_exactly(OWNER, address)?.is_some();
                    let more = self.find_exactly(INSTRUCTIONS, address)?;
                    match more.filter(|_| !owned) {
                        Some(instructions) => self.obey(&instructions)?,
                        None => self.recipients.push(address.to_vec()),
                    }
                }
                Item::List(name) => {
                    let list = list(Path::new(OsStr::from_bytes(name)))?;
                    let parts = items(&list).filter(|text| is_of_list(text));
                    self.waiting.extend(parts.map(<[u8]>::to_vec));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Options {
    fn broken(&self, why: &io::Error) -> Die {
        Die::temp(format_args!("read {}", self.table.display()), why)
    }
}

/// Whether an item of a list counts: somebody else's list must not run programs.
fn is_of_list(text: &[u8]) -> bool {
    matches!(Item::of(text), Item::Address(_) | Item::List(_))
}

/// The items of a mailing list. One that was never compiled, as newinclude names lists in lists,
/// means the compiled one beside it.
fn list(name: &Path) -> Result<Vec<u8>> {
    let text = contents(name)?;
    let text = if text.is_empty() || text.contains(&0) {
        text
    } else {
        let mut binary = name.as_os_str().to_owned();
        binary.push(".bin");
        contents(Path::new(&binary))?
    };
    match is_whole(&text) {
        true => Ok(text),
        false => Err(Die::later(format_args!("{} is not a mailing list", name.display()))),
    }
}

fn contents(name: &Path) -> Result<Vec<u8>> {
    let shown = name.display();
    let file = open_read(name).unable(format_args!("read {shown}"))?;
    if file.metadata().unable(format_args!("stat {shown}"))?.mode() & READABLE != READABLE {
        return Err(Die::later(format_args!("{shown} is not world-readable")));
    }
    let mut text = Vec::new();
    file.take(LIST + 1).read_to_end(&mut text).unable(format_args!("read {shown}"))?;
    // What is left of a list must not be taken for all of it.
    if text.len() as u64 > LIST {
        return Err(Die::later(format_args!("{shown} is too long")));
    }
    Ok(text)
}

/// Gives a command the message, and the next one the same.
fn run_program(words: &[&OsStr], command: &[u8]) -> Result<()> {
    let shown = String::from_utf8_lossy(command);
    let mut words: Vec<OsString> = words.iter().map(|word| word.into()).collect();
    words.push(OsString::from_vec(command.to_vec()));
    let last_words = format!("fastforward: fatal: unable to run {}", words[0].display());
    let child = Spawn::new(&words).last_words(last_words).start().unable("fork")?;
    match verdict(wait::child(child).unable(format_args!("wait for {shown}"))?) {
        Verdict::Done => fd::rewind(fd::STDIN).unable("rewind input"),
        Verdict::Never => Err(Die::silent(Code::PERM.0)),
        Verdict::Later => Err(Die::silent(Code::TEMP.0)),
        Verdict::Crashed => Err(Die::later(format_args!("child crashed in {shown}"))),
    }
}

/// Says what would be done.
fn show(sender: &[u8], recipients: &[Vec<u8>]) {
    let mut text = Vec::new();
    if recipients.is_empty() {
        text.extend(b"no forwarding\n");
    } else {
        text.extend([b"from <", &visible(sender)[..], b">\n"].concat());
    }
    for recipient in recipients {
        text.extend([b"to <", &visible(recipient)[..], b">\n"].concat());
    }
    say::raw(&text);
}

/// Without control bytes.
fn visible(text: &[u8]) -> Vec<u8> {
    text.iter().map(|byte| if *byte < b' ' { b'_' } else { *byte }).collect()
}

/// Queues the message for its recipients.
fn forward(sender: &[u8], recipients: &[Vec<u8>]) -> Result<()> {
    let mut queue = Submission::open(&home::folder()).unable("fork")?;
    queue.put(&env::get("DTLINE").unwrap_or_default());
    let read = queue.put_rest_of(fd::STDIN);
    read.map_err(|why| Die::later(format_args!("unable to read message: {}", words(&why))))?;
    queue.sender(sender);
    for recipient in recipients {
        queue.recipient(recipient);
    }
    match queue.close() {
        Ok(number) => {
            say::line(format_args!("qp {number}"));
            Ok(())
        }
        Err(refusal) => {
            say::raw(&[b"fastforward: fatal: ", &refusal.text[..], b"\n"].concat());
            Err(Die::silent(if refusal.permanent { Code::PERM.0 } else { Code::TEMP.0 }))
        }
    }
}
