//! A mail system in a scratch folder, kept alive by svscan.

use crate::installation::{Installation, installation};
use std::fs;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;
use tests::{LIMIT, Running, free_port, program, start, until};

/// The services `smtpd`, `send` and `count`, each with a log, and the svscan above them.
pub struct Services {
    pub installation: Installation,
    /// Where `smtpd` listens, on 127.0.0.1.
    pub port: u16,
    svscan: Mutex<Option<Running>>,
}

/// The variable by which the processes of one mail system are told from all others.
const MARK: &str = "CATENA_SERVICES";

/// Says how often it has said so, and a word that no other process says.
const COUNT: &str = "read word </proc/sys/kernel/random/uuid; n=0; \
                     while sleep 0.01; do n=$((n+1)); echo $n $word; done";

impl Services {
    /// Starts a system whose mail to anybody at `a.example` goes to `alias/Maildir`.
    #[track_caller]
    pub fn start() -> Services {
        let installation = installation();
        installation.maildir("alias/Maildir").write("alias/.qmail-default", "./Maildir/\n");
        installation.control("concurrencylocal", "20\n").control("rcpthosts", "a.example\n");
        let port = free_port();
        service(&installation, "smtpd", &format!("tcpserver -vRHl0 127.0.0.1 {port} qmail-smtpd"));
        service(&installation, "send", "qmail-start ./Mailbox");
        service(&installation, "count", &format!("sh -c '{COUNT}'"));
        let services = Services { installation, port, svscan: Mutex::new(None) };
        services.revive();
        until(LIMIT, "smtpd answers", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        services
    }

    /// Starts svscan, unless it runs.
    pub fn revive(&self) {
        let mut running = self.svscan.lock().unwrap();
        if running.as_ref().is_none_or(|svscan| svscan.ended().is_some()) {
            let mut svscan = self.program("svscan");
            svscan.arg(self.installation.join("service"));
            *running = Some(start(&mut svscan));
        }
    }

    /// All processes of the system, the ones that lost their parent too.
    pub fn processes(&self) -> Vec<i32> {
        let mark = [MARK.as_bytes(), b"=", self.installation.home().as_os_str().as_encoded_bytes()];
        let mark = mark.concat();
        let ours = |pid: &i32| {
            let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environ.split(|byte| *byte == 0).any(|entry| entry == mark)
        };
        let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(ours).collect()
    }

    /// The names of all processes in their order, as often as each runs. Who only sleeps is left
    /// out.
    pub fn census(&self) -> Vec<String> {
        let name = |pid: &i32| fs::read_to_string(format!("/proc/{pid}/comm")).ok();
        let names = self.processes();
        let mut names: Vec<String> = names.iter().filter_map(name).collect();
        names.retain(|name| name != "sleep\n");
        names.sort();
        names.iter().map(|name| name.trim_end().to_owned()).collect()
    }

    /// A program that belongs to the system, though no service starts it.
    pub fn program(&self, name: &str) -> Command {
        let mut program = self.installation.program(name);
        program.env(MARK, self.installation.home());
        program
    }

    /// The whole lines in the log of a service, whether a file was finished, cut off or is written
    /// now.
    pub fn log(&self, name: &str) -> Vec<String> {
        let folder = self.installation.join(format!("service/{name}/log/main"));
        let mut lines = Vec::new();
        for file in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
            let name = file.file_name();
            if name == "current" || name.as_encoded_bytes().starts_with(b"@") {
                let text = fs::read_to_string(file.path()).unwrap_or_default();
                let whole = text.rfind('\n').map_or("", |end| &text[..end]);
                lines.extend(whole.lines().map(str::to_owned));
            }
        }
        lines
    }

    /// The messages in `alias/Maildir/new`.
    pub fn delivered(&self) -> Vec<Vec<u8>> {
        let folder = self.installation.join("alias/Maildir/new");
        let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
        files.map(|file| fs::read(file).unwrap()).collect()
    }

    /// Tells qmail-send something: `-a` to try everything again at once, `-t` to start anew.
    pub fn tell_send(&self, letter: &str) {
        let _ = program("svc").arg(letter).arg(self.installation.join("service/send")).output();
    }

    /// Stops everything in order. Panics if something is left.
    #[track_caller]
    pub fn stop(self) {
        if let Some(svscan) = self.svscan.lock().unwrap().take() {
            svscan.signal(libc::SIGTERM);
            svscan.wait(Duration::from_secs(30));
        }
        until(LIMIT, "every process has ended", || self.processes().is_empty());
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        for _ in 0..20 {
            for pid in self.processes() {
                let _ = Command::new("kill").arg("-9").arg(pid.to_string()).output();
            }
        }
    }
}

/// A service folder with a log.
fn service(installation: &Installation, name: &str, command: &str) {
    let script = |path: String, command: &str| {
        let text = format!("#!/bin/sh\nexec 2>&1\nexec {command}\n");
        installation.write(&path, text);
        installation.place().chmod(&path, 0o755);
    };
    installation.place().dir(format!("service/{name}/log"));
    script(format!("service/{name}/run"), command);
    script(format!("service/{name}/log/run"), "multilog s16777215 n100000 ./main");
    installation.give("service");
}
