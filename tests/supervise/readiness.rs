//! supervise: how a service tells that it is ready, and how all that it has started is ended.
//!
//! 0.76 knows neither, so nothing here is for the originals.

use crate::services::{STAYS, Services, assert_idle, is_gone, process, services, signal};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::Command;
use std::time::{Duration, Instant};
use tests::{LIMIT, Running, as_user, original, root, skip, start, until};

/// Waits until the file is there.
#[track_caller]
fn wait_file(place: &Services, name: &str) {
    until(LIMIT, name, || place.exists(name));
}

#[test]
fn a_service_without_readiness_does_not_tell() {
    if original() {
        return;
    }
    let place = services();
    place.service("a", STAYS);
    let running = place.supervise("a");
    place.wait_pid("a", 0);
    assert_eq!([place.state("a", "ready"), place.state("a", "ready_since")], ["", ""]);
    place.dismiss("a", running);
}

#[test]
fn a_line_to_the_notification_descriptor_is_ready() {
    if original() {
        return;
    }
    let place = services();
    let run = "printf half >&5\n>waiting\nuntil [ -e go ]; do sleep 0.01; done\n\
               echo line >&5\nexec 5>&-\nexec sleep 1000\n";
    place.service("a", run).write("a/notification-fd", "5\n");
    let running = place.supervise("a");
    wait_file(&place, "a/waiting");
    assert_eq!(place.state("a", "ready"), "no");
    place.write("a/go", "");
    place.wait_state("a", "ready", "yes");
    assert!(place.state("a", "ready_since").starts_with('@'));
    assert_idle(running.pid());
    // the next supervise knows
    let running = place.again("a", running);
    assert_eq!(place.state("a", "ready"), "yes");
    std::fs::remove_file(place.join("a/go")).unwrap();
    place.svc(&["-t", "a"]);
    place.wait_state("a", "ready", "no");
    assert_eq!(place.state("a", "ready_since"), "");
    place.dismiss("a", running);
    assert_eq!(place.state("a", "ready"), "no");
}

#[test]
fn a_line_arrives_although_supervise_was_killed() {
    if original() {
        return;
    }
    let place = services();
    let run = ">waiting\nuntil [ -e go ]; do sleep 0.01; done\necho >&3 && exec sleep 1000\n";
    place.service("a", run).write("a/notification-fd", "3");
    let running = place.supervise("a");
    wait_file(&place, "a/waiting");
    let pid = place.wait_pid("a", 0);
    let running = place.again("a", running);
    place.write("a/go", "");
    place.wait_state("a", "ready", "yes");
    assert_eq!(place.pid("a"), pid);
    place.dismiss("a", running);
}

#[test]
fn a_service_that_closes_the_descriptor_is_never_ready() {
    if original() {
        return;
    }
    let place = services();
    place.service("a", "exec 7>&-\n>waiting\nexec sleep 1000\n").write("a/notification-fd", "7\n");
    for (name, number) in [("b", "2"), ("c", "1024"), ("d", "x")] {
        place.service(name, "ls /proc/$$/fd >fds\n>waiting\nexec sleep 1000\n");
        place.write(format!("{name}/notification-fd"), number);
    }
    for name in ["a", "b", "c", "d"] {
        let running = place.supervise(name);
        wait_file(&place, &format!("{name}/waiting"));
        let ready = if name == "a" { "no" } else { "" };
        assert_eq!(place.state(name, "ready"), ready, "{name}");
        assert_idle(running.pid());
        place.dismiss(name, running);
    }
}

/// Sends a message to the notify socket of a service.
fn tell(place: &Services, name: &str, message: &str) {
    let address = SocketAddr::from_abstract_name(place.state(name, "notify_socket")).unwrap();
    UnixDatagram::unbound().unwrap().send_to_addr(message.as_bytes(), &address).unwrap();
}

#[test]
fn a_datagram_to_the_notify_socket_is_ready() {
    if original() {
        return;
    }
    let place = services();
    place
        .service("a", "echo $NOTIFY_SOCKET >socket\nexec sleep 1000\n")
        .write("a/notify-socket", "");
    let running = place.supervise("a");
    let socket = place.wait_lines("a/socket", 1).remove(0);
    assert_eq!(socket, format!("@{}", place.state("a", "notify_socket")));
    tell(&place, "a", "STATUS=almost\nREADY=0");
    let running = place.again("a", running);
    assert_eq!(place.state("a", "ready"), "no");
    tell(&place, "a", "STATUS=here\nREADY=1\nMAINPID=1");
    place.wait_state("a", "ready", "yes");
    // what comes later holds nobody up
    (0..1000).for_each(|_| tell(&place, "a", "STATUS=busy"));
    assert_idle(running.pid());
    place.svc(&["-t", "a"]);
    place.wait_state("a", "ready", "no");
    until(LIMIT, "another socket", || {
        !["", &socket[1..]].contains(&place.state("a", "notify_socket").as_str())
    });
    place.dismiss("a", running);
}

