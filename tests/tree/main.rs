//! The tree itself: its layout, its man pages, its build, and the helpers of all tests.

mod helpers;
