//! What is found out about a connection: the names of its ends, and the user at the other one.

use crate::connection::Connection;
use crate::host::Settings;
use crate::{ident, names};
use base::env::Env;
use std::time::Duration;

/// So many bytes of the answer about the user are taken.
const INFO: usize = 257;

/// What is to be found out.
pub struct Inquiry {
    /// The name of our address, if it is not to be looked up.
    pub local_host: Option<Vec<u8>>,
    /// The other name is looked up,
    pub remote_host: bool,
    /// and counts only if it leads back to the address.
    pub paranoid: bool,
    /// The other host is asked for the user,
    pub info: bool,
    /// this long.
    pub limit: Duration,
}

impl Default for Inquiry {
    fn default() -> Self {
        let limit = Duration::from_secs(26);
        Inquiry { local_host: None, remote_host: true, paranoid: false, info: true, limit }
    }
}

impl Inquiry {
    /// Everything is known already: no name server and no other host has to be asked.
    pub fn asks_nobody(&self) -> bool {
        self.local_host.is_some() && !self.remote_host && !self.info
    }

    /// Finds it out, asking the name servers that `env` names. What nobody can tell stays unknown.
    pub fn make(&self, connection: &mut Connection, env: &Env) {
        let (local, remote) = (connection.local, connection.remote);
        connection.local_host.clone_from(&self.local_host);
        if self.local_host.is_none() || self.remote_host {
            let mut resolver = Settings::of(env).resolver();
            if self.local_host.is_none() {
                connection.local_host = names::of(&mut resolver, local.ip()).unwrap_or_default();
            }
            if self.remote_host {
                let name = if self.paranoid { names::proven } else { names::of };
                connection.remote_host = name(&mut resolver, remote.ip()).unwrap_or_default();
            }
        }
        if self.info {
            connection.info = ident::ask(local, remote, self.limit, INFO).ok();
        }
    }
}
