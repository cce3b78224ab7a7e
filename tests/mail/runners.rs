//! The qmail-local that stays for a moment for the next delivery to the same user.

use crate::installation::{Installation, installation};
use std::fs;
use std::path::Path;
use tests::{Running, original, ran, redirected, start, until};

/// What qmail-lspawn looks for in a qmail-local.
const MARK: &str = "qmail-local -w: takes orders of qmail-lspawn, form 2";

/// Clock ticks a second, as /proc counts them.
const TICKS: u64 = 100;

/// A running qmail-lspawn, with one message for whom one likes.
struct Spawner {
    run: Running,
    home: Installation,
    orders: usize,
}

impl Spawner {
    /// With this as the .qmail file of everybody.
    fn new(instructions: &str) -> Spawner {
        let home = installation();
        home.write("queue/mess/1/24", "Subject: hello\n\nHello.\n").maildir("alias/Maildir");
        home.write("alias/.qmail-default", instructions);
        let run = start(home.program("qmail-lspawn").arg("./Mailbox"));
        run.wait_out("x");
        Spawner { run, home, orders: 0 }
    }

    /// Orders a delivery.
    fn order(&mut self, recipient: &str) {
        self.order_of("1/24", recipient);
    }

    /// Orders a delivery of this message; gives its number.
    fn order_of(&mut self, message: &str, recipient: &str) -> u8 {
        let number = self.orders as u8 % 100 + 1;
        self.orders += 1;
        let words = format!("{message}\0sender@b.example\0{recipient}@a.example\0");
        self.run.write([&[number][..], words.as_bytes()].concat());
        number
    }

    /// Waits until all are reported; gives the last report.
    #[track_caller]
    fn report(&self) -> String {
        let reports = || self.run.out().matches('\0').count();
        until(tests::LIMIT, "all deliveries are reported", || reports() >= self.orders);
        let out = self.run.out();
        let last = out[1..].trim_end_matches('\0').rsplit('\0').next().unwrap();
        last.chars().skip(1).collect()
    }

    /// The report of a delivery.
    #[track_caller]
    fn deliver(&mut self, recipient: &str) -> String {
        self.order(recipient);
        self.report()
    }

    /// The names in the Maildir.
    fn names(&self) -> Vec<String> {
        self.home.place().names("alias/Maildir/new")
    }

    /// The process that carried out a delivery.
    fn process(name: &str) -> u32 {
        name.split('.').nth(1).unwrap().split('_').next().unwrap().parse().unwrap()
    }
}

fn runs(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z"))
}

#[test]
fn one_process_carries_out_what_comes_soon_and_then_ends() {
    if original() {
        return; // The others start a process for each.
    }
    let mut spawner = Spawner::new("./Maildir/\n");
    for recipient in ["a", "b", "c"] {
        assert_eq!(spawner.deliver(recipient), "Kdid 1+0+0\n");
    }
    let names = spawner.names();
    let process = Spawner::process(&names[0]);
    let expected = [format!(".{process}."), format!(".{process}_2."), format!(".{process}_3.")];
    let is_there = |part: &String| names.iter().any(|name| name.contains(part));
    assert!(expected.iter().all(is_there), "{names:?}");
    let text = |name: &String| spawner.home.place().text(format!("alias/Maildir/new/{name}"));
    let recipients = ["a", "b", "c"].map(|recipient| format!("Delivered-To: {recipient}@a."));
    assert!(recipients.iter().all(|line| names.iter().any(|name| text(name).contains(line))));
    assert!(runs(process));
    // it holds no folder meanwhile
    assert_eq!(fs::read_link(format!("/proc/{process}/cwd")).unwrap(), Path::new("/"));
    until(tests::LIMIT, "it has ended", || !runs(process));
    assert_eq!(spawner.deliver("d"), "Kdid 1+0+0\n");
    assert!(spawner.names().iter().any(|name| Spawner::process(name) != process));
}

#[test]
fn those_who_are_busy_get_company() {
    if original() {
        return; // The others start a process for each.
    }
    let mut spawner = Spawner::new("|sleep 1\n./Maildir/\n");
    (0..30).for_each(|number| spawner.order(&format!("r{number}")));
    assert_eq!(spawner.report(), "Kdid 1+0+1\n");
    assert_eq!(spawner.names().len(), 30);
    until(tests::LIMIT, "twenty wait, no more", || children(spawner.run.pid()) <= 20);
}

/// How many children a process has that are not dead.
fn children(pid: i32) -> usize {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    list.split_whitespace().filter(|child| runs(child.parse().unwrap())).count()
}

#[test]
fn more_than_a_hundred_deliveries_are_not_for_one() {
    if original() {
        return; // The others start a process for each.
    }
    let mut spawner = Spawner::new("./Maildir/\n");
    (0..101).for_each(|_| assert_eq!(spawner.deliver("a"), "Kdid 1+0+0\n"));
    let mut processes: Vec<u32> =
        spawner.names().iter().map(|name| Spawner::process(name)).collect();
    processes.sort();
    processes.dedup();
    assert_eq!(processes.len(), 2);
}

