//! The queue on disk: paths, states, the Received line.
