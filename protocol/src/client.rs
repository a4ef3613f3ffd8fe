//! The client of a live listener: one request, its answers, a deadline.
//!
//! Used by the commands `stop`, `sync` and `status` and by a program that sends the sentinel
//! itself.

use std::fmt;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use interprocess::ConnectWaitMode;
use interprocess::local_socket::{ConnectOptions, GenericFilePath, ToFsName as _};
use interprocess::os::unix::uds_local_socket::Stream;
use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::{MsgFlags, recv, send};

use crate::decode::DecodeError;
use crate::frame::{self, Kind};
use crate::limits::REFUSAL_MAX;
use crate::message::{Refusal, Reply, Request};
use crate::run_dir::{self, RunDirError};
use crate::socket_queue::{after, wait_until};

/// Why a request has no answer.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Nobody listens.
    #[error(
        "no listener lives in the run directory {0}: start one with `fleetlog listen --run-dir {0}`"
    )]
    NoListener(PathBuf),
    /// This process may not ask, whether a listener lives or not.
    #[error(transparent)]
    NotPermitted(#[from] NotPermitted),
    /// The listener did not answer in time.
    #[error("the listener did not finish within {0:?}; it goes on with what it was asked")]
    TimedOut(Duration),
    /// The listener refused, and why.
    #[error("the listener refused: {0}")]
    Refused(String),
    /// The listener ended in the middle of its answer.
    #[error("the listener ended before it answered")]
    Ended,
    /// The answer is not of this protocol.
    #[error("the listener's answer can't be read: {0}")]
    Malformed(#[from] DecodeError),
    /// The run directory can't be used.
    #[error(transparent)]
    RunDir(#[from] RunDirError),
    /// The socket failed.
    #[error("the listener's socket {path} can't be used: {source}")]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Permissions keep this process from the listener's socket: nobody can tell it whether one lives.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
pub struct NotPermitted {
    /// What does not let it pass: the socket, the run directory, or a folder above.
    pub path: PathBuf,
    /// The user and the group of this process.
    pub uid: u32,
    /// See [`uid`](Self::uid).
    pub gid: u32,
    /// The owner, the group and the permissions of what does not let it pass, if that can be told.
    pub access: Option<(u32, u32, u32)>,
    /// It is the listener that gave these permissions, at its start.
    is_listeners: bool,
}

crate::debug_as_display!(ClientError, NotPermitted);

impl NotPermitted {
    /// Looks for what keeps this process from a socket. What can be looked at last is what lets
    /// nobody go on.
    fn on_the_way_to(socket: &Path) -> Self {
        let there = socket.ancestors().find_map(|path| Some((path, path.metadata().ok()?)));
        let (path, access) = match there {
            Some((path, found)) => (path, Some((found.uid(), found.gid(), found.mode() & 0o7777))),
            None => (socket, None),
        };
        let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        let is_listeners = path == socket || Some(path) == socket.parent();
        Self { path: path.to_owned(), uid, gid, access, is_listeners }
    }
}

impl fmt::Display for NotPermitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, uid, gid, access, is_listeners } = self;
        write!(
            f,
            "whether a listener lives can't be known: uid {uid}, gid {gid} may not use {}",
            path.display()
        )?;
        let Some((owner, group, mode)) = access else {
            return write!(f, "; run this as root, or name another run directory with --run-dir");
        };
        write!(
            f,
            ", which belongs to uid {owner}, gid {group} with mode {mode:04o}; run this as root or as \
             uid {owner}, "
        )?;
        if *is_listeners {
            write!(
                f,
                "or let its listener admit others: `fleetlog listen --allow-uid {uid}`, or \
                 `--socket-mode 0660` for a group"
            )
        } else {
            write!(f, "or let others pass: `chmod o+x {}`", path.display())
        }
    }
}

impl ClientError {
    /// Whether permissions keep this process from the listener, if one lives.
    #[must_use]
    pub const fn is_not_permitted(&self) -> bool {
        matches!(self, Self::NotPermitted(_))
    }

    /// Whether nobody listens in the run directory.
    #[must_use]
    pub const fn is_no_listener(&self) -> bool {
        matches!(self, Self::NoListener(_))
    }

    /// Whether the time was over before the answer came.
    #[must_use]
    pub const fn is_timed_out(&self) -> bool {
        matches!(self, Self::TimedOut(_))
    }
}

/// Asks the listener of a run directory and waits for its last answer, at most `timeout`.
/// `on_pending` is told the records written meanwhile, several times a second.
///
/// # Errors
/// Any [`ClientError`].
///
/// ```
/// use fleetlog_protocol::{client, message::Request};
/// use std::{path::Path, time::Duration};
/// let nobody = client::request(Path::new("/nowhere"), Request::Sync, Duration::ZERO, |_| ());
/// assert!(nobody.unwrap_err().is_no_listener());
/// ```
#[allow(clippy::needless_pass_by_value, reason = "every caller makes it for this one call")]
pub fn request(
    run_dir: &Path,
    request: Request,
    timeout: Duration,
    on_pending: impl FnMut(u64),
) -> Result<Reply, ClientError> {
    let deadline = after(Instant::now(), timeout);
    let path = run_dir::socket_path(run_dir)?;
    let stream = connect(run_dir, &path, timeout, deadline)?;
    Conversation { stream: &stream, path: &path, timeout, deadline }.hold(&request, on_pending)
}

