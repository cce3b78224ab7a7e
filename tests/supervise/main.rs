//! The tests of the supervision programs, one module per program.

mod adoption;
mod confine;
mod envdir;
mod envuidgid;
mod fghack;
mod multicat;
mod multilog;
mod pgrphack;
mod readproctitle;
mod services;
mod setlock;
mod setuidgid;
mod softlimit;
mod storm;
mod supervise;
mod svc;
mod svok;
mod svscan;
mod svscanboot;
mod svstat;
mod tai64n;
mod tai64nlocal;
