//! rblsmtpd: refuse mail from clients that DNS lists name.
#![cfg_attr(not(test), no_main)]

use base::env::Env;
use base::number::decimal;
use base::opt::Opts;
use base::sys::{clock, exec, fd, signal};
use base::{Args, Code, Die, Result, Unable, say};
use net::dns::{Answer, Kind, Pending, found};
use net::dnsbl::List;
use net::host::Settings;
use net::refusal::{Conversation, printable};
use net::verdict::{Decision, Mode, Tally};
use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::process;
use std::time::{Duration, Instant};

base::program!("rblsmtpd", run);

const USAGE: &str =
    "rblsmtpd [ -b ] [ -R ] [ -t timeout ] [ -r base ] [ -a base ] smtpd [ arg ... ]";

/// Bytes of the conversation that are read at once: each may be a line and get a reply.
const CHUNK: usize = 256;

fn run(words: Args) -> Result<Code> {
    fd::fill_standard_until_exec().unable("open /dev/null")?;
    let mut env = Env::inherited();
    let options = Options::read(words, &env)?;
    let client = Client { ip: env.get("TCPREMOTEIP").unwrap_or_default().to_vec() };
    let decision = match env.get("RBLSMTPD") {
        Some(value) => Decision::told(value),
        None => decide(&options.steps, &client, &env),
    };
    match decision {
        Decision::Run => {}
        Decision::Refuse { bounce, text } => {
            return refuse(&client, bounce, &text, options.timeout);
        }
        Decision::Inform(text) => {
            let text = [b"[RBL info] ", &printable(&text, text.len())[..]].concat();
            client.log(&text);
            env.set("RBLSMTPD", OsStr::from_bytes(&text));
        }
    }
    let [name, ..] = &options.program[..] else { return Err(Die::usage(USAGE)) };
    match exec::exec_with(&options.program, &env).unable(format_args!("run {}", name.display()))? {}
}

struct Options {
    /// What there is to do for a decision, in order.
    steps: Vec<Step>,
    /// -t: seconds that the conversation with a refused client may last.
    timeout: u32,
    program: Args,
}

enum Step {
    /// -r.
    Block(List, Mode),
    /// -a.
    Allow(List, Mode),
    /// -w, -W.
    Wait(u32),
}

impl Options {
    fn read(words: Args, env: &Env) -> Result<Self> {
        let mut opts = Opts::new(words, "bBcCit:r:a:w:Ws:S:", USAGE);
        let (mut steps, mut timeout) = (Vec::new(), 60);
        let mut mode = Mode::default();
        while let Some(letter) = opts.next()? {
            match letter {
                b'b' => mode.bounce = true,
                b'B' => mode.bounce = false,
                b'c' => mode.fail_closed = true,
                b'C' => mode.fail_closed = false,
                b'i' => mode.inform = true,
                b't' => timeout = number(&opts)?,
                b's' => mode.threshold = number(&opts)?,
                b'S' => mode.weight = number(&opts)?,
                b'w' => steps.push(Step::Wait(number(&opts)?)),
                b'W' => steps.extend(seconds(env, "GREETDELAY").map(Step::Wait)),
                b'r' => steps.push(Step::Block(list(&opts, true)?, mode)),
                _ => steps.push(Step::Allow(list(&opts, false)?, mode)),
            }
        }
        let usage = opts.bad_usage();
        let program = opts.rest();
        if program.is_empty() { Err(usage) } else { Ok(Options { steps, timeout, program }) }
    }
}

fn number(opts: &Opts) -> Result<u32> {
    let number = decimal(opts.argument().as_bytes()).and_then(|number| number.try_into().ok());
    number.ok_or_else(|| opts.bad_usage())
}

/// The list that an option names. Nobody would be told the text of one that allows.
fn list(opts: &Opts, text: bool) -> Result<List> {
    let word = opts.argument();
    let list = List::parse(word.as_bytes()).filter(|list| text || !list.has_text());
    list.ok_or_else(|| Die::perm(format_args!("unable to parse this list: {}", word.display())))
}

/// Seconds in a variable. One that is no number is as good as unset.
fn seconds(env: &Env, name: &str) -> Option<u32> {
    decimal(env.get(name)?)?.try_into().ok()
}

impl Step {
    /// What this step asks about the client's name in its list.
    fn questions(&self, ip: &[u8]) -> Vec<(Vec<u8>, Kind)> {
        match self {
            Step::Block(list, _) if !list.has_text() => {
                vec![(list.name(ip), Kind::A), (list.name(ip), Kind::Txt)]
            }
            Step::Block(list, _) | Step::Allow(list, _) => vec![(list.name(ip), Kind::A)],
            Step::Wait(_) => Vec::new(),
        }
    }
}

