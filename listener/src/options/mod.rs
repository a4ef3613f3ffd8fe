//! What a listener is told to do: plain data, filled by the command's flags, the configuration
//! file, or a program.

use std::path::PathBuf;
use std::time::Duration;

use nix::unistd::Gid;

use crate::format::Format;
use crate::route::Directives;

mod keeping;

pub use crate::foreign::{Access, RateLimit};
pub use crate::metrics::{Address, AddressError};
pub use crate::redact::{Redaction, RedactionError};
pub use fleetlog_protocol::worker_defaults::WorkerDefaults;
pub use keeping::{Compression, Keeping, KeepingError, Period};

/// A listener's options.
#[derive(Clone, Debug)]
pub struct Options {
    /// The run directory ([`fleetlog_protocol::run_dir::default_path`] by default).
    pub run_dir: PathBuf,
    /// The permission bits of the sockets; 0600 by default, and 0666 where [`access`](Self::access)
    /// names who may log.
    pub socket_mode: Option<u32>,
    /// Who may log, of those whom the sockets' mode lets in.
    pub access: Access,
    /// How much a foreign client may log; by default as much as the disk takes.
    pub rate_limit: Option<RateLimit>,
    /// Where lines end. Standard output as text when there is none.
    pub sinks: Vec<SinkOptions>,
    /// How far a loss of power is covered.
    pub sync: Sync,
    /// End when the last worker that was there is gone.
    pub exit_with_last_worker: bool,
    /// How long equal records wait for each other to share a line; not at all by default.
    pub dedup: Option<Duration>,
    /// Names whose values are shown nowhere; none by default.
    pub redaction: Redaction,
    /// Where metrics are served; nowhere by default.
    pub metrics: Option<Address>,
    /// What workers use that were told nothing themselves.
    pub worker_defaults: WorkerDefaults,
    /// How long an end waits for the compression of old files; what is left over is done by the next
    /// listener.
    pub packing_grace: Duration,
    /// Where the page is served; nowhere by default. A process of its own serves it, forked at the
    /// start: a program that listens in one of its threads starts the listener before the others.
    #[cfg(feature = "web")]
    pub web: Option<std::net::SocketAddr>,
}

/// One destination of lines.
#[derive(Clone, Debug)]
pub struct SinkOptions {
    /// The file, or standard output.
    pub target: SinkTarget,
    /// The layout of its lines.
    pub format: Format,
    /// The records it wants.
    pub filter: Directives,
    /// The permission bits of files it creates, whatever the umask; 0640 by default.
    pub file_mode: u32,
    /// The group of files it creates; the process's own by default.
    pub file_group: Option<Gid>,
    /// When its files are rotated, and how long the old ones are kept.
    pub keeping: Keeping,
    /// A symbolic link that always names the current file; not for a file per worker.
    pub latest_symlink: Option<PathBuf>,
}

impl SinkOptions {
    /// A sink with the defaults: every record as text, rotated and kept as [`Keeping::default`]
    /// says.
    #[must_use]
    pub fn new(target: SinkTarget) -> Self {
        Self {
            target,
            format: Format::text(),
            filter: Directives::all(),
            file_mode: Options::FILE_MODE,
            file_group: None,
            keeping: Keeping::default(),
            latest_symlink: None,
        }
    }
}

/// Where a sink's lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkTarget {
    /// Standard output.
    Stdout,
    /// A file; `{worker}` and `{pid}` in the path make one file per worker.
    File(PathBuf),
}

/// When written lines are made durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sync {
    /// The kernel writes them back in its own time.
    #[default]
    Never,
    /// At most so much time passes between write and sync.
    Every(Duration),
    /// Before a batch is acknowledged.
    Always,
}

impl Options {
    /// The permission bits of a log file unless told otherwise: its group may read it.
    pub const FILE_MODE: u32 = 0o640;
    /// How long an end waits for compression unless told otherwise: a stop must not take long.
    pub const PACKING_GRACE: Duration = Duration::from_secs(2);
    /// The permission bits of the socket unless told otherwise: this user's processes only.
    pub const SOCKET_MODE: u32 = 0o600;

    /// The permission bits of the sockets unless told otherwise where it is said who may log: the
    /// listener asks the kernel who connects.
    pub const OPEN_SOCKET_MODE: u32 = 0o666;

    /// The permission bits of the sockets.
    #[must_use]
    pub fn effective_socket_mode(&self) -> u32 {
        let default =
            if self.access.is_open() { Self::SOCKET_MODE } else { Self::OPEN_SOCKET_MODE };
        self.socket_mode.unwrap_or(default)
    }

    /// The defaults for a run directory.
    #[must_use]
    pub fn new(run_dir: impl Into<PathBuf>) -> Self {
        Self {
            run_dir: run_dir.into(),
            socket_mode: None,
            access: Access::default(),
            rate_limit: None,
            sinks: Vec::new(),
            sync: Sync::default(),
            exit_with_last_worker: false,
            dedup: None,
            redaction: Redaction::default(),
            metrics: None,
            worker_defaults: WorkerDefaults::default(),
            packing_grace: Self::PACKING_GRACE,
            #[cfg(feature = "web")]
            web: None,
        }
    }
}
