//! Compiled access rules: reading and matching.
