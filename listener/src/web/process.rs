//! The page's process: forked at the listener's start, and gone with the listener however it ends.
//!
//! The two hold the ends of a lifeline. The listener says on it that it ends by closing it; so does
//! the kernel when it is killed. The child keeps nothing else of what it inherited: neither the
//! sockets, at whose end somebody may wait, nor the diagnostics, whose file is the listener's.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, close, dup2_stdin, dup2_stdout};
use tracing::subscriber::{NoSubscriber, set_default};

use super::{Shared, routes};
use crate::process::{exit_now, fork_here, ignore};

/// What the kernel keeps of an answer that a page does not read. Small, so that a page that has
/// fallen behind is seen to have; large enough for every file of the page.
const SEND_BUFFER: usize = 128 << 10;

/// What is left of the processor when everybody else has had theirs.
const NICENESS: i32 = 19;

/// How long the process may take to end by itself.
const FAREWELL: Duration = Duration::from_millis(500);

/// Threads that ask the listener at once: a question each second, and those of the levels.
const ASKING_MAX: usize = 4;
const ASKING_KEPT: Duration = Duration::from_secs(3);

/// The process that serves. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct PageProcess {
    pid: Pid,
    lifeline: Option<UnixStream>,
}

impl PageProcess {
    /// Forks it. What it needs is made in the child.
    pub(super) fn start(
        listener: TcpListener,
        shared: impl FnOnce() -> Shared,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        setsockopt(&listener, sockopt::SndBuf, &SEND_BUFFER)?;
        let (ours, theirs) = UnixStream::pair()?;
        match fork_here()? {
            ForkResult::Parent { child } => Ok(Self { pid: child, lifeline: Some(ours) }),
            ForkResult::Child => {
                // Nothing may leave this closure but by the end of the process: what stands above
                // is the listener.
                let ended = catch_unwind(AssertUnwindSafe(|| {
                    be_a_process(&[listener.as_raw_fd(), theirs.as_raw_fd()]);
                    live(listener, theirs, Arc::new(shared()))
                }));
                exit_now(i32::from(!matches!(ended, Ok(Ok(())))))
            }
        }
    }
}

impl Drop for PageProcess {
    /// Ends the process and waits until its port is free. It has nothing to finish, so that this
    /// takes a moment, or a signal that nothing resists.
    fn drop(&mut self) {
        drop(self.lifeline.take());
        let until = Instant::now() + FAREWELL;
        while let Ok(WaitStatus::StillAlive) = waitpid(self.pid, Some(WaitPidFlag::WNOHANG)) {
            if Instant::now() >= until {
                let _ = kill(self.pid, Signal::SIGKILL);
                let _ = waitpid(self.pid, None);
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Lets go of everything that is the listener's.
fn be_a_process(kept: &[RawFd]) {
    // Signals to the group are meant for the listener, whose end is heard on the lifeline.
    for signal in [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGALRM,
    ] {
        let _ = ignore(signal);
    }
    // A name in `ps`, and the last place in the queue for the processor. Neither is needed.
    let _ = nix::sys::prctl::set_name(c"fleetlog-page");
    let _ = rustix::process::setpriority_process(None, NICENESS);
    if let Ok(null) = fs::File::options().read(true).write(true).open("/dev/null") {
        let _ = dup2_stdin(&null);
        let _ = dup2_stdout(&null);
    }
    let open: Vec<RawFd> = fs::read_dir(Path::new("/proc/self/fd"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    for descriptor in open {
        // Standard error stays, for the message of a panic.
        if descriptor > 2 && !kept.contains(&descriptor) {
            let _ = close(descriptor);
        }
    }
}

/// Serves until the lifeline is cut.
fn live(listener: TcpListener, lifeline: UnixStream, shared: Arc<Shared>) -> io::Result<()> {
    // The diagnostics are written through descriptors that are closed here.
    let _quiet = set_default(NoSubscriber::new());
    lifeline.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(ASKING_MAX)
        .thread_keep_alive(ASKING_KEPT)
        .build()?;
    runtime.block_on(async {
        let lifeline = tokio::net::UnixStream::from_std(lifeline)?;
        tokio::select! {
            // Nobody ever writes into it: what can be read is its end. Open pages would hold up
            // a graceful end for as long as they please.
            heard = lifeline.readable() => heard,
            served = routes::serve(listener, shared) => served,
        }
    })?;
    // Its threads end with the process; nobody waits for one of them.
    exit_now(0)
}
