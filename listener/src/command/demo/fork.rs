//! The demo's forks, and the only unsafe code of the command.
#![allow(
    unsafe_code,
    reason = "forking is the point of the demo, and nobody else can make it safe"
)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;
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
            // Nobody is left behind when the demo is killed: the listener drains and ends, the
            // workers end. A kernel that can't do it leaves them to end by themselves.
            let _ = nix::sys::prctl::set_pdeathsig(Signal::SIGTERM);
            // A panic must not unwind into the parent's half of the program.
            let code = catch_unwind(AssertUnwindSafe(life)).unwrap_or(101);
            // SAFETY: `_exit` takes any code, and nothing of this process is used after it.
            unsafe { libc::_exit(code) }
        }
        Err(errno) => Err(Failure::failed(
            "demo: a process can't be forked",
            format_args!(
                "{}; allow more processes, or name fewer with --workers",
                std::io::Error::from(errno)
            ),
        )),
    }
}

/// How a child ended, in words.
pub(super) fn end(status: WaitStatus) -> String {
    match status {
        WaitStatus::Exited(_, code) => format!("ended with code {code}"),
        WaitStatus::Signaled(_, signal, _) => format!("was killed by {signal}"),
        other => format!("is in the state {other:?}"),
    }
}
