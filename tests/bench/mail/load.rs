//! Load, and what came of it.

use crate::place::{Place, oracles, run};
use crate::server::Server;
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant, SystemTime};
use tests::until;

/// Bytes of a message.
const SIZE: usize = 5000;

/// How long all messages of a run may take.
const LIMIT: Duration = Duration::from_secs(120);

/// Messages by SMTP.
pub struct Load {
    pub sessions: usize,
    /// A session has many messages, not one.
    pub keep: bool,
    pub messages: usize,
}

/// What one run has shown.
#[derive(Clone, Copy)]
pub struct Measured {
    /// Messages a second until the server had taken all.
    pub accepted: f64,
    /// Messages a second until all were where they belong.
    pub delivered: f64,
    /// Milliseconds of CPU for a message, of all processes of the server.
    pub cpu: f64,
}

impl Measured {
    /// The median of each number.
    pub fn median(runs: Vec<Measured>) -> Measured {
        let middle = |number: fn(&Measured) -> f64| {
            let mut all: Vec<f64> = runs.iter().map(number).collect();
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        Measured {
            accepted: middle(|run| run.accepted),
            delivered: middle(|run| run.delivered),
            cpu: middle(|run| run.cpu),
        }
    }
}

impl Load {
    /// To the server's Maildir.
    pub fn deliver(&self, server: &Server) -> Measured {
        let source = || self.send(server, "box@bench.test");
        measure(server, &server.new_mail(), self.messages, source)
    }

    /// Through the server to the sink.
    pub fn relay(&self, server: &Server, sink: &Sink) -> Measured {
        let source = || self.send(server, "box@sink.test");
        measure(server, &sink.folder, self.messages, source)
    }

    fn send(&self, server: &Server, to: &str) {
        let mut source = Command::new(oracles().join("usr/sbin/smtp-source"));
        source.args(["-s", &self.sessions.to_string(), "-m", &self.messages.to_string()]);
        source.args(["-l", &SIZE.to_string(), "-f", "me@source.test", "-t", to]);
        source.args(self.keep.then_some("-d")).env("LD_LIBRARY_PATH", "/usr/lib/postfix");
        let status = source.arg(format!("127.0.0.1:{}", server.port)).status().unwrap();
        assert!(status.success(), "{}: smtp-source: {status}", server.name);
    }
}

/// Injects messages by programs of the server, four at once. Shells start them, which costs both
/// servers the same; each message gets a Message-Id of its own from them.
pub fn inject(server: &Server, messages: usize) -> Measured {
    let file = server.folder.join("message");
    let head = "From: me@source.test\nTo: box@bench.test\n";
    fs::write(&file, format!("{head}\n{}", "A line of the text.\n".repeat(SIZE / 20))).unwrap();
    let (program, file, each) = (&server.inject, file.display(), messages / 4);
    let script = format!(
        "export {program}
        for worker in 1 2 3 4; do
            (left={each}
            while [ $left -gt 0 ]; do $INJECT <{file}; left=$((left - 1)); done) &
        done
        wait"
    );
    let source = || assert!(server.group.command(&script).status().unwrap().success());
    measure(server, &server.new_mail(), each * 4, source)
}

/// Runs a source, and waits until its messages are in this folder and the server has nothing more
/// to do. They have to be all, and all different. Then they are moved away, as they would be read
/// and kept: where there is no journal, ext4 looks for minutes at each file that was deleted before
/// it makes another.
fn measure(server: &Server, folder: &Path, messages: usize, source: impl FnOnce()) -> Measured {
    run(&format!("sync -f {}", server.folder.display()));
    let kept = server.folder.join("kept");
    let _ = fs::create_dir(&kept);
    let (start, begun, cpu) = (Instant::now(), SystemTime::now(), server.group.cpu());
    source();
    let accepted = start.elapsed();
    let what = format!("{}: {messages} messages are delivered", server.name);
    until(LIMIT, &what, || count(folder) >= messages && server.is_idle());
    let cpu = server.group.cpu() - cpu;
    let mut seen = HashSet::new();
    let mut last = begun;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        last = last.max(changed(&path));
        let name = message_id(&path);
        assert!(seen.insert(name.clone()), "{}: {name} came twice", server.name);
        let away = kept.join(path.file_name().unwrap());
        fs::rename(&path, away).or_else(|_| fs::remove_file(&path)).unwrap();
    }
    assert_eq!(seen.len(), messages, "{}: messages delivered", server.name);
    let rate = |time: Duration| messages as f64 / time.as_secs_f64();
    let delivered = last.duration_since(begun).unwrap();
    Measured { accepted: rate(accepted), delivered: rate(delivered), cpu: cpu / messages as f64 }
}

fn count(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

/// When a file got its name.
fn changed(path: &Path) -> SystemTime {
    use std::os::unix::fs::MetadataExt;
    let about = fs::metadata(path).unwrap();
    let since = Duration::new(about.ctime() as u64, about.ctime_nsec() as u32);
    SystemTime::UNIX_EPOCH + since
}

fn message_id(path: &Path) -> String {
    let text = fs::read(path).unwrap();
    let text = String::from_utf8_lossy(&text).into_owned();
    let field = text.lines().find(|line| line.to_ascii_lowercase().starts_with("message-id:"));
    field.unwrap_or_else(|| panic!("{} is not whole", path.display())).to_owned()
}

/// A server that takes everything, and keeps each message in a file.
pub struct Sink {
    pub port: u16,
    pub folder: PathBuf,
    child: Child,
}

impl Sink {
    /// Starts one. What it keeps is in memory, wherever the servers under test have theirs.
    pub fn start() -> Sink {
        let (port, folder) = (2502, Place::memory().folder.join("sink"));
        fs::create_dir(&folder).unwrap();
        run(&format!("chown box {}", folder.display()));
        let mut sink = Command::new(oracles().join("usr/sbin/smtp-sink"));
        sink.args(["-u", "box", "-d"])
            .arg(folder.join("m."))
            .env("LD_LIBRARY_PATH", "/usr/lib/postfix");
        let child = sink.args([&format!("127.0.0.1:{port}"), "500"]).spawn().unwrap();
        let listens = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        until(tests::LIMIT, "the sink listens", listens);
        Sink { port, folder, child }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
