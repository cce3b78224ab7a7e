//! The tests of the network programs, one module per program.