#[test]
fn other_instructions_have_a_process_of_their_own() {
    if original() {
        return; // The others start a process for each.
    }
    let mut spawner = Spawner::new("./Maildir/\n");
    let deeds =
        "|echo \"$EXT $DEFAULT\" $(sed -n 's/^Subject: //p')\n./Maildir/\n./box\n&c@d.example\n";
    spawner.home.write("alias/.qmail-more", deeds);
    spawner.home.write("alias/.qmail-none", "|cd Maildir; umask 0; exit 100\n");
    // names in the Maildir never meet
    for _ in 0..10 {
        let report = spawner.deliver("more");
        assert!(report.starts_with("Kmore  hello\ndid 2+1+1\nqp "), "{report}");
        assert_eq!(spawner.deliver("some"), "Kdid 1+0+0\n");
        assert_eq!(spawner.deliver("none"), "D");
    }
    assert_eq!(spawner.names().len(), 20);
    assert_eq!(spawner.home.numbers("todo").len(), 10);
    let mbox = spawner.home.place().text("alias/box");
    assert_eq!(mbox.matches("\nDelivered-To: more@a.example\n").count(), 10);
    let mode = |name: &String| spawner.home.place().mode(format!("alias/Maildir/new/{name}"));
    assert!(spawner.names().iter().all(|name| mode(name) == 0o600));
}

