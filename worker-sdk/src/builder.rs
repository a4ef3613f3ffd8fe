//! Describing a layer.

use std::path::PathBuf;

use fleetlog_protocol::limits::{
    NAME_MAX, STALL_BUDGET_DEFAULT, WINDOW_DEFAULT, WINDOW_MIN, record_max_for,
};
use fleetlog_protocol::limits::{RECORD_MAX, RECORD_MIN};
use fleetlog_protocol::message::bounded_name;
use fleetlog_protocol::run_dir::{self, RunDirError};
use fleetlog_protocol::socket_queue::WhenFull;

use crate::layer::Layer;
use crate::worker::{Settings, Worker};

/// The environment variable that names the worker.
pub const NAME_VARIABLE: &str = "FLEETLOG_NAME";

/// How records travel to the listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transport {
    /// The best that both sides have.
    #[default]
    Auto,
    /// Through lanes: shared memory in the run directory.
    Lanes,
    /// Over the run directory's socket, one send a record.
    Socket,
}

/// A layer can't be built as it was described.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The run directory can't be used.
    #[error(transparent)]
    RunDir(#[from] RunDirError),
    /// The window is too small to be of use.
    #[error("a window of {0} bytes is too small: give at least {WINDOW_MIN}")]
    WindowTooSmall(usize),
    /// The record limit is outside of what the window and the protocol can carry.
    #[error("a record limit of {given} bytes can't be kept: give {RECORD_MIN} to {most}")]
    RecordLimit {
        /// What was asked for.
        given: usize,
        /// The most that the window and the protocol carry.
        most: usize,
    },
}

/// Describes a [`Layer`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until the layer is built"]
pub struct Builder {
    run_dir: Option<PathBuf>,
    name: Option<String>,
    when_full: WhenFull,
    transport: Transport,
    window: usize,
    record_max: Option<usize>,
}

impl Builder {
    pub(crate) const fn new() -> Self {
        Self {
            run_dir: None,
            name: None,
            when_full: WhenFull::Block { stall_budget: STALL_BUDGET_DEFAULT },
            transport: Transport::Auto,
            window: WINDOW_DEFAULT,
            record_max: None,
        }
    }

    /// The folder where the fleet meets; by default `$FLEETLOG_RUN_DIR`, else `/run/fleetlog`
    /// for root, else `$XDG_RUNTIME_DIR/fleetlog`, else `/tmp/fleetlog-<uid>`.
    pub fn run_dir(mut self, run_dir: impl Into<PathBuf>) -> Self {
        self.run_dir = Some(run_dir.into());
        self
    }

    /// The worker's name, at most 128 bytes of it; by default `$FLEETLOG_NAME`, else the
    /// program's name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// What happens when the queue is full; by default it blocks for at most one second per
    /// outage.
    pub const fn when_full(mut self, when_full: WhenFull) -> Self {
        self.when_full = when_full;
        self
    }

    /// How records travel.
    pub const fn transport(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// The bytes of records that are kept until the listener has them in its files; 4 MiB by
    /// default. Memory is used as far as an outage needs it, at most twice this.
    pub const fn window(mut self, bytes: usize) -> Self {
        self.window = bytes;
        self
    }

    /// The longest record in bytes; longer ones are truncated and say so. 1 MiB by default, or
    /// what the window allows.
    pub const fn record_max(mut self, bytes: usize) -> Self {
        self.record_max = Some(bytes);
        self
    }

    /// Builds the layer. No listener needs to be there: the first record looks for one.
    ///
    /// # Errors
    /// Any [`BuildError`].
    pub fn build(self) -> Result<Layer, BuildError> {
        Ok(Layer::of(self.build_worker()?))
    }

    pub(crate) fn build_worker(self) -> Result<&'static Worker, BuildError> {
        let run_dir = match self.run_dir {
            Some(run_dir) => run_dir,
            None => default_run_dir()?,
        };
        if self.window < WINDOW_MIN {
            return Err(BuildError::WindowTooSmall(self.window));
        }
        let most = record_max_for(self.window);
        let record_max = self.record_max.unwrap_or(most.min(RECORD_MAX));
        if !(RECORD_MIN..=most).contains(&record_max) {
            return Err(BuildError::RecordLimit { given: record_max, most });
        }
        let socket = run_dir::socket_path(&run_dir)?;
        let name = self.name.unwrap_or_else(default_name);
        let name = bounded_name(&name).to_owned();
        debug_assert!(name.len() <= NAME_MAX);
        let (Transport::Auto | Transport::Lanes | Transport::Socket) = self.transport;
        let settings = Settings {
            run_dir,
            socket,
            when_full: self.when_full,
            window: self.window,
            record_max,
        };
        Ok(Worker::new(settings, name))
    }
}

/// The run directory of whoever named none. A folder that nobody vouched for is looked at, if it
/// is there already: in `/tmp` anybody may have made it.
fn default_run_dir() -> Result<PathBuf, RunDirError> {
    let path = run_dir::default_path();
    let vouched_for = std::env::var_os(run_dir::VARIABLE).is_some_and(|value| !value.is_empty());
    if !vouched_for && path.symlink_metadata().is_ok() {
        run_dir::check_trust(&path)?;
    }
    Ok(path)
}

fn default_name() -> String {
    let given = std::env::var(NAME_VARIABLE).ok().filter(|name| !name.is_empty());
    given.unwrap_or_else(|| {
        let program = std::env::args_os().next().map(PathBuf::from);
        let file = program.as_deref().and_then(std::path::Path::file_name);
        file.map_or_else(|| "worker".to_owned(), |name| name.to_string_lossy().into_owned())
    })
}
