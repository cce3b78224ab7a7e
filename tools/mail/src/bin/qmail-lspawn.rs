//! qmail-lspawn: schedule local deliveries.
#![cfg_attr(not(test), no_main)]

use base::cdb::Reader;
use base::errno::is_temporary;
use base::input::Input;
use base::sys::ids::{self, Account, User};
use base::sys::spawn::Spawn;
use base::sys::wait::{self, Status};
use base::sys::{exec, fd, fork};
use base::{Args, Code, Die, Unable};
use mail::answers::{self, Answers, Identity};
use mail::assign::{self, Assignment};
use mail::runner::{self, Runner, Runners};
use mail::spawner::{self, Begun, Deliver, Order};
use memchr::memmem;
use queue::home;
use queue::users::{Role, Users};
use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
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

/// Bytes of a program that is looked into. Ours have one or two million.
const LARGEST: u64 = 16 << 20;

/// Bytes that qmail-getpw may print.
const ANSWER: u64 = 65536;

fn run(words: Args) -> base::Result<Code> {
    let Some(default_delivery) = words.into_iter().next() else {
        return Err(Die::silent(Code::PERM.0));
    };
    let home = home::folder();
    let nobody = |name| Die::later(format_args!("unable to find user {name}"));
    let users = Users::of(&home).map_err(nobody)?;
    let [qmail_local, qmail_getpw] =
        ["bin/qmail-local", "bin/qmail-getpw"].map(|name| home.join(name));
    let local = Local {
        home: home.clone(),
        users,
        default_delivery,
        qmail_local: Program::at(qmail_local, runner::MARK),
        qmail_getpw: Program::at(qmail_getpw, answers::MARK),
        answers: Answers::new().unable("make a socket")?,
    };
    spawner::run(&home, local)
}

struct Local {
    /// The home of the installation.
    home: PathBuf,
    users: Users,
    /// What counts for users without a .qmail file.
    default_delivery: OsString,
    /// One that takes orders stays for a moment.
    qmail_local: Program,
    /// What ours has said counts for a moment.
    qmail_getpw: Program,
    answers: Answers,
}

/// A program of the installation, which may be ours or any other.
struct Program {
    path: PathBuf,
    /// The words that only ours has in it.
    mark: &'static [u8],
    /// What it was when we last looked, and whether it was ours.
    seen: Option<(Identity, bool)>,
}

impl Program {
    fn at(path: PathBuf, mark: &'static [u8]) -> Self {
        Program { path, mark, seen: None }
    }

    /// Whether it was ours when we last looked.
    fn was_ours(&self) -> bool {
        self.seen.is_some_and(|(_, ours)| ours)
    }

    /// Whether it is ours now, and whether it is another one than before.
    fn look(&mut self) -> (bool, bool) {
        let Ok(about) = fs::metadata(&self.path) else { return (false, false) };
        let identity = answers::identity(&about);
        match self.seen {
            Some((seen, ours)) if seen == identity => (ours, false),
            _ => {
                let ours = about.size() <= LARGEST
                    && fs::read(&self.path).is_ok_and(|t| memmem::find(&t, self.mark).is_some());
                self.seen = Some((identity, ours));
                (ours, true)
            }
        }
    }
}

impl Deliver for Local {
    const OUTPUT: usize = 3000;

