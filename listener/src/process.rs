//! A listener as a forked process of its own.
//!
//! Parent and child hold the two ends of a lifeline: the child says on it that it is ready, or
//! why it is not, and notices on it that the parent and all its forked children are gone.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use fleetlog_protocol::client::{self, ClientError};
use fleetlog_protocol::message::{Receipt, Reply, Request};
use nix::errno::Errno;
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use signal_hook::consts::SIGTERM;

use crate::ListenError;
use crate::listener::Prepared;
use crate::ownership::OwnershipError;
use crate::wake::Wake;

const READY: &[u8] = b"ready";

/// Said instead of a reason, with a pid behind it: another listener owns the run directory.
const OWNED: &[u8] = b"\0owned ";

/// How long a process that gave its receipt may take to be gone.
const EXIT_TIMEOUT: Duration = Duration::from_secs(10);

/// A listener in a process of its own. Dropping this leaves the process running.
#[derive(Debug)]
pub struct ListenerProcess {
    pid: Pid,
    run_dir: PathBuf,
    // Held open for the child, which ends when the last copy is gone.
    _lifeline: UnixStream,
}

impl ListenerProcess {
    /// The listener's pid.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid.as_raw().unsigned_abs()
    }

    /// Sends the sentinel and waits for the receipt and for the end of the process.
    ///
    /// # Errors
    /// [`ListenError::Unexpected`] when the process does not answer in time or is gone already.
    pub fn stop(self, timeout: Duration) -> Result<Receipt, ListenError> {
        let unexpected = |error: ClientError| ListenError::Unexpected(error.to_string());
        let reply = client::request(&self.run_dir, Request::Stop, timeout, |_| ());
        let receipt = match reply.map_err(unexpected)? {
            Reply::Stopped(receipt) => *receipt,
            other => return Err(ListenError::Unexpected(format!("it answered {other:?}"))),
        };
        self.reap(Instant::now() + EXIT_TIMEOUT)?;
        Ok(receipt)
    }

    fn reap(&self, deadline: Instant) -> Result<(), ListenError> {
        loop {
            match waitpid(self.pid, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(_, 0)) | Err(Errno::ECHILD) => return Ok(()),
                Ok(WaitStatus::StillAlive) if Instant::now() < deadline => {
                    // It has closed its sockets and is about to exit: a matter of microseconds, which
                    // a `waitpid` with a deadline does not exist for.
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(Errno::EINTR) => {}
                Ok(status) => return Err(ListenError::Unexpected(format!("{status:?}"))),
                Err(errno) => return Err(io::Error::from(errno).into()),
            }
        }
    }
}

/// Forks and runs what `prepare` makes.
pub(crate) fn spawn(
    run_dir: PathBuf,
    prepare: impl FnOnce(Wake) -> Result<Prepared, ListenError>,
) -> Result<ListenerProcess, ListenError> {
    let (mut ours, theirs) = UnixStream::pair()?;
    match fork_here()? {
        ForkResult::Child => {
            drop(ours);
            // The parent's destructors and exit handlers are the parent's.
            exit_now(i32::from(!child(theirs, prepare)))
        }
        ForkResult::Parent { child: pid } => {
            drop(theirs);
            let mut answer = Vec::new();
            let mut byte = [0; 512];
            while answer != READY {
                match ours.read(&mut byte) {
                    Ok(0) => {
                        let _ = waitpid(pid, None);
                        return Err(failure(&answer, run_dir));
                    }
                    Ok(len) => answer.extend_from_slice(&byte[..len]),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(ListenerProcess { pid, run_dir, _lifeline: ours })
        }
    }
}

/// What a child that could not listen said.
fn failure(answer: &[u8], run_dir: PathBuf) -> ListenError {
    let why = String::from_utf8_lossy(answer).into_owned();
    match answer.strip_prefix(OWNED) {
        Some(pid) => {
            let pid = std::str::from_utf8(pid).ok().and_then(|pid| pid.parse().ok());
            OwnershipError::AlreadyOwned { run_dir, pid }.into()
        }
        None => ListenError::Unexpected(why),
    }
}

/// What a child that could not listen says.
fn answer_of(error: &ListenError) -> Vec<u8> {
    match error {
        ListenError::Ownership(OwnershipError::AlreadyOwned { pid, .. }) => {
            let pid = pid.map(|pid| pid.to_string()).unwrap_or_default();
            [OWNED, pid.as_bytes()].concat()
        }
        error => error.to_string().into_bytes(),
    }
}

/// The child's life. Returns whether it ended well.
fn child(
    mut lifeline: UnixStream,
    prepare: impl FnOnce(Wake) -> Result<Prepared, ListenError>,
) -> bool {
    // A Ctrl-C is meant for the program; the program then sends the sentinel.
    let ignored = ignore(Signal::SIGINT);
    // The parent's subscriber may lead into the very log that is drained here.
    let diagnostics = tracing_subscriber::fmt().with_writer(io::stderr).finish();
    tracing::subscriber::with_default(diagnostics, || {
        let prepared = ignored
            .map_err(ListenError::from)
            .and_then(|()| {
                let wake = Wake::with_lifeline(lifeline.try_clone()?)?;
                // Whoever ends all processes of a service by TERM wants their records too.
                wake.follow_ends(&[SIGTERM])?;
                wake.follow_files()?;
                Ok(wake)
            })
            .and_then(prepare);
        let drain = match prepared {
            Ok(drain) => drain,
            Err(error) => {
                let _ = lifeline.write_all(&answer_of(&error));
                return false;
            }
        };
        let _ = lifeline.write_all(READY);
        drop(lifeline);
        drain
            .run()
            .inspect_err(|error| crate::diagnostic::error!(%error, "the listener ends"))
            .is_ok()
    })
}

#[allow(unsafe_code, reason = "fork has no safe form")]
pub(crate) fn fork_here() -> io::Result<ForkResult> {
    // SAFETY: the child runs on with a copy of this thread alone. The documentation of `spawn`
    // asks for a program without other threads; glibc keeps its allocator usable in a child of
    // a threaded program too, and the child takes no lock that belongs to another thread.
    unsafe { fork() }.map_err(io::Error::from)
}

#[allow(unsafe_code, reason = "changing a signal's disposition has no safe form")]
pub(crate) fn ignore(which: Signal) -> io::Result<()> {
    // SAFETY: ignoring a signal installs no handler that could run.
    unsafe { signal(which, SigHandler::SigIgn) }.map(|_| ()).map_err(io::Error::from)
}

#[allow(unsafe_code, reason = "_exit has no safe form")]
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: the process ends; no destructor and no exit handler of the parent's copy runs.
    unsafe { nix::libc::_exit(code) }
}