#[test]
fn one_that_is_killed_is_told_and_replaced() {
    if original() {
        return; // The others start a process for each.
    }
    let mut spawner = Spawner::new("./Maildir/\n");
    // its child is the parent of the shell
    let kill = "|kill -9 $(cut -d' ' -f4 /proc/$PPID/stat)\n";
    spawner.home.write("alias/.qmail-kill", kill);
    assert_eq!(spawner.deliver("a"), "Kdid 1+0+0\n");
    // what goes on without it counts
    assert_eq!(spawner.deliver("kill"), "Kdid 0+0+1\n");
    assert_eq!(spawner.deliver("a"), "Kdid 1+0+0\n");
    // while it waits
    let processes: Vec<u32> = spawner.names().iter().map(|name| Spawner::process(name)).collect();
    for process in processes.into_iter().filter(|process| runs(*process)) {
        let pid = nix::unistd::Pid::from_raw(process as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
        until(tests::LIMIT, "it has gone", || !runs(process));
    }
    assert_eq!(spawner.deliver("a"), "Kdid 1+0+0\n");
    // a child that is killed is one delivery, too
    spawner.home.write("alias/.qmail-child", "|kill -9 $PPID\n");
    assert_eq!(spawner.deliver("child"), "Zqmail-local crashed.\n");
    assert_eq!(spawner.deliver("a"), "Kdid 1+0+0\n");
}

#[test]
fn what_takes_long_holds_up_no_other_message() {
    if original() {
        return; // The others start a process for each.
    }
    let mut spawner = Spawner::new("./Maildir/\n");
    let wait = "|until [ -e go ]; do sleep 0.1; done\n";
    spawner.home.write("alias/.qmail-slow", wait);
    let reports = |spawner: &Spawner| spawner.run.out().matches('\0').count();
    // all at once, so that they come to few
    for round in 1..=3 {
        spawner.order("slow");
        (0..20).for_each(|_| spawner.order("quick"));
        spawner.order("slow");
        let done = round * 20;
        until(tests::LIMIT, "the others are delivered", || reports(&spawner) >= done);
        assert_eq!(reports(&spawner), done);
        assert_eq!(spawner.names().len(), done);
    }
    spawner.home.write("alias/go", "");
    spawner.report();
    let out = spawner.run.out();
    assert_eq!(out.matches("Kdid 1+0+0\n\0").count(), 60);
    assert_eq!(out.matches("did 0+0+1\n\0").count(), 6, "{out}");
}

#[test]
fn messages_that_come_together_end_each_its_own_way() {
    if original() {
        return; // The others start a process for each.
    }
    let mut spawner = Spawner::new("./Maildir/\n");
    let big = "Subject: big\n\n".to_owned() + &"A line of a long message.\n".repeat(50_000);
    spawner.home.write("queue/mess/2/25", &big).maildir("alias/Other");
    for (name, text) in [
        ("other", "./Other/\n"),
        ("both", "./Maildir/\n./Other/\n"),
        ("no", "./Absent/\n"),
        ("half", "./Half/\n"),
        ("list", "./Maildir/\n"),
        ("nothing", "# nothing\n"),
    ] {
        spawner.home.write(format!("alias/.qmail-{name}"), text);
    }
    spawner.home.maildir("alias/Half");
    fs::remove_dir(spawner.home.join("alias/Half/new")).unwrap();
    let list = spawner.home.join("alias/.qmail-list");
    fs::set_permissions(list, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let ends = [
        ("a", "Kdid 1+0+0\n"),
        ("other", "Kdid 1+0+0\n"),
        ("no", "ZUnable to chdir to maildir. (#4.2.1)\n"),
        ("both", "Kdid 2+0+0\n"),
        ("half", "ZTemporary error on maildir delivery. (#4.3.0)\n"),
        ("list", "ZUh-oh: .qmail has file delivery but has x bit set. (#4.7.0)\n"),
        ("nothing", "Kdid 0+0+0\n"),
        ("b", "Kdid 1+0+0\n"),
    ];
    for _ in 0..5 {
        let numbers = ends.map(|(to, _)| {
            let message = if to == "a" { "2/25" } else { "1/24" };
            char::from(spawner.order_of(message, to))
        });
        spawner.report();
        let out = spawner.run.out();
        let reports: Vec<&str> = out[1..].split('\0').collect();
        for (number, (to, end)) in numbers.into_iter().zip(ends) {
            assert!(reports.contains(&format!("{number}{end}").as_str()), "{to}: {out:?}");
        }
    }
    let other = spawner.home.place().names("alias/Other/new");
    assert_eq!((spawner.names().len(), other.len()), (15, 10));
    let text = |name: &String| spawner.home.place().text(format!("alias/Maildir/new/{name}"));
    let whole = spawner.names().iter().filter(|name| text(name).ends_with(&big)).count();
    assert_eq!(whole, 5);
    assert!(spawner.home.place().names("alias/Half/tmp").is_empty());
    assert!(spawner.home.place().names("alias/Maildir/tmp").is_empty());
}

#[test]
fn a_long_address_has_a_process_of_its_own() {
    if original() {
        return; // The others start a process for each.
    }
    let mut spawner = Spawner::new("./Maildir/\n");
    let recipient = "a".repeat(20_000);
    for recipient in ["a", &recipient, "b"] {
        assert_eq!(spawner.deliver(recipient), "Kdid 1+0+0\n");
    }
    let names = spawner.names();
    let shared = |name: &String| name.contains("_2.");
    assert_eq!(
        (names.len(), names.iter().filter(|name| shared(name)).count()),
        (3, 1),
        "{names:?}"
    );
}

#[test]
fn another_qmail_local_counts_from_the_next_delivery_on() {
    if original() {
        return; // The others start a process for each.
    }
    let mut spawner = Spawner::new("./Maildir/\n");
    assert_eq!(spawner.deliver("a"), "Kdid 1+0+0\n");
    let process = Spawner::process(&spawner.names()[0]);
    spawner.home.script("qmail-local", "echo \"$4 for $6\"");
    assert_eq!(spawner.deliver("b"), "Kb for b\n");
    until(tests::LIMIT, "the old one has ended", || !runs(process));
}

/// A qmail-local of a user who has taken ours over. It runs as that user and can only say
/// something of his deliveries.
fn taken_over(spawner: &Spawner, script: &str) {
    spawner.home.script("qmail-local", &format!("# {MARK}\n{script}"));
}

#[test]
fn one_that_goes_wrong_holds_up_nothing() {
    if original() {
        return; // The others start a process for each.
    }
    let mut spawner = Spawner::new("./Maildir/\n");
    taken_over(&spawner, "exec <&- >&-; sleep 2; exit 111");
    let before = ticks(spawner.run.pid());
    assert_eq!(spawner.deliver("a"), "Z");
    let spent = ticks(spawner.run.pid()) - before;
    assert!(spent < TICKS / 2, "{spent} ticks were spent on waiting");
    // what is no answer, and an answer for another one
    taken_over(&spawner, "printf '\\1\\2\\3' >&0; exit 111");
    assert_eq!(spawner.deliver("a"), "Z");
    taken_over(&spawner, "printf '\\2\\0' >&0; printf '\\3\\0' >&0");
    assert_eq!(spawner.deliver("a"), "Zqmail-local crashed.\n");
    taken_over(&spawner, "printf '\\4\\0' >&0");
    assert_eq!(spawner.deliver("a"), "K");
    taken_over(&spawner, "exit 100");
    assert_eq!(spawner.deliver("a"), "D");
    taken_over(&spawner, "kill -9 $$");
    assert_eq!(spawner.deliver("a"), "Zqmail-local crashed.\n");
}

/// The processor time of a process.
fn ticks(pid: i32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split(' ').collect();
    [12, 13].map(|at| fields[at].parse::<u64>().unwrap()).iter().sum()
}

#[test]
fn orders_come_over_a_socket_alone() {
    if original() {
        return; // It is ours.
    }
    let home = installation();
    let ask = |redirection: &str| {
        let mut local = home.program("qmail-local");
        ran(&redirected(redirection, local.arg("-w")).output().unwrap())
    };
    let said = |text: &str| (Some(111), String::new(), format!("qmail-local: fatal: {text}\n"));
    assert_eq!(ask("</dev/null"), said("unable to read an order: not a socket"));
    assert_eq!(ask("<&-"), said("unable to keep the socket: file descriptor not open"));
}
