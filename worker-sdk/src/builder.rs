//! Describing a layer.

use std::path::PathBuf;

use fleetlog_protocol::level_control;
use fleetlog_protocol::limits::{LANE_CAPACITY, LANE_CAPACITY_MAX, RECORD_MAX, RECORD_MIN};
use fleetlog_protocol::limits::{
    NAME_MAX, STALL_BUDGET_DEFAULT, WINDOW_DEFAULT, WINDOW_MIN, record_max_for,
};
use fleetlog_protocol::message::bounded_name;
use fleetlog_protocol::run_dir::{self, RunDirError};
use fleetlog_protocol::size;
use fleetlog_protocol::socket_queue::WhenFull;

use crate::layer::Layer;
use crate::worker::{Settings, Worker};

/// The environment variable that names the worker.
pub const NAME_VARIABLE: &str = "FLEETLOG_NAME";

/// The environment variable that says how records travel where the program does not: `auto`,
/// `lanes` or `socket`.
pub const TRANSPORT_VARIABLE: &str = "FLEETLOG_TRANSPORT";

/// The environment variable that says how large a lane may become where the program does not, such as
/// `16M`.
pub const LANE_MAX_VARIABLE: &str = "FLEETLOG_LANE_MAX";

/// How records travel to the listener.
///
/// A process that can't make lanes, or a thread for whose lane the run directory has no room,
/// uses the socket with [`Auto`](Self::Auto) and with [`Lanes`](Self::Lanes) alike: a logger does
/// not fail. It says so once on standard error, and the listener shows the reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transport {
    /// Through lanes, until a listener refuses them; from then on over the socket.
    #[default]
    Auto,
    /// Through lanes: shared memory in the run directory. Records wait in them while a listener
    /// refuses them, for one that does not.
    Lanes,
    /// Over the run directory's socket, one send a record.
    Socket,
}

impl Transport {
    const NAMES: [(&'static str, Self); 3] =
        [("auto", Self::Auto), ("lanes", Self::Lanes), ("socket", Self::Socket)];

    /// What the environment says; `Auto` where it says nothing.
    fn from_environment() -> Result<Self, BuildError> {
        let value = std::env::var_os(TRANSPORT_VARIABLE).unwrap_or_default();
        if value.is_empty() {
            return Ok(Self::Auto);
        }
        let known = Self::NAMES.into_iter().find(|(name, _)| value == *name);
        known
            .map(|(_, transport)| transport)
            .ok_or_else(|| BuildError::UnknownTransport(value.to_string_lossy().into_owned()))
    }
}

/// A layer can't be built as it was described.
#[derive(thiserror::Error)]
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
    /// The environment names a transport that there is none.
    #[error("${TRANSPORT_VARIABLE} is `{0}`, which is no transport: give auto, lanes or socket")]
    UnknownTransport(
        /// What the variable holds.
        String,
    ),
    /// A lane can't have that size.
    #[error(
        "a lane of {given} can't be had ({source_of}): give {LANE_CAPACITY} to {LANE_CAPACITY_MAX} \
         bytes, such as 1M or 16M"
    )]
    LaneMax {
        /// What was asked for.
        given: String,
        /// Who asked for it.
        source_of: &'static str,
    },
    /// The environment says neither that the level can be changed nor that it can't.
    #[error("${variable} is `{0}`: give on or off", variable = level_control::VARIABLE)]
    UnknownLiveLevel(
        /// What the variable holds.
        String,
    ),
}

fleetlog_protocol::debug_as_display!(BuildError);

/// Describes a [`Layer`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until the layer is built"]
pub struct Builder {
    run_dir: Option<PathBuf>,
    name: Option<String>,
    when_full: WhenFull,
    transport: Option<Transport>,
    window: usize,
    record_max: Option<usize>,
    live_level: Option<bool>,
    lane_max: Option<usize>,
}

impl Builder {
    pub(crate) const fn new() -> Self {
        Self {
            run_dir: None,
            name: None,
            when_full: WhenFull::Block { stall_budget: STALL_BUDGET_DEFAULT },
            transport: None,
            window: WINDOW_DEFAULT,
            record_max: None,
            live_level: None,
            lane_max: None,
        }
    }

    /// The folder where the fleet meets; by default `$FLEETLOG_RUN_DIR`, else `/run/fleetlog`
    /// for root, else `$XDG_RUNTIME_DIR/fleetlog`, else `/tmp/fleetlog-<uid>`. A relative one is
    /// looked for from where the process is when the layer is built, and stays that folder wherever
    /// the process goes.
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

