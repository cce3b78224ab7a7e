//! Our programs as a mail server: installed as `make install` does it.

use crate::place::{Place, run, uid};
use crate::server::{Out, Server};
use std::path::{Path, PathBuf};
use tests::{bin, tree};

const PORT: u16 = 2500;

/// Installs and starts it on this file system.
pub fn start(place: &Place, out: Out) -> Server {
    start_behind(place, out, "")
}

/// As [`start`], with words in front of the whole: strace and its options.
pub fn start_behind(place: &Place, out: Out, front: &str) -> Server {
    run_in(install(place, out), front)
}

/// Starts what has been installed.
pub fn run_in(folder: PathBuf, front: &str) -> Server {
    let home = folder.join("qmail");
    let script = format!("exec {front} sh {}/run", folder.display());
    let inject = format!("QMAILHOME={0} INJECT={0}/bin/qmail-inject", home.display());
    let mut server = Server::start("catena", PORT, folder, inject, &script);
    let queue = home.join("queue");
    server.busy = ["mess", "todo", "intd", "info"].map(|name| queue.join(name)).into();
    server.smtpd = "qmail-smtpd";
    server
}

/// Installs it: the folder of everything.
pub fn install(place: &Place, out: Out) -> PathBuf {
    let folder = place.fresh("catena");
    let built = bin("qmail-queue");
    let built = built.parent().unwrap().display();
    let (here, tree) = (folder.display(), tree().display());
    run(&format!(
        "mkdir {here}
        export BUILT={built} DESTDIR= PREFIX={here} QMAILHOME={here}/qmail SPLIT=23
        export SUBSET='net mail'
        sh {tree}/tools/install.sh"
    ));
    let (local, remote) = match out {
        Out::None => (20, 20),
        Out::To { concurrency, .. } => (20, concurrency),
    };
    let relay = match out {
        Out::None => String::new(),
        Out::To { port, .. } => format!("echo ':127.0.0.1:{port}' >smtproutes"),
    };
    run(&format!(
        "cd {here}/qmail/control
        for file in me locals rcpthosts; do echo bench.test >$file; done
        echo {local} >concurrencylocal; echo {remote} >concurrencyremote
        {relay}
        mkdir -p {here}/box/Maildir/new {here}/box/Maildir/cur {here}/box/Maildir/tmp
        chown -R box:box {here}/box
        cd ../users
        printf '=box:box:{uid}:{uid}:{here}/box:::\\n.\\n' >assign
        QMAILHOME={here}/qmail {here}/qmail/bin/qmail-newu",
        uid = uid("box"),
    ));
    write_run(&folder);
    folder
}

fn write_run(folder: &Path) {
    let here = folder.display();
    let user = uid("qmaild");
    let text = format!(
        "export QMAILHOME={here}/qmail PATH={here}/qmail/bin:{here}/bin:$PATH
        cd /
        RELAYCLIENT= tcpserver -RHl bench.test -c 300 -b 300 -u {user} -g {user} \
            127.0.0.1 {PORT} qmail-smtpd </dev/null &
        exec qmail-start ./Maildir/ >>{here}/log\n"
    );
    std::fs::write(folder.join("run"), text).unwrap();
}
