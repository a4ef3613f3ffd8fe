//! The process: what each process has of a worker. Its lanes, made by its first record, and a
//! socket queue where lanes can't be had or are not wanted.
//!
//! Nothing here is ever used by two processes: a child makes a [`Process`] of its own
//! ([`crate::fork::PerProcess`]), so that the locks in it are held by this process's threads or
//! by nobody.

use std::io;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fleetlog_protocol::lane_queue::{LaneQueue, Lanes, LanesConfig, NotTaken};
use fleetlog_protocol::message::DropReason;
use fleetlog_protocol::segment::SegmentError;
use fleetlog_protocol::socket_queue::{
    CallsiteOf, Config, LinkNumber, SharedQueue, SocketQueue, pause,
};
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::unistd::{AccessFlags, faccessat};

use crate::builder::Transport;
use crate::fork;
use crate::say;
use crate::worker::Worker;

/// How long an ending process waits for a listener that may have its removed lanes mapped.
const PATIENCE_FOR_REMOVED: Duration = Duration::from_millis(100);

/// How often it looks.
const GLANCE: Duration = Duration::from_millis(1);

pub(crate) struct Process {
    /// The lanes, or why there are none.
    lanes: OnceLock<Result<Lanes, String>>,
    socket: OnceLock<SharedQueue>,
    /// Whether the socket was chosen because the listener refused the lanes.
    has_left_lanes: AtomicBool,
    /// Lost records of which this process has told: those that no listener was given, and those
    /// in lanes that were removed.
    told_undelivered: AtomicU64,
    told_removed: AtomicU64,
}

