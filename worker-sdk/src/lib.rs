//! skeleton

mod registry;
pub use registry::{Registry, registry};
