//! The tests of the network programs, one module per program.

mod argv0;
mod recordio;
