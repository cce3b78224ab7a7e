//! qmail-popup: whatever fails, the program that checks passwords gets just what the client has said
//! or can see that it is not all, and no fault of ours is told as a wrong password.

use crate::sweep::{Case, sweep};
use crate::tamper::held;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use tests::{LIMIT, Scratch, listener, program, scratch};

/// Lets in whoever knows the password, and does not wonder who else may come. It is not swept.
const CHECK: &str = "cat <&3 >given
    case $(tr '\\000' '|' <given) in
        'joe|secret|<'*'@mail.example>|') printf '+OK in\\r\\n' ;;
        *) exit 1 ;;
    esac
";

const IN: &str = "+OK in\r\n";
const REFUSED: &str = "-ERR authorization failed\r\n";

struct Greet<const KNOWN: bool> {
    place: Scratch,
    listener: TcpListener,
    /// The client of this run, until he is asked what he was told.
    client: Mutex<Option<TcpStream>>,
    /// What he was told.
    answers: Mutex<String>,
}

impl<const KNOWN: bool> Greet<KNOWN> {
    fn password() -> &'static str {
        if KNOWN { "secret" } else { "Secret" }
    }

    /// All that the client was told, once nobody is there who could tell more.
    fn answers(&self) -> String {
        let mut answers = self.answers.lock().unwrap();
        if let Some(mut client) = self.client.lock().unwrap().take() {
            answers.clear();
            let mut bytes = Vec::new();
            client.set_read_timeout(Some(LIMIT)).unwrap();
            let _ = client.read_to_end(&mut bytes);
            *answers = String::from_utf8(bytes).unwrap();
        }
        answers.clone()
    }

    /// The greeting and what follows it, without line end.
    fn parts(&self) -> (String, String) {
        let answers = self.answers();
        let (greeting, rest) = answers.split_once("\r\n").unwrap_or_default();
        (greeting.to_owned(), rest.to_owned())
    }
}

impl<const KNOWN: bool> Case for Greet<KNOWN> {
    const LEAVE: bool = true;

    fn new() -> Self {
        let place = scratch();
        place.write("check", CHECK);
        let (client, answers) = (Mutex::default(), Mutex::default());
        Greet { place, listener: listener().0, client, answers }
    }

    fn renew(&self) {
        let _ = fs::remove_file(self.place.join("given"));
    }

    fn command(&self) -> Command {
        let mut client = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
        client.write_all(format!("USER joe\r\nPASS {}\r\n", Self::password()).as_bytes()).unwrap();
        let server = OwnedFd::from(self.listener.accept().unwrap().0);
        *self.client.lock().unwrap() = Some(client);
        let mut popup = program("qmail-popup");
        popup.args(["mail.example", "/bin/sh", "check"]).current_dir(self.place.path());
        let mut command = held(&popup);
        command.stdin(server.try_clone().unwrap()).stdout(server).stderr(Stdio::null());
        command
    }

    fn is_done(&self, code: Option<i32>) -> bool {
        let end = if KNOWN { IN } else { REFUSED };
        code == Some(1) && self.parts().1 == format!("+OK \r\n{end}")
    }

    fn check(&self, code: Option<i32>) -> Result<(), String> {
        let (greeting, rest) = self.parts();
        let unique = greeting.strip_prefix("+OK ").unwrap_or_default();
        let whole = format!("joe\0{}\0{unique}\0", Self::password());
        let given = self.place.exists("given").then(|| self.place.text("given"));
        match (given, rest.strip_prefix("+OK \r\n").unwrap_or_default()) {
            _ if !matches!(code, None | Some(1 | 111 | 127)) => Err("another end".into()),
            (Some(given), _) if given != whole && given.matches('\0').count() > 2 => {
                Err(format!("{given:?} is given, not {whole:?}"))
            }
            (given, IN) if !KNOWN || given.is_none() => Err("in with a wrong password".into()),
            (_, REFUSED) if KNOWN => Err("a right password is refused".into()),
            (_, end) if end.contains("+OK") && end != IN => Err(format!("it says {end:?}")),
            _ => Ok(()),
        }
    }
}

#[test]
fn qmail_popup_gives_away_what_a_client_says() {
    sweep::<Greet<true>>("qmail-popup, right");
}

#[test]
fn qmail_popup_lets_nobody_in_by_itself() {
    sweep::<Greet<false>>("qmail-popup, wrong");
}
