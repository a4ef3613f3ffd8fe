//! The peers: three ways in which several processes write one log file of `tracing` events.
//!
//! Each peer gets the setting that is best for it among those that keep every line: one `write`
//! per event for the appenders (a buffered writer would tear the lines of several processes), a
//! blocking queue for the non-blocking appender, a blocking window for fleetlog.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fleetlog_worker::{Layer, WhenFull};
use tracing::{Event, Subscriber};
use tracing_appender::non_blocking::NonBlockingBuilder;
use tracing_subscriber::fmt::format::{Format, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;

/// Nothing may be dropped while figures are compared: far longer than any trial.
const STALL_BUDGET: Duration = Duration::from_secs(120);

/// Lines that the non-blocking appender may hold. Its guard waits one second for them at the end
/// and leaves the rest behind: with the default of 128,000 lines it lost a third of all lines here.
const APPENDER_LINES: usize = 8192;

/// A way to log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// `tracing_subscriber::fmt` in every process, appending to the shared file.
    Append,
    /// `tracing-appender`'s non-blocking writer in every process, appending to the shared file.
    Appender,
    /// fleetlog: a listener process owns the file.
    Fleetlog,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Append => "`tracing_subscriber::fmt`, O_APPEND",
            Self::Appender => "`tracing-appender` non-blocking",
            Self::Fleetlog => "fleetlog over the socket",
        })
    }
}

/// The paths of one trial.
#[derive(Debug)]
pub(crate) struct Place {
    /// The log file that all workers write.
    pub(crate) file: PathBuf,
    /// Where fleetlog's workers meet their listener.
    pub(crate) run_dir: PathBuf,
}

/// What a worker does when it has logged everything: only then does it count as done.
pub(crate) type Leave = Box<dyn FnOnce()>;

impl Peer {
    /// Every peer in the order of a round; the first is what the others are compared with.
    pub(crate) const ALL: [Self; 3] = [Self::Append, Self::Appender, Self::Fleetlog];

    /// The peer that a flag names.
    pub(crate) fn of_flag(name: &str) -> Option<Self> {
        Some(match name {
            "append" => Self::Append,
            "appender" => Self::Appender,
            "fleetlog" => Self::Fleetlog,
            _ => return None,
        })
    }

    /// Makes this process log as a worker of this peer.
    pub(crate) fn set_up(self, worker: u32, place: &Place) -> io::Result<Leave> {
        let name = format!("worker {worker}");
        match self {
            Self::Append => {
                follow(&name, Arc::new(open(&place.file)?))?;
                Ok(Box::new(|| ()))
            }
            Self::Appender => {
                let builder =
                    NonBlockingBuilder::default().lossy(false).buffered_lines_limit(APPENDER_LINES);
                let (writer, guard) = builder.finish(open(&place.file)?);
                follow(&name, writer)?;
                Ok(Box::new(move || drop(guard)))
            }
            Self::Fleetlog => {
                let layer = Layer::builder()
                    .run_dir(&place.run_dir)
                    .name(name)
                    .when_full(WhenFull::Block { stall_budget: STALL_BUDGET })
                    .build()
                    .map_err(io::Error::other)?;
                set_global(fleetlog_worker::registry().with(layer))?;
                Ok(Box::new(fleetlog_worker::goodbye))
            }
        }
    }
}

fn open(file: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(file)
}

/// Logs as `tracing_subscriber::fmt` does, with the worker in front of each line.
fn follow<W>(name: &str, writer: W) -> io::Result<()>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let prefix = format!("{name}[{}] ", std::process::id());
    let format = WithWorker { prefix, format: Format::default().with_ansi(false) };
    set_global(
        tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(writer)
            .event_format(format)
            .finish(),
    )
}

fn set_global(subscriber: impl Subscriber + Send + Sync + 'static) -> io::Result<()> {
    tracing::subscriber::set_global_default(subscriber).map_err(io::Error::other)
}

/// The stock format behind a constant text. Fields for name and pid would be formatted anew with
/// every record; this costs a peer the least.
struct WithWorker {
    prefix: String,
    format: Format,
}

impl<S, N> FormatEvent<S, N> for WithWorker
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        writer.write_str(&self.prefix)?;
        self.format.format_event(context, writer, event)
    }
}
