//! The forked processes of a trial: all set up, then released at once, then waited for.
//!
//! The parent never sets a subscriber and has no other thread, so that every child begins with
//! a `tracing` that nobody has used.

use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

const READY: u8 = b'R';

/// The name that profiles show of a worker's process.
const NAME: &std::ffi::CStr = c"bench-worker";

/// The workers of one trial.
#[derive(Debug)]
pub(crate) struct Pool {
    members: Vec<Member>,
    start: PipeWriter,
}

#[derive(Debug)]
struct Member {
    pid: Pid,
    pipe: PipeReader,
}

/// Where a worker waits for the others.
#[derive(Debug)]
pub(crate) struct Gate {
    pipe: PipeWriter,
    start: PipeReader,
}

impl Gate {
    /// Says that this worker is ready and waits until all are.
    pub(crate) fn wait(&mut self) -> io::Result<()> {
        self.pipe.write_all(&[READY])?;
        // Nothing is ever written: the pipe ends when the parent opens the gate.
        self.start.read_to_end(&mut Vec::new()).map(drop)
    }
}

impl Pool {
    /// Forks workers that run `work`, which must wait at its gate once, and send back what it
    /// returns. Returns when all wait at their gates.
    pub(crate) fn fork(
        workers: u32,
        work: impl Fn(u32, &mut Gate) -> io::Result<Vec<u8>>,
    ) -> io::Result<Self> {
        let (gate, start) = io::pipe()?;
        let mut members = Vec::new();
        for worker in 0..workers {
            let (pipe, theirs) = io::pipe()?;
            let mut gate = Gate { pipe: theirs, start: gate.try_clone()? };
            match fork_here()? {
                ForkResult::Parent { child: pid } => members.push(Member { pid, pipe }),
                ForkResult::Child => {
                    // The gate opens when no writer is left, this copy included.
                    drop((pipe, start));
                    let _ = nix::sys::prctl::set_name(NAME);
                    let done = catch_unwind(AssertUnwindSafe(|| {
                        let result = work(worker, &mut gate)?;
                        gate.pipe.write_all(&result)
                    }));
                    let failed = match done {
                        Ok(Ok(())) => false,
                        Ok(Err(error)) => {
                            eprintln!("bench: worker {worker}: {error}");
                            true
                        }
                        Err(_) => true,
                    };
                    exit_now(i32::from(failed));
                }
            }
        }
        for member in &mut members {
            let mut byte = [0];
            member.pipe.read_exact(&mut byte).map_err(|_| failed(member.pid, "did not start"))?;
        }
        Ok(Self { members, start })
    }

    /// Opens the gate and waits for the end of all. Returns the time of the start and what each
    /// worker sent back.
    pub(crate) fn run(self) -> io::Result<(Instant, Vec<Vec<u8>>)> {
        let start = Instant::now();
        drop(self.start);
        let mut results = Vec::new();
        for mut member in self.members {
            let mut result = Vec::new();
            member.pipe.read_to_end(&mut result)?;
            wait_for(member.pid)?;
            results.push(result);
        }
        Ok((start, results))
    }
}

/// Waits for the end of a process that must end well.
pub(crate) fn wait_for(pid: Pid) -> io::Result<()> {
    loop {
        match waitpid(pid, None) {
            Ok(WaitStatus::Exited(_, 0)) => return Ok(()),
            Ok(status) => return Err(failed(pid, &format!("ended with {status:?}"))),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn failed(pid: Pid, what: &str) -> io::Error {
    io::Error::other(format!("process {pid} {what}"))
}

#[allow(unsafe_code, reason = "fork has no safe form")]
fn fork_here() -> io::Result<ForkResult> {
    // SAFETY: this program has one thread, so that a child's copy of it is whole.
    unsafe { fork() }.map_err(io::Error::from)
}

#[allow(unsafe_code, reason = "_exit has no safe form")]
fn exit_now(code: i32) -> ! {
    // SAFETY: the process ends here; what it inherited from its parent is the parent's to end.
    unsafe { nix::libc::_exit(code) }
}
