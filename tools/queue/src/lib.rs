//! The queue on disk and who may touch it: the home of an installation, its users, the paths of
//! a message, the Received line. All that the setuid program qmail-queue needs besides `base`.

pub mod envelope;
pub mod home;
pub mod paths;
pub mod reuse;
pub mod staying;
pub mod users;
