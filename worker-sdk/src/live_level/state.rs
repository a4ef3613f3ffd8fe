//! What is in force for this process: read from the run directory, fitted to the worker's name, and
//! put in place.
//!
//! All of it happens inside of the [`gate`], in the watcher's thread or in one that calls
//! `set_name`, and in a state that each process makes for itself: what a child inherits is at most
//! the overlay, which is put in place by one store and is whole.
//!
//! Two races are closed here. A thread that meets a callsite for the first time may have asked the
//! filter before a change and store the interest behind it: nobody sees that, so that interests are
//! computed once more a moment later. And computing them in a thread that has no subscriber, while
//! there is one only, and only as the default of some thread, would switch everything off, because
//! tracing-core asks the calling thread's default then: so ours is made the default for the moment.

use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, TryLockError};
use std::time::{Duration, Instant};

use fleetlog_protocol::level_control::{self, Changes, Seen, Watch, clock};
use tracing_core::dispatcher::{WeakDispatch, get_default, with_default};
use tracing_core::subscriber::NoSubscriber;
use tracing_core::{Dispatch, callsite};

use super::gate;
use super::overlay::Overlay;
use super::watcher;
use crate::fork::{self, List, PerProcess, Published, Retired};
use crate::say;
use crate::worker::Worker;

/// How often a watcher looks without being woken: the run directory may have been replaced.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// When interests are computed once more. A thread is not held up that long between asking a filter
/// and storing the answer, unless it is stopped.
const SETTLE: Duration = Duration::from_millis(100);

/// When something is tried again that did not work.
const RETRY: Duration = Duration::from_millis(100);

/// Every live filter of this program.
static LIVES: List<Live> = List::new();

/// The state behind one [`super::LiveFilter`].
pub(super) struct Live {
    pub(super) overlay: Published<Overlay>,
    worker: &'static Worker,
    /// The subscriber that the filter is part of.
    dispatch: OnceLock<WeakDispatch>,
    /// Whether the subscriber is gone.
    ended: AtomicBool,
    /// Whether some change names workers, so that this one's name matters.
    names_matter: AtomicBool,
    /// Interests may have been computed for another overlay.
    stale: AtomicBool,
    process: PerProcess<Mutex<Process>>,
}

/// What one process knows.
#[derive(Debug, Default)]
struct Process {
    /// The page's word when the changes were read.
    seen: Option<Seen>,
    changes: Changes,
    settle_at: Option<Instant>,
    retired: Vec<Retired<Overlay>>,
}

/// What a watcher waits for.
pub(super) struct Next {
    pub(super) seen: Option<Seen>,
    pub(super) at_most: Duration,
}

