//! The demo's forks, and the only unsafe code of the command.
#![allow(
    unsafe_code,
    reason = "forking is the point of the demo, and nobody else can make it safe"
)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::sys::signal::Signal;
use nix::unistd::{ForkResult, Pid, fork};

use super::super::exit::Failure;

/// Runs `life` in a forked child, which ends with the code that it returns, or 101 if it panics.
///
/// The child ends by `_exit`: no destructor and no exit handler of the parent runs in it.
pub(super) fn child(life: impl FnOnce() -> i32) -> Result<Pid, Failure> {
    // SAFETY: the child may do anything only if no other thread existed that could have held a
    // lock. The demo starts no thread before or between its forks.
    let forked = unsafe { fork() };
    match forked {
        Ok(ForkResult::Parent { child }) => Ok(child),
        Ok(ForkResult::Child) => {
            // A panic must not unwind into the parent's half of the program.
            let code = catch_unwind(AssertUnwindSafe(life)).unwrap_or(101);
            // SAFETY: `_exit` takes any code, and nothing of this process is used after it.
            unsafe { libc::_exit(code) }
        }
        Err(errno) => Err(Failure::failed(
            "demo: a process can't be forked",
            format_args!("{errno}; allow more processes, or name fewer with --workers"),
        )),
    }
}

/// Lets this process get TERM when its parent dies, so that no listener is left behind.
pub(super) fn die_with_parent() {
    // A kernel that can't leaves a listener without workers behind, which `stop` ends.
    let _ = nix::sys::prctl::set_pdeathsig(Signal::SIGTERM);
}
