//! `make demo` does what the README says.

use nix::sys::signal::kill;
use nix::unistd::Pid;
use std::fs;
use std::io::Read;
use std::process::Command;
use std::time::Duration;
use tests::{LIMIT, bin, fed_within, free_port, listener, ran, root, scratch, smtp, tree, until};

#[test]
fn the_demo_delivers_shows_and_leaves_nothing_behind() {
    let place = scratch();
    if root() {
        place.chmod("", 0o777);
    }
    let demo = place.join("demo");
    let (port, remote_port) = (free_port().to_string(), free_port().to_string());
    let run = |word: &str| {
        let mut command = Command::new("sh");
        command.arg(tree().join("tests/demo.sh")).arg(word).env("DEMO", &demo);
        command.env("DEMO_PORT", &port).env("DEMO_REMOTE_PORT", &remote_port);
        command.env("BUILT", bin("svscan").parent().unwrap());
        ran(&fed_within(Duration::from_secs(300), &mut command, ""))
    };
    let _stopped = AtEnd(|| drop(run("stop")));
    // Twice: the second run clears away what the first one left running.
    for _ in 0..2 {
        let (code, out, err) = run("start");
        let expected = [
            "Subject: a local message\n",
            "sue@client.example wrote to joe-orders@demo.example:",
            "This is a relayed message.",
            "< 553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)",
            ": success: did_0+0+1/",
            "tcpserver: deny ",
            "< 553 Your network sends nothing but spam.",
            "set environment variable RBLSMTPD=-Your network sends nothing but spam.",
            "make demo-stop",
        ];
        let missing: Vec<_> = expected.iter().filter(|text| !out.contains(**text)).collect();
        assert!(code == Some(0) && missing.is_empty(), "{code:?} {missing:?}\n{out}\n{err}");
    }
    // A delivery that does not end does not keep it.
    let (silent, silent_port) = listener();
    fs::write(demo.join("qmail/control/smtproutes"), format!(":127.0.0.1:{silent_port}")).unwrap();
    let mut client = smtp(port.parse().unwrap());
    client.expect(220);
    for (line, code) in [
        ("HELO client.example", 250),
        ("MAIL FROM:<>", 250),
        ("RCPT TO:<you@silent.example>", 250),
        ("DATA", 354),
        ("Subject: silence\r\n\r\n.", 250),
        ("QUIT", 221),
    ] {
        client.step(line, code);
    }
    silent.set_nonblocking(true).unwrap();
    let mut visitor = None;
    until(LIMIT, "qmail-remote waits", || {
        visitor = silent.accept().ok();
        visitor.is_some()
    });
    let svscan = fs::read_to_string(demo.join("svscan.pid")).unwrap().trim().parse().unwrap();
    let (code, _, err) = run("stop");
    assert_eq!((code, err.as_str(), demo.exists()), (Some(0), "", false));
    assert!(kill(Pid::from_raw(svscan), None).is_err());
    let (mut remote, _) = visitor.unwrap();
    remote.set_read_timeout(Some(LIMIT)).unwrap();
    assert_eq!(remote.read(&mut [0]).unwrap(), 0);
}

/// Does something when the test ends, however it ends.
struct AtEnd<F: Fn()>(F);

impl<F: Fn()> Drop for AtEnd<F> {
    fn drop(&mut self) {
        self.0();
    }
}
