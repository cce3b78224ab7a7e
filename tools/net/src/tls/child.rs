//! The server as a child: this process becomes the program and keeps its number, a child of it
//! holds the connection and the private key.

use super::control;
use super::pump::Ends;
use super::server::{Options, Server, Told};
use base::env::Env;
use base::sys::fd::{STDERR, STDIN, STDOUT};
use base::sys::{fd, fork, socket};
use base::{Code, Die, Result, Unable};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};

/// The program's ends of what leads to the child.
pub struct Link {
    /// What the other end says, decrypted.
    input: OwnedFd,
    /// What is encrypted for it.
    output: OwnedFd,
    control: OwnedFd,
}

/// The child's ends.
struct Work {
    wire: Ends,
    plain: Ends,
    control: OwnedFd,
}

/// Starts a child that reads all files which `env` names and speaks TLS on standard input and
/// output: at once, or `delayed` until the program says so.
pub fn start(env: &Env, options: Options, delayed: bool) -> Result<Link> {
    start_on(STDIN, STDOUT, env, options, delayed)
}

/// As [`start`], on a connection under these two descriptors.
pub fn start_on(
    from: BorrowedFd,
    to: BorrowedFd,
    env: &Env,
    options: Options,
    delayed: bool,
) -> Result<Link> {
    let (link, work) = join(from, to).unable("create pipe")?;
    fork::child(|| {
        // What else is open is for the program. It would not be noticed when that, or the server,
        // has closed it.
        fd::close_all_but(&work.numbers());
        let Work { wire, plain, control } = work;
        let mut control = Some(control);
        options.end(Server::prepare(env, options).and_then(|server| match delayed {
            true => server.serve_when_told(wire, plain, &mut control),
            false => server.serve(wire, plain, &mut control, Told::Everything),
        }))
    })
    .unable("fork")?;
    Ok(link)
}

impl Work {
    /// What stays open in the child, standard error too.
    fn numbers(&self) -> [RawFd; 6] {
        let Ends { from, to } = &self.wire;
        let Ends { from: plain_from, to: plain_to } = &self.plain;
        let all = [from.as_fd(), to.as_fd(), plain_from.as_fd(), plain_to.as_fd()];
        let [a, b, c, d] = all.map(|fd| fd.as_raw_fd());
        [STDERR.as_raw_fd(), a, b, c, d, self.control.as_raw_fd()]
    }
}

fn join(from: BorrowedFd, to: BorrowedFd) -> io::Result<(Link, Work)> {
    let wire = Ends::new(from.try_clone_to_owned()?, to.try_clone_to_owned()?);
    let (input, to_program) = fd::pipe()?;
    let (from_program, output) = fd::pipe()?;
    let (control, their_control) = socket::pair()?;
    let plain = Ends::pipes(from_program, to_program)?;
    Ok((Link { input, output, control }, Work { wire, plain, control: their_control }))
}

impl Link {
    /// Waits for the end of the handshake. Then standard input and output are those of the
    /// program, and `env` tells of the connection. If it fails, the child has said why.
    pub fn become_standard(self, env: &mut Env) -> Result<()> {
        if !control::listen(self.control.as_fd(), env).unable("read from child")? {
            return Err(Die::silent(Code::TEMP.0));
        }
        fd::copy_to(self.input.as_fd(), 0).unable("move descriptors")?;
        fd::copy_to(self.output.as_fd(), 1).unable("move descriptors")
    }

    /// Leaves the descriptors to the program, which finds their numbers in `env`, once the child
    /// is ready.
    pub fn promise(self, env: &mut Env) -> Result<()> {
        if !control::is_ready(&self.control).unable("read from child")? {
            return Err(Die::silent(Code::TEMP.0));
        }
        let all =
            [("SSLCTLFD", self.control), ("SSLREADFD", self.input), ("SSLWRITEFD", self.output)];
        for (name, fd) in all {
            fd::keep_across_exec(fd.as_fd()).unable("keep descriptors")?;
            // It is the program's now.
            env.set(name, fd.into_raw_fd().to_string());
        }
        Ok(())
    }
}
