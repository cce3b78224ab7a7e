//! checkpassword, with accounts of the tests' own.

use crate::accounts::with_accounts;
use std::process::{Command, Output};
use tests::{Scratch, fed, killed, program, ran, redirected, root, scratch, skip};

/// "secret", by yescrypt, SHA-512 and DES.
const YESCRYPT: &str = "$y$j9T$qfDS2OpdBWbrNcbEdlvoK0$uvj2QtGsBNkPVo/zhWTxvljs5.7CfRqRnSIqmKM7nPC";
const SHA512: &str = "$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq.H91p5hVO1";
const DES: &str = "abNANd1rDfiNc";
/// The empty password, by SHA-512.
const EMPTY: &str = "$6$saltsalt$qkTgsCrWMTAS9gBGcf9W60sFfH.hU0oTCAOJjhbz5tSp/sU3/xXZK4OFwCtq8lIIdpJ6CatVdOTSHKp97TPkt/";

/// What a program that is run says of itself.
const SHOW: &str =
    "id -u; id -g; id -G; pwd; echo $USER $HOME $SHELL; ls /proc/self/fd | grep -x .";

/// A place with accounts and the program, which shows who it is.
struct Place {
    place: Scratch,
    lines: String,
}

fn place() -> Option<Place> {
    let place = scratch();
    place
        .dir("home")
        .write("shadow", format!("hidden:{SHA512}:1::::::\nlocked:!{SHA512}:1::::::\n"));
    place.chmod("shadow", 0o600);
    let home = place.join("home");
    let account = |(number, (name, hash)): (usize, (&str, &str))| {
        format!(
            "{name}:{hash}:{}:{}::{}:/bin/false\n",
            7101 + number,
            7201 + number,
            home.display()
        )
    };
    let accounts = [
        ("joe", YESCRYPT),
        ("ann", SHA512),
        ("old", DES),
        ("nothing", ""),
        ("empty", EMPTY),
        ("star", "*"),
        ("x", "x"),
        ("hidden", "x"),
        ("locked", "x"),
    ];
    let lines = accounts.into_iter().enumerate().map(account).collect::<String>();
    let lines = format!("{lines}lost:{DES}:7300:7300::/nonexistent:/bin/sh\n");
    let place = Place { place, lines };
    place.command(&[]).map(|_| place)
}

impl Place {
    /// The program, reading the file `given` as descriptor 3, with words of a child.
    fn command(&self, child: &[&str]) -> Option<Command> {
        let mut command = program("checkpassword");
        command.args(child).current_dir(self.place.path());
        let command = redirected("3<given", &command);
        let mut mounted = Command::new("/bin/sh");
        mounted.args(["-c", "mount --bind shadow /etc/shadow && exec \"$@\"", "sh"]);
        mounted.env_clear().arg(command.get_program()).args(command.get_args());
        mounted.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        with_accounts(&self.place, &self.lines, mounted.current_dir(self.place.path()))
    }

    fn run(&self, given: &str, child: &[&str]) -> Output {
        self.place.write("given", given);
        fed(&mut self.command(child).unwrap(), "")
    }

    /// The exit code for a name and a password; 0 if they are good.
    #[track_caller]
    fn code(&self, name: &str, password: &str) -> i32 {
        let output = self.run(&format!("{name}\0{password}\0<1.2@a.example>\0"), &["true"]);
        let (code, out, err) = ran(&output);
        assert_eq!(out + &err, "");
        code.unwrap()
    }
}

#[test]
fn a_good_password_runs_the_program_as_the_user() {
    let Some(place) = place() else { return };
    let output = place.run("joe\0secret\0more\0and more", &["sh", "-c", SHOW]);
    let home = place.place.join("home");
    let home = home.display();
    let expected = format!("7101\n7201\n7201\n{home}\njoe {home} /bin/false\n0\n1\n2\n3\n");
    assert_eq!(ran(&output), (Some(0), expected, String::new()));
    let output = place.run("ann\0secret\0", &["sh", "-c", "exit 9"]);
    assert_eq!(ran(&output), (Some(9), String::new(), String::new()));
}

