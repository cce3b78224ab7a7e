//! The README's first server, as it stands there, but for the folder and the port.

use std::fs;
use std::process::Command;
use std::time::Duration;
use tests::{LIMIT, fed_within, free_port, program, ran, root, scratch, skip, start, tree, until};

#[test]
fn the_first_server_greets_its_neighbours() {
    if !root() {
        return skip("needs root to become nobody");
    }
    let place = scratch();
    let services = place.dir("service").join("service").display().to_string();
    let port = free_port().to_string();
    let readme = fs::read_to_string(tree().join("README.md")).unwrap();
    let (_, section) = readme.split_once("## A first server").unwrap();
    let text = section.split("```").nth(1).unwrap();
    let text = text.replace("/service", &services).replace("7777", &port);
    let (make, look) = text.split_once("tcpclient ").unwrap();

    let svscan = start(program("svscan").arg(&services));
    let shell = |text: String| {
        let mut shell = program("svscan");
        let path =
            shell.get_envs().find(|(name, _)| *name == "PATH").unwrap().1.unwrap().to_owned();
        shell = Command::new("sh");
        shell.env_clear().env("PATH", path).args(["-e", "-c", &text]);
        ran(&fed_within(Duration::from_secs(20), &mut shell, ""))
    };
    assert_eq!(shell(make.into()), (Some(0), String::new(), String::new()));
    let log = place.join("service/hello/log/main/current");
    let log = || fs::read_to_string(&log).unwrap_or_default();
    until(LIMIT, "the server is up", || log().contains("status: 0/40"));
    let (code, out, err) = shell(format!("tcpclient {look}"));
    let stat = format!("{services}/hello: up (pid ");
    assert!(out.starts_with("hello, neighbour\n") && out.contains(&stat), "{out}{err}{}", log());
    assert!(out.contains(" tcpserver: ok ") && code == Some(0), "{code:?} {out}{err}");

    svscan.signal(libc::SIGTERM);
    assert!(svscan.wait(LIMIT).success());
}
