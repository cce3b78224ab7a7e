//! The tests of the supervision programs, one module per program.

mod adoption;
mod clocks;
mod confine;
mod container;
mod crowds;
mod envdir;
mod envuidgid;
mod examples;
#[cfg(target_arch = "x86_64")]
mod false_clock;
mod fghack;
mod multicat;
mod multilog;
mod pgrphack;
mod pretender;
mod readiness;
mod readproctitle;
mod robustness;
mod scripts;
mod services;
mod setlock;
mod setuidgid;
mod softlimit;
mod storm;
mod supervise;
mod svc;
mod svls;
mod svneed;
mod svok;
mod svscan;
mod svscanboot;
mod svstat;
mod svup;
mod svwait;
mod tai64n;
mod tai64nlocal;