#[test]
fn hashes_of_every_kind_are_checked() {
    let Some(place) = place() else { return };
    for name in ["joe", "ann", "old", "hidden"] {
        let codes = ["secret", "Secret", "secret ", ""].map(|password| place.code(name, password));
        assert_eq!((name, codes), (name, [0, 1, 1, 1]));
    }
    // DES knows eight letters
    assert_eq!(place.code("old", "secret"), 0);
}

#[test]
fn nobody_gets_in_without_a_password() {
    let Some(place) = place() else { return };
    for name in ["nothing", "empty", "star", "x", "locked", "unknown", "", "root\n"] {
        for password in ["", "*", "x", "!", "secret"] {
            assert_eq!((name, password, place.code(name, password)), (name, password, 1));
        }
    }
}

#[test]
fn misuse_is_exit_2() {
    let Some(place) = place() else { return };
    for given in ["", "joe", "joe\0", "joe\0secret"] {
        let code = place.run(given, &["true"]).status.code();
        assert_eq!((given, code), (given, Some(2)));
    }
    let said = "checkpassword: usage: checkpassword program\n";
    assert_eq!(ran(&place.run("joe\0secret\0", &[])), (Some(2), String::new(), said.into()));
}

#[test]
fn more_than_512_bytes_are_exit_1() {
    let Some(place) = place() else { return };
    let fill = |count: usize| format!("ann\0secret\0{}", "x".repeat(count - 11));
    assert_eq!(place.run(&fill(512), &["true"]).status.code(), Some(0));
    assert_eq!(place.run(&fill(513), &["true"]).status.code(), Some(1));
    assert_eq!(place.run(&"x".repeat(100_000), &["true"]).status.code(), Some(1));
}

#[test]
fn trouble_is_exit_111() {
    let Some(place) = place() else { return };
    let said = |text: &str| (Some(111), String::new(), format!("checkpassword: fatal: {text}\n"));
    let nothing = "unable to run ./nothing: file does not exist";
    assert_eq!(ran(&place.run("ann\0secret\0", &["./nothing"])), said(nothing));
    let homeless = "unable to change to the user's home: file does not exist";
    assert_eq!(ran(&place.run("lost\0secret\0", &["true"])), said(homeless));
    let closed = program("checkpassword").arg("true").output().unwrap();
    assert_eq!(ran(&closed), said("unable to read descriptor 3: file descriptor not open"));
}

#[test]
fn an_ordinary_user_cannot_check_passwords() {
    if !root() {
        return skip("needs root");
    }
    let place = scratch();
    place.write("given", "root\0secret\0");
    let mut command = program("checkpassword");
    let mut command = redirected("3<given", command.arg("true").current_dir(place.path()));
    tests::as_user(65534, 65534, &mut command);
    let (code, out, _) = ran(&fed(&mut command, ""));
    assert!(matches!(code, Some(1 | 111)), "{code:?}");
    assert_eq!(out, "");
}

#[test]
fn a_group_or_a_user_that_cannot_be_set_lets_nobody_in() {
    let Some(place) = place() else { return };
    for call in ["setgroups", "setgid", "setuid"] {
        place.place.write("given", "ann\0secret\0");
        let command = place.command(&["echo", "in"]).unwrap();
        let Some(mut failing) = tests::failing(call, "EPERM", 1, &command) else { return };
        failing.current_dir(place.place.path());
        assert_eq!(ran(&fed(&mut failing, "")), (Some(1), String::new(), String::new()));
        let Some(mut killed) = killed(call, 1, &command) else { return };
        assert_eq!(ran(&fed(killed.current_dir(place.place.path()), "")).1, "");
    }
}