fn connect(
    run_dir: &Path,
    path: &Path,
    timeout: Duration,
    deadline: Instant,
) -> Result<Stream, ClientError> {
    loop {
        let name = path.to_fs_name::<GenericFilePath>();
        let connected: io::Result<Stream> = name.and_then(|name| {
            ConnectOptions::new()
                .name(name)
                .wait_mode(ConnectWaitMode::Deferred)
                .nonblocking_stream(true)
                .connect_sync_as()
        });
        match connected {
            // A full backlog shows as a stream without a peer.
            Ok(stream) if has_peer(&stream) => return Ok(stream),
            Ok(_) if Instant::now() >= deadline => return Err(ClientError::TimedOut(timeout)),
            Ok(_) => wait_until(None, deadline.min(Instant::now() + Duration::from_millis(5))),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                ) =>
            {
                return Err(ClientError::NoListener(run_dir.to_owned()));
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(NotPermitted::on_the_way_to(path).into());
            }
            Err(source) => return Err(ClientError::Socket { path: path.to_owned(), source }),
        }
    }
}

/// Whether permissions keep this process from a listener of this run directory, if one lives.
///
/// # Errors
/// What keeps it.
pub fn check_permission(run_dir: &Path) -> Result<(), NotPermitted> {
    let Ok(socket) = run_dir::socket_path(run_dir) else { return Ok(()) };
    match connect(run_dir, &socket, Duration::ZERO, Instant::now()) {
        Err(ClientError::NotPermitted(why)) => Err(why),
        _ => Ok(()),
    }
}

fn has_peer(stream: &Stream) -> bool {
    nix::sys::socket::getpeername::<nix::sys::socket::UnixAddr>(stream.as_fd().as_raw_fd()).is_ok()
}

struct Conversation<'a> {
    stream: &'a Stream,
    path: &'a Path,
    timeout: Duration,
    deadline: Instant,
}

impl Conversation<'_> {
    fn hold(
        &self,
        request: &Request,
        mut on_pending: impl FnMut(u64),
    ) -> Result<Reply, ClientError> {
        let mut body = Vec::new();
        request.encode(&mut body);
        let mut bytes = frame::PREFACE.to_vec();
        frame::put(Kind::Request, &body, &mut bytes);
        self.send(&bytes)?;

        let mut inbox = Vec::new();
        loop {
            while let Some(frame) = frame::take(&inbox)? {
                match frame.kind {
                    Kind::Reply => match Reply::decode(frame.body)? {
                        Reply::Pending { written } => on_pending(written),
                        Reply::Failed(why) => return Err(ClientError::Refused(why)),
                        Reply::Stopped(receipt) => {
                            self.await_end();
                            return Ok(Reply::Stopped(receipt));
                        }
                        last => return Ok(last),
                    },
                    Kind::Refused => {
                        let refusal = Refusal::decode(frame.body)?;
                        return Err(ClientError::Refused(refusal.text(REFUSAL_MAX)));
                    }
                    _ => {}
                }
                inbox.drain(..frame.len);
                // A listener that never stops talking must not keep its client for ever.
                if Instant::now() >= self.deadline {
                    return Err(ClientError::TimedOut(self.timeout));
                }
            }
            self.receive(&mut inbox)?;
        }
    }

    /// Waits until a listener that gave its receipt has let go of the run directory, so that the
    /// next one can be started at once. The receipt is good whether it hurries or not.
    fn await_end(&self) {
        let mut rest = Vec::new();
        while Instant::now() < self.deadline && self.receive(&mut rest).is_ok() {
            rest.clear();
        }
    }

    fn send(&self, mut bytes: &[u8]) -> Result<(), ClientError> {
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        while !bytes.is_empty() {
            match send(self.stream.as_fd().as_raw_fd(), bytes, flags) {
                Ok(sent) => bytes = &bytes[sent..],
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => self.wait(PollFlags::POLLOUT)?,
                Err(Errno::EPIPE | Errno::ECONNRESET) => return Err(ClientError::Ended),
                Err(errno) => return Err(self.failed(errno)),
            }
        }
        Ok(())
    }

    fn receive(&self, inbox: &mut Vec<u8>) -> Result<(), ClientError> {
        let mut buffer = [0; 4096];
        loop {
            match recv(self.stream.as_fd().as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(0) | Err(Errno::ECONNRESET) => return Err(ClientError::Ended),
                Ok(received) => {
                    inbox.extend_from_slice(&buffer[..received]);
                    return Ok(());
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => self.wait(PollFlags::POLLIN)?,
                Err(errno) => return Err(self.failed(errno)),
            }
        }
    }

    fn wait(&self, flags: PollFlags) -> Result<(), ClientError> {
        if Instant::now() >= self.deadline {
            return Err(ClientError::TimedOut(self.timeout));
        }
        wait_until(Some((self.stream.as_fd(), flags)), self.deadline);
        Ok(())
    }

    fn failed(&self, errno: Errno) -> ClientError {
        ClientError::Socket { path: self.path.to_owned(), source: errno.into() }
    }
}
