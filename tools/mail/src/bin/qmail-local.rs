//! qmail-local: deliver or forward a message as its recipient's .qmail file says.
#![cfg_attr(not(test), no_main)]

use base::date::Date;
use base::env::Env;
use base::errno::{is_temporary, words};
use base::files::open_read;
use base::input::{Ending, Input};
use base::opt::Opts;
use base::sys::wait::{self, Pid};
use base::sys::{clock, exec, fd, fork, signal, umask};
use base::{Args, Code, Die, Result, Unable, say};
use mail::delivery::{Delivery, Owner};
use mail::dot_qmail::{self, Instruction, candidates, instructions};
use mail::maildir::{self, Names};
use mail::mbox::Mbox;
use mail::runner::{self, Order};
use mail::submission::Submission;
use queue::home;
use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

base::program!("qmail-local", run);

const USAGE: &str = "qmail-local [ -nN ] user homedir local dash ext domain sender aliasempty";

// What senders are told, besides the words of mail::mbox and mail::maildir.
const HOME_WRITABLE: &str = "Uh-oh: home directory is writable. (#4.7.0)";
const HOME_STICKY: &str = "Home directory is sticky: user is editing his .qmail file. (#4.2.1)";
const LOOPING: &str = "This message is looping: it already has my Delivered-To line. (#5.4.6)";
const NO_MAILBOX: &str = "Sorry, no mailbox here by that name. (#5.1.1)";
const FILE_WRITABLE: &str = "Uh-oh: .qmail file is writable. (#4.7.0)";
const BLANK_START: &str = "Uh-oh: first line of .qmail file is blank. (#4.2.1)";
const LIST_PROGRAM: &str = "Uh-oh: .qmail has prog delivery but has x bit set. (#4.7.0)";
const LIST_FILE: &str = "Uh-oh: .qmail has file delivery but has x bit set. (#4.7.0)";
const CRASHED: &str = "Aack, child crashed. (#4.3.0)";
const LOCKED: &str = "File has been locked for 30 seconds straight. (#4.3.0)\n";

/// Seconds that an mbox may be locked by somebody else.
const LOCK_SECONDS: u32 = 30;

/// Deliveries that share the waits for the disk.
const BATCH: usize = 8;

/// Bytes of a message for which others may wait.
const SHORT: u64 = 1 << 20;

/// Nobody's home or .qmail file may be writable by others.
const WRITABLE: u32 = 0o002;
/// The owner of a sticky home is editing a .qmail file in it.
const STICKY: u32 = 0o1000;
/// A .qmail file that its owner may execute only forwards.
const LIST: u32 = 0o100;

fn run(arguments: Args) -> Result<Code> {
    umask::set(0o077);
    ignore_signals()?;
    signal::default(signal::CHILD).unable("reset SIGCHLD")?;
    let mut opts = Opts::new(arguments, "nNw", USAGE);
    let mut dry = false;
    while let Some(letter) = opts.next()? {
        match letter {
            b'w' => return take_orders(),
            letter => dry = letter == b'n',
        }
    }
    let words = runner::Words::try_from(opts.rest()).map_err(|_| Die::usage(USAGE))?;
    Work::new(words, dry, &mut Names::ours())?.carry_out()
}

/// What the receiver of a program's output, or a limit on files, would end us with.
fn ignore_signals() -> Result<()> {
    signal::ignore(signal::PIPE).unable("ignore SIGPIPE")?;
    signal::ignore(signal::FILE_SIZE).unable("ignore SIGXFSZ")
}

/// Carries out one delivery after the other, as qmail-lspawn asks for it.
fn take_orders() -> Result<Code> {
    std::hint::black_box(runner::MARK);
    let mut desk = Desk {
        socket: fd::STDIN.try_clone_to_owned().unable("keep the socket")?,
        nothing: File::open("/dev/null").unable("open /dev/null")?,
        names: Names::ours(),
        posted: Vec::new(),
    };
    // Children answer for themselves; nobody waits for them.
    signal::ignore(signal::CHILD).unable("ignore SIGCHLD")?;
    while desk.carry_out_batch()? {}
    Ok(Code::DONE)
}

/// Where orders are taken. What goes into one Maildir is written as it comes, and then published
/// with what has come meanwhile: they share the waits for the disk. A child does all else.
struct Desk {
    socket: OwnedFd,
    nothing: File,
    names: Names,
    posted: Vec<Posted>,
}

