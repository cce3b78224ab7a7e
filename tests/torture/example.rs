//! A program that does one thing, of which a run without a fault is the example: whatever fails,
//! what comes of it is that, or the beginning of it and a temporary failure, and nothing else.

use crate::tamper::{held, run_beside};
use std::fs::{self, File};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::{self, Command, Stdio};
use tests::{Scratch, fed, listener, program, root, scratch};

/// What is run, and how.
#[derive(Clone, Copy)]
pub struct Row {
    /// The program and its words. `PORT` is that of a server on 127.0.0.1, and `socket` another.
    pub words: &'static [&'static str],
    /// The words of the program behind it, which is not swept.
    pub behind: &'static [&'static str],
    pub env: &'static [(&'static str, &'static str)],
    pub input: Input,
    /// It stands between a program and a connection. What fails is a connection that breaks, of
    /// which the program's exit code does not tell.
    pub between: bool,
    /// Words by which it tells in its output that something is missing there.
    pub admits: &'static [&'static str],
    /// The exit code of a temporary failure.
    pub failed: i32,
    /// It gives up for now, even without a fault.
    pub in_vain: bool,
}

/// What a program finds at its standard input.
#[derive(Clone, Copy)]
pub enum Input {
    /// A file of the scratch folder.
    File(&'static str),
    /// A TCP connection, on which this comes.
    Connection(&'static str),
}

/// A row in its surroundings.
pub struct Example {
    place: Scratch,
    row: Row,
    visited: TcpListener,
    visited_here: UnixListener,
    /// What the supervises read that are there, as far as one can see from outside.
    _supervises: Vec<File>,
    /// What comes of it.
    code: Option<i32>,
    said: String,
}

/// Tells of all that words before a program may change.
const OBSERVE: &str =
    "tr '\\000' '\\n' </proc/$$/cmdline; env | grep -v -e PORT= -e HOST= -e PID= | sort; umask
    grep -E '^(Uid|Gid|Groups|SigBlk|SigIgn|CapEff|NoNewPrivs|Seccomp):' /proc/self/status
    cat /proc/self/limits; ls /proc/$$/fd; read -r _ _ _ _ group session _ </proc/$$/stat
    [ $group = $$ ] && echo leads a group; [ $session = $$ ] && echo leads a session
    flock -n lock true || echo locked; true >made && echo makes files";

const RULES: &str = "192.0.2.1:allow,RULE=\"yes\"\n:deny\n";

const FORWARD: &str = "joe@a.example: ann, bob@b.example;\n";

impl Row {
    /// Whether it can be run here: not every kernel knows how to confine.
    pub fn is_possible(&self) -> bool {
        match self.words[0] {
            "setuidgid" => root(),
            "confine" => {
                program("confine").args(["-r", "/", "-x", "/", "true"]).status().unwrap().success()
            }
            _ => true,
        }
    }
}

/// A folder with all that the programs work on.
fn surroundings() -> Scratch {
    let place = scratch();
    place.write("env/ONE", "first\n").write("env/TWO", "second\n").write("env/GONE", "");
    let [old, new] = ["3 old", "5 new"].map(|end| format!("@4000000037c219bf2ef02e9{end}\n"));
    place.write("log/@4000000037c219bf2ef02e94.s", old.repeat(99)).write("log/current", new);
    place.write("lines", "one\ntwo\n@4000000037c219bf2ef02e94 three\n".repeat(300));
    place.write("crlf", "one\r\ntwo\r\n".repeat(300)).write("few", "one\ntwo\n");
    place.write("header", "PROXY TCP4 192.0.2.1 192.0.2.2 25000 25\r\nthe rest\n");
    let account = |name| format!("{name}:x:1000:1000::/nonexistent:\n");
    place.write("passwd", ["alias", "joe", "ann"].map(account).concat()).write("nothing", "");
    place.write("observe", OBSERVE).write("control/me", "a.example\n");
    for folder in ["mess/0", "info/0", "local/0", "remote/0", "intd", "todo", "bounce", "lock"] {
        place.dir(format!("queue/{folder}"));
    }
    place.write("queue/mess/0/24", "Subject: text\n").write("queue/info/0/24", "Fme@a.example\0");
    place.write("queue/local/0/24", "Tjoe@a.example\0Dann@a.example\0");
    place.write("queue/mess/0/25", "").write("queue/todo/25", "").dir("services/none");
    for (words, text) in [
        (["tcprules", "rules.cdb", "rules.tmp"], RULES),
        (["setforward", "table.cdb", "table.tmp"], FORWARD),
        (["setmaillist", "list.bin", "list.tmp"], "ann\nbob@b.example\n"),
    ] {
        let mut compile = program(words[0]);
        compile.args(&words[1..]).current_dir(place.path());
        assert!(fed(&mut compile, text).status.success(), "{words:?}");
    }
    place
}

/// A service that is up and, it tells, ready or not. The file is what keeps it supervised.
fn supervised(place: &Scratch, name: &str, ready: &str) -> File {
    let since = [0x40, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let state = format!(
        "pid=7\nstart=1\nboot={boot}supervisor={}\nscript=run\nready={ready}\n",
        process::id()
    );
    let folder = format!("services/{name}/supervise");
    place.fifo(format!("{folder}/ok")).write(format!("{folder}/state"), state);
    place.write(format!("{folder}/status"), [&since[..], &[7, 0, 0, 0], b"\0u\x03\x01"].concat());
    File::options().read(true).write(true).open(place.join(folder).join("ok")).unwrap()
}

impl Example {
    /// In new surroundings, after a run without a fault.
    pub fn new(row: Row) -> Self {
        let (place, visited) = (surroundings(), listener().0);
        let visited_here = UnixListener::bind(place.join("socket")).unwrap();
        visited.set_nonblocking(true).unwrap();
        visited_here.set_nonblocking(true).unwrap();
        let _supervises = [("early", "no"), ("ready", "yes")]
            .map(|(name, ready)| supervised(&place, name, ready));
        let (_supervises, code, said) = (_supervises.into(), None, String::new());
        let mut example = Example { place, row, visited, visited_here, _supervises, code, said };
        example.code = run_beside(&mut example.command(), None, true, |_| ()).0.code;
        example.said = example.seen();
        assert_eq!(example.code == Some(row.failed), row.in_vain, "{:?}", row.words);
        example
    }

    fn plain(&self) -> Command {
        let Row { words, behind, env, .. } = self.row;
        let mut program = program(words[0]);
        let port = self.visited.local_addr().unwrap().port().to_string();
        program.args(words[1..].iter().map(|word| if *word == "PORT" { &port[..] } else { word }));
        program.args(behind);
        program.env("TZ", "UTC").env("QMAILHOME", self.place.path());
        program.envs(env.iter().copied()).current_dir(self.place.path());
        program
    }

    /// With input and output. The output is a new file, as whoever outlives a program that was
    /// killed may still write to the old one.
    fn prepared(&self, mut command: Command) -> Command {
        let _ = fs::remove_file(self.place.join("seen"));
        // whoever came before is gone
        while self.visited.accept().is_ok() || self.visited_here.accept().is_ok() {}
        command.stdout(File::create(self.place.join("seen")).unwrap()).stderr(Stdio::null());
        match self.row.input {
            Input::File(name) => command.stdin(File::open(self.place.join(name)).unwrap()),
            Input::Connection(text) => {
                let near = TcpStream::connect(self.visited.local_addr().unwrap()).unwrap();
                self.visited.accept().unwrap().0.write_all(text.as_bytes()).unwrap();
                command.stdin(OwnedFd::from(near))
            }
        };
        command
    }

    /// What was printed. The time stamps of now are left out.
    fn seen(&self) -> String {
        let stamps =
            if self.row.words[0] == "tai64n" { "@400000000123456789abcdef".len() } else { 0 };
        let text = self.place.text("seen");
        let lines = text.split('\n').map(|line| line.get(stamps..).unwrap_or(""));
        lines.collect::<Vec<_>>().join("\n")
    }

    pub fn command(&self) -> Command {
        self.prepared(held(&self.plain()))
    }

    pub fn is_done(&self, code: Option<i32>) -> bool {
        code == self.code && self.seen() == self.said
    }

    /// The first line that is not as in the example.
    fn differs(&self, seen: &str) -> String {
        let pairs = seen.lines().zip(self.said.lines().chain([""; 1000]));
        let differ = pairs.into_iter().find(|(seen, said)| seen != said);
        differ.map_or(String::new(), |(seen, said)| format!("{seen:?}, not {said:?}"))
    }

    pub fn check(&self, code: Option<i32>) -> Result<(), String> {
        let seen = self.seen();
        let admits = self.row.admits.iter().any(|words| seen.contains(words));
        match code {
            Some(_) if admits && [self.code, Some(self.row.failed)].contains(&code) => Ok(()),
            _ if !self.said.starts_with(&seen) => {
                Err(format!("it differs: {}", self.differs(&seen)))
            }
            Some(_) if self.row.between => Ok(()),
            Some(_) if code == self.code && seen != self.said => {
                Err(format!("done, it says, but these are {} bytes", seen.len()))
            }
            // 127 is a start that the C library gives up
            None | Some(127) => Ok(()),
            Some(_) if [self.code, Some(self.row.failed)].contains(&code) => Ok(()),
            Some(other) => Err(format!("no temporary failure: {other}")),
        }
    }
}

/// A test that sweeps a [`Row`].
macro_rules! example {
    ($test:ident, $row:expr) => {
        #[test]
        fn $test() {
            if !$row.is_possible() {
                return;
            }
            struct One(crate::example::Example);
            impl crate::sweep::Case for One {
                const LEAVE: bool = true;
                fn new() -> Self {
                    One(crate::example::Example::new($row))
                }
                fn renew(&self) {}
                fn command(&self) -> std::process::Command {
                    self.0.command()
                }
                fn is_done(&self, code: Option<i32>) -> bool {
                    self.0.is_done(code)
                }
                fn check(&self, code: Option<i32>) -> Result<(), String> {
                    self.0.check(code)
                }
            }
            crate::sweep::sweep::<One>(&$row.words.join(" "));
        }
    };
}
pub(crate) use example;
