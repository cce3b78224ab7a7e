//! A Maildir that is read by POP3, and servers for it.

use std::fs::{self, File, FileTimes};
use std::process::Command;
use std::time::{Duration, SystemTime};
use tests::{Running, Scratch, as_user, program, root, scratch, start};

/// Who owns it when the tests run as root: nobody. qmail-pop3d does not serve root.
pub const OWNER: u32 = 65534;

/// The password that the servers of a [`Mailbox`] take; the user is joe.
pub const PASSWORD: &str = "open sesame";

/// The Maildir `Maildir` of a user called joe.
pub struct Mailbox {
    pub place: Scratch,
}

pub fn mailbox() -> Mailbox {
    let place = scratch();
    for folder in ["tmp", "new", "cur"] {
        place.dir(format!("Maildir/{folder}"));
    }
    let mailbox = Mailbox { place };
    mailbox.give();
    mailbox
}

impl Mailbox {
    /// Puts a message in: `"new/1.a"`, `"cur/2.b:2,S"`. Each is a second younger than the one
    /// before it in the order of names, and all are old.
    pub fn message(&self, name: &str, text: impl AsRef<[u8]>) -> &Mailbox {
        let file = format!("Maildir/{name}");
        self.place.write(&file, text);
        let digits: String =
            name[4..].chars().take_while(|letter| letter.is_ascii_digit()).collect();
        self.set_time(&file, 1_700_000_000 + digits.parse::<u64>().unwrap_or(0));
        self.give();
        self
    }

    /// Has a file been changed and read last at this time.
    pub fn set_time(&self, file: &str, seconds: u64) {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let file = File::options().write(true).open(self.place.join(file)).unwrap();
        file.set_times(FileTimes::new().set_accessed(time).set_modified(time)).unwrap();
    }

    /// Makes every message one of long ago, so that a session shows it.
    pub fn age(&self) {
        for folder in ["new", "cur"] {
            for entry in fs::read_dir(self.place.join("Maildir").join(folder)).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_file() {
                    let name = entry.file_name().into_string().unwrap();
                    self.set_time(&format!("Maildir/{folder}/{name}"), 1_700_000_000);
                }
            }
        }
    }

    /// All files: `new/1.a`, `cur/2.b:2,S`.
    pub fn files(&self) -> Vec<String> {
        let folders = ["cur", "new", "tmp"];
        let below = |folder: &&str| {
            let names = self.place.names(format!("Maildir/{folder}"));
            names.into_iter().map(|name| format!("{folder}/{name}")).collect::<Vec<_>>()
        };
        folders.iter().flat_map(below).collect()
    }

    /// qmail-pop3d for the Maildir, as its owner.
    pub fn pop3d(&self) -> Command {
        let mut command = program("qmail-pop3d");
        command.arg("Maildir").current_dir(self.place.path());
        if root() {
            as_user(OWNER, OWNER, &mut command);
        }
        command
    }

    /// A server under tcpserver, and its port. Passwords and the digests of APOP are checked by a
    /// script, so that no root is needed.
    pub fn serve(&self) -> (Running, u16) {
        let check = "tr '\\000' '\\n' <&3 >given; exec 3<given
            read -r user <&3; read -r secret <&3; read -r unique <&3; exec 3<&-
            digest=$(printf %s \"$unique$PASSWORD\" | md5sum | cut -d' ' -f1)
            test \"$user\" = joe || exit 1
            test \"$secret\" = \"$PASSWORD\" || test \"$secret\" = \"$digest\" || exit 1
            exec \"$@\"";
        self.place.script("check", check).write("given", "");
        let mut command = program("tcpserver");
        command.args(["-1RHl0", "127.0.0.1", "0", "qmail-popup", "mail.example"]);
        command.arg(self.place.join("check")).args(["qmail-pop3d", "Maildir"]);
        command.env("PASSWORD", PASSWORD).current_dir(self.place.path());
        self.give();
        if root() {
            as_user(OWNER, OWNER, &mut command);
        }
        let server = start(&mut command);
        let port = server.wait_out("\n").trim().parse().unwrap();
        (server, port)
    }

    /// Gives all of it to its owner.
    pub fn give(&self) {
        if root() {
            let mut chown = Command::new("chown");
            chown.arg("-hR").arg(format!("{OWNER}:{OWNER}")).arg(self.place.path());
            assert!(chown.status().unwrap().success());
        }
    }
}
