//! fleetlog's worker SDK: a `tracing` layer whose records survive the process that made them.
//!
//! The modules in the order of a record's way: `registry` keeps the spans, `layer` takes an
//! event, `visit` encodes its fields (`log_record` those of the `log` crate), `worker` takes the record, `thread` knows the calling
//! thread's lane, and `process` makes lanes, or a socket queue where there can be none. Around it:
//! `init` and `builder` set a program up, `live_level` lets its filter be changed from outside, `fork`
//! gives every process its own state, `fleet` forks workers, `panic` makes a panic a record, `say`
//! has the few words of our own.
//!
//! It promises: no thread of its own on the way of a record, no panic of its own, a bounded wait,
//! and a count for every record that it could not take. The one thread that there is, in
//! `live_level`, sleeps until somebody changes the level, and can be forbidden. Over lanes, a record whose call has returned survives whatever
//! becomes of the process, whether a listener lives or not. A child that is forked at any
//! moment, in any thread, logs at once as itself.
//!
//! ```no_run
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     fleetlog_worker::init()?;
//!     fleetlog_worker::install_panic_hook();
//!     tracing::info!(answer = 42, "ready");
//!     Ok(())
//! }
//! ```
#![deny(unsafe_code)]

mod builder;
mod fleet;
mod fork;
mod init;
mod layer;
mod live_level;
#[cfg(feature = "log")]
mod log_record;
mod notice;
mod panic;
mod process;
mod registry;
mod say;
mod thread;
mod visit;
mod worker;

use std::path::Path;
use std::time::{Duration, Instant};

pub use builder::{
    BuildError, Builder, LANE_MAX_VARIABLE, NAME_VARIABLE, TRANSPORT_VARIABLE, Transport,
};
pub use fleet::{Ending, Fleet, FleetReport, Outcome};
pub use fleetlog_protocol::client::ClientError;
pub use fleetlog_protocol::level_control::VARIABLE as LIVE_LEVEL_VARIABLE;
pub use fleetlog_protocol::message::{Drops, Receipt, WorkerAccount};
pub use fleetlog_protocol::run_dir::{RunDirError, VARIABLE as RUN_DIR_VARIABLE};
pub use fleetlog_protocol::socket_queue::WhenFull;
pub use init::{InitError, LEVEL_VARIABLE, init};
pub use layer::Layer;
pub use live_level::LiveFilter;
pub use panic::install_panic_hook;
pub use registry::{Registry, registry};

use fleetlog_protocol::client;
use fleetlog_protocol::message::{Reply, Request};
use worker::Worker;

/// Gives this process another name from here on, at most 128 bytes of it. Usually called once,
/// in a forked child.
pub fn set_name(name: &str) {
    for worker in Worker::all() {
        worker.set_name(name);
    }
}

/// Some records are not in the files yet.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} records were not in the files in time; they are kept and sent on")]
pub struct SyncError(
    /// How many.
    pub u64,
);

fleetlog_protocol::debug_as_display!(SyncError);

/// Waits until everything that this process logged before the call is in the files, but for records
/// that were dropped, which are counted.
///
/// # Errors
/// [`SyncError`] when the time is over first (a day at most), or where it can't be known: in a signal
/// handler that interrupted a log call.
pub fn sync(timeout: Duration) -> Result<(), SyncError> {
    // A clock can't show the end of an endless time.
    let day = Duration::from_secs(86_400);
    let deadline = Instant::now().checked_add(timeout).unwrap_or_else(|| Instant::now() + day);
    match Worker::all().map(|worker| worker.sync(deadline)).sum() {
        0 => Ok(()),
        waiting => Err(SyncError(waiting)),
    }
}

/// Takes leave from the listener, which otherwise notes that this process died. Reports what was
/// dropped. Records in lanes are safe there and need no waiting; those that went over the socket
/// are sent, and waited for until they are in the files, as long as the stall budget allows.
///
/// A process that ends by `exit`, or by returning from `main`, does this by itself; call it before
/// `_exit`. Threads may go on logging.
///
/// Where records are lost with the process, because no listener could be given them, one sentence
/// on standard error says how many, and why.
pub fn goodbye() {
    for worker in Worker::all() {
        worker.goodbye();
    }
}

/// Sends the sentinel: the listener of a run directory drains what was logged before, syncs,
/// and ends. Returns its receipt. A relative path is the folder of the layer that this program built
/// with the same path, wherever the process is by now; else the one that it names now.
///
/// # Errors
/// Any [`ClientError`].
pub fn stop(run_dir: impl AsRef<Path>, timeout: Duration) -> Result<Receipt, ClientError> {
    let given = run_dir.as_ref();
    let run_dir = Worker::of(given).map_or(given, |worker| &worker.settings.run_dir);
    match client::request(run_dir, Request::Stop, timeout, |_| ())? {
        Reply::Stopped(receipt) => Ok(*receipt),
        _ => Err(ClientError::Ended),
    }
}
