//! checkpassword: whatever fails, only the right password lets somebody in, and as nobody else.

use crate::accounts::with_accounts;
use crate::faults::is_harmless;
use crate::sweep::{Case, sampled, sweep};
use crate::tamper::{Strike, held_with};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use tests::{Scratch, program, root, scratch};

/// "secret", by DES: the quickest, as there are hundreds of runs.
const HASH: &str = "abNANd1rDfiNc";

/// Who has it.
const USER: u32 = 7101;
const GROUP: u32 = 7201;

struct Door {
    place: Scratch,
    account: String,
}

impl Door {
    fn new(password: &str) -> Self {
        let place = scratch();
        place.dir("home").chmod("home", 0o777).write("given", format!("joe\0{password}\0"));
        let home = place.join("home");
        let account = format!("joe:{HASH}:{USER}:{GROUP}::{}:/bin/sh\n", home.display());
        Door { place, account }
    }

    fn renew(&self) {
        let _ = fs::remove_dir_all(self.place.join("home/in"));
    }

    fn command(&self) -> Command {
        let mut check = program("checkpassword");
        // what runs when the password is right makes a folder of its own
        check.args(["maildirmake", "in"]).current_dir(self.place.path());
        let check = held_with("3<given", &check);
        let mut command = with_accounts(&self.place, &self.account, &check).expect("root");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Who is in, if anybody is.
    fn inside(&self) -> Option<(u32, u32)> {
        let about = fs::metadata(self.place.join("home/in")).ok()?;
        Some((about.uid(), about.gid()))
    }
}

struct Right(Door);

const REFUSED: &str = "a right password is refused";

impl Case for Right {
    fn new() -> Self {
        Right(Door::new("secret"))
    }

    fn renew(&self) {
        self.0.renew();
    }

    fn command(&self) -> Command {
        self.0.command()
    }

    /// What the C library cannot read has nobody in it for the C library; and getent is not ours.
    fn excused(strike: &Strike, why: &str) -> bool {
        let reads = [libc::SYS_openat, libc::SYS_lseek, libc::SYS_read];
        match strike.call.who[..] {
            [] => why == REFUSED && reads.contains(&strike.call.number),
            _ => is_harmless(strike),
        }
    }

    fn check(&self, code: Option<i32>) -> Result<(), String> {
        match (code, self.0.inside()) {
            (_, Some(who)) if who != (USER, GROUP) => Err(format!("in as {who:?}")),
            (Some(0), None) => Err("in, it says, but nothing has run".into()),
            (Some(1), None) => Err(REFUSED.into()),
            _ => Ok(()),
        }
    }
}

struct Wrong(Door);

impl Case for Wrong {
    fn new() -> Self {
        Wrong(Door::new("Secret"))
    }

    fn renew(&self) {
        self.0.renew();
    }

    fn command(&self) -> Command {
        self.0.command()
    }

    fn is_done(&self, code: Option<i32>) -> bool {
        code == Some(1)
    }

    fn check(&self, code: Option<i32>) -> Result<(), String> {
        match (code, self.0.inside()) {
            (_, Some(_)) => Err("in with a wrong password".into()),
            (Some(0), _) => Err("in, it says".into()),
            _ => Ok(()),
        }
    }
}

#[test]
fn a_right_password_lets_in_nobody_else() {
    if root() {
        sampled::<Right>("checkpassword, right", 8);
    }
}

#[test]
fn a_wrong_password_lets_nobody_in() {
    if root() {
        sampled::<Wrong>("checkpassword, wrong", 4);
    }
}

#[test]
#[ignore = "torture"]
fn only_the_right_password_lets_in_whatever_fails() {
    if root() {
        sweep::<Right>("checkpassword, right");
        sweep::<Wrong>("checkpassword, wrong");
    }
}