/// What the lists say. All are asked at once; their answers are looked at in order, until one
/// decides.
fn decide(steps: &[Step], client: &Client, env: &Env) -> Decision {
    let questions: Vec<_> = steps.iter().flat_map(|step| step.questions(&client.ip)).collect();
    let mut resolver = Settings::of(env).resolver();
    let mut trial = Trial {
        client,
        answers: resolver.ask(&questions),
        end: seconds(env, "RBLTIMEOUT").map(from_now),
        tally: Tally::default(),
    };
    steps.iter().find_map(|step| trial.take(step)).unwrap_or(Decision::Run)
}

fn from_now(seconds: u32) -> Instant {
    Instant::now() + Duration::from_secs(seconds.into())
}

struct Trial<'a> {
    client: &'a Client,
    answers: Pending<'a>,
    /// $RBLTIMEOUT: until when answers are waited for.
    end: Option<Instant>,
    tally: Tally,
}

/// The time for answers is over.
struct TooLate;

type Timely<T> = std::result::Result<T, TooLate>;

impl Trial<'_> {
    fn take(&mut self, step: &Step) -> Option<Decision> {
        let (list, decision) = match step {
            Step::Wait(seconds) => {
                self.wait(*seconds);
                return None;
            }
            Step::Block(list, mode) => (list, self.block(list, *mode)),
            Step::Allow(list, mode) => (list, self.allow(list, *mode)),
        };
        decision.unwrap_or_else(|TooLate| {
            self.client.log(&[b"timeout while waiting for : ", &list.base[..]].concat());
            Some(Decision::Run)
        })
    }

    fn wait(&mut self, seconds: u32) {
        let end = from_now(seconds);
        self.client.log(format!("greetdelay: {seconds}").as_bytes());
        self.answers.run(Some(end));
        clock::pause(end.saturating_duration_since(Instant::now()));
    }

    fn block(&mut self, list: &List, mode: Mode) -> Timely<Option<Decision>> {
        let a = self.answer(Answer::a)?;
        let txt = if list.has_text() { Ok(Vec::new()) } else { self.answer(Answer::txt)? };
        Ok(self.tally.block(list.listing(&self.client.ip, &a, txt), mode))
    }

    fn allow(&mut self, list: &List, mode: Mode) -> Timely<Option<Decision>> {
        let a = self.answer(Answer::a)?;
        Ok(self.tally.allow(list.lists(&a), mode))
    }

    /// The records of the next answer.
    fn answer<T>(
        &mut self,
        records: impl Fn(&Answer) -> io::Result<Vec<T>>,
    ) -> Timely<io::Result<Vec<T>>> {
        let answer = self.answers.answer(self.end).ok_or(TooLate)?;
        Ok(found(answer.and_then(|answer| Ok(records(&answer)?))))
    }
}

struct Client {
    /// $TCPREMOTEIP.
    ip: Vec<u8>,
}

impl Client {
    /// `rblsmtpd: IP pid PID: TEXT`.
    fn log(&self, text: &[u8]) {
        let start = format!("{}: ", say::program());
        let pid = format!(" pid {}: ", process::id());
        let ip = printable(&self.ip, self.ip.len());
        say::raw(&[start.as_bytes(), &ip, pid.as_bytes(), text, b"\n"].concat());
    }
}

/// Says no to everything until the client leaves or the time is over.
fn refuse(client: &Client, bounce: bool, text: &[u8], timeout: u32) -> Result<Code> {
    let code: &[u8] = if bounce { b"553 " } else { b"451 " };
    let message = [code, &printable(text, text.len())].concat();
    client.log(&message);
    if timeout == 0 {
        return over(fd::write_all(fd::STDOUT, &[&message[..], b"\r\n"].concat()));
    }
    signal::exit_on(signal::ALARM, Code::DONE.0).unable("catch signals")?;
    signal::unblock_all().unable("catch signals")?;
    signal::alarm(timeout);
    over(converse(Conversation::new(&message)))
}

/// Until the client says goodbye or its input ends, or cannot be read.
fn converse(mut conversation: Conversation) -> io::Result<()> {
    fd::write_all(fd::STDOUT, conversation.greeting())?;
    let (mut bytes, mut replies) = ([0; CHUNK], Vec::new());
    loop {
        let count = fd::read(fd::STDIN, &mut bytes).unwrap_or(0);
        let goes_on = conversation.hear(&bytes[..count], &mut replies);
        fd::write_all(fd::STDOUT, &replies)?;
        if count == 0 || !goes_on {
            return Ok(());
        }
        replies.clear();
    }
}

/// The end of the conversation. A client that has gone has ended it too.
fn over(written: io::Result<()>) -> Result<Code> {
    match written {
        Err(why) if !matches!(why.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
            Err(Die::temp("write output", &why))
        }
        _ => Ok(Code::DONE),
    }
}
