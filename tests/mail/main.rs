//! The tests of the mail programs, one module per program.