/// The way that a thread's records take.
pub(crate) enum Road {
    /// A lane of its own.
    Lane(&'static Lanes, LaneQueue),
    /// The lane that is everybody's.
    Shared(&'static Lanes),
    /// The process's socket queue.
    Socket(&'static SharedQueue),
    /// The socket queue, until a listener takes the lanes that one has refused.
    Exile(&'static Lanes, &'static SharedQueue),
}

impl Process {
    pub(crate) const fn new() -> Self {
        Self {
            lanes: OnceLock::new(),
            socket: OnceLock::new(),
            has_left_lanes: AtomicBool::new(false),
            told_undelivered: AtomicU64::new(0),
            told_removed: AtomicU64::new(0),
        }
    }

    /// The lanes, if this process made some.
    pub(crate) fn existing_lanes(&self) -> Option<&Lanes> {
        self.lanes.get()?.as_ref().ok()
    }

    /// The socket queue, if this process made one.
    pub(crate) fn existing_socket(&self) -> Option<&SharedQueue> {
        self.socket.get()
    }

    /// A way for the records of one thread, with a lane of its own if there is one.
    pub(crate) fn road_of_thread(&'static self, worker: &'static Worker) -> Road {
        match self.lanes(worker) {
            Ok(lanes) => match lanes.claim() {
                Ok(Some(queue)) => Road::Lane(lanes, queue),
                Ok(None) => self.shared_road(worker, lanes),
                Err(error) => self.road_without_room(worker, lanes, &error),
            },
            Err(why) => self.road_without_lanes(worker, &why),
        }
    }

    fn road_without_lanes(&'static self, worker: &'static Worker, why: &str) -> Road {
        let socket = self.socket(worker, why);
        match self.existing_lanes() {
            Some(lanes) => Road::Exile(lanes, socket),
            None => Road::Socket(socket),
        }
    }

    fn shared_road(&'static self, worker: &'static Worker, lanes: &'static Lanes) -> Road {
        match lanes.share() {
            Ok(()) => Road::Shared(lanes),
            Err(error) => self.road_without_room(worker, lanes, &error),
        }
    }

    fn road_without_room(
        &'static self,
        worker: &'static Worker,
        lanes: &'static Lanes,
        error: &io::Error,
    ) -> Road {
        let why = format!("{error}: can't make a lane in {}", lanes.run_dir().display());
        tell_fallback(worker, &why);
        Road::Socket(self.socket(worker, &why))
    }

    /// Says how many records are lost, where no listener has been given them and nobody will ask
    /// this process again. Told once for each number.
    pub(crate) fn tell_of_undelivered(&self, worker: &Worker, queue: &SocketQueue) {
        let lost = queue.undelivered();
        let socket = worker.settings.socket.display();
        let why = match (queue.refused(), queue.trouble()) {
            (Some(why), _) => format!("the listener refuses this worker: {why}"),
            (None, Some(error)) if is_absence(error) => format!("no listener lives at {socket}"),
            (None, Some(error)) => format!("{socket}: {error}"),
            (None, None) => format!("the listener at {socket} took no more in time"),
        };
        tell_lost(&self.told_undelivered, lost, &why);
    }

    /// The same for lanes whose file was removed. A listener that has it mapped gets a moment.
    pub(crate) fn tell_of_removed(&self, lanes: &Lanes) {
        if !lanes.are_removed() {
            return;
        }
        let heads = lanes.heads();
        let deadline = Instant::now() + PATIENCE_FOR_REMOVED;
        let waits = |(lane, head): &(usize, u64)| !lanes.is_written(*lane, *head);
        while heads.iter().any(waits) && Instant::now() < deadline {
            pause(GLANCE);
        }
        let unwritten = heads.iter().map(|(lane, head)| lanes.unwritten(*lane, *head));
        let lost = unwritten.fold(lanes.untold_drops(), u64::saturating_add);
        let why = format!("their file in {} was removed", lanes.run_dir().display());
        tell_lost(&self.told_removed, lost, &why);
    }

    /// A way for the records of a thread that can keep no lane.
    pub(crate) fn road_of_nobody(&'static self, worker: &'static Worker) -> Road {
        match self.lanes(worker) {
            Ok(lanes) => self.shared_road(worker, lanes),
            Err(why) => self.road_without_lanes(worker, &why),
        }
    }

    /// The lanes, or why records go over the socket; empty = somebody wanted it so.
    fn lanes(&'static self, worker: &'static Worker) -> Result<&'static Lanes, String> {
        if worker.settings.transport == Transport::Socket {
            return Err(String::new());
        }
        let lanes = self.lanes.get_or_init(|| make_lanes(worker)).as_ref().map_err(Clone::clone)?;
        if self.has_left_lanes.load(Ordering::Relaxed) {
            return Err(lanes.refused().unwrap_or_default());
        }
        Ok(lanes)
    }

    fn socket(&'static self, worker: &'static Worker, fallback: &str) -> &'static SharedQueue {
        self.socket.get_or_init(|| {
            release_inherited(&worker.socket_link);
            SharedQueue::new(Config {
                socket: worker.settings.socket.clone(),
                window: worker.settings.window,
                when_full: worker.settings.when_full,
                name: worker.name(),
                fallback: fallback.to_owned(),
                link_number: &worker.socket_link,
            })
        })
    }
}

fn make_lanes(worker: &'static Worker) -> Result<Lanes, String> {
    release_inherited(&worker.bell_link);
    release_inherited(&worker.segment_file);
    let made = Lanes::create(LanesConfig {
        run_dir: worker.settings.run_dir.clone(),
        socket: worker.settings.socket.clone(),
        when_full: worker.settings.when_full,
        lane_max: worker.settings.lane_max(),
        name: worker.name(),
        link_number: &worker.bell_link,
        file_number: &worker.segment_file,
    });
    made.map_err(|error| {
        tell_fallback(worker, &error.to_string());
        match error {
            // What the system said comes first: the listener keeps the beginning.
            SegmentError::System { what, path, source } => {
                format!("{source}: {what} {}", path.display())
            }
            other => other.to_string(),
        }
    })
}

/// Tells of lost records, unless so many were told of already.
fn tell_lost(told: &AtomicU64, lost: u64, why: &str) {
    if lost > told.fetch_max(lost, Ordering::Relaxed) {
        say::lost(lost, why);
    }
}

/// Says once that records take the socket, or, where it is certain that they can't, that they don't.
fn tell_fallback(worker: &Worker, why: &str) {
    match unusable(&worker.settings.socket) {
        None => say::fallback(why),
        Some(error) => {
            say::no_way(&format!("{why}; {}: {error}", worker.settings.socket.display()));
        }
    }
}

/// Why this process can't connect to a socket, whoever listens there; `None` = it can, or may once
/// there is one.
fn unusable(socket: &Path) -> Option<io::Error> {
    let asked = faccessat(AT_FDCWD, socket, AccessFlags::W_OK, AtFlags::AT_EACCESS);
    asked.err().map(io::Error::from).filter(|error| !is_absence(error))
}

/// Whether an error means that nobody listens, and nothing worse.
fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

/// Closes this process's copy of its parent's connection, so that the listener notices when the
/// parent is gone.
pub(crate) fn release_inherited(link: &LinkNumber) {
    if let Some(number) = link.take() {
        fork::close_descriptor(number);
    }
}

impl Road {
    /// Sends a finished record. What can't be sent is counted.
    #[inline]
    pub(crate) fn send(
        &mut self,
        worker: &'static Worker,
        record: &mut Vec<u8>,
        urgent: bool,
        callsite: CallsiteOf<'_>,
    ) {
        if let Self::Lane(lanes, _) | Self::Shared(lanes) = self
            && lanes.is_refused()
        {
            self.hear_refusal(worker);
        }
        // A drop is counted and reported in band; the caller of a log macro can do nothing.
        if let Self::Lane(lanes, queue) = self {
            if let Err(NotTaken::NoSpace(error)) = queue.record(lanes, record, urgent, callsite) {
                self.send_without_room(worker, &error, record, urgent, callsite);
            }
        } else {
            self.send_shared(worker, record, urgent, callsite);
        }
    }

