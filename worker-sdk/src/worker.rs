//! The worker: one process's end of a fleet, behind the layer.
//!
//! A [`Worker`] belongs to one run directory and lives as long as the program; each process that
//! comes out of a fork makes a queue of its own under it. Its promises: the calling thread does
//! all the work, nothing here can panic, a call waits at most the stall budget, and a record that
//! can't be taken is counted.

use std::cell::Cell;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use fleetlog_protocol::message::DropReason;
use fleetlog_protocol::socket_queue::{
    CallsiteOf, Config, LinkNumber, SocketQueue, WhenFull, pause,
};

use crate::fork::{self, List, PerProcess, Replaceable};

/// How long an ending process waits for another of its threads to let go of the queue.
const EXIT_PATIENCE: Duration = Duration::from_secs(1);

/// How often a waiting call looks again.
const GLANCE: Duration = Duration::from_millis(1);

/// Every worker of this program, for the calls that mean all of them.
static WORKERS: List<Worker> = List::new();

/// What a worker was built with.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) run_dir: PathBuf,
    pub(crate) socket: PathBuf,
    pub(crate) when_full: WhenFull,
    pub(crate) window: usize,
    pub(crate) record_max: usize,
}

pub(crate) struct Worker {
    pub(crate) settings: Settings,
    name: Replaceable<String>,
    link: LinkNumber,
    queue: PerProcess<Mutex<SocketQueue>>,
    reentrant: AtomicU64,
}

thread_local! {
    /// Whether this thread is inside of the queue. A record that is made there, by a signal
    /// handler or an allocator that logs, must not wait for the lock that its own thread holds.
    static INSIDE: Cell<bool> = const { Cell::new(false) };

    /// The thread's id and the generation in which it was asked for.
    static THREAD: Cell<(u64, u32)> = const { Cell::new((0, 0)) };
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("name", &self.name.get())
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Worker {
    /// Makes a worker that lives as long as the program.
    pub(crate) fn new(settings: Settings, name: String) -> &'static Self {
        fork::prepare(in_child, at_exit);
        let worker = Self {
            settings,
            name: Replaceable::empty(),
            link: LinkNumber::new(),
            queue: PerProcess::new(),
            reentrant: AtomicU64::new(0),
        };
        worker.name.set(name);
        let worker: &'static Self = Box::leak(Box::new(worker));
        WORKERS.push(worker);
        worker
    }

    /// All workers of this program.
    pub(crate) fn all() -> impl Iterator<Item = &'static Self> {
        WORKERS.iter()
    }

    /// The worker of a run directory, if there is one.
    pub(crate) fn of(run_dir: &std::path::Path) -> Option<&'static Self> {
        Self::all().find(|worker| worker.settings.run_dir == run_dir)
    }

    /// Sends a finished record. What can't be sent is counted.
    pub(crate) fn send(
        &'static self,
        record: &mut Vec<u8>,
        urgent: bool,
        callsite: CallsiteOf<'_>,
    ) {
        let Some(_inside) = Inside::enter() else {
            // Relaxed: a count that is read by whoever takes the lock next; nothing hangs on it.
            self.reentrant.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let mut queue = lock(self.queue());
        let lost = self.reentrant.swap(0, Ordering::Relaxed);
        if lost > 0 {
            queue.count_lost(DropReason::Reentrant, lost);
        }
        // A drop is counted and reported in band; the caller of a log macro can do nothing.
        let _ = queue.record(record, urgent, callsite);
        if let Some(why) = queue.refused() {
            say_refusal(why);
        }
    }

    pub(crate) fn set_name(&'static self, name: &str) {
        self.name.set(name.to_owned());
        if let Some(queue) = self.queue.existing()
            && let Some(_inside) = Inside::enter()
        {
            lock(queue).set_name(name);
        }
    }

    /// Waits until everything logged so far is in the files; returns the records that are not.
    pub(crate) fn sync(&'static self, deadline: Instant) -> u64 {
        let Some(queue) = self.queue.existing() else { return 0 };
        let Some(_inside) = Inside::enter() else { return 0 };
        let target = lock(queue).last_seq();
        loop {
            let acked = {
                let mut queue = lock(queue);
                queue.pump();
                queue.acked()
            };
            if acked >= target || Instant::now() >= deadline {
                return target.saturating_sub(acked);
            }
            pause(GLANCE);
        }
    }

    /// Sends what waits and takes leave from the listener.
    pub(crate) fn goodbye(&'static self) {
        let Some(queue) = self.queue.existing() else { return };
        let Some(_inside) = Inside::enter() else { return };
        let deadline = Instant::now() + EXIT_PATIENCE;
        loop {
            match queue.try_lock() {
                Ok(mut queue) => return queue.goodbye(),
                Err(TryLockError::Poisoned(queue)) => return queue.into_inner().goodbye(),
                // The holder may be a thread that an exiting process has ended already.
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => return,
                Err(TryLockError::WouldBlock) => pause(GLANCE),
            }
        }
    }

    fn queue(&'static self) -> &'static Mutex<SocketQueue> {
        self.queue.get(|| {
            self.release_inherited_link();
            Mutex::new(SocketQueue::new(Config {
                socket: self.settings.socket.clone(),
                window: self.settings.window,
                when_full: self.settings.when_full,
                name: self.name.get().cloned().unwrap_or_default(),
                fallback: String::new(),
                link_number: &self.link,
            }))
        })
    }

    /// Closes this process's copy of its parent's connection, so that the listener notices when
    /// the parent is gone.
    fn release_inherited_link(&self) {
        if let Some(number) = self.link.take() {
            fork::close_descriptor(number);
        }
    }
}

/// Locks a queue. A panic cannot happen while it is held; should one, the queue is usable still.
fn lock(queue: &Mutex<SocketQueue>) -> MutexGuard<'_, SocketQueue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says once that the listener does not want this worker. Not through `tracing`: the message
/// would come back here. Not through Rust's standard error: a child may inherit its lock locked.
fn say_refusal(why: &str) {
    static SAID: AtomicBool = AtomicBool::new(false);
    if !SAID.swap(true, Ordering::Relaxed) {
        let text = format!("fleetlog: the listener refuses this worker: {why}\n");
        let _ = nix::unistd::write(std::io::stderr(), text.as_bytes());
    }
}

/// Runs in a child that `fork` made. Only atomics and descriptors may be touched here.
extern "C" fn in_child() {
    for worker in WORKERS.iter() {
        worker.release_inherited_link();
    }
}

extern "C" fn at_exit() {
    for worker in WORKERS.iter() {
        worker.goodbye();
    }
}

/// The kernel's id of this thread, asked for once per thread and process.
pub(crate) fn thread_number() -> u32 {
    let generation = fork::generation();
    let ask = || u32::try_from(nix::unistd::gettid().as_raw()).unwrap_or(0);
    THREAD
        .try_with(|thread| {
            let (known, number) = thread.get();
            if known == generation {
                return number;
            }
            let number = ask();
            thread.set((generation, number));
            number
        })
        .unwrap_or_else(|_| ask())
}

/// This thread is inside of the queue until this is dropped.
struct Inside;

impl Inside {
    fn enter() -> Option<Self> {
        // The cell has no destructor: it is there as long as the thread is.
        (!INSIDE.replace(true)).then_some(Self)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.set(false);
    }
}