/// A message in `tmp`, and who waits for it.
struct Posted {
    message: maildir::Written,
    number: u8,
    output: OwnedFd,
}

impl Desk {
    /// Waits for an order, and carries out those that have come by then. False: no more can come.
    fn carry_out_batch(&mut self) -> Result<bool> {
        let taken = self.take_batch();
        self.publish()?;
        // No folder shall be held meanwhile.
        std::env::set_current_dir("/").unable("switch to /")?;
        taken
    }

    fn take_batch(&mut self) -> Result<bool> {
        let order = Order::next(self.socket.as_fd()).unable("read an order")?;
        let Some(order) = order else { return Ok(false) };
        self.begin(order)?;
        for _ in 1..BATCH {
            let order = Order::at_hand(self.socket.as_fd()).unable("read an order")?;
            let Some(order) = order else { break };
            self.begin(order)?;
        }
        Ok(true)
    }

    /// Finds out what is to be done, and does it, or half of it, or has it done.
    fn begin(&mut self, Order { number, words, message, output }: Order) -> Result<()> {
        take_descriptors([message.as_fd(), output.as_fd(), output.as_fd()])?;
        let is_short = File::from(message).metadata().is_ok_and(|about| about.len() <= SHORT);
        let Desk { socket, nothing, names, posted } = self;
        let socket = socket.as_fd();
        let begun = Work::new(words, false, names).and_then(|mut work| {
            work.begin()?;
            if is_short && let Some(message) = work.write_if_simple()? {
                return Ok(Some(message));
            }
            let child = fork::child(|| {
                // Nobody shall wait for the end of an output because we have it, too.
                posted.clear();
                let code = code_of(work.finish_in_child());
                runner::answer(socket, number, code).map_or(Code::TEMP, |()| Code::DONE).0
            });
            child.map(|_| None).map_err(|why| unable("fork", &why))
        });
        let answered = match begun {
            Ok(Some(message)) => {
                posted.push(Posted { message, number, output });
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(die) => runner::answer(socket, number, code_of(Err(die))),
        };
        take_descriptors([nothing.as_fd(); 3])?;
        answered.unable("answer")
    }

    /// Delivers what has been written, and answers.
    fn publish(&mut self) -> Result<()> {
        let posted = self.posted.drain(..);
        let (messages, waiting): (Vec<_>, Vec<_>) =
            posted.map(|Posted { message, number, output }| (message, (number, output))).unzip();
        let mut answered = Ok(());
        for (end, (number, output)) in maildir::publish(messages).into_iter().zip(waiting) {
            let (text, code) = match end {
                Ok(()) => (summary(1, 0, 0), Code::DONE),
                Err(why) => (format!("{why}\n"), Code::TEMP),
            };
            // Whether the message is delivered counts, and not who hears of it.
            let _ = fd::write_all(output.as_fd(), text.as_bytes());
            answered = answered.and(runner::answer(self.socket.as_fd(), number, code.0));
        }
        answered.unable("answer")
    }
}

/// These become the first three descriptors.
fn take_descriptors(first: [BorrowedFd; 3]) -> Result<()> {
    (0..).zip(first).try_for_each(|(to, from)| fd::copy_to(from, to)).unable("move descriptors")
}

/// The exit code of a delivery. Says why it failed, if nobody has.
fn code_of(end: Result<Code>) -> u8 {
    end.unwrap_or_else(|die| {
        if !die.text.is_empty() {
            say::line(die.text);
        }
        Code(die.code)
    })
    .0
}

/// Not now, and why, for the sender.
fn later(why: impl Display) -> Die {
    say::raw(format!("{why}\n").as_bytes());
    Die::silent(Code::TEMP.0)
}

/// Never, and why, for the sender.
fn never(why: impl Display) -> Die {
    say::raw(format!("{why}\n").as_bytes());
    Die::silent(Code::PERM.0)
}

/// Not now, because of the system: `Unable to WHAT: REASON. (#4.3.0)`.
fn unable(what: impl Display, why: &io::Error) -> Die {
    later(format_args!("Unable to {what}: {}. (#4.3.0)", words(why)))
}

/// The message, from its start.
fn message() -> Result<BorrowedFd<'static>> {
    match fd::rewind(fd::STDIN) {
        Ok(()) => Ok(fd::STDIN),
        Err(_) => Err(later("Unable to rewind message. (#4.3.0)")),
    }
}

