//! What the supervision programs share: service directories and their status.

pub mod folder;
pub mod holder;
pub mod home;
pub mod label;
pub mod newcomer;
pub mod order;
pub mod pieces;
pub mod seat;
pub mod service;
pub mod status;
pub mod watch;
