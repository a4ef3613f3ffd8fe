//! The fork gate: `fork` waits while any thread holds one of `sharded-slab`'s private locks.
//!
//! The stock registry that backs span extensions registers each thread with `sharded-slab` under a process-wide
//! mutex, at the thread's first use and again at its exit. A child forked in between inherits that mutex locked by a
//! thread that it doesn't have. Nobody outside `sharded-slab` can take its mutex, so this module keeps a lock of its
//! own around every moment at which the mutex can be held, and the handlers given to `pthread_atfork` take that lock.
//!
//! It promises: with the gate in use, no fork happens while a thread of ours registers or unregisters. Where thread-local
//! destructors don't run last-in first-out it protects less, but it is never left closed. It never blocks a
//! thread that only uses spans: the gate is passed twice in a thread's life.

#![allow(unsafe_code, reason = "pthread_atfork is a foreign function")]

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::Duration,
};

/// The pid of the process whose thread holds the gate, or 0. A pid, not a flag: a child made by a raw `clone`, which runs no
/// handler, sees a stranger's pid and takes the gate over instead of waiting for a thread that it doesn't have.
static HOLDER: AtomicU32 = AtomicU32::new(0);

/// How many forks lie between the first process and this one.
static FORK_GENERATION: AtomicU32 = AtomicU32::new(0);

thread_local! {
    // No cell here has a destructor, so each can be read at any time of a thread's life, in destructors and fork
    // handlers as well.
    static HELD: Cell<bool> = const { Cell::new(false) };
    static FORKED_INSIDE: Cell<bool> = const { Cell::new(false) };
    static THREAD: Cell<ThreadState> = const { Cell::new(ThreadState::New) };
    static OPENER_GONE: Cell<bool> = const { Cell::new(false) };

    static OPENER: Opener = const { Opener };
    static CLOSER: Closer = const { Closer };
}

/// How far this thread is with `sharded-slab`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ThreadState {
    New,
    Registered,
    /// Its registration is gone, or about to go: `sharded-slab` would panic when asked to store something.
    Gone,
}

/// Opens the gate that [`Closer`] closed, once the destructor between the two has run.
struct Opener;

/// Closes the gate at thread exit, just before `sharded-slab` gives the thread's id back.
struct Closer;

impl Drop for Opener {
    fn drop(&mut self) {
        OPENER_GONE.set(true);
        if HELD.get() {
            release();
        }
    }
}

impl Drop for Closer {
    fn drop(&mut self) {
        THREAD.set(ThreadState::Gone);
        // An opener that ran already will not run again: taking the gate now would leave it closed for ever.
        if !OPENER_GONE.get() {
            acquire();
        }
    }
}

/// The number of forks between the first process and this one; state stamped with another number was written by threads
/// that this process may not have.
pub(super) fn fork_generation() -> u32 {
    // Relaxed: it only changes in a fork handler, when the process has one thread.
    FORK_GENERATION.load(Ordering::Relaxed)
}

/// Prepares this thread for `sharded-slab`; `register` must be an operation that registers a thread there and runs nobody
/// else's code. Returns whether this thread may store something there.
pub(super) fn enter_thread(register: impl FnOnce()) -> bool {
    match THREAD.get() {
        ThreadState::Registered => true,
        ThreadState::Gone => false,
        ThreadState::New => register_thread(register),
    }
}

#[cold]
fn register_thread(register: impl FnOnce()) -> bool {
    // This thread is inside the gate already: a panic hook or a signal handler that logs while it registers.
    if HELD.get() {
        return false;
    }
    acquire();
    // Destructors run last-in first-out: Closer, then sharded-slab's registration, then Opener.
    let opener = OPENER.try_with(|_| ()).is_ok();
    // More than 4,096 threads make sharded-slab panic. The gate must open again, and a span may go without extensions of its
    // own rather than take its thread down.
    let registered = catch_unwind(AssertUnwindSafe(register)).is_ok();
    let closer = CLOSER.try_with(|_| ()).is_ok();
    release();
    let usable = opener && registered && closer;
    THREAD.set(if usable { ThreadState::Registered } else { ThreadState::Gone });
    usable
}

fn acquire() {
    // Before the gate is ours, so that a signal handler that forks right here finds itself inside rather than waiting for
    // the thread that it interrupted.
    HELD.set(true);
    let me = std::process::id();
    let mut turns = 0_u32;
    loop {
        match HOLDER.compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => return,
            Err(stranger) if stranger != me => {
                let taken =
                    HOLDER.compare_exchange(stranger, me, Ordering::Acquire, Ordering::Relaxed);
                if taken.is_ok() {
                    return;
                }
            }
            Err(_) => back_off(&mut turns),
        }
    }
}

fn release() {
    HOLDER.store(0, Ordering::Release);
    HELD.set(false);
}

/// The gate is held for less than a microsecond, unless its holder lost the processor: then give way, at last by sleep, as a
/// high-priority waiter would otherwise keep the holder from running.
fn back_off(turns: &mut u32) {
    *turns = turns.saturating_add(1);
    match *turns {
        0..64 => std::hint::spin_loop(),
        64..256 => std::thread::yield_now(),
        _ => std::thread::sleep(Duration::from_micros(20)),
    }
}

/// Registers the fork handlers, once per process.
pub(super) fn install() {
    static INSTALLED: AtomicBool = AtomicBool::new(false);
    if INSTALLED.swap(true, Ordering::AcqRel) {
        return;
    }
    // SAFETY: the handlers are plain functions that live as long as the program, unwind never, and touch only atomics and
    // thread-locals without destructors. A failure (no memory) leaves forks unprotected and nothing else changed.
    let _ = unsafe {
        libc::pthread_atfork(Some(before_fork), Some(after_in_parent), Some(after_in_child))
    };
}

extern "C" fn before_fork() {
    if HELD.get() {
        // A signal handler interrupted this very thread inside the gate. Waiting for itself would hang.
        FORKED_INSIDE.set(true);
    } else {
        acquire();
    }
}

extern "C" fn after_in_parent() {
    if !FORKED_INSIDE.replace(false) {
        release();
    }
}

extern "C" fn after_in_child() {
    FORK_GENERATION.fetch_add(1, Ordering::Relaxed);
    if !FORKED_INSIDE.replace(false) {
        release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    thread_local! {
        static STAND_IN: StandIn = const { StandIn };
    }

    static HELD_IN_STAND_IN: AtomicBool = AtomicBool::new(false);

    struct StandIn;

    impl Drop for StandIn {
        fn drop(&mut self) {
            HELD_IN_STAND_IN.store(HELD.get(), Ordering::SeqCst);
        }
    }

    #[test]
    fn the_gate_is_held_while_the_registration_between_its_guards_is_dropped() {
        std::thread::spawn(|| {
            assert!(enter_thread(|| STAND_IN.with(|_| ())));
            assert!(!HELD.get());
        })
        .join()
        .unwrap();
        assert!(
            HELD_IN_STAND_IN.load(Ordering::SeqCst),
            "destructors did not run last-in first-out"
        );
        // Whoever needs the gate next must get it.
        acquire();
        release();
    }

    #[test]
    fn a_panic_while_registering_leaves_the_gate_open_and_the_thread_without_cells() {
        std::thread::spawn(|| {
            assert!(!enter_thread(|| panic!("too many threads")));
            assert!(!HELD.get());
            assert!(!enter_thread(|| ()));
        })
        .join()
        .unwrap();
    }
}
