//! Routing: which records a sink wants.

/// Filter directives.
#[derive(Clone, Debug)]
pub struct Directives;
impl Directives {
    /// x
    pub fn all() -> Self {
        Self
    }
    /// x
    pub fn allows(&self, _: fleetlog_protocol::Level, _: &str) -> bool {
        true
    }
}
impl std::fmt::Display for Directives {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("x")
    }
}