impl Live {
    /// The state of a new filter; `None` where the level is not to be changed. What is in force is
    /// in place when this returns.
    pub(super) fn of(worker: &'static Worker) -> Option<&'static Self> {
        if !worker.settings.live_level {
            return None;
        }
        let live: &'static Self = Box::leak(Box::new(Self {
            overlay: Published::empty(),
            worker,
            dispatch: OnceLock::new(),
            ended: AtomicBool::new(false),
            names_matter: AtomicBool::new(false),
            stale: AtomicBool::new(false),
            process: PerProcess::new(),
        }));
        live.look_at_once();
        Some(live)
    }

    /// The filter is part of a subscriber from here on: the watcher starts.
    pub(super) fn begin(&'static self, dispatch: &Dispatch) {
        if self.dispatch.set(dispatch.downgrade()).is_err() {
            return;
        }
        surround_forks();
        LIVES.push(self);
        watcher::start(self);
    }

    /// The filter is gone, and the watcher ends when it wakes the next time.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// A watch on this worker's run directory.
    pub(super) fn watch(&self) -> Watch<'_> {
        Watch::new(&self.worker.settings.run_dir)
    }

    /// Looks whether something has changed, and puts it in place. Inside of the gate only.
    pub(super) fn look(&'static self, watch: &mut Watch<'_>) -> Next {
        let seen = watch.look();
        let Some(mut process) = self.process() else { return Next { seen: None, at_most: RETRY } };
        // Without a word nothing tells whether the changes are the same.
        if seen.is_none() || process.seen != seen {
            process.changes = self.read();
            process.seen = seen;
        }
        let at_most = self.put_in_place(&mut process);
        Next { seen, at_most }
    }

    /// As a look, without a watch: in threads of the program.
    fn look_at_once(&'static self) {
        gate::look(|| {
            if let Some(mut process) = self.process() {
                process.changes = self.read();
                self.put_in_place(&mut process);
            }
        });
    }

    fn process(&'static self) -> Option<MutexGuard<'static, Process>> {
        // Held by nobody inside of the gate, but for a child that was forked in the middle of a
        // look, and has one of its own.
        match self.process.get(Mutex::default).try_lock() {
            Ok(process) => Some(process),
            Err(TryLockError::Poisoned(process)) => Some(process.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn read(&self) -> Changes {
        level_control::read(&self.worker.settings.run_dir).unwrap_or_else(|error| {
            say::no_level(&error.to_string());
            Changes::default()
        })
    }

    /// Lays over the filter what is for this worker, and tells when to look again.
    fn put_in_place(&self, process: &mut Process) -> Duration {
        let (now, clock) = (Instant::now(), clock::now());
        let name = self.worker.name();
        let told = process.changes.for_worker(&name, std::process::id(), clock);
        let overlay = Overlay::of(told.map(|change| change.directives.clone()).collect());
        let names = process.changes.as_slice().iter().any(|change| change.worker.is_some());
        self.names_matter.store(names, Ordering::Relaxed);

        let is_the_same = self.overlay.read(|current| current == overlay.as_ref());
        if !is_the_same {
            process.retired.push(self.overlay.replace(overlay));
            self.stale.store(true, Ordering::Relaxed);
            process.settle_at = Some(now + SETTLE);
        }
        let settles = process.settle_at.take_if(|at| *at <= now).is_some();
        if (self.stale.load(Ordering::Relaxed) || settles) && self.compute_interests() {
            self.stale.store(false, Ordering::Relaxed);
        }
        self.overlay.free(&mut process.retired);

        let until = |end: Duration| end.saturating_sub(clock);
        [
            Some(LOOK_AGAIN),
            process.changes.next_end(clock).map(until),
            process.settle_at.map(|at| at.saturating_duration_since(now)),
            self.stale.load(Ordering::Relaxed).then_some(RETRY),
        ]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(LOOK_AGAIN)
    }

    /// Lets every callsite ask anew who is interested. Tells whether that was possible: in the
    /// middle of an event's own recording tracing-core has no subscriber for this thread.
    fn compute_interests(&self) -> bool {
        // Whoever is not part of a subscriber yet is asked for everything when it becomes so.
        let Some(dispatch) = self.dispatch.get().and_then(WeakDispatch::upgrade) else {
            return true;
        };
        with_default(&dispatch, || {
            if get_default(Dispatch::is::<NoSubscriber>) {
                return false;
            }
            callsite::rebuild_interest_cache();
            true
        })
    }
}

/// A worker has another name: what is for that name is in place when this returns.
pub(super) fn name_changed(worker: &'static Worker) {
    for live in LIVES.iter() {
        // Relaxed: whoever sets it makes it true before the change is said to be in force, and a
        // watcher looks at the name as well.
        if ptr::eq(live.worker, worker) && live.names_matter.load(Ordering::Relaxed) {
            live.look_at_once();
        }
    }
}

fn surround_forks() {
    static DONE: AtomicBool = AtomicBool::new(false);
    if !DONE.swap(true, Ordering::AcqRel) {
        fork::surround(gate::before_fork, gate::behind_fork, in_child);
    }
}

/// Runs in a child that `fork` made.
extern "C" fn in_child() {
    let in_a_look = gate::reset_in_child();
    for live in LIVES.iter().filter(|live| !live.has_ended()) {
        if in_a_look {
            live.stale.store(true, Ordering::Relaxed);
        }
        watcher::start(live);
    }
}