/// Fails if the message's header has this very line.
fn refuse_loop(delivered_to: &[u8]) -> Result<()> {
    let mine = delivered_to.strip_suffix(b"\n").unwrap_or(delivered_to);
    let mut input = Input::with_size(message()?, 65536);
    let mut line = Vec::new();
    let mut at_start = true;
    loop {
        line.clear();
        let ending = input.line(&mut line, mine.len());
        match ending.map_err(|why| unable("read message", &why))? {
            Ending::End => return Ok(()),
            Ending::Newline if at_start && line.is_empty() => return Ok(()),
            Ending::Newline if at_start && line == mine => return Err(never(LOOPING)),
            Ending::Newline => at_start = true,
            Ending::TooLong => at_start = false,
        }
    }
}

/// One message for one recipient.
struct Work<'a> {
    delivery: Delivery,
    /// What counts if there is no .qmail file, or nothing is in it.
    default_delivery: OsString,
    /// What the .qmail file says, and whether its x bit says that it only forwards.
    instructions: (Vec<u8>, bool),
    /// Only say what would be done.
    dry: bool,
    /// For programs.
    env: Env,
    /// What precedes the message in an mbox.
    from_line: Vec<u8>,
    /// The sender of what is forwarded.
    new_sender: Vec<u8>,
    names: &'a mut Names,
}

/// What was done, or would be.
#[derive(Default)]
struct Done<'a> {
    files: usize,
    programs: usize,
    recipients: Vec<&'a [u8]>,
}

impl<'a> Work<'a> {
    /// What these words ask for, or would.
    fn new(words: runner::Words, dry: bool, names: &'a mut Names) -> Result<Self> {
        let [user, home, local, dash, ext, host, sender, default_delivery] = words;
        if !Path::new(&home).is_absolute() {
            return Err(Die::usage(USAGE));
        }
        let delivery = Delivery { user, home, local, dash, ext, host, sender };
        let now = Date::utc(i64::try_from(clock::seconds()).unwrap_or(0));
        let mut env = Env::inherited();
        delivery.describe_in(&mut env, now);
        let from_line = delivery.from_line(now);
        let (instructions, new_sender) = Default::default();
        Ok(Work {
            delivery,
            default_delivery,
            instructions,
            dry,
            env,
            from_line,
            new_sender,
            names,
        })
    }

    /// Does all of it.
    fn carry_out(mut self) -> Result<Code> {
        self.begin()?;
        self.finish()
    }

    /// Finds out what is to be done, and that it may be.
    fn begin(&mut self) -> Result<()> {
        self.enter_home()?;
        if !self.dry {
            refuse_loop(&self.delivery.delivered_to())?;
        }
        // Not before: a message that is closed is not an empty one.
        fd::fill_standard().unable("open /dev/null")?;
        let file = self.find_file()?;
        self.find_owner()?;
        self.instructions = match file {
            Some((text, list_only)) if !text.is_empty() => (text, list_only),
            _ => (self.default_delivery.as_bytes().to_vec(), false),
        };
        Ok(())
    }

    /// Writes the message into a Maildir, if that is all that is to be done. It is not delivered
    /// until it is published.
    fn write_if_simple(&mut self) -> Result<Option<maildir::Written>> {
        let (text, list_only) = &self.instructions;
        let mut lines = instructions(text);
        let (Some(Instruction::Maildir(name)), None, false) =
            (lines.next(), lines.next(), list_only)
        else {
            return Ok(None);
        };
        let folder = Path::new(OsStr::from_bytes(name));
        let head = [self.delivery.return_path(), self.delivery.delivered_to()].concat();
        maildir::write(folder, self.names, &head, message()?).map(Some).map_err(later)
    }

    /// Does what is to be done as a process of its own.
    fn finish_in_child(self) -> Result<Code> {
        ignore_signals()?;
        signal::default(signal::CHILD).unable("reset SIGCHLD")?;
        *self.names = Names::ours();
        self.finish()
    }

    /// Does what is to be done, or says it.
    fn finish(mut self) -> Result<Code> {
        let (text, list_only) = std::mem::take(&mut self.instructions);
        let done = self.follow(&text, list_only)?;
        let queued = match &done.recipients[..] {
            [] => None,
            _ if self.dry => None,
            recipients => Some(self.forward(recipients)?),
        };
        report(&done, queued, self.dry)?;
        Ok(Code::DONE)
    }

