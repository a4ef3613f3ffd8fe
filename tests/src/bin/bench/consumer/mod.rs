//! The process behind a trial's workers that turns what they send into lines, where a peer has
//! one: fleetlog's listener, rsyslog or s6-log.

pub(crate) mod program;
mod rsyslog;
mod s6_log;

use std::ffi::CStr;
use std::io::{self, PipeWriter};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use fleetlog::options::Keeping;
use fleetlog::{Listener, ListenerProcess};
use fleetlog_protocol::client;
use fleetlog_protocol::message::{Reply, Request};
use nix::sys::prctl;
use nix::unistd::Pid;

use crate::peer::Peer;
use crate::place::Place;
use crate::pool::wait_for;
pub(crate) use rsyslog::Input;
use rsyslog::Rsyslog;
use s6_log::S6Log;

/// The name that profiles show of the listener's process.
const LISTENER: &CStr = c"bench-listener";
const PARENT: &CStr = c"bench";

/// How long a listener may drain.
const PATIENCE: Duration = Duration::from_secs(600);

/// How often the listener is asked whether everything is written.
const GLANCE: Duration = Duration::from_millis(1);

/// Who reads what the workers of a trial send.
#[derive(Debug)]
pub(crate) enum Consumer {
    /// The workers write the file themselves, or none.
    Nobody,
    Listener(ListenerProcess),
    Rsyslog(Rsyslog),
    S6Log(S6Log),
}

impl Consumer {
    /// Starts what the peer needs and returns when it can be sent to.
    pub(crate) fn start(peer: Peer, place: &Place, keeping: &Keeping) -> io::Result<Self> {
        Ok(match peer {
            Peer::Append | Peer::Appender | Peer::Floor => Self::Nobody,
            Peer::Rsyslog => Self::rsyslog(place, Input::Datagrams)?,
            Peer::S6Log => Self::S6Log(S6Log::start(place)?),
            Peer::Socket | Peer::Lanes => Self::Listener(spawn_listener(place, keeping)?),
        })
    }

    /// fleetlog's listener, with one file that is never rotated.
    pub(crate) fn fleetlog(place: &Place) -> io::Result<Self> {
        Ok(Self::Listener(spawn_listener(place, &Keeping::forever())?))
    }

    /// rsyslog on a socket of this kind.
    pub(crate) fn rsyslog(place: &Place, input: Input) -> io::Result<Self> {
        Ok(Self::Rsyslog(Rsyslog::start(place, input)?))
    }

    /// The writing end of the pipe to s6-log.
    pub(crate) fn pipe(&self) -> io::Result<PipeWriter> {
        match self {
            Self::S6Log(s6_log) => s6_log.pipe(),
            _ => Err(io::Error::other("this consumer has no pipe")),
        }
    }

    /// The listener's process.
    pub(crate) fn listener(&self) -> io::Result<Pid> {
        match self {
            Self::Listener(listener) => Ok(Pid::from_raw(listener.pid().cast_signed())),
            _ => Err(io::Error::other("this consumer is no listener")),
        }
    }

    /// Where the lines are, in the order in which they were written.
    pub(crate) fn files(&self, place: &Place) -> io::Result<Vec<PathBuf>> {
        match self {
            Self::S6Log(_) => s6_log::files(&place.log_dir()),
            _ => Ok(vec![place.file()]),
        }
    }

    /// Waits until the `expected` lines of the workers, who are all gone, are in the files, or
    /// until no more of them come, and for the end of the process. Returns when the last line was
    /// there.
    pub(crate) fn finish(
        &mut self,
        place: &Place,
        expected: u64,
        workers_gone: Instant,
    ) -> io::Result<Instant> {
        match self {
            Self::Nobody => Ok(workers_gone),
            Self::Listener(listener) => {
                let end = await_records(place, expected)?;
                stop(listener, place)?;
                Ok(end)
            }
            Self::Rsyslog(rsyslog) => rsyslog.finish(&place.file(), expected, workers_gone),
            Self::S6Log(s6_log) => s6_log.finish(),
        }
    }
}

impl Consumer {
    /// Ends a listener whose workers may have dropped records. Returns the records that it wrote, and
    /// those of whose loss it was told.
    pub(crate) fn end_with_losses(self, place: &Place) -> io::Result<(u64, u64)> {
        let listener = self.listener()?;
        let receipt = fleetlog_worker::stop(place.run_dir(), PATIENCE).map_err(io::Error::other)?;
        wait_for(listener)?;
        Ok((receipt.written, receipt.dropped.total()))
    }
}

fn spawn_listener(place: &Place, keeping: &Keeping) -> io::Result<ListenerProcess> {
    // A process inherits its parent's name.
    prctl::set_name(LISTENER)?;
    let listener = Listener::builder()
        .run_dir(place.run_dir())
        .file(place.file())
        .keeping(keeping.clone())
        .spawn();
    prctl::set_name(PARENT)?;
    listener.map_err(io::Error::other)
}

/// Waits until so many records are in the file. The receipt would come later: it tells of what is
/// durable, and nobody else syncs the file.
fn await_records(place: &Place, expected: u64) -> io::Result<Instant> {
    loop {
        let answer = client::request(&place.run_dir(), Request::Status, PATIENCE, |_| ());
        let Reply::Status(status) = answer.map_err(io::Error::other)? else {
            return Err(io::Error::other("the listener tells no status"));
        };
        let status: serde_json::Value = serde_json::from_str(&status)?;
        if status["totals"]["written"].as_u64() >= Some(expected) {
            return Ok(Instant::now());
        }
        // Asked too often, it would do nothing but answer.
        std::thread::sleep(GLANCE);
    }
}

fn stop(listener: &ListenerProcess, place: &Place) -> io::Result<()> {
    let receipt = fleetlog_worker::stop(place.run_dir(), PATIENCE).map_err(io::Error::other)?;
    if !receipt.is_complete() {
        return Err(io::Error::other(format!("the receipt tells of losses: {receipt:?}")));
    }
    wait_for(Pid::from_raw(listener.pid().cast_signed()))
}
