//! A mail server that is measured: ours, or the other one.

use crate::group::Group;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use tests::{LIMIT, until};

/// Where a server's mail goes besides its Maildir.
#[derive(Clone, Copy)]
pub enum Out {
    /// Nowhere.
    None,
    /// To this port, on so many connections at once.
    To { port: u16, concurrency: usize },
}

/// A server that runs; dropped, it is dead, and its folder gone.
pub struct Server {
    pub name: &'static str,
    pub port: u16,
    /// The folder of everything that is its own.
    pub folder: PathBuf,
    /// Folders, with folders in them, that have files as long as there is work.
    pub busy: Vec<PathBuf>,
    /// Variables for a shell: INJECT is a program that takes a message from standard input, and
    /// its recipients from the header.
    pub inject: String,
    /// What a process is called that waits for the commands of a client.
    pub smtpd: &'static str,
    pub group: Group,
    child: Child,
}

impl Server {
    /// Starts a script that becomes the server; it waits until somebody listens.
    pub fn start(
        name: &'static str,
        port: u16,
        folder: PathBuf,
        inject: String,
        script: &str,
    ) -> Server {
        let group = Group::new(name);
        // as a service has it: what cargo and a shell pass on is kilobytes in every process
        let mut command = group.command(script);
        command.env_clear().envs(std::env::vars_os().filter(|(name, _)| name == "PATH"));
        let child = command.spawn().unwrap();
        let smtpd = "";
        let server = Server { name, port, folder, busy: vec![], inject, smtpd, group, child };
        let listens = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        until(LIMIT, &format!("{name} listens"), listens);
        server
    }

    /// Where local mail ends.
    pub fn new_mail(&self) -> PathBuf {
        self.folder.join("box/Maildir/new")
    }

    /// Nothing is in the queue.
    pub fn is_idle(&self) -> bool {
        self.busy.iter().all(|folder| is_empty(folder))
    }

    /// Kills all but the first process, which watches the others, and waits for that to end.
    pub fn end_watched(&mut self) {
        let watcher = self.child.id();
        for pid in self.group.processes(|pid, _| pid != watcher) {
            // It may have ended of its own accord.
            let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).output();
        }
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.group.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Whether there is no file in a folder or in the folders in it.
fn is_empty(folder: &Path) -> bool {
    let mut entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.all(|entry| entry.file_type().unwrap().is_dir() && is_empty(&entry.path()))
}
