//! unixserver: accept connections by a Unix socket and run a program for each.
#![cfg_attr(not(test), no_main)]

use base::env::{self, Env};
use base::number::decimal;
use base::opt::Opts;
use base::sys::poll::{Wait, poll};
use base::sys::signal::{self, Signals};
use base::sys::{clock, exec, fd, fork, ids, socket, umask, unix, wait};
use base::{Args, Code, Die, Result, Unable, say};
use net::unix::set_variables;
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io::{ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

base::program!("unixserver", run);

const USAGE: &str = "unixserver [ -qQvdDUO ] [ -u uid ] [ -g gid ] [ -o uid ] [ -r gid ] \
    [ -p mode ] [ -m umask ] [ -c limit ] [ -b backlog ] [ -B banner ] socket program";

/// Every failure, as in ucspi-unix.
const FAILED: u8 = 1;
/// How long nothing is accepted when the system has no room for a connection.
const PAUSE: Duration = Duration::from_millis(100);

fn run(words: Args) -> Result<Code> {
    let mut opts = Opts::new(words, "qQvdDu:g:Uo:r:Op:m:c:b:B:", USAGE).usage_code(FAILED);
    let mut options = Options::default();
    while let Some(letter) = opts.next()? {
        options.set(letter, &opts)?;
    }
    let usage = opts.bad_usage();
    let mut words = opts.rest().into_iter();
    let Some(path) = words.next().map(PathBuf::from) else { return Err(usage) };
    let program: Args = words.collect();
    if program.is_empty() {
        return Err(usage);
    }
    let quiet = options.verbosity == 0;
    serve(options, path, program).map_err(|die| match die.with_code(FAILED) {
        die if quiet => Die::silent(die.code),
        die => die,
    })
}

/// Gets everything ready that can fail for good, then drops privileges, then serves.
fn serve(options: Options, path: PathBuf, program: Args) -> Result<Code> {
    fd::fill_standard().unable("open /dev/null")?;
    signal::unblock_all().unable("unblock signals")?;
    signal::ignore(signal::HANGUP).unable("ignore SIGHUP")?;
    let caught = [signal::CHILD, signal::TERM, signal::INTERRUPT, signal::QUIT];
    let signals = Signals::catch(&caught).unable("catch signals")?;
    let listener = options.listen(&path)?;
    if let Some(gid) = options.gid {
        ids::set_groups(&[gid]).and_then(|()| ids::set_gid(gid)).unable("set gid")?;
    }
    if let Some(uid) = options.uid {
        ids::become_uid(uid).unable("set uid")?;
    }
    Ok(Server { path, program, listener, signals, children: Vec::new(), options }.run())
}

/// A server at work.
struct Server {
    options: Options,
    path: PathBuf,
    program: Args,
    listener: UnixListener,
    signals: Signals,
    children: Vec<wait::Pid>,
}

impl Server {
    /// Serves until a signal says that it is enough.
    fn run(&mut self) -> Code {
        self.status(0);
        let mut pause = None;
        loop {
            let open = self.children.len() < self.options.limit && pause.is_none();
            let mut waits = [Wait::read(self.signals.fd()), Wait::read(self.listener.as_fd())];
            let watched = if open { 2 } else { 1 };
            if let Err(why) = poll(&mut waits[..watched], pause) {
                self.warn(&Die::temp("poll", &why));
                clock::pause(PAUSE);
                continue;
            }
            let [signal, connection] = waits.map(|wait| wait.ready);
            pause = None;
            if signal && self.signals_came() {
                return self.ended();
            }
            if connection {
                pause = self.connections_came();
            }
        }
    }

    /// Collects children that have ended. Whether it is time to end.
    fn signals_came(&mut self) -> bool {
        let end = self.signals.take().filter(|signal| *signal != signal::CHILD).count() > 0;
        while let Some((pid, status)) = wait::any() {
            // Others are those that this process had before it became the server.
            if let Some(at) = self.children.iter().position(|child| *child == pid) {
                self.children.swap_remove(at);
                self.log(format_args!("end {pid} status {}", status.0));
                self.status(self.children.len());
            }
        }
        end
    }

    /// Accepts all connections that wait, up to the limit. Gives a time to pause, if the system
    /// has no room for more.
    fn connections_came(&mut self) -> Option<Duration> {
        while self.children.len() < self.options.limit {
            match self.listener.accept() {
                Ok((stream, _)) => self.connection_came(&stream),
                Err(why) => match why.kind() {
                    ErrorKind::WouldBlock => return None,
                    ErrorKind::ConnectionAborted | ErrorKind::Interrupted => {}
                    _ => {
                        self.warn(&Die::temp("accept", &why));
                        return Some(PAUSE);
                    }
                },
            }
        }
        None
    }

    /// Starts a child for a connection.
    fn connection_came(&mut self, stream: &UnixStream) {
        self.status(self.children.len() + 1);
        let child = fork::child(|| {
            let Err(die) = self.become_program(stream);
            self.warn(&die);
            FAILED
        });
        match child {
            Ok(pid) => {
                self.children.push(pid);
                self.log(format_args!("pid {pid}"));
            }
            Err(why) => {
                self.warn(&Die::temp("fork", &why));
                self.status(self.children.len());
            }
        }
    }

    /// In the child. A client who is gone is no reason to end without a word.
    fn become_program(&self, mut stream: &UnixStream) -> Result<std::convert::Infallible> {
        signal::ignore(signal::PIPE).unable("ignore SIGPIPE")?;
        let peer = unix::peer(stream.as_fd()).unable("get peer")?;
        let mut env = Env::inherited();
        set_variables(&mut env, &self.path, peer);
        stream.write_all(&self.options.banner).unable("print banner")?;
        fd::copy_to(stream.as_fd(), 0).unable("set up descriptors")?;
        fd::copy_to(stream.as_fd(), 1).unable("set up descriptors")?;
        signal::default(signal::PIPE).unable("reset SIGPIPE")?;
        let name = self.program.first().map(|name| name.display().to_string());
        exec::exec_with(&self.program, &env)
            .unable(format_args!("run {}", name.unwrap_or_default()))
    }

    /// Removes the socket, unless it is to be kept. Children go on.
    fn ended(&self) -> Code {
        if self.options.remove
            && let Err(why) = fs::remove_file(&self.path)
            && why.kind() != ErrorKind::NotFound
        {
            self.warn(&Die::temp(format_args!("remove {}", self.path.display()), &why));
        }
        Code::DONE
    }

    /// Logs how many children there are.
    fn status(&self, children: usize) {
        self.log(format_args!("status: {children}/{}", self.options.limit));
    }

    fn log(&self, text: std::fmt::Arguments) {
        if self.options.verbosity > 1 {
            say::line(text);
        }
    }

    /// Says that something failed which is not the end of the server.
    fn warn(&self, die: &Die) {
        if self.options.verbosity > 0 {
            say::line(die.text.replacen("fatal", "warning", 1));
        }
    }
}

/// What the options say.
struct Options {
    /// -q 0: nothing is said, -Q 1: errors, -v 2: the log too.
    verbosity: u8,
    /// -D: the socket is removed at the end.
    remove: bool,
    /// -u, -U.
    uid: Option<u32>,
    /// -g, -U.
    gid: Option<u32>,
    /// -o, -O: the socket's owner.
    socket_uid: Option<u32>,
    /// -r, -O: the socket's group.
    socket_gid: Option<u32>,
    /// -p: the socket's mode.
    mode: Option<u32>,
    /// -m: the umask when the socket is made.
    umask: u32,
    /// -c: children at most.
    limit: usize,
    /// -b: connections that wait in the kernel at most.
    backlog: i32,
    /// -B.
    banner: Vec<u8>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            verbosity: 1,
            remove: true,
            uid: None,
            gid: None,
            socket_uid: None,
            socket_gid: None,
            mode: None,
            umask: 0,
            limit: 10,
            backlog: 128,
            banner: Vec::new(),
        }
    }
}

