//! Real proxies in front of a server, where they are installed.

use std::process::Command;
use tests::{Running, Scratch, free_port, scratch, skip, start, until};

/// haproxy that passes connections on to a port of 127.0.0.1, with these words about headers:
/// the running proxy and its own port. `None`, after [`skip`], where there is no haproxy.
pub fn haproxy(server: u16, words: &str) -> Option<(Running, u16)> {
    let (place, port) = (scratch(), free_port());
    let seconds = "timeout connect 20s\n timeout client 20s\n timeout server 20s";
    place.write(
        "conf",
        format!(
            "defaults\n mode tcp\n {seconds}\nlisten one\n bind 127.0.0.1:{port}\n \
             unique-id-format %[uuid]\n server two 127.0.0.1:{server} {words}\n"
        ),
    );
    let mut command = Command::new("/usr/sbin/haproxy");
    command.args(["-db", "-f"]).arg(place.join("conf"));
    running(place, command, port)
}

/// nginx, as [`haproxy`]. It can only send version 1.
pub fn nginx(server: u16) -> Option<(Running, u16)> {
    let (place, port) = (scratch(), free_port());
    let folder = place.path().display();
    place.write(
        "conf",
        format!(
            "include /etc/nginx/modules-enabled/*.conf;\ndaemon off;\nmaster_process off;\n\
             pid {folder}/pid;\nerror_log stderr;\nevents {{}}\nstream {{ server {{\n\
             listen 127.0.0.1:{port};\nproxy_pass 127.0.0.1:{server};\nproxy_protocol on;\n}} }}\n"
        ),
    );
    let mut command = Command::new("/usr/sbin/nginx");
    command.args(["-e", "stderr", "-c"]).arg(place.join("conf"));
    running(place, command, port)
}

/// Starts a proxy and waits until it listens.
fn running(place: Scratch, mut command: Command, port: u16) -> Option<(Running, u16)> {
    let name = command.get_program().display().to_string();
    if !std::path::Path::new(&name).exists() {
        skip(&format!("needs {name}"));
        return None;
    }
    let running = start(&mut command);
    until(tests::LIMIT, &format!("{name} listens"), || {
        assert!(running.ended().is_none(), "{}", running.err());
        listens(port)
    });
    drop(place);
    Some((running, port))
}

/// Somebody listens on this port of 127.0.0.1. Nobody is connected to for that.
fn listens(port: u16) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    table.contains(&format!(" 0100007F:{port:04X} 00000000:0000 0A "))
}
