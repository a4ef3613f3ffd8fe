//! Signals that a write of ours could raise, and that would end a host that does not expect them.

use std::mem::MaybeUninit;
use std::ptr;

use nix::libc;

/// A pipe that nobody reads; a file beyond the limit of sizes.
const OF_WRITES: [libc::c_int; 2] = [libc::SIGPIPE, libc::SIGXFSZ];

/// Runs something that writes, and takes the signals away that this raises. Those that were pending
/// before stay pending.
pub(crate) fn without_signals_of_writes(write: impl FnOnce()) {
    let (mut held, mut before) = (empty_set(), empty_set());
    for signal in OF_WRITES {
        // SAFETY: the set is initialised and the signal exists.
        unsafe { libc::sigaddset(&raw mut held, signal) };
    }
    // SAFETY: both sets outlive the call.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const held, &raw mut before) };
    let were_pending = OF_WRITES.map(is_pending);
    write();
    for (signal, was_pending) in OF_WRITES.into_iter().zip(were_pending) {
        if !was_pending && is_pending(signal) {
            take(signal);
        }
    }
    // SAFETY: the set is this thread's own mask of before.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, ptr::null_mut()) };
}

fn is_pending(signal: libc::c_int) -> bool {
    let mut pending = empty_set();
    // SAFETY: the set outlives the call.
    unsafe { libc::sigpending(&raw mut pending) };
    // SAFETY: the set is initialised.
    unsafe { libc::sigismember(&raw const pending, signal) == 1 }
}

/// Takes a pending signal, without waiting for one.
fn take(signal: libc::c_int) {
    let mut wanted = empty_set();
    // SAFETY: the set is initialised and the signal exists.
    unsafe { libc::sigaddset(&raw mut wanted, signal) };
    let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: set and time outlive the call.
    unsafe { libc::sigtimedwait(&raw const wanted, ptr::null_mut(), &raw const now) };
}

fn empty_set() -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the call initialises what it is given.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: initialised above.
    unsafe { set.assume_init() }
}