#[test]
fn only_the_user_of_the_service_and_root_may_say_ready() {
    if original() {
        return;
    }
    if !root() {
        return skip("needs root");
    }
    let place = services();
    place
        .service("a", "echo $NOTIFY_SOCKET >socket\nexec sleep 1000\n")
        .write("a/notify-socket", "");
    let running = place.supervise("a");
    place.wait_lines("a/socket", 1);
    let name = place.state("a", "notify_socket");
    let perl = "use Socket; socket(my $s, PF_UNIX, SOCK_DGRAM, 0) or die; \
                send($s, $ARGV[1], 0, pack_sockaddr_un(\"\\0$ARGV[0]\")) or die $!;";
    let send = |uid: u32, message: &str| {
        let mut command = Command::new("perl");
        command.args(["-e", perl, &name, message]);
        as_user(uid, uid, &mut command).output()
    };
    match send(65534, "READY=1") {
        Ok(output) if output.status.success() => {}
        _ => return skip("needs perl"),
    }
    // what is read after it shows that it was read
    let supervise = running.pid();
    assert_idle(supervise);
    assert_eq!(place.state("a", "ready"), "no");
    send(0, "READY=1").unwrap();
    place.wait_state("a", "ready", "yes");
    place.dismiss("a", running);
}

#[test]
fn check_is_run_until_it_succeeds() {
    if original() {
        return;
    }
    let place = services();
    place.service("a", STAYS).script("a/check", "echo >>checks\n[ -e go ]\n");
    let begin = Instant::now();
    let running = place.supervise("a");
    place.wait_lines("a/checks", 3);
    assert!(begin.elapsed() > Duration::from_secs(2), "{:?}", begin.elapsed());
    assert_eq!(place.state("a", "ready"), "no");
    let running = place.again("a", running);
    place.write("a/go", "");
    place.wait_state("a", "ready", "yes");
    assert_idle(running.pid());
    let checks = place.text("a/checks");
    assert_eq!(place.text("a/checks"), checks);
    // a check that hangs does not outlive the service
    place.script("a/check", "echo $$ >hangs\nexec sleep 1000\n");
    place.svc(&["-t", "a"]);
    let check = place.wait_lines("a/hangs", 1)[0].parse().unwrap();
    place.svc(&["-d", "a"]);
    until(LIMIT, "the end of the check", || is_gone(check));
    place.dismiss("a", running);
}

/// Starts a child in a session of its own, which ignores TERM, and one of that child.
const SCATTERS: &str = "setsid sh -c 'trap \"\" TERM; echo $$ >>children; \
                        sleep 1000 & echo $! >>children; wait' >/dev/null 2>&1 &\n\
                        until [ -e children ]; do sleep 0.01; done\n";

/// Everything that the service has started ends before it is started again.
#[track_caller]
fn is_contained(place: &Services, running: Running) {
    let children = |count: usize| -> Vec<i32> {
        place.wait_lines("a/children", count).iter().map(|pid| pid.parse().unwrap()).collect()
    };
    let first = children(2);
    let pid = place.wait_pid("a", 0);
    signal(pid, libc::SIGKILL);
    place.wait_pid("a", pid);
    assert!(first.iter().all(|pid| is_gone(*pid)), "{first:?}");
    // K reaches all of them
    let second = children(4)[2..].to_vec();
    until(LIMIT, "children", || second.iter().all(|pid| process(*pid).len() > 1));
    let pid = place.pid("a");
    place.svc(&["-K", "a"]);
    place.wait_pid("a", pid);
    assert!(second.iter().all(|pid| is_gone(*pid)), "{second:?}");
    let third = children(6)[4..].to_vec();
    place.svc(&["-dx", "a"]);
    assert_eq!(running.wait(LIMIT).code(), Some(0));
    assert!(third.iter().all(|pid| is_gone(*pid)), "{third:?}");
}

fn scattering(place: &Services) {
    place.service(
        "a",
        &format!("{SCATTERS}exec sleep 1000\n").replace("-e children", "-s children"),
    );
    place.write("a/contain", "").write("a/timeout-kill", "200\n");
}

#[test]
fn what_is_contained_ends_with_the_service() {
    if original() {
        return;
    }
    let place = services();
    scattering(&place);
    let running = place.supervise("a");
    is_contained(&place, running);
}

#[test]
fn without_control_groups_descendants_end_with_the_service() {
    if original() {
        return;
    }
    if !root() {
        return skip("needs root");
    }
    let place = services();
    scattering(&place);
    place.chmod("a", 0o777);
    let mut command = place.command("supervise");
    let running = start(as_user(65534, 65534, command.arg("a")));
    until(LIMIT, "supervise", || place.exists("a/supervise/ok"));
    is_contained(&place, running);
}

#[test]
fn what_is_contained_is_so_under_the_next_supervise() {
    if original() {
        return;
    }
    let place = services();
    scattering(&place);
    let running = place.supervise("a");
    let children = place.wait_lines("a/children", 2);
    let pid = place.wait_pid("a", 0);
    let group = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    if !group.contains("/supervise-") {
        return skip("needs a control group");
    }
    let running = place.again("a", running);
    signal(pid, libc::SIGKILL);
    place.wait_pid("a", pid);
    assert!(children.iter().all(|pid| is_gone(pid.parse().unwrap())));
    // also if the service has died without a supervise
    let children = place.wait_lines("a/children", 4)[2..].to_vec();
    running.signal(libc::SIGKILL);
    running.wait(LIMIT);
    signal(place.pid("a"), libc::SIGKILL);
    let running = place.supervise("a");
    place.wait_lines("a/children", 6);
    assert!(children.iter().all(|pid| is_gone(pid.parse().unwrap())));
    place.dismiss("a", running);
}