    /// As [`send`](Self::send), through what threads share. Apart from it, so that the way of a lane
    /// is short enough to stand in its caller.
    #[inline(never)]
    fn send_shared(
        &mut self,
        worker: &'static Worker,
        record: &mut Vec<u8>,
        urgent: bool,
        callsite: CallsiteOf<'_>,
    ) {
        match self {
            Self::Lane(..) => {}
            Self::Shared(lanes) => {
                if let Err(NotTaken::NoSpace(error)) = lanes.record_shared(record, urgent, callsite)
                {
                    self.send_without_room(worker, &error, record, urgent, callsite);
                }
            }
            Self::Exile(lanes, queue) if may_return(lanes, queue) => {
                worker.process().has_left_lanes.store(false, Ordering::Relaxed);
                *self = worker.process().road_of_thread(worker);
                self.send(worker, record, urgent, callsite);
            }
            Self::Socket(queue) | Self::Exile(_, queue) => {
                let _ = queue.record(record, urgent, callsite);
                if queue.is_refused() {
                    let why = queue.try_with(|queue| queue.refused().map(str::to_owned));
                    if let Some(why) = why.flatten() {
                        say::refusal(&why);
                    }
                }
            }
        }
    }

    /// Leaves a lane that can't grow, and sends the record over the socket.
    #[cold]
    fn send_without_room(
        &mut self,
        worker: &'static Worker,
        error: &io::Error,
        record: &mut Vec<u8>,
        urgent: bool,
        callsite: CallsiteOf<'_>,
    ) {
        let (Self::Lane(lanes, _) | Self::Shared(lanes)) = self else { return };
        let road = worker.process().road_without_room(worker, lanes, error);
        std::mem::replace(self, road).give_back();
        self.send(worker, record, urgent, callsite);
    }

    /// Counts records that could not take this road, at their place in it.
    #[cold]
    pub(crate) fn count_lost(&mut self, reason: DropReason, count: u64) {
        match self {
            Self::Lane(lanes, queue) => queue.count_lost(lanes, reason, count),
            Self::Shared(lanes) => lanes.count_lost_shared(reason, count),
            Self::Socket(queue) | Self::Exile(_, queue) => queue.count_lost(reason, count),
        }
    }

    /// The listener does not want the lanes. What stands in them waits for one that does.
    #[cold]
    fn hear_refusal(&mut self, worker: &'static Worker) {
        let (Self::Lane(lanes, _) | Self::Shared(lanes)) = self else { return };
        if say::has_refused() && worker.settings.transport != Transport::Auto {
            return;
        }
        let why = lanes.refused().unwrap_or_default();
        say::refusal(&why);
        if worker.settings.transport == Transport::Auto {
            let process = worker.process();
            process.has_left_lanes.store(true, Ordering::Relaxed);
            let socket = Self::Exile(lanes, process.socket(worker, &why));
            std::mem::replace(self, socket).give_back();
        }
    }

    /// Lets the next thread have a lane that this one needs no more.
    pub(crate) fn give_back(self) {
        if let Self::Lane(lanes, queue) = self {
            lanes.release(queue);
        }
    }
}

/// Whether records that went over the socket, because a listener refused the lanes, may take the
/// lanes again. Not before everything that was sent is in the files: what a listener's death would
/// let come again over the socket would stand after what is younger in a lane. Never waits.
#[cold]
fn may_return(lanes: &Lanes, queue: &SharedQueue) -> bool {
    let may_return = queue.try_with(|queue| {
        lanes.is_welcome_again(queue.connections()) && {
            queue.pump();
            queue.is_settled()
        }
    });
    may_return.unwrap_or(false)
}
