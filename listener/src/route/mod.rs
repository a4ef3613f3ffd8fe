//! Routing: which records a sink wants.

/// Filter directives.
#[derive(Clone, Debug)]
pub struct Directives;
