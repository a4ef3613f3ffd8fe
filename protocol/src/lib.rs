//! The bytes on which fleetlog's workers and its listener agree.
//!
//! A record's way through this crate, in order: a [`stamp`] is read from the host's clock, the
//! event is encoded as a [`record`] that names its [`callsite`], the record travels in a
//! [`frame`] over the run directory's socket (found by [`run_dir`]), and the [`socket_queue`]
//! keeps it until the listener has acknowledged it. The other frames are [`message`]s: hello,
//! welcome, goodbye, acknowledgement, and the control messages of commands. What a worker logs is
//! told by filter [`directives`], which [`level_control`] changes while it lives. The listener's own
//! [`diagnostics`] are known by a mark, so that no worker sends them.
//!
//! This crate promises that decoding never panics, never reads past its input, and never
//! allocates by a length that it did not check against the bytes that are there. It never logs,
//! never starts a thread, and holds no process-wide state.
//!
//! The bytes are described with offset tables in `docs/wire-format.md`.
#![deny(unsafe_code)]

mod bounded_lock;
pub mod callsite;
pub mod client;
mod debug;
mod decode;
mod descriptor;
pub mod diagnostics;
pub mod directives;
pub mod frame;
pub mod lane;
pub mod lane_queue;
pub mod level;
pub mod level_control;
pub mod limits;
pub mod message;
pub mod record;
pub mod run_dir;
pub mod segment;
pub mod size;
pub mod socket_queue;
mod stall;
pub mod stamp;
pub mod worker_defaults;

pub use decode::DecodeError;
pub use level::Level;
