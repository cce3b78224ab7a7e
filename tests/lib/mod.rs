//! What every test of a program needs.
