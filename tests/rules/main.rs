//! The tests of the rules programs, one module per program.