impl Options {
    fn set(&mut self, letter: u8, opts: &Opts) -> Result<()> {
        let argument = || opts.argument().to_owned();
        match letter {
            b'q' => self.verbosity = 0,
            b'Q' => self.verbosity = 1,
            b'v' => self.verbosity = 2,
            b'd' => self.remove = false,
            b'D' => self.remove = true,
            b'u' => self.uid = Some(number(argument(), opts)?),
            b'g' => self.gid = Some(number(argument(), opts)?),
            b'U' => (self.uid, self.gid) = (variable("UID", opts)?, variable("GID", opts)?),
            b'o' => self.socket_uid = Some(number(argument(), opts)?),
            b'r' => self.socket_gid = Some(number(argument(), opts)?),
            b'O' => {
                self.socket_uid = variable("SOCKET_UID", opts)?;
                self.socket_gid = variable("SOCKET_GID", opts)?;
            }
            b'p' => self.mode = Some(octal(opts)?),
            b'm' => self.umask = octal(opts)?,
            b'c' => self.limit = number(argument(), opts)?,
            b'b' => self.backlog = number(argument(), opts)?,
            _ => self.banner = argument().into_vec(),
        }
        if self.limit == 0 { Err(opts.bad_usage()) } else { Ok(()) }
    }

    /// Makes the socket. Nobody can connect before its owner and mode are right: connections
    /// need somebody who listens.
    fn listen(&self, path: &Path) -> Result<UnixListener> {
        let name = path.display();
        match fs::remove_file(path) {
            Err(why) if why.kind() != ErrorKind::NotFound => {
                Err(why).unable(format_args!("remove {name}"))?;
            }
            _ => {}
        }
        let socket = unix::stream().unable("create socket")?;
        umask::during(self.umask, || unix::bind(socket.as_fd(), path)).unable("bind")?;
        if self.socket_uid.is_some() || self.socket_gid.is_some() {
            chown(path, self.socket_uid, self.socket_gid)
                .unable(format_args!("set owner of {name}"))?;
        }
        if let Some(mode) = self.mode {
            fs::set_permissions(path, Permissions::from_mode(mode))
                .unable(format_args!("set mode of {name}"))?;
        }
        socket::listen(socket.as_fd(), self.backlog).unable("listen")?;
        let listener = UnixListener::from(socket);
        listener.set_nonblocking(true).unable("listen")?;
        Ok(listener)
    }
}

/// A decimal number.
fn number<N: TryFrom<u64>>(text: OsString, opts: &Opts) -> Result<N> {
    let number = decimal(text.as_bytes()).and_then(|number| number.try_into().ok());
    number.ok_or_else(|| opts.bad_usage())
}

/// The number in a variable, if it is set.
fn variable(name: &str, opts: &Opts) -> Result<Option<u32>> {
    env::get(name).map(|value| number(OsString::from_vec(value), opts)).transpose()
}

/// Permission bits.
fn octal(opts: &Opts) -> Result<u32> {
    let digits = opts.argument().to_str().filter(|text| text.bytes().all(|c| c.is_ascii_digit()));
    let mode = digits.and_then(|text| u32::from_str_radix(text, 8).ok());
    mode.filter(|mode| *mode <= 0o7777).ok_or_else(|| opts.bad_usage())
}
