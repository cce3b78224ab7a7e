//! Postfix as the other mail server: its own queue and configuration, and nothing switched on that
//! ours does not do. It logs nowhere, as no syslog listens; ours writes its log.

use crate::place::{Place, oracles, run, uid};
use crate::server::{Out, Server};

const PORT: u16 = 2501;

/// Configures and starts it on this file system.
pub fn start(place: &Place, out: Out) -> Server {
    start_behind(place, out, "")
}

/// As [`start`], with words in front of the whole: strace and its options.
pub fn start_behind(place: &Place, out: Out, front: &str) -> Server {
    let folder = place.fresh("postfix");
    let here = folder.display();
    let oracles = oracles();
    let oracles = oracles.display();
    std::fs::create_dir(&folder).unwrap();
    std::fs::create_dir(folder.join("etc")).unwrap();
    std::fs::write(folder.join("etc/main.cf"), settings(&here.to_string(), out)).unwrap();
    std::fs::write(folder.join("etc/master.cf"), services(out)).unwrap();
    run(&format!(
        "cd {here}
        mkdir data queue; chown postfix data
        cd queue
        for name in active bounce corrupt defer deferred flush hold incoming private saved trace
        do mkdir -m 700 $name; chown postfix $name; done
        mkdir pid; mkdir -m 730 maildrop; mkdir -m 710 public; chown postfix:postdrop maildrop public
        mkdir -p {here}/box/Maildir/new {here}/box/Maildir/cur {here}/box/Maildir/tmp
        chown -R box:box {here}/box"
    ));
    let inject = format!("MAIL_CONFIG={here}/etc INJECT='{oracles}/usr/sbin/sendmail -t'");
    let script = format!("exec {front} /usr/lib/postfix/sbin/master -c {here}/etc -d");
    let mut server = Server::start("Postfix", PORT, folder, inject, &script);
    let queue = server.folder.join("queue");
    server.busy = ["incoming", "active", "maildrop"].map(|name| queue.join(name)).into();
    server.smtpd = "smtpd";
    server
}

fn settings(here: &str, out: Out) -> String {
    let (relay, concurrency) = match out {
        Out::None => (String::new(), 20),
        Out::To { port, concurrency } => {
            (format!("relayhost = [127.0.0.1]:{port}\nsmtp_host_lookup = native"), concurrency)
        }
    };
    let oracles = oracles();
    let oracles = oracles.display();
    let uid = uid("box");
    format!(
        "compatibility_level = 3.6
queue_directory = {here}/queue
data_directory = {here}/data
command_directory = {oracles}/usr/sbin
daemon_directory = /usr/lib/postfix/sbin
shlib_directory = /usr/lib/postfix
mail_owner = postfix
setgid_group = postdrop
myhostname = bench.test
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
virtual_mailbox_domains = bench.test
virtual_mailbox_base = {here}
virtual_mailbox_maps = static:box/Maildir/
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{uid}
virtual_minimum_uid = 1
virtual_mailbox_limit = 0
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
in_flow_delay = 0
initial_destination_concurrency = {concurrency}
default_destination_concurrency_limit = {concurrency}
{relay}
"
    )
}

fn services(out: Out) -> String {
    let most = match out {
        Out::None => 20,
        Out::To { concurrency, .. } => concurrency,
    };
    format!(
        "127.0.0.1:{PORT} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - {most} smtp
relay unix - - n - {most} smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - 20 virtual
anvil unix - - n - 1 anvil
"
    )
}
