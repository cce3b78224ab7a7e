//! The seven users of a qmail installation, or the one ordinary user who runs all of it.

use base::sys::ids::{self, User};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What each of the seven is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `alias`: deliveries that nobody else controls.
    Alias,
    /// `qmaild`: the network daemons.
    Daemon,
    /// `qmaill`: the logger.
    Log,
    /// `qmailp`: user look-ups.
    Password,
    /// `qmailq`: owner of the queue.
    Queue,
    /// `qmailr`: the remote side.
    Remote,
    /// `qmails`: qmail-send.
    Send,
}

/// All seven, in the order of [`Role`].
const ROLES: [(Role, &str); 7] = [
    (Role::Alias, "alias"),
    (Role::Daemon, "qmaild"),
    (Role::Log, "qmaill"),
    (Role::Password, "qmailp"),
    (Role::Queue, "qmailq"),
    (Role::Remote, "qmailr"),
    (Role::Send, "qmails"),
];

impl Role {
    /// The account's name.
    pub fn name(self) -> &'static str {
        ROLES[self as usize].1
    }

    /// The role of whoever started this program, if he is one of the seven.
    pub fn of_caller() -> Option<Self> {
        Users::of_system().ok()?.role_of(ids::real_uid())
    }
}

/// Who is who.
#[derive(Clone, Debug)]
pub struct Users {
    /// Uid and gid by role. All the same when `alone`.
    members: [User; 7],
    alone: bool,
}

impl Users {
    /// The users of the installation in `home`. If its queue belongs to the ordinary user who
    /// runs this program, that user is everybody ("alone"). Otherwise the seven accounts count;
    /// the name of the first missing one is the error.
    pub fn of(home: &Path) -> Result<Self, &'static str> {
        let me = ids::effective_uid();
        let owner = fs::metadata(home.join("queue")).map(|queue| queue.uid());
        let system = Users::of_system();
        let mine = me != 0 && me == ids::real_uid() && owner.is_ok_and(|owner| owner == me);
        let member = system.as_ref().is_ok_and(|users| users.role_of(me).is_some());
        if mine && !member { Ok(Users::alone()) } else { system }
    }

    /// The seven accounts of /etc/passwd; the name of the first missing one is the error.
    pub fn of_system() -> Result<Self, &'static str> {
        let names = ROLES.map(|(_, name)| name.as_bytes());
        let accounts = ids::accounts_named(names).unwrap_or_default();
        let mut members = Vec::with_capacity(ROLES.len());
        for (account, (_, name)) in accounts.into_iter().zip(ROLES) {
            let account = account.ok_or(name)?;
            members.push(User::new(account.uid, account.gid));
        }
        let members = members.try_into().map_err(|_| "alias")?;
        Ok(Users { members, alone: false })
    }

    /// The user of this process is everybody.
    fn alone() -> Self {
        let me = User::new(ids::effective_uid(), ids::effective_gid());
        Users { members: std::array::from_fn(|_| me.clone()), alone: true }
    }

    /// Whether one ordinary user runs all: nobody can become somebody else then, and nobody
    /// needs to.
    pub fn is_alone(&self) -> bool {
        self.alone
    }

    /// Uid and gid of a role.
    pub fn get(&self, role: Role) -> &User {
        &self.members[role as usize]
    }

    /// The role of a uid. When alone, everybody has the first one: ask [`Users::is_alone`] too.
    pub fn role_of(&self, uid: u32) -> Option<Role> {
        let at = self.members.iter().position(|member| member.uid == uid)?;
        Some(ROLES[at].0)
    }
}
