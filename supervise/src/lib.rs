//! What the supervision programs share: service directories and their status.

pub mod folder;
pub mod home;
pub mod label;
pub mod order;
pub mod pieces;
pub mod status;
