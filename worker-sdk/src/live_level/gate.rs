//! The gate between forks and the watcher: no fork happens while a look is under way, and no look
//! begins while a fork is.
//!
//! A look opens files, allocates, takes the program's filters through `register_callsite`, and
//! walks tracing-core's list of callsites, under its lock where there are several subscribers. A
//! child forked in the middle would have that lock held by a thread that it does not have. So a
//! fork waits until the look is over, at most [`PATIENCE`]; looks take microseconds and happen when
//! a level changes. A child whose parent lost patience may find such a lock held: then its own
//! watcher may hang, and with it nothing but its live level, because what logs does not take those
//! locks for a callsite that it has met before.
//!
//! One word tells all: how many forks are under way, and whether somebody looks, or wants to, who
//! keeps further forks waiting meanwhile. Nobody waits for ever, in either direction.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::fork::{park, unpark_all};

/// How long a fork waits for a look, and a look for forks.
const PATIENCE: Duration = Duration::from_secs(1);

/// Somebody looks.
const BUSY: u32 = 1;
/// Somebody wants to look once the forks that are under way are over.
const WANTED: u32 = 2;
/// The look takes so long that a fork went on without its end: later ones need not wait as well.
const SLOW: u32 = 4;
/// One fork.
const FORK: u32 = 8;

/// Everything about it is SeqCst: it changes a few times a second at most.
static STATE: AtomicU32 = AtomicU32::new(0);

/// Runs a look while no fork is under way; `None` = forks, or another look, took too long.
pub(super) fn look<R>(look: impl FnOnce() -> R) -> Option<R> {
    enter().then(|| {
        let _leave = Leave;
        look()
    })
}

/// Leaves the gate also when a filter of the program panics.
struct Leave;

impl Drop for Leave {
    fn drop(&mut self) {
        STATE.fetch_and(!(BUSY | SLOW), Ordering::SeqCst);
        unpark_all(&STATE);
    }
}

fn enter() -> bool {
    let deadline = Instant::now() + PATIENCE;
    let mut state = STATE.load(Ordering::SeqCst);
    loop {
        let is_free = state & BUSY == 0 && state < FORK;
        let wanted = if is_free { state & !WANTED | BUSY } else { state | WANTED };
        match STATE.compare_exchange(state, wanted, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) if is_free => return true,
            Ok(_) => {}
            Err(found) => {
                state = found;
                continue;
            }
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            STATE.fetch_and(!WANTED, Ordering::SeqCst);
            unpark_all(&STATE);
            return false;
        }
        park(&STATE, wanted, left);
        state = STATE.load(Ordering::SeqCst);
    }
}

/// Runs before a fork, in the thread that forks.
pub(super) extern "C" fn before_fork() {
    let deadline = Instant::now() + PATIENCE;
    let mut state = STATE.load(Ordering::SeqCst);
    loop {
        let is_free = state & (BUSY | WANTED) == 0 || state & SLOW != 0;
        let left = deadline.saturating_duration_since(Instant::now());
        if !is_free && !left.is_zero() {
            park(&STATE, state, left);
            state = STATE.load(Ordering::SeqCst);
            continue;
        }
        let slow = if !is_free && state & BUSY != 0 { SLOW } else { 0 };
        let with_fork = (state | slow) + FORK;
        match STATE.compare_exchange(state, with_fork, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => return,
            Err(found) => state = found,
        }
    }
}

/// Runs behind a fork, in its parent.
pub(super) extern "C" fn behind_fork() {
    STATE.fetch_sub(FORK, Ordering::SeqCst);
    unpark_all(&STATE);
}

/// Runs in a child, which has neither its parent's forks nor its look. Tells whether the fork came
/// in the middle of a look.
pub(super) fn reset_in_child() -> bool {
    STATE.swap(0, Ordering::SeqCst) & BUSY != 0
}
