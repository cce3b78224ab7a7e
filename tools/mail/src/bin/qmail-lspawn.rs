//! qmail-lspawn: schedule local deliveries.
#![cfg_attr(not(test), no_main)]

use base::cdb::Reader;
use base::errno::is_temporary;
use base::input::Input;
use base::sys::ids::{self, User};
use base::sys::spawn::Spawn;
use base::sys::wait::{self, Status};
use base::sys::{exec, fd, fork};
use base::{Args, Code, Die};
use mail::assign::{self, Assignment};
use mail::spawner::{self, Begun, Deliver, Order};
use queue::home;
use queue::users::{Role, Users};
use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

base::program!("qmail-lspawn", run);

// How a child ends that has not become qmail-local. qmail-getpw uses these codes too.
const BUG: u8 = 112;
const ROOT: u8 = 113;
const CDB: u8 = 117;
const SYSTEM: u8 = 118;
const EXEC_LATER: u8 = 120;
const EXEC_GETPW: u8 = 121;
const EXEC_NEVER: u8 = 126;

/// What comes instead of the end of a long text.
const TOO_LONG: &[u8] = b"\nError report too long, sorry.\n";

/// Bytes that qmail-getpw may print.
const ANSWER: u64 = 65536;

fn run(words: Args) -> base::Result<Code> {
    let Some(default_delivery) = words.into_iter().next() else {
        return Err(Die::silent(Code::PERM.0));
    };
    let home = home::folder();
    let nobody = |name| Die::later(format_args!("unable to find user {name}"));
    let users = Users::of(&home).map_err(nobody)?;
    spawner::run(&home, Local { home: home.clone(), users, default_delivery })
}

struct Local {
    /// The home of the installation.
    home: PathBuf,
    users: Users,
    /// What counts for users without a .qmail file.
    default_delivery: OsString,
}

impl Deliver for Local {
    const OUTPUT: usize = 3000;

    fn begin(&self, order: &Order, message: BorrowedFd, output: BorrowedFd) -> io::Result<Begun> {
        if order.local().is_empty() {
            return Ok(Begun::Done(b"K".to_vec()));
        }
        let child = fork::child(|| {
            let Err(code) = self.become_qmail_local(order, message, output);
            code
        });
        child.map(Begun::Child)
    }

    fn report(&self, status: Status, output: &[u8]) -> Vec<u8> {
        let letter = match status.code() {
            None => return b"Zqmail-local crashed.\n".to_vec(),
            Some(0) => b"K",
            Some(111 | 71 | 74 | 75) => b"Z",
            Some(code) => match own_report(code) {
                Some(report) => return report.into(),
                None => b"D",
            },
        };
        let end = memchr::memchr(0, output).unwrap_or(output.len());
        if output.len() <= Self::OUTPUT {
            return [letter, &output[..end]].concat();
        }
        // Three bytes less than fit: as much as the original keeps.
        let end = end.min(Self::OUTPUT - TOO_LONG.len() - 3);
        [letter, &output[..end], TOO_LONG].concat()
    }
}

/// The report of a child that did not get as far as a delivery.
fn own_report(code: u8) -> Option<&'static str> {
    Some(match code {
        BUG => "ZInternal qmail-lspawn bug.\n",
        ROOT => "ZNot allowed to perform deliveries as root.\n",
        115 => "ZNFS failure in qmail-local.\n",
        116 => "ZUnable to find alias user!\n",
        CDB => "ZTrouble reading users/cdb in qmail-lspawn.\n",
        SYSTEM => "ZTemporary failure in qmail-lspawn.\n",
        119 => "ZOut of memory in qmail-lspawn.\n",
        EXEC_LATER => "ZUnable to run qmail-local.\n",
        EXEC_GETPW => "ZUnable to run qmail-getpw.\n",
        EXEC_NEVER => "DUnable to run qmail-local.\n",
        _ => return None,
    })
}

/// In a child: what it has, or the code with which it ends.
type Result<T> = std::result::Result<T, u8>;

