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
const ROLES: [(Role, &[u8]); 7] = [
    (Role::Alias, b"alias"),
    (Role::Daemon, b"qmaild"),
    (Role::Log, b"qmaill"),
    (Role::Password, b"qmailp"),
    (Role::Queue, b"qmailq"),
    (Role::Remote, b"qmailr"),
    (Role::Send, b"qmails"),
];

impl Role {
    /// The account's name.
    pub fn name(self) -> &'static str {
        std::str::from_utf8(ROLES[self as usize].1).unwrap_or_default()
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
        let role = system.as_ref().and_then(|users| users.role_of(me));
        if mine && role.is_none() {
            return Ok(Users::alone());
        }
        system.ok_or_else(|| missing().unwrap_or("alias"))
    }

    /// The seven accounts of /etc/passwd; `None` if one is missing.
    pub fn of_system() -> Option<Self> {
        let accounts = ids::accounts().ok()?;
        let found = ROLES.iter().map_while(|(_, name)| {
            let account = accounts.iter().find(|account| account.name == *name)?;
            Some(User::new(account.uid, account.gid))
        });
        let members: Vec<User> = found.collect();
        Some(Users { members: members.try_into().ok()?, alone: false })
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

/// The first account that does not exist.
fn missing() -> Option<&'static str> {
    let absent = |name: &[u8]| !matches!(ids::account(name), Ok(Some(_)));
    ROLES.iter().find(|(_, name)| absent(name)).map(|(role, _)| role.name())
}
