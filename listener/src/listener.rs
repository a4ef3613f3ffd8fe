//! A listener from a program: in the foreground, in a thread, or as a process of its own.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use fleetlog_protocol::message::Receipt;
use fleetlog_protocol::run_dir;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::checkpoint::Checkpoint;
use crate::disk::{SharedDisk, System};
use crate::drain::{Drain, DrainError};
use crate::format::Format;
use crate::metrics::StartError;
use crate::options::{
    Access, Address, Keeping, Options, RateLimit, Redaction, SinkOptions, SinkTarget, Sync,
    WorkerDefaults,
};
use crate::ownership::{Ownership, OwnershipError};
use crate::process::ListenerProcess;
use crate::route::Directives;
use crate::sink::{SINKS_MAX, SinkError};
use crate::supervisor::{self, Supervisor};
use crate::wake::{Wake, WakeHandle};
#[cfg(feature = "web")]
use crate::web::Page;

/// Why a listener could not start, or ended without a receipt.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The run directory can't be owned.
    #[error(transparent)]
    Ownership(#[from] OwnershipError),
    /// The checkpoint can't be kept.
    #[error("the checkpoint in {run_dir} can't be kept: {source}")]
    Checkpoint {
        /// The run directory.
        run_dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An output can't be opened.
    #[error("can't open {0}")]
    Sink(#[from] SinkError),
    /// There are too many outputs.
    #[error("{0} outputs are too many: at most {SINKS_MAX}")]
    TooManySinks(usize),
    /// The metrics can't be served.
    #[error(transparent)]
    Metrics(#[from] StartError),
    /// The page can't be served.
    #[cfg(feature = "web")]
    #[error(transparent)]
    Web(#[from] crate::web::WebError),
    /// The drain failed.
    #[error(transparent)]
    Drain(#[from] DrainError),
    /// The system refused a thread, a process or a descriptor.
    #[error("the listener can't be started: {0}")]
    System(#[from] io::Error),
    /// The listener's process or thread ended in a way that it never should.
    #[error("the listener ended unexpectedly: {0}")]
    Unexpected(String),
}

fleetlog_protocol::debug_as_display!(ListenError);

impl ListenError {
    /// Whether another listener owns the run directory.
    #[must_use]
    pub const fn is_already_owned(&self) -> bool {
        matches!(self, Self::Ownership(OwnershipError::AlreadyOwned { .. }))
    }
}

/// The process that owns a fleet's log files.
#[derive(Debug)]
pub struct Listener;

impl Listener {
    /// Starts to describe a listener.
    pub fn builder() -> Builder {
        Builder {
            options: Options::new(run_dir::default_path()),
            files: Vec::new(),
            format: Format::text(),
            filter: Directives::all(),
            keeping: Keeping::default(),
        }
    }
}

/// Describes a listener: [`run`](Self::run) it here, [`start`](Self::start) it in a thread, or
/// [`spawn`](Self::spawn) a process for it.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is run, started or spawned"]
pub struct Builder {
    options: Options,
    files: Vec<PathBuf>,
    format: Format,
    filter: Directives,
    keeping: Keeping,
}

impl Builder {
    /// Takes over all options, as the command line does.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// The folder where the fleet meets; by default the one that workers find by themselves.
    pub fn run_dir(mut self, run_dir: impl Into<PathBuf>) -> Self {
        self.options.run_dir = run_dir.into();
        self
    }

    /// Adds a log file. `{worker}` and `{pid}` in the path make one file per worker. Without
    /// any file the lines go to standard output.
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.files.push(path.into());
        self
    }

    /// The layout of the lines of every [`file`](Self::file).
    pub fn format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// The records that every [`file`](Self::file) wants.
    pub fn filter(mut self, filter: Directives) -> Self {
        self.filter = filter;
        self
    }

    /// When every [`file`](Self::file) is rotated, and how long old ones are kept.
    pub fn keeping(mut self, keeping: Keeping) -> Self {
        self.keeping = keeping;
        self
    }

    /// Adds an output with a layout and a filter of its own.
    pub fn sink(mut self, sink: SinkOptions) -> Self {
        self.options.sinks.push(sink);
        self
    }

    /// How far a loss of power is covered.
    pub fn sync(mut self, sync: Sync) -> Self {
        self.options.sync = sync;
        self
    }

    /// The permission bits of the sockets; 0600 by default, and 0666 where [`access`](Self::access)
    /// names who may log.
    pub fn socket_mode(mut self, mode: u32) -> Self {
        self.options.socket_mode = Some(mode);
        self
    }

    /// Who may log, of those whom the sockets' mode lets in; everybody by default.
    pub fn access(mut self, access: Access) -> Self {
        self.options.access = access;
        self
    }

    /// How much a foreign client may log; by default as much as the disk takes.
    pub fn rate_limit(mut self, limit: RateLimit) -> Self {
        self.options.rate_limit = Some(limit);
        self
    }

    /// Shows the values of these names nowhere; by default all are shown.
    pub fn redaction(mut self, redaction: Redaction) -> Self {
        self.options.redaction = redaction;
        self
    }

    /// Lets equal records wait so long for each other to share a line; by default each has its own.
    pub const fn dedup(mut self, window: Duration) -> Self {
        self.options.dedup = Some(window);
        self
    }

    /// What workers of this run directory use that were told nothing themselves.
    pub const fn worker_defaults(mut self, defaults: WorkerDefaults) -> Self {
        self.options.worker_defaults = defaults;
        self
    }

    /// Serves metrics at an address; nowhere by default.
    pub fn metrics(mut self, address: Address) -> Self {
        self.options.metrics = Some(address);
        self
    }

    /// Ends when the last worker that was there is gone.
    pub fn exit_with_last_worker(mut self, exit: bool) -> Self {
        self.options.exit_with_last_worker = exit;
        self
    }

    /// Listens in this thread until somebody sends the sentinel: `fleetlog stop`, TERM or INT.
    /// A second signal ends the process at once.
    ///
    /// Under a service manager that speaks systemd's protocols it says when it is ready, paused
    /// and ending, feeds the watchdog from the thread that drains, and takes the socket that is
    /// handed down to it, which must be the run directory's.
    ///
    /// # Errors
    /// Any [`ListenError`].
    pub fn run(self) -> Result<Receipt, ListenError> {
        raise_descriptor_limit();
        let wake = Wake::new()?;
        wake.follow_signals()?;
        let handed_down = supervisor::handed_down()?;
        let supervisor = Supervisor::of_environment(&self.options.run_dir);
        Ok(self.prepare(wake, handed_down)?.supervised(supervisor).run()?)
    }

    /// Listens in a thread of this process. When this returns, workers can attach.
    ///
    /// The listener dies with this process; its diagnostics go to this process's own `tracing`
    /// subscriber, under the target `fleetlog`. A worker's layer never sends them: it knows these
    /// events by a mark, and not by their target, which any other crate may have.
    ///
    /// # Errors
    /// Any [`ListenError`].
    pub fn start(self) -> Result<RunningListener, ListenError> {
        let wake = Wake::new()?;
        let handle = wake.handle();
        let drain = self.prepare(wake, Vec::new())?;
        let thread = std::thread::Builder::new()
            .name("fleetlog-drain".to_owned())
            .spawn(move || drain.run())?;
        Ok(RunningListener { handle, thread })
    }

    /// Listens in a forked process. When this returns, workers can attach.
    ///
    /// The process ends with the sentinel, or by itself when this process and every process that
    /// it forked are gone. Call it before this program starts threads, as with every fork: the
    /// child has only the calling thread.
    ///
    /// # Errors
    /// Any [`ListenError`], also those of the child's start.
    pub fn spawn(self) -> Result<ListenerProcess, ListenError> {
        let run_dir = self.options.run_dir.clone();
        crate::process::spawn(run_dir, |wake| self.prepare(wake, Vec::new()))
    }

    fn prepare(mut self, wake: Wake, handed_down: Vec<OwnedFd>) -> Result<Prepared, ListenError> {
        for path in std::mem::take(&mut self.files) {
            let target =
                if path == Path::new("-") { SinkTarget::Stdout } else { SinkTarget::File(path) };
            self.options.sinks.push(self.default_sink(target));
        }
        if self.options.sinks.is_empty() {
            self.options.sinks.push(self.default_sink(SinkTarget::Stdout));
        }
        if self.options.sinks.len() > SINKS_MAX {
            return Err(ListenError::TooManySinks(self.options.sinks.len()));
        }
        let socket_mode = self.options.effective_socket_mode();
        let ownership = Ownership::claim(&self.options.run_dir, socket_mode, handed_down)?;
        // Its process is forked while this one has not started a thread.
        #[cfg(feature = "web")]
        let page = self.options.web.map(|at| Page::serve(at, &self.options)).transpose()?;
        let disk: SharedDisk = Arc::new(System);
        let opened = Checkpoint::open(SharedDisk::clone(&disk), &self.options.run_dir);
        let (checkpoint, recovery) = opened.map_err(|source| ListenError::Checkpoint {
            run_dir: self.options.run_dir.clone(),
            source,
        })?;
        let drain = Drain::new(self.options, ownership, wake, disk, checkpoint, &recovery)?;
        Ok(Prepared {
            drain,
            #[cfg(feature = "web")]
            page,
        })
    }

    fn default_sink(&self, target: SinkTarget) -> SinkOptions {
        SinkOptions {
            format: self.format.clone(),
            filter: self.filter.clone(),
            keeping: self.keeping.clone(),
            ..SinkOptions::new(target)
        }
    }
}

/// A drain that is ready, and what is served beside it.
pub(crate) struct Prepared {
    drain: Drain,
    /// Dropped behind the drain: its last readers may still see how it ends.
    #[cfg(feature = "web")]
    page: Option<Page>,
}

impl Prepared {
    fn supervised(mut self, supervisor: Option<Supervisor>) -> Self {
        self.drain = self.drain.supervised(supervisor);
        self
    }

    /// Drains until the end, which nothing that is served delays.
    pub(crate) fn run(self) -> Result<Receipt, DrainError> {
        let ended = self.drain.run();
        #[cfg(feature = "web")]
        drop(self.page);
        ended
    }
}

/// Each worker is a descriptor, and the usual soft limit is below the connections that a listener
/// takes. Where the limit can't be raised, workers wait in the backlog for each other.
fn raise_descriptor_limit() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// A listener in a thread of this process. Dropping it leaves it running.
#[derive(Debug)]
pub struct RunningListener {
    handle: WakeHandle,
    thread: JoinHandle<Result<Receipt, DrainError>>,
}

impl RunningListener {
    /// Sends the sentinel and waits for the receipt.
    ///
    /// # Errors
    /// [`ListenError::Drain`] when the listener could not write everything.
    pub fn stop(self) -> Result<Receipt, ListenError> {
        self.handle.stop();
        self.wait()
    }

    /// Waits until somebody else has sent the sentinel.
    ///
    /// # Errors
    /// [`ListenError::Drain`] when the listener could not write everything.
    pub fn wait(self) -> Result<Receipt, ListenError> {
        let ended = self.thread.join();
        Ok(ended.map_err(|_| ListenError::Unexpected("its thread panicked".to_owned()))??)
    }
}
