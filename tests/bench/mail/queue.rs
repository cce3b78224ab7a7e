//! What a long queue costs, what a connection costs that only waits, and what the kernel is asked
//! for one message.

use crate::group::private_bytes;
use crate::load::Load;
use crate::ours;
use crate::place::{Place, run};
use crate::postfix;
use crate::server::{Out, Server};
use crate::table::verdict;
use std::collections::BTreeMap;
use std::fs::{self, File, FileTimes};
use std::io::Read;
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};
use tests::{LIMIT, until};

/// Messages of a long queue, and of a very long one.
const LONG: u64 = 50_000;
const VERY_LONG: u64 = 100_000;

/// Idle connections.
const CLIENTS: usize = 50;

/// Messages of a traced run.
const TRACED: usize = 100;

/// How long until qmail-send has a queue in its head, what that takes, and whether it still is
/// as quick.
pub fn scan(place: &Place) {
    println!("\nlong queue, {}", place.name);
    let load = Load { sessions: 10, keep: true, messages: 1000 };
    let mut before = 0;
    for waiting in [0, LONG, VERY_LONG] {
        let folder = ours::install(place, Out::None);
        fill(&folder.join("qmail"), waiting);
        let begun = Instant::now();
        let mut server = ours::run_in(folder, "");
        let log = server.folder.join("log");
        let is_up = || fs::read_to_string(&log).is_ok_and(|log| log.contains("status:"));
        until(LIMIT, "the queue is read", is_up);
        let scan = begun.elapsed().as_secs_f64();
        let sender = server.group.processes(|_, name| name == "qmail-send")[0];
        let memory = private_bytes(sender);
        server.busy =
            ["todo", "intd"].map(|name| server.folder.join("qmail/queue").join(name)).into();
        let measured = load.deliver(&server);
        let rates = format!("{:.0} in/s, {:.0} done/s", measured.accepted, measured.delivered);
        let scanned = match waiting {
            LONG => verdict("0.3", scan <= 0.3),
            _ => String::new(),
        };
        let each = match waiting {
            0 => String::new(),
            _ => {
                let each = memory.saturating_sub(before) as f64 / waiting as f64;
                format!("{each:.0} bytes a message, {}", verdict("32", each <= 32.0))
            }
        };
        if waiting == 0 {
            before = memory;
        }
        println!("{waiting:>7} waiting: read in {scan:.3} s {scanned} {each}, {rates}");
    }
}

/// Puts messages into the queue that are due in an hour.
fn fill(home: &Path, count: u64) {
    let queue = home.join("queue");
    let due = SystemTime::now() + Duration::from_secs(3600);
    // Numbers that no inode has.
    for number in (1u64 << 40..).take(count as usize) {
        let put = |folder: &str, text: &str| {
            let path = queue.join(format!("{folder}/{}/{number}", number % 23));
            fs::write(&path, text).unwrap();
            path
        };
        put("mess", "Subject: test\n\n");
        put("info", "Fme@source.test\0");
        let file = File::options().write(true).open(put("remote", "Tbox@sink.test\0")).unwrap();
        file.set_times(FileTimes::new().set_modified(due)).unwrap();
    }
    let queue = queue.display();
    run(&format!(
        "chown -R qmailq {queue}/mess; chown -R qmails {queue}/info {queue}/remote {queue}/local"
    ));
}

/// The memory of a connection that only waits, for its own.
pub fn idle_connections(place: &Place) {
    let servers = [ours::start(place, Out::None), postfix::start(place, Out::None)];
    let [ours, theirs] = servers.map(|server| {
        let connect = |_| {
            let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
            let count = stream.read(&mut [0; 100]).unwrap();
            assert!(count > 0, "{} greets", server.name);
            stream
        };
        let clients: Vec<TcpStream> = (0..CLIENTS).map(connect).collect();
        let waiting = server.group.processes(|_, name| name == server.smtpd);
        assert_eq!(waiting.len(), clients.len(), "{}", server.name);
        waiting.into_iter().map(private_bytes).sum::<u64>() / CLIENTS as u64 / 1000
    });
    let bar = verdict("60", ours <= 60);
    println!("\nidle SMTP connection: catena {ours} kB private, {bar}; Postfix {theirs} kB");
}

/// System calls of one more message, by 10 sessions.
pub fn calls(place: &Place) {
    let names = ["execve", "clone", "fsync", "link", "rename", "unlink", "open", "read", "write"];
    println!("\nsystem calls for a message, 10 sessions x 10, {}", place.name);
    print!("{:<12}", "");
    names.iter().for_each(|name| print!("{name:>8}"));
    println!("{:>8}", "all");
    type Start = fn(&Place, Out, &str) -> Server;
    for (name, start) in
        [("catena", ours::start_behind as Start), ("Postfix", postfix::start_behind)]
    {
        let [none, some] = [0, TRACED].map(|messages| traced(place, start, messages));
        let each = |wanted: &dyn Fn(&str) -> bool| {
            let sum = |counts: &BTreeMap<String, f64>| {
                counts.iter().filter(|(name, _)| wanted(name)).map(|(_, count)| count).sum::<f64>()
            };
            (sum(&some) - sum(&none)) / TRACED as f64
        };
        print!("{name:<12}");
        for kind in names {
            print!("{:>8.1}", each(&|name| is_kind(name, kind)));
        }
        println!("{:>8.1}", each(&|_| true));
    }
}

/// `openat` is an `open`, and `pwrite64` a `write`.
fn is_kind(name: &str, kind: &str) -> bool {
    match kind {
        "clone" => ["clone", "clone3", "fork", "vfork"].contains(&name),
        "fsync" => ["fsync", "fdatasync", "syncfs", "sync"].contains(&name),
        "link" => ["link", "linkat"].contains(&name),
        "rename" => name.starts_with("rename"),
        "unlink" => ["unlink", "unlinkat"].contains(&name),
        "open" => ["open", "openat"].contains(&name),
        "read" => ["read", "readv", "pread64"].contains(&name),
        "write" => ["write", "writev", "pwrite64"].contains(&name),
        _ => name == kind,
    }
}

/// How often each system call was made from start to end, with so many messages between.
fn traced(
    place: &Place,
    start: fn(&Place, Out, &str) -> Server,
    messages: usize,
) -> BTreeMap<String, f64> {
    let trace = place.folder.join("trace");
    let front = format!("strace -f -qq -c -U calls,name -o {}", trace.display());
    let mut server = start(place, Out::None, &front);
    if messages > 0 {
        Load { sessions: 10, keep: true, messages }.deliver(&server);
    }
    server.end_watched();
    let counts = fs::read_to_string(trace).unwrap();
    let lines = counts.lines().filter_map(|line| {
        let (count, name) = line.trim().split_once(char::is_whitespace)?;
        let count = count.parse().ok()?;
        (name.trim() != "total").then(|| (name.trim().to_owned(), count))
    });
    lines.collect()
}