impl Local {
    /// In a child: finds the user, becomes him, and then qmail-local.
    fn become_qmail_local(
        &self,
        order: &Order,
        message: BorrowedFd,
        output: BorrowedFd,
    ) -> Result<Infallible> {
        std::env::set_current_dir(&self.home).map_err(|_| BUG)?;
        for (from, to) in [(message, 0), (output, 1), (output, 2)] {
            fd::copy_to(from, to).map_err(|_| SYSTEM)?;
        }
        let local = order.local();
        let who = match self.assigned(local)? {
            Some(who) => who,
            None if self.users.is_alone() => self.ours(local)?,
            None => self.ask_getpw(local)?,
        };
        if !self.users.is_alone() {
            ids::become_user(&User::new(who.uid, who.gid)).map_err(|_| BUG)?;
        }
        if ids::real_uid() == 0 {
            return Err(ROOT);
        }
        let word = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
        let words = [
            "bin/qmail-local".into(),
            "--".into(),
            who.user,
            who.home,
            word(local),
            who.dash,
            who.ext,
            word(order.domain()),
            word(&order.sender),
            self.default_delivery.clone(),
        ];
        exec::exec(&words).map_err(|why| if is_temporary(&why) { EXEC_LATER } else { EXEC_NEVER })
    }

    /// What users/cdb says. Alone, it may name nobody but us.
    fn assigned(&self, local: &[u8]) -> Result<Option<Assignment>> {
        let users = match File::open("users/cdb") {
            Err(why) if why.kind() == ErrorKind::NotFound => return Ok(None),
            other => other.and_then(Reader::new).map_err(|_| CDB)?,
        };
        if self.users.is_alone()
            && !assign::all_belong_to(&users, ids::real_uid()).map_err(|_| CDB)?
        {
            return Err(CDB);
        }
        assign::find(&users, local).map_err(|_| CDB)
    }

    /// Alone: our name, with or without an extension, is us; everything else is alias, who is us
    /// too, at home in the installation.
    fn ours(&self, local: &[u8]) -> Result<Assignment> {
        let me = ids::real_uid();
        let account = ids::account_of(me).map_err(|_| SYSTEM)?;
        let owns_home =
            |home: &[u8]| fs::metadata(OsStr::from_bytes(home)).is_ok_and(|home| home.uid() == me);
        if let Some(account) = account.filter(|account| owns_home(&account.home))
            && let Some((_, ext)) = assign::accounts(local).find(|(name, _)| *name == account.name)
        {
            return Ok(Assignment::of(account, ext));
        }
        Ok(Assignment {
            user: Role::Alias.name().into(),
            uid: me,
            gid: ids::effective_gid(),
            home: self.home.join("alias").into(),
            dash: OsStr::from_bytes(&[assign::BREAK]).to_owned(),
            ext: OsStr::from_bytes(local).to_owned(),
        })
    }

    /// What qmail-getpw says, run as the user who is there for that.
    fn ask_getpw(&self, local: &[u8]) -> Result<Assignment> {
        let words = ["bin/qmail-getpw".into(), OsStr::from_bytes(local).to_owned()];
        let nothing = File::open("/dev/null").map_err(|_| SYSTEM)?;
        let (read, write) = fd::pipe().map_err(|_| SYSTEM)?;
        let child = Spawn::new(&words)
            .user(self.users.get(Role::Password).clone())
            .fd(0, nothing.as_fd())
            .fd(1, write.as_fd())
            .failure_codes(EXEC_GETPW, EXEC_GETPW)
            .start()
            .map_err(|_| SYSTEM)?;
        drop(write);
        let mut answer = Vec::new();
        let input = Input::new(read.as_fd());
        input.take(ANSWER).read_to_end(&mut answer).map_err(|_| SYSTEM)?;
        drop(read);
        match wait::child(child).map_err(|_| SYSTEM)?.code() {
            Some(0) => Assignment::parse(&answer).ok_or(BUG),
            Some(code @ (100 | 111..=EXEC_GETPW)) => Err(code),
            // It was killed, or the loader could not load it: no reason for a bounce.
            _ => Err(SYSTEM),
        }
    }
}
