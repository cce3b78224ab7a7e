//! Reading a big Maildir by POP3, without a network: qmail-pop3d alone.

use crate::ours;
use crate::place::{Place, run, uid};
use crate::server::Out;
use crate::table::verdict;
use std::fs::{self, File, FileTimes};
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};
use tests::as_user;

/// Messages, and the bytes of one.
const MESSAGES: usize = 10_000;
const SIZE: usize = 3000;

/// Times what clients ask for.
pub fn read(place: &Place, rounds: usize) {
    let folder = ours::install(place, Out::None);
    let maildir = folder.join("box/Maildir");
    // Those of this very second would be left out. Those in `new` would be moved at the first end.
    let before = FileTimes::new().set_modified(SystemTime::now() - Duration::from_secs(60));
    let text = format!("Subject: test\n\n{}", "A line of the text.\n".repeat(SIZE / 20));
    for number in 0..MESSAGES {
        let path = maildir.join(format!("cur/1.{number}.bench.test:2,"));
        fs::write(&path, &text).unwrap();
        File::options().write(true).open(path).unwrap().set_times(before).unwrap();
    }
    run(&format!("chown -R box:box {}", folder.join("box").display()));
    println!("\nPOP3, {MESSAGES} messages of {SIZE} bytes, {}", place.name);
    let all: String = (1..=MESSAGES).map(|number| format!("RETR {number}\r\n")).collect();
    let cases = [("STAT", "STAT\r\n", 0.04), ("RETR", &all, 0.15)];
    for (name, commands, bar) in cases {
        fs::write(folder.join("commands"), format!("{commands}QUIT\r\n")).unwrap();
        let seconds = median((0..rounds).map(|_| {
            let mut program = Command::new(folder.join("qmail/bin/qmail-pop3d"));
            program.arg(&maildir).stdin(File::open(folder.join("commands")).unwrap());
            let ids = uid("box") as u32;
            let begun = Instant::now();
            let mut child = as_user(ids, ids, program.stdout(Stdio::piped())).spawn().unwrap();
            let answers = pluses(child.stdout.take().unwrap());
            assert!(child.wait().unwrap().success());
            let seconds = begun.elapsed().as_secs_f64();
            assert_eq!(answers, commands.lines().count() + 2, "{name}");
            seconds
        }));
        println!("{name}: {seconds:.3} s, {}", verdict(&bar.to_string(), seconds <= bar));
    }
    fs::remove_dir_all(folder).unwrap();
}

/// How many answers are yes: nothing else that is sent has a plus. Keeping it all would be half of
/// what is measured.
fn pluses(mut from: impl Read) -> usize {
    let mut block = vec![0; 1 << 16];
    let mut found = 0;
    loop {
        match from.read(&mut block).unwrap() {
            0 => return found,
            count => found += memchr::memchr_iter(b'+', &block[..count]).count(),
        }
    }
}

fn median(times: impl Iterator<Item = f64>) -> f64 {
    let mut times: Vec<f64> = times.collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
