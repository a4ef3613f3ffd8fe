//! fleetlog's listener: it owns the log files of a fleet and drains what the workers log.
//!
//! The modules in the order of a record's way: `ownership` of the run directory, `intake` of
//! connections, the `drain` that merges them by time, `route` tells which sinks want a record,
//! `format` turns it into a line, `sink` collects and writes lines, `checkpoint` makes a batch
//! exactly-once. Beside that way: `options`, the `config` file, the `supervisor` above this process,
//! the `metrics` for whoever watches it, and the `command` line.
//!
//! # Example
//!
//! A listener inside of this process, and the sentinel that ends it:
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let listener = fleetlog::Listener::builder()
//!     .run_dir(folder.path().join("run"))
//!     .file(folder.path().join("apps.log"))
//!     .start()?;
//! let receipt = listener.stop()?;
//! assert!(receipt.is_complete());
//! # Ok(())
//! # }
//! ```
#![deny(unsafe_code)]

mod archive;
mod checkpoint;
pub mod command;
pub mod config;
mod diagnostic;
mod disk;
mod drain;
mod faults;
#[cfg(not(feature = "fuzzing"))]
mod foreign;
/// Its decoders are called by the fuzzers.
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod foreign;
pub mod format;
mod intake;
mod listener;
mod meter;
mod metrics;
pub mod options;
mod ownership;
mod process;
mod reading;
mod redact;
pub mod route;
mod sink;
mod supervisor;
#[cfg_attr(
    not(any(feature = "top", feature = "web")),
    allow(dead_code, reason = "only the terminal view and the page follow a single log")
)]
mod tail;
mod wake;
#[cfg(feature = "web")]
mod web;

pub use drain::DrainError;
pub use fleetlog_protocol::message::{DropReason, Drops, Receipt, WorkerAccount};
pub use listener::{Builder, ListenError, Listener, RunningListener};
pub use metrics::StartError as MetricsError;
pub use ownership::OwnershipError;
pub use process::ListenerProcess;
pub use sink::SinkError;
#[cfg(feature = "web")]
pub use web::WebError;
