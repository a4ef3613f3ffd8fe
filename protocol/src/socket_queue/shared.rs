//! A queue that several threads use: each call has its own time, the wait for the lock included.
//!
//! The lock is held by nobody that waits. What a call could not do because it did not get the lock
//! in time is done by the next one that does: nothing is forgotten, and a dropped record is counted.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{CallsiteOf, Config, SocketQueue, leave, record_in};
use crate::bounded_lock::BoundedLock;
use crate::message::DropReason;
use crate::stall::{Access, Call, Missed, Stall};

/// A [`SocketQueue`] for the threads of a process.
///
/// ```
/// use fleetlog_protocol::limits::WINDOW_DEFAULT;
/// use fleetlog_protocol::socket_queue::{Config, LinkNumber, SharedQueue, WhenFull};
/// static LINK: LinkNumber = LinkNumber::new();
/// let queue = SharedQueue::new(Config {
///     socket: "/run/fleetlog/socket".into(),
///     window: WINDOW_DEFAULT,
///     when_full: WhenFull::DropNewest,
///     name: "worker 1".to_owned(),
///     fallback: String::new(),
///     link_number: &LINK,
/// });
/// assert_eq!(queue.with(|queue| queue.account().accepted), Some(0));
/// ```
#[derive(Debug)]
pub struct SharedQueue {
    queue: BoundedLock<SocketQueue>,
    stall: Arc<Stall>,
    is_refused: Arc<AtomicBool>,
    missed: Missed,
    /// A name that the queue was not given yet.
    name: Mutex<Option<String>>,
    name_is_due: AtomicBool,
}

/// The queue for one call, which waits for the lock as long as it may.
struct InTime<'q> {
    shared: &'q SharedQueue,
    call: &'q Call<'q>,
}

/// The queue for a process that ends: a thread that is gone already may hold the lock.
struct BeforeExit<'q> {
    shared: &'q SharedQueue,
    /// For each use.
    patience: Duration,
}

impl SharedQueue {
    /// As [`SocketQueue::new`].
    #[must_use]
    pub fn new(config: Config) -> Self {
        let queue = SocketQueue::new(config);
        Self {
            stall: Arc::clone(&queue.stall),
            is_refused: Arc::clone(&queue.is_refused),
            queue: BoundedLock::new(queue),
            missed: Missed::default(),
            name: Mutex::default(),
            name_is_due: AtomicBool::new(false),
        }
    }

    /// As [`SocketQueue::record`].
    ///
    /// # Errors
    /// As [`SocketQueue::record`]; [`DropReason::Full`] also where the queue was not to be had in
    /// time.
    pub fn record(
        &self,
        record: &mut Vec<u8>,
        urgent: bool,
        callsite: CallsiteOf<'_>,
    ) -> Result<(), DropReason> {
        let call = self.stall.call();
        let queue = InTime { shared: self, call: &call };
        record_in(queue, &call, record, urgent, callsite).map_err(|counted| {
            counted.unwrap_or_else(|| {
                self.missed.add(DropReason::Full, 1);
                DropReason::Full
            })
        })
    }

    /// Whether a listener refused this worker at least once ([`SocketQueue::refused`]).
    #[must_use]
    pub fn is_refused(&self) -> bool {
        // Relaxed: who wants to know why takes the lock.
        self.is_refused.load(Ordering::Relaxed)
    }

    /// As [`SocketQueue::set_name`].
    pub fn set_name(&self, name: &str) {
        {
            let mut due = self.name();
            *due = Some(name.to_owned());
            self.name_is_due.store(true, Ordering::Relaxed);
        }
        // Whoever uses the queue next gives it the name.
        self.with(|_| ());
    }

    /// As [`SocketQueue::count_lost`].
    pub fn count_lost(&self, reason: DropReason, count: u64) {
        if self.with(|queue| queue.count_lost(reason, count)).is_none() {
            self.missed.add(reason, count);
        }
    }

    /// As [`SocketQueue::goodbye`]. For a process that ends, of which a thread that is gone already
    /// may hold the lock: after `patience` it is given up.
    pub fn goodbye(&self, patience: Duration) {
        leave::goodbye(BeforeExit { shared: self, patience });
    }

    /// Uses the queue for something that does not wait; `None` = it was not to be had for as long as
    /// a call may wait.
    pub fn with<T>(&self, use_it: impl FnOnce(&mut SocketQueue) -> T) -> Option<T> {
        let call = self.stall.call();
        InTime { shared: self, call: &call }.with(use_it)
    }

    /// As [`with`](Self::with), if nobody uses the queue just now.
    pub fn try_with<T>(&self, use_it: impl FnOnce(&mut SocketQueue) -> T) -> Option<T> {
        self.with_until(|| Some(Instant::now()), use_it)
    }

    fn with_until<T>(
        &self,
        until: impl FnOnce() -> Option<Instant>,
        use_it: impl FnOnce(&mut SocketQueue) -> T,
    ) -> Option<T> {
        self.queue.with(until, |queue| {
            for (reason, count) in self.missed.take().by_reason() {
                queue.count_lost(reason, count);
            }
            // Relaxed: the name is read under its lock.
            if self.name_is_due.load(Ordering::Relaxed) {
                let due = {
                    let mut due = self.name();
                    self.name_is_due.store(false, Ordering::Relaxed);
                    due.take()
                };
                if let Some(name) = due {
                    queue.set_name(&name);
                }
            }
            use_it(queue)
        })
    }

    /// Held to put a name there or to take it.
    fn name(&self) -> MutexGuard<'_, Option<String>> {
        self.name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Access<SocketQueue> for InTime<'_> {
    fn with<T>(&mut self, use_it: impl FnOnce(&mut SocketQueue) -> T) -> Option<T> {
        self.shared.with_until(|| self.call.lock_until(), use_it)
    }
}

impl Access<SocketQueue> for BeforeExit<'_> {
    fn with<T>(&mut self, use_it: impl FnOnce(&mut SocketQueue) -> T) -> Option<T> {
        self.shared.with_until(|| Instant::now().checked_add(self.patience), use_it)
    }
}
