//! qmail-send: rewriting, scheduling, deliveries, bounces.
//!
//! Without I/O: [`rewrite`], [`schedule`], [`reports`], [`bounce`]. The rest is one struct,
//! [`manager::Manager`], with a method for each event.

pub mod aside;
pub mod bounce;
pub mod channel;
pub mod clean;
pub mod controls;
mod deliver;
mod draft;
mod finish;
mod first_try;
mod load;
pub mod log;
pub mod manager;
mod pass;
pub mod records;
pub mod reports;
pub mod rewrite;
pub mod schedule;
mod sweep;
mod todo;
mod trouble;
