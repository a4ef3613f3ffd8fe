//! The peers: ways in which several processes write one log of `tracing` events.
//!
//! Each peer gets the setting that is best for it among those that keep every line: one `write`
//! or `send` per event where lines of several processes meet (a buffered writer would tear them),
//! a blocking queue for the non-blocking appender, a blocking window for fleetlog. `fmt_writers`
//! holds what formats in the worker, `floor` what nobody can be faster than.

mod floor;
mod fmt_writers;

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fleetlog_worker::{Layer, Transport, WhenFull};
use tracing::Subscriber;
use tracing_appender::non_blocking::NonBlockingBuilder;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::consumer::Consumer;
use crate::consumer::program;
use crate::place::Place;
use floor::Floor;
use fmt_writers::{Datagrams, follow};

/// Nothing may be dropped while figures are compared: far longer than any trial.
const STALL_BUDGET: Duration = Duration::from_secs(120);

/// Lines that the non-blocking appender may hold. Its guard waits one second for them at the end
/// and leaves the rest behind: with the default of 128,000 lines it lost a third of all lines here.
const APPENDER_LINES: usize = 8192;

/// The priority in front of a syslog message: facility `user`, severity `info`.
const PRIORITY: &str = "<14>";

/// A way to log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// `tracing_subscriber::fmt` in every process, appending to the shared file.
    Append,
    /// `tracing-appender`'s non-blocking writer in every process, appending to the shared file.
    Appender,
    /// `tracing_subscriber::fmt` in every process, a datagram per line to rsyslog.
    Rsyslog,
    /// `tracing_subscriber::fmt` in every process, a `write` per line to s6-log's pipe.
    S6Log,
    /// fleetlog: a listener process owns the file, records travel over its socket.
    Socket,
    /// fleetlog: a listener process owns the file, records travel through shared memory.
    Lanes,
    /// A layer that visits the fields, formats the message and throws it away.
    Floor,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Append => "`tracing_subscriber::fmt`, O_APPEND",
            Self::Appender => "`tracing-appender` non-blocking",
            Self::Rsyslog => "rsyslog over its Unix socket",
            Self::S6Log => "s6-log over a pipe",
            Self::Socket => "fleetlog over the socket",
            Self::Lanes => "fleetlog over lanes",
            Self::Floor => "the floor",
        })
    }
}

/// What a worker does when it has logged everything: only then does it count as done.
pub(crate) type Leave = Box<dyn FnOnce()>;

impl Peer {
    /// Every peer in the order of a round; the first is what the others are compared with.
    pub(crate) const ALL: [Self; 7] = [
        Self::Append,
        Self::Appender,
        Self::Rsyslog,
        Self::S6Log,
        Self::Socket,
        Self::Lanes,
        Self::Floor,
    ];

    /// The word that names the peer on the command line.
    pub(crate) const fn flag(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Appender => "appender",
            Self::Rsyslog => "rsyslog",
            Self::S6Log => "s6-log",
            Self::Socket => "socket",
            Self::Lanes => "lanes",
            Self::Floor => "floor",
        }
    }

    /// The peer that a flag names.
    pub(crate) fn of_flag(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|peer| peer.flag() == name)
    }

    /// How fleetlog's records travel; other peers have no transport.
    pub(crate) const fn transport(self) -> Option<Transport> {
        match self {
            Self::Socket => Some(Transport::Socket),
            Self::Lanes => Some(Transport::Lanes),
            _ => None,
        }
    }

    /// Whether the peer is fleetlog, over whatever.
    pub(crate) const fn is_fleetlog(self) -> bool {
        self.transport().is_some()
    }

    /// Whether lines are written at all.
    pub(crate) const fn has_output(self) -> bool {
        !matches!(self, Self::Floor)
    }

    /// The program that the peer needs and this machine does not have.
    pub(crate) fn missing_program(self) -> Option<&'static str> {
        let name = match self {
            Self::Rsyslog => program::RSYSLOG,
            Self::S6Log => program::S6_LOG,
            _ => return None,
        };
        program::find(name).is_none().then_some(name)
    }

    /// Makes this process log as a worker of this peer.
    pub(crate) fn set_up(
        self,
        worker: u32,
        place: &Place,
        consumer: &Consumer,
    ) -> io::Result<Leave> {
        let name = format!("worker {worker}");
        match self {
            Self::Append => follow("", &name, Arc::new(open(&place.file())?))?,
            Self::Appender => {
                let builder =
                    NonBlockingBuilder::default().lossy(false).buffered_lines_limit(APPENDER_LINES);
                let (writer, guard) = builder.finish(open(&place.file())?);
                follow("", &name, writer)?;
                return Ok(Box::new(move || drop(guard)));
            }
            Self::Rsyslog => {
                follow(PRIORITY, &name, Arc::new(Datagrams::to(&place.socket())?))?;
            }
            Self::S6Log => follow("", &name, Arc::new(consumer.pipe()?))?,
            Self::Socket | Self::Lanes => {
                let transport = self.transport().unwrap_or_default();
                return set_up_fleetlog(name, transport, place, STALL_BUDGET);
            }
            Self::Floor => set_global(tracing_subscriber::registry().with(Floor))?,
        }
        Ok(Box::new(|| ()))
    }
}

/// Makes this process log as a worker of fleetlog.
pub(crate) fn set_up_fleetlog(
    name: String,
    transport: Transport,
    place: &Place,
    stall_budget: Duration,
) -> io::Result<Leave> {
    let layer = Layer::builder()
        .run_dir(place.run_dir())
        .name(name)
        .transport(transport)
        .when_full(WhenFull::Block { stall_budget })
        .build()
        .map_err(io::Error::other)?;
    set_global(fleetlog_worker::registry().with(layer))?;
    Ok(Box::new(fleetlog_worker::goodbye))
}

fn open(file: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(file)
}

fn set_global(subscriber: impl Subscriber + Send + Sync + 'static) -> io::Result<()> {
    tracing::subscriber::set_global_default(subscriber).map_err(io::Error::other)
}