    /// What happens when a lane, or the socket's window, is full; by default it blocks for at
    /// most one second per outage.
    pub const fn when_full(mut self, when_full: WhenFull) -> Self {
        self.when_full = when_full;
        self
    }

    /// How records travel; by default what `$FLEETLOG_TRANSPORT` says, else
    /// [`Transport::Auto`].
    pub const fn transport(mut self, transport: Transport) -> Self {
        self.transport = Some(transport);
        self
    }

    /// The bytes of records that travel over the socket and are kept until the listener has them
    /// in its files; 4 MiB by default. Lanes have a size of their own ([`lane_max`](Self::lane_max)). Memory is used as far as an outage needs it, at most twice this.
    pub const fn window(mut self, bytes: usize) -> Self {
        self.window = bytes;
        self
    }

    /// The longest record in bytes; longer ones are truncated and say so. With
    /// [`Transport::Socket`] 1 MiB by default, or what the window allows. With the other
    /// transports 64 KiB, and never more: a larger limit is brought down to it, for records that
    /// take the socket in the end as well.
    pub const fn record_max(mut self, bytes: usize) -> Self {
        self.record_max = Some(bytes);
        self
    }

    /// The bytes that a thread's lane may have, 256 KiB to 16 MiB, rounded up to a power of two. A lane
    /// takes its space as bytes pass through it, also where it is drained in time, and keeps it until the
    /// process ends. By
    /// default what `$FLEETLOG_LANE_MAX` says, such as `16M`, else what the listener's configuration
    /// says (`[worker] lane_max`), else 256 KiB.
    ///
    /// All lanes of a run directory together take at most half of its file system; a thread whose
    /// lane can't grow uses the socket.
    pub const fn lane_max(mut self, bytes: usize) -> Self {
        self.lane_max = Some(bytes);
        self
    }

    /// Whether `fleetlog level` can change what this program logs while it runs, for which a
    /// [`LiveFilter`](crate::LiveFilter) has a thread; by default what `$FLEETLOG_LIVE_LEVEL` says,
    /// `on` or `off`, else it can.
    pub const fn live_level(mut self, live: bool) -> Self {
        self.live_level = Some(live);
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
        let given_run_dir = match self.run_dir {
            Some(run_dir) => run_dir,
            None => default_run_dir()?,
        };
        let run_dir = run_dir::absolute(&given_run_dir)?;
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
        let transport = match self.transport {
            Some(transport) => transport,
            None => Transport::from_environment()?,
        };
        let settings = Settings {
            given_run_dir,
            run_dir,
            socket,
            transport,
            when_full: self.when_full,
            window: self.window,
            record_max,
            live_level: match self.live_level {
                Some(live) => live,
                None => live_level_of_environment()?,
            },
            lane_max: lane_max(self.lane_max)?,
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

/// What the program or its environment says of a lane's size.
fn lane_max(given: Option<usize>) -> Result<Option<usize>, BuildError> {
    let environment = || std::env::var(LANE_MAX_VARIABLE).ok().filter(|text| !text.is_empty());
    let (text, bytes, source_of) = match given {
        Some(bytes) => (bytes.to_string(), Some(bytes), "lane_max"),
        None => match environment() {
            Some(text) => {
                let bytes = size::parse(&text).ok().and_then(|bytes| usize::try_from(bytes).ok());
                (text, bytes, LANE_MAX_VARIABLE)
            }
            None => return Ok(None),
        },
    };
    match bytes.filter(|bytes| (LANE_CAPACITY..=LANE_CAPACITY_MAX).contains(bytes)) {
        Some(bytes) => Ok(Some(bytes)),
        None => Err(BuildError::LaneMax { given: text, source_of }),
    }
}

fn live_level_of_environment() -> Result<bool, BuildError> {
    let value = std::env::var_os(level_control::VARIABLE).unwrap_or_default();
    match value.to_str() {
        Some("" | "on") => Ok(true),
        Some("off") => Ok(false),
        _ => Err(BuildError::UnknownLiveLevel(value.to_string_lossy().into_owned())),
    }
}

fn default_name() -> String {
    let given = std::env::var(NAME_VARIABLE).ok().filter(|name| !name.is_empty());
    given.unwrap_or_else(|| {
        let program = std::env::args_os().next().map(PathBuf::from);
        let file = program.as_deref().and_then(std::path::Path::file_name);
        file.map_or_else(|| "worker".to_owned(), |name| name.to_string_lossy().into_owned())
    })
}
