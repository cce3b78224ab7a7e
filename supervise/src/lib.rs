//! What the supervision programs share: service directories and their status.

pub mod label;
pub mod pieces;
