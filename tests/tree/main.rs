//! The tree itself: its layout, its man pages, its build, its installation, and the helpers of
//! all tests.

mod build;
mod confined;
mod examples;
mod helpers;
mod install;
mod layout;
mod machine;
mod pages;
mod privileges;
mod programs;
mod takeover;
