//! What the supervision programs share: service directories and their status.

pub mod denial;
pub mod elf;
pub mod folder;
pub mod glob;
pub mod holder;
pub mod home;
pub mod label;
pub mod log_dir;
pub mod log_script;
pub mod newcomer;
pub mod order;
pub mod pace;
pub mod patience;
pub mod pattern;
pub mod pieces;
pub mod pipe;
pub mod running;
pub mod seat;
pub mod service;
pub mod settings;
pub mod state;
pub mod status;
pub mod status_file;
pub mod unit;
pub mod watch;
