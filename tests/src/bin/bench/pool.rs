//! The forked processes of a trial: all set up, then released at once, then waited for.
//!
//! The parent never sets a subscriber and has no other thread, so that every child begins with
//! a `tracing` that nobody has used. A pool has two gates: one that opens when all are set up, and
//! one for those that stay when they have logged until the parent has seen enough.

use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::net::Shutdown;
use std::ops::Range;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

const HERE: u8 = b'H';

/// The name that profiles show of a worker's process.
const NAME: &std::ffi::CStr = c"bench-worker";

/// The workers of one trial.
#[derive(Debug)]
pub(crate) struct Pool {
    members: Vec<Member>,
    start: Signpost,
    end: Signpost,
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
    start: Call,
    end: Call,
}

/// Something that the parent calls once and that any number of processes and threads hear.
#[derive(Debug)]
pub(crate) struct Call(UnixStream);

/// The parent's side of a [`Call`].
#[derive(Debug)]
struct Signpost {
    ours: UnixStream,
    theirs: Call,
}

impl Signpost {
    fn new() -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        Ok(Self { ours, theirs: Call(theirs) })
    }

    /// Unlike a drop, the shutdown reaches whoever listens though a process that was forked later
    /// has a copy of the socket.
    fn call(&self) -> io::Result<()> {
        self.ours.shutdown(Shutdown::Both)
    }
}

impl Call {
    /// Waits for the call.
    pub(crate) fn wait(&self) -> io::Result<()> {
        // Nothing is ever written: the stream ends with the call.
        (&self.0).read_to_end(&mut Vec::new()).map(drop)
    }

    /// Whether the call came, without waiting. From then on nobody may wait: all copies of a
    /// socket wait or none does.
    pub(crate) fn is_here(&self) -> io::Result<bool> {
        self.0.set_nonblocking(true)?;
        match (&self.0).read(&mut [0]) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn copy(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }
}

impl Gate {
    /// Says that this worker is ready and waits until all are.
    pub(crate) fn wait(&mut self) -> io::Result<()> {
        self.arrive()?;
        self.start.wait()
    }

    /// Says that this worker has come to where the parent waits in [`Pool::meet`].
    pub(crate) fn arrive(&mut self) -> io::Result<()> {
        self.pipe.write_all(&[HERE])
    }

    /// The end of the trial, for those that stay until then.
    pub(crate) fn end(&self) -> io::Result<Call> {
        self.end.copy()
    }
}

impl Pool {
    /// Forks a worker for each number. Each runs `work`, which must wait at its gate once, and
    /// sends back what it returns. Returns when all wait at their gates.
    pub(crate) fn fork(
        workers: Range<u32>,
        work: impl Fn(u32, &mut Gate) -> io::Result<Vec<u8>>,
    ) -> io::Result<Self> {
        let (start, end) = (Signpost::new()?, Signpost::new()?);
        let mut members = Vec::new();
        for worker in workers {
            let (pipe, theirs) = io::pipe()?;
            let mut gate =
                Gate { pipe: theirs, start: start.theirs.copy()?, end: end.theirs.copy()? };
            match fork_here()? {
                ForkResult::Parent { child: pid } => members.push(Member { pid, pipe }),
                ForkResult::Child => {
                    drop(pipe);
                    exit_now(live(worker, &mut gate, work));
                }
            }
        }
        let mut pool = Self { members, start, end };
        pool.meet()?;
        Ok(pool)
    }

    /// Opens the gate. Returns the time.
    pub(crate) fn open(&self) -> io::Result<Instant> {
        let start = Instant::now();
        self.start.call()?;
        Ok(start)
    }

    /// Waits until every worker has arrived.
    pub(crate) fn meet(&mut self) -> io::Result<()> {
        for member in &mut self.members {
            let mut byte = [0];
            member.pipe.read_exact(&mut byte).map_err(|_| failed(member.pid, "ended too soon"))?;
        }
        Ok(())
    }

    /// Calls the end, for which the workers of an open gate wait. Returns what each worker sent back.
    pub(crate) fn finish(self) -> io::Result<Vec<Vec<u8>>> {
        self.end.call()?;
        self.collect()
    }

    /// Opens the gate and waits for the end of workers that do not wait for it. Returns the time
    /// of the start and what each worker sent back.
    pub(crate) fn run(self) -> io::Result<(Instant, Vec<Vec<u8>>)> {
        let start = self.open()?;
        Ok((start, self.collect()?))
    }

    fn collect(self) -> io::Result<Vec<Vec<u8>>> {
        let mut results = Vec::new();
        for mut member in self.members {
            let mut result = Vec::new();
            member.pipe.read_to_end(&mut result)?;
            wait_for(member.pid)?;
            results.push(result);
        }
        Ok(results)
    }
}

/// A worker's life. Returns its exit code.
fn live(worker: u32, gate: &mut Gate, work: impl Fn(u32, &mut Gate) -> io::Result<Vec<u8>>) -> i32 {
    let done = catch_unwind(AssertUnwindSafe(|| {
        // Whoever kills the benchmark does not want to look for its workers.
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        prctl::set_name(NAME)?;
        let result = work(worker, gate)?;
        gate.pipe.write_all(&result)
    }));
    match done {
        Ok(Ok(())) => 0,
        Ok(Err(error)) => {
            eprintln!("bench: worker {worker}: {error}");
            1
        }
        Err(_) => 1,
    }
}

/// Waits for the end of a process that must end well.
pub(crate) fn wait_for(pid: Pid) -> io::Result<()> {
    wait_for_any(Some(pid))
}

/// Waits for the end of a child, any if none is named, that must end well.
pub(crate) fn wait_for_any(pid: Option<Pid>) -> io::Result<()> {
    loop {
        match waitpid(pid, None) {
            Ok(WaitStatus::Exited(_, 0)) => return Ok(()),
            Ok(status) => return Err(io::Error::other(format!("a process ended: {status:?}"))),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn failed(pid: Pid, what: &str) -> io::Error {
    io::Error::other(format!("process {pid} {what}"))
}

/// Forks this process, which must have one thread.
#[allow(unsafe_code, reason = "fork has no safe form")]
pub(crate) fn fork_here() -> io::Result<ForkResult> {
    // SAFETY: this program has one thread where it forks, and so have those of its workers that
    // fork, so that a child's copy is whole.
    unsafe { fork() }.map_err(io::Error::from)
}

#[allow(unsafe_code, reason = "_exit has no safe form")]
fn exit_now(code: i32) -> ! {
    // SAFETY: the process ends here; what it inherited from its parent is the parent's to end.
    unsafe { nix::libc::_exit(code) }
}