    fn enter_home(&self) -> Result<()> {
        let home = Path::new(&self.delivery.home);
        let about = std::env::set_current_dir(home).and_then(|()| fs::metadata("."));
        let about = about.map_err(|why| unable(format_args!("switch to {}", home.display()), &why));
        match about?.mode() {
            mode if mode & WRITABLE != 0 => Err(later(HOME_WRITABLE)),
            mode if mode & STICKY != 0 && !self.dry => Err(later(HOME_STICKY)),
            mode if mode & STICKY != 0 => {
                say::raw(b"Warning: home directory is sticky.\n");
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The text of the .qmail file that answers for the address, and whether its x bit says that
    /// it only forwards. Sets DEFAULT. `None`: the user's plain address, and he has no file.
    fn find_file(&mut self) -> Result<Option<(Vec<u8>, bool)>> {
        let ext = self.delivery.ext.as_bytes();
        for candidate in candidates(self.delivery.dash.as_bytes(), ext) {
            let name = Path::new(OsStr::from_bytes(&candidate.name));
            let Some((mut file, mode)) = open(name)? else { continue };
            if let Some(at) = candidate.default {
                self.env.set("DEFAULT", OsStr::from_bytes(&ext[at..]));
            }
            let mut text = Vec::new();
            let read = file.read_to_end(&mut text);
            read.map_err(|why| unable(format_args!("read {}", name.display()), &why))?;
            return Ok(Some((text, mode & LIST != 0)));
        }
        if self.delivery.dash.is_empty() { Ok(None) } else { Err(never(NO_MAILBOX)) }
    }

    /// Sets NEWSENDER: the address may have an owner, to whom failures go.
    fn find_owner(&mut self) -> Result<()> {
        let name = dot_qmail::name(self.delivery.dash.as_bytes(), self.delivery.ext.as_bytes());
        let owner = if !self.delivery.may_have_owner() || !is_there(&name, b"-owner")? {
            Owner::Sender
        } else if is_there(&name, b"-owner-default")? {
            Owner::EachRecipient
        } else {
            Owner::One
        };
        self.new_sender = self.delivery.new_sender(owner);
        self.env.set("NEWSENDER", OsStr::from_bytes(&self.new_sender));
        Ok(())
    }

    /// Follows the instructions, in their order, but for the addresses: they come last.
    fn follow<'t>(&mut self, text: &'t [u8], mut list_only: bool) -> Result<Done<'t>> {
        let mut done = Done::default();
        for instruction in instructions(text) {
            match instruction {
                Instruction::BlankStart => return Err(later(BLANK_START)),
                Instruction::ListOnly => list_only = true,
                Instruction::Forward(address) => done.recipients.push(address),
                Instruction::Program(_) if list_only => return Err(later(LIST_PROGRAM)),
                Instruction::Program(_) => done.programs += 1,
                _ if list_only => return Err(later(LIST_FILE)),
                Instruction::Mbox(_) | Instruction::Maildir(_) => done.files += 1,
            }
            if self.dry {
                show(instruction)?;
            } else if !self.obey(instruction)? {
                break;
            }
        }
        Ok(done)
    }

    /// Does what one line asks for. `false`: the lines after it do not count.
    fn obey(&mut self, instruction: Instruction) -> Result<bool> {
        let [from, path, to] =
            [&self.from_line, &self.delivery.return_path(), &self.delivery.delivered_to()];
        match instruction {
            Instruction::Mbox(name) => append(name, &[&from[..], path, to].concat())?,
            Instruction::Maildir(name) => {
                let folder = Path::new(OsStr::from_bytes(name));
                let head = [&path[..], to].concat();
                maildir::deliver(folder, self.names, &head, message()?).map_err(later)?;
            }
            Instruction::Program(command) => return self.run_program(command),
            _ => {}
        }
        Ok(true)
    }

    /// Runs a shell command with the message as its input. `false`: it wants no more to be done.
    fn run_program(&self, command: &[u8]) -> Result<bool> {
        let words = [b"/bin/sh", &b"-c"[..], command].map(|word| OsStr::from_bytes(word).into());
        message()?;
        let child = fork::child(|| {
            let Err(why) = exec::exec_with(&words, &self.env);
            unable("run /bin/sh", &why).code
        });
        let child = child.map_err(|why| unable("fork", &why))?;
        let status = wait::child(child).map_err(|why| unable("wait for child", &why))?;
        match status.code() {
            None => Err(later(CRASHED)),
            Some(0) => Ok(true),
            Some(99) => Ok(false),
            Some(100 | 64 | 65 | 70 | 76 | 77 | 78 | 112) => Err(Die::silent(Code::PERM.0)),
            Some(_) => Err(Die::silent(Code::TEMP.0)),
        }
    }

    /// Sends the message on to all addresses in one go. Gives the process number of qmail-queue.
    fn forward(&self, recipients: &[&[u8]]) -> Result<Pid> {
        let message = message()?;
        let queue = Submission::open_with(&home::folder(), &self.env);
        let mut queue = queue.map_err(|why| unable("fork", &why))?;
        queue.put(&self.delivery.delivered_to());
        if queue.put_rest_of(message).is_err() {
            queue.discard();
        }
        queue.sender(&self.new_sender);
        for recipient in recipients {
            queue.recipient(recipient);
        }
        queue.close().map_err(|refusal| {
            say::raw(&[b"Unable to forward message: ", &refusal.text[..], b".\n"].concat());
            Die::silent(if refusal.permanent { Code::PERM.0 } else { Code::TEMP.0 })
        })
    }
}

/// Opens a .qmail file and gives its mode. `None`: there is none of this name.
fn open(name: &Path) -> Result<Option<(File, u32)>> {
    let about = |why| unable(format_args!("open {}", name.display()), &why);
    let file = match open_read(name) {
        Ok(file) => file,
        Err(why) if is_temporary(&why) || why.kind() == ErrorKind::PermissionDenied => {
            return Err(about(why));
        }
        Err(_) => return Ok(None),
    };
    let state = file.metadata().map_err(about)?;
    match state.mode() {
        _ if !state.is_file() => Ok(None),
        mode if mode & WRITABLE != 0 => Err(later(FILE_WRITABLE)),
        mode => Ok(Some((file, mode))),
    }
}

/// Whether there is a file of this name and ending.
fn is_there(name: &[u8], ending: &[u8]) -> Result<bool> {
    let name = [name, ending].concat();
    let name = Path::new(OsStr::from_bytes(&name));
    match fs::metadata(name) {
        Err(why) if is_temporary(&why) => {
            Err(unable(format_args!("open {}", name.display()), &why))
        }
        other => Ok(other.is_ok()),
    }
}

/// Appends the message to an mbox.
fn append(name: &[u8], head: &[u8]) -> Result<()> {
    let message = message()?;
    let mut mbox = Mbox::open(Path::new(OsStr::from_bytes(name))).map_err(later)?;
    signal::exit_saying(signal::ALARM, Code::TEMP.0, LOCKED).unable("catch SIGALRM")?;
    signal::alarm(LOCK_SECONDS);
    mbox.lock();
    signal::alarm(0);
    mbox.append(head, message).map_err(later)
}

/// Says what a line asks for.
fn show(instruction: Instruction) -> Result<()> {
    let (kind, rest) = match instruction {
        Instruction::Mbox(name) => ("mbox", name),
        Instruction::Maildir(name) => ("maildir", name),
        Instruction::Program(command) => ("program", command),
        Instruction::Forward(address) => ("forward", address),
        Instruction::ListOnly | Instruction::BlankStart => return Ok(()),
    };
    fd::write_all(fd::STDOUT, &[kind.as_bytes(), b" ", rest, b"\n"].concat()).unable("write output")
}

/// What was done, as qmail-send logs it.
fn summary(files: usize, addresses: usize, programs: usize) -> String {
    format!("did {files}+{addresses}+{programs}\n")
}

/// Says how many files, addresses and programs there were, and what was queued.
fn report(done: &Done, queued: Option<Pid>, dry: bool) -> Result<()> {
    let Done { files, programs, recipients } = done;
    let queued = queued.map_or(String::new(), |pid| format!("qp {pid}\n"));
    let text = summary(*files, recipients.len(), *programs) + &queued;
    match fd::write_all(fd::STDOUT, text.as_bytes()) {
        // The message is delivered, whoever does not hear of it: an error would repeat that.
        Err(_) if !dry => Ok(()),
        other => other.unable("write output"),
    }
}
