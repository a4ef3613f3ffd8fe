//! Routing: which records a sink wants.
//!
//! A sink names them by filter directives as they are known from `RUST_LOG`, by level and by
//! target. Routing never looks into a record's fields and never changes one. Workers read the same
//! directives, so that they are read in the protocol.

pub use fleetlog_protocol::directives::{DirectiveError, DirectiveProblem, Directives};

#[cfg(test)]
mod tests;