    fn begin(
        &mut self,
        order: &Order,
        message: BorrowedFd,
        output: BorrowedFd,
        runners: &mut Runners,
    ) -> io::Result<Begun> {
        if order.local().is_empty() {
            return Ok(Begun::Done(b"K".to_vec()));
        }
        if let Some(id) = self.begin_by_runner(order, message, output, runners) {
            return Ok(Begun::Runner(id));
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

/// In a child: becomes a program.
fn become_program(words: &[OsString]) -> Result<Infallible> {
    exec::exec(words).map_err(|why| if is_temporary(&why) { EXEC_LATER } else { EXEC_NEVER })
}

/// In a child: what it has, or the code with which it ends.
type Result<T> = std::result::Result<T, u8>;

impl Local {
    /// Has a qmail-local begin that stays for a moment, if it is ours and nobody has to be asked now
    /// who the user is. `None`: there is none, and a child of its own finds out why if that matters.
    fn begin_by_runner(
        &mut self,
        order: &Order,
        message: BorrowedFd,
        output: BorrowedFd,
        runners: &mut Runners,
    ) -> Option<u64> {
        if !self.takes_orders(runners) {
            return None;
        }
        let who = match self.assigned(order.local()).ok()? {
            Some(who) => who,
            None if self.users.is_alone() => self.ours(order.local()).ok()?,
            None => self.answered(order.local())?,
        };
        if who.uid == 0 {
            return None;
        }
        let owner = (who.uid, who.gid);
        let packet = runner::packet(order.number, &self.words(order, who))?;
        let given = [message, output];
        if let Some(id) = runners.order(owner, &packet, given) {
            return Some(id);
        }
        let start = |socket: BorrowedFd| {
            fork::child(|| {
                let Err(code) = self.become_runner(owner, socket);
                code
            })
        };
        Some(runners.add(Runner::new(owner, &packet, given, start).ok()?))
    }

    /// Whether bin/qmail-local is ours. Those of another one than that of now shall not go on.
    fn takes_orders(&mut self, runners: &mut Runners) -> bool {
        let (ours, changed) = self.qmail_local.look();
        if changed {
            runners.end_all();
        }
        ours
    }

    /// What qmail-getpw has said of an address a moment ago, if it is ours.
    fn answered(&mut self, local: &[u8]) -> Option<Assignment> {
        let (ours, _) = self.qmail_getpw.look();
        if ours { self.answers.find(local) } else { None }
    }

    /// In a child: becomes the user, and then a qmail-local that takes orders.
    fn become_runner(&self, (uid, gid): (u32, u32), socket: BorrowedFd) -> Result<Infallible> {
        let nothing = File::open("/dev/null").map_err(|_| SYSTEM)?;
        self.settle([socket, nothing.as_fd(), nothing.as_fd()])?;
        self.become_user(uid, gid)?;
        become_program(&["bin/qmail-local".into(), "-w".into()])
    }

    /// In a child: finds the user, becomes him, and then qmail-local.
    fn become_qmail_local(
        &self,
        order: &Order,
        message: BorrowedFd,
        output: BorrowedFd,
    ) -> Result<Infallible> {
        self.settle([message, output, output])?;
        let local = order.local();
        let who = match self.assigned(local)? {
            Some(who) => who,
            None if self.users.is_alone() => self.ours(local)?,
            None => self.ask_getpw(local)?,
        };
        self.become_user(who.uid, who.gid)?;
        let words = ["bin/qmail-local".into(), "--".into()];
        become_program(&[&words[..], &self.words(order, who)].concat())
    }

    /// In a child: goes home, with these as its first three descriptors.
    fn settle(&self, first: [BorrowedFd; 3]) -> Result<()> {
        std::env::set_current_dir(&self.home).map_err(|_| BUG)?;
        (0..).zip(first).try_for_each(|(to, from)| fd::copy_to(from, to)).map_err(|_| SYSTEM)
    }

    /// In a child: becomes this user, who is not root.
    fn become_user(&self, uid: u32, gid: u32) -> Result<()> {
        if !self.users.is_alone() {
            ids::become_user(&User::new(uid, gid)).map_err(|_| BUG)?;
        }
        if ids::real_uid() == 0 { Err(ROOT) } else { Ok(()) }
    }

    /// The words of qmail-local(8).
    fn words(&self, order: &Order, who: Assignment) -> runner::Words {
        let word = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
        [
            who.user,
            who.home,
            word(order.local()),
            who.dash,
            who.ext,
            word(order.domain()),
            word(&order.sender),
            self.default_delivery.clone(),
        ]
    }

    /// What users/cdb says. Alone, it may name nobody but us.
    fn assigned(&self, local: &[u8]) -> Result<Option<Assignment>> {
        let users = match File::open(self.home.join("users/cdb")) {
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

    /// Alone: our name and alias, each with or without an extension, are accounts; everything else
    /// is alias's. He is us too, at home in the installation.
    fn ours(&self, local: &[u8]) -> Result<Assignment> {
        let me = ids::real_uid();
        let account = ids::account_of(me).map_err(|_| SYSTEM)?;
        let owns_home =
            |home: &[u8]| fs::metadata(OsStr::from_bytes(home)).is_ok_and(|home| home.uid() == me);
        let alias = Account {
            name: Role::Alias.name().into(),
            uid: me,
            gid: ids::effective_gid(),
            home: self.home.join("alias").into_os_string().into_vec(),
            shell: Vec::new(),
        };
        let own = account.filter(|account| owns_home(&account.home));
        let named = own.into_iter().chain([alias.clone()]).find_map(|account| {
            let (_, ext) = assign::accounts(local).find(|(name, _)| *name == account.name)?;
            Some(Assignment::of(account, ext))
        });
        Ok(named.unwrap_or_else(|| Assignment::of(alias, Some(local))))
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
            Some(0) => {
                let who = Assignment::parse(&answer).ok_or(BUG)?;
                if self.qmail_getpw.was_ours() {
                    self.answers.send(local, &who);
                }
                Ok(who)
            }
            Some(code @ (100 | 111..=EXEC_GETPW)) => Err(code),
            // It was killed, or the loader could not load it: no reason for a bounce.
            _ => Err(SYSTEM),
        }
    }
}
