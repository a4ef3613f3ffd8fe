//! Routing: which records a sink wants.
//!
//! A sink names them by filter directives as they are known from `RUST_LOG`, by level and by
//! target. Routing never looks into a record's fields and never changes one.

mod directives;

pub use directives::{DirectiveError, DirectiveProblem, Directives};
