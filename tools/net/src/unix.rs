//! A connection by a Unix socket, as the programs that run for it know it: PROTO, UNIX*.

use base::env::Env;
use base::sys::ids;
use base::sys::unix::Peer;
use std::path::Path;

/// Sets the variables of a connection by the socket of this name. The local process is this one,
/// and so the program that it becomes.
pub fn set_variables(env: &mut Env, path: &Path, remote: Peer) {
    env.set("PROTO", "UNIX").set("UNIXLOCALPATH", path);
    env.set("UNIXLOCALUID", ids::effective_uid().to_string());
    env.set("UNIXLOCALGID", ids::effective_gid().to_string());
    env.set("UNIXLOCALPID", std::process::id().to_string());
    env.set("UNIXREMOTEPID", remote.pid.to_string());
    env.set("UNIXREMOTEEUID", remote.uid.to_string());
    env.set("UNIXREMOTEEGID", remote.gid.to_string());
}
