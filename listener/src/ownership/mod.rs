//! Ownership of a run directory: one listener at a time, its two sockets, and no instant at which
//! any of them could be mistaken.
//!
//! The lock is a POSIX record lock: the kernel releases it with the process, a forked child does
//! not inherit it, and it names its holder. A socket is bound in a private folder, given its
//! mode, and only then renamed into place, so that it is never wider open than asked. A socket
//! that a killed listener left is replaced; anything else of that name is never removed.
//!
//! A service manager may have bound a socket already and hand it down. Then it is used as it
//! is, and left where it is: who connects while no listener lives waits in its backlog.

mod sockets;

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use fleetlog_protocol::run_dir::{self, RunDirError};
use fleetlog_protocol::segment::LANES;
use interprocess::os::unix::uds_local_socket::Listener as Socket;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use sockets::{Place, adopt_datagrams, adopt_stream, bind_datagrams, bind_stream, is_of_datagrams};

const LOCK: &str = "lock";

/// Why a run directory can't be owned.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum OwnershipError {
    /// It must not be trusted, or its path is too long.
    #[error(transparent)]
    RunDir(#[from] RunDirError),
    /// Another listener owns it.
    #[error(
        "{}: end that one with `fleetlog stop --run-dir {}`, or name another run directory",
        owner_text(.run_dir, *.pid), .run_dir.display()
    )]
    AlreadyOwned {
        /// The run directory.
        run_dir: PathBuf,
        /// The owner's pid, where this process can see it.
        pid: Option<u32>,
    },
    /// Something that is no socket stands where the socket belongs.
    #[error("{0} is in the way and is not a socket: fleetlog does not remove it, move it away")]
    ForeignFile(PathBuf),
    /// The service manager handed down something else than the run directory's socket.
    #[error(
        "the service manager hands down {handed}, but workers connect to {wanted}: give the socket \
         unit `{key}={wanted}`, or the listener another --run-dir", wanted = .wanted.display()
    )]
    OtherSocket {
        /// What was handed down.
        handed: String,
        /// The run directory's socket.
        wanted: PathBuf,
        /// The socket unit's key for it.
        key: &'static str,
    },
    /// The service manager handed down more sockets than there are.
    #[error(
        "the service manager hands down {0} sockets, but a listener has one for streams and one \
         for datagrams: a socket unit of its own for each listener"
    )]
    TooManySockets(usize),
    /// The service manager handed down the right socket, but nobody can connect to it any more.
    #[error(
        "the socket {0} that the service manager hands down is gone from its folder, so that no \
         worker could connect: restart the socket unit"
    )]
    SocketGone(PathBuf),
    /// The system refused.
    #[error("{what} {path}: {source}")]
    System {
        /// What was attempted.
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fleetlog_protocol::debug_as_display!(OwnershipError);

fn owner_text(run_dir: &Path, pid: Option<u32>) -> String {
    let run_dir = run_dir.display();
    match pid {
        Some(pid) => format!("the listener with pid {pid} owns the run directory {run_dir}"),
        None => format!("another listener owns the run directory {run_dir}"),
    }
}

/// Wraps an io error with what was attempted and where.
fn system(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OwnershipError + use<> {
    let path = path.to_owned();
    move |source| OwnershipError::System { what, path, source }
}

/// An owned run directory with its bound sockets.
#[derive(Debug)]
pub(crate) struct Ownership {
    pub(crate) run_dir: PathBuf,
    pub(crate) socket: Socket,
    /// The socket is a service manager's, who hands it to the next listener.
    pub(crate) socket_outlives: bool,
    pub(crate) datagrams: UnixDatagram,
    /// The sockets that were bound here; one that was handed down is not removed at the end.
    _places: Vec<Place>,
    // The descriptor holds the lock; closing any other descriptor of the same file in this
    // process would release it, so it is opened once and kept.
    _lock: File,
    identity: (u64, u64),
}

/// Run directories owned by this process: record locks do not exclude their own process.
static OWNED_HERE: Mutex<Vec<(u64, u64)>> = Mutex::new(Vec::new());

impl Ownership {
    /// Makes the run directory if need be, locks it and binds its sockets, unless they were handed
    /// down: then their mode is the service manager's choice.
    pub(crate) fn claim(
        run_dir: &Path,
        socket_mode: u32,
        handed_down: Vec<OwnedFd>,
    ) -> Result<Self, OwnershipError> {
        let socket_path = run_dir::socket_path(run_dir)?;
        make(run_dir, socket_mode)?;
        run_dir::check_trust(run_dir)?;
        let metadata = fs::metadata(run_dir).map_err(system("can't look at", run_dir))?;
        let identity = (metadata.dev(), metadata.ino());
        claim_here(run_dir, identity)?;
        let claimed = lock(run_dir).and_then(|lock| {
            let datagrams_path = run_dir.join(run_dir::DATAGRAMS);
            let (stream, datagrams) = sort(handed_down)?;
            let mut places = Vec::new();
            let stream = stream.map(|stream| adopt_stream(stream, &socket_path)).transpose()?;
            let (adopted, mode) = stream.map_or((None, socket_mode), |(it, mode)| (Some(it), mode));
            make_lanes(run_dir, mode)?;
            let datagrams = match datagrams {
                Some(datagrams) => adopt_datagrams(datagrams, &datagrams_path)?,
                None => {
                    let (socket, place) = bind_datagrams(run_dir, &datagrams_path, mode)?;
                    places.push(place);
                    socket
                }
            };
            // Last: whoever finds the socket finds everything else.
            let outlives = adopted.is_some();
            let socket = match adopted {
                Some(socket) => socket,
                None => {
                    let (socket, place) = bind_stream(run_dir, &socket_path, mode)?;
                    places.push(place);
                    socket
                }
            };
            Ok((lock, socket, outlives, datagrams, places))
        });
        match claimed {
            Ok((lock, socket, socket_outlives, datagrams, places)) => Ok(Self {
                run_dir: run_dir.to_owned(),
                socket,
                socket_outlives,
                datagrams,
                _places: places,
                _lock: lock,
                identity,
            }),
            Err(error) => {
                release_here(identity);
                Err(error)
            }
        }
    }
}

impl Drop for Ownership {
    fn drop(&mut self) {
        release_here(self.identity);
    }
}

/// Which of the sockets that were handed down is which.
fn sort(handed_down: Vec<OwnedFd>) -> Result<(Option<OwnedFd>, Option<OwnedFd>), OwnershipError> {
    let count = handed_down.len();
    let (mut stream, mut datagrams) = (None, None);
    for socket in handed_down {
        let place = if is_of_datagrams(&socket) { &mut datagrams } else { &mut stream };
        if place.replace(socket).is_some() {
            return Err(OwnershipError::TooManySockets(count));
        }
    }
    Ok((stream, datagrams))
}

fn claim_here(run_dir: &Path, identity: (u64, u64)) -> Result<(), OwnershipError> {
    let mut owned = OWNED_HERE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if owned.contains(&identity) {
        let pid = Some(std::process::id());
        return Err(OwnershipError::AlreadyOwned { run_dir: run_dir.to_owned(), pid });
    }
    owned.push(identity);
    Ok(())
}

fn release_here(identity: (u64, u64)) {
    let mut owned = OWNED_HERE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    owned.retain(|other| *other != identity);
}

/// A new run directory is for this user alone, and others may pass through it to sockets that are
/// for them; its parents get the usual mode.
fn make(run_dir: &Path, socket_mode: u32) -> Result<(), OwnershipError> {
    if let Some(parent) = run_dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(parent).map_err(system("can't make", parent))?;
    }
    match DirBuilder::new().mode(0o700).create(run_dir) {
        Ok(()) => {
            let pass = (socket_mode & 0o022) >> 1;
            fs::set_permissions(run_dir, Permissions::from_mode(0o700 | pass))
                .map_err(system("can't set the mode of", run_dir))
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(system("can't make the run directory", run_dir)(error)),
    }
}

/// The folder of segments, before anybody can connect. Only root can read what other users put
/// there, so that only root's listener opens it to those who may use the socket; each of them can
/// remove nothing but his own.
fn make_lanes(run_dir: &Path, socket_mode: u32) -> Result<(), OwnershipError> {
    let folder = run_dir.join(LANES);
    match DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(system("can't make the folder", &folder)(error));
        }
        _ => {}
    }
    run_dir::check_trust_of_lanes(&folder)?;
    if nix::unistd::geteuid().is_root() {
        let group = if socket_mode & 0o020 != 0 { 0o1030 } else { 0 };
        let others = if socket_mode & 0o002 != 0 { 0o1003 } else { 0 };
        fs::set_permissions(&folder, Permissions::from_mode(0o700 | group | others))
            .map_err(system("can't set the mode of", &folder))?;
    }
    Ok(())
}

fn lock(run_dir: &Path) -> Result<File, OwnershipError> {
    let path = run_dir.join(LOCK);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_CLOEXEC | libc::O_NOFOLLOW)
        .open(&path)
        .map_err(system("can't open", &path))?;
    let mut whole = libc::flock {
        l_type: libc::c_short::try_from(libc::F_WRLCK).unwrap_or(1),
        l_whence: libc::c_short::try_from(libc::SEEK_SET).unwrap_or(0),
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    match fcntl(&file, FcntlArg::F_SETLK(&whole)) {
        Ok(_) => Ok(file),
        Err(Errno::EACCES | Errno::EAGAIN) => {
            let pid = fcntl(&file, FcntlArg::F_GETLK(&mut whole))
                .ok()
                .and_then(|_| u32::try_from(whole.l_pid).ok())
                .filter(|pid| *pid != 0);
            Err(OwnershipError::AlreadyOwned { run_dir: run_dir.to_owned(), pid })
        }
        Err(errno) => Err(system("can't lock", &path)(errno.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a temporary folder")
    }

    fn claim(run_dir: &Path, socket_mode: u32) -> Result<Ownership, OwnershipError> {
        Ownership::claim(run_dir, socket_mode, Vec::new())
    }

    #[test]
    fn a_second_owner_is_refused_and_told_the_pid() {
        let folder = folder();
        let run_dir = folder.path().join("run");
        let first = claim(&run_dir, 0o600).expect("the first owner");
        let second = claim(&run_dir, 0o600).expect_err("a second owner");
        assert!(second.to_string().contains(&std::process::id().to_string()), "{second}");
        drop(first);
        claim(&run_dir, 0o600).expect("the run directory is free again");
    }

    #[test]
    fn a_foreign_file_is_never_removed() {
        let folder = folder();
        let run_dir = folder.path().join("run");
        drop(claim(&run_dir, 0o600).expect("an owner"));
        for socket in ["dgram", "socket"] {
            let path = run_dir.join(socket);
            fs::write(&path, "precious").expect("a file");
            let error = claim(&run_dir, 0o600).expect_err("the file is in the way");
            assert!(matches!(error, OwnershipError::ForeignFile(_)), "{error}");
            assert_eq!(fs::read_to_string(&path).expect("still there"), "precious");
            fs::remove_file(&path).expect("a file");
        }
    }

    #[test]
    fn the_socket_has_the_mode_that_was_asked_for_whatever_the_umask() {
        let folder = folder();
        let run_dir = folder.path().join("run");
        let owner = claim(&run_dir, 0o666).expect("an owner");
        let mode = fs::metadata(run_dir.join("socket")).expect("the socket").mode() & 0o777;
        assert_eq!(mode, 0o666);
        let mode = fs::metadata(run_dir.join("dgram")).expect("the socket").mode() & 0o777;
        assert_eq!(mode, 0o666);
        drop(owner);
        for socket in ["socket", "dgram"] {
            assert!(!run_dir.join(socket).exists(), "a listener that ends takes its sockets along");
        }
    }

    #[test]
    fn a_new_run_directory_lets_those_pass_who_may_use_its_sockets_and_nobody_in() {
        for (socket, folder_mode) in [(0o600, 0o700), (0o660, 0o710), (0o666, 0o711)] {
            let folder = folder();
            let run_dir = folder.path().join("run");
            let _owner = claim(&run_dir, socket).expect("an owner");
            let mode = fs::metadata(&run_dir).expect("the folder").mode() & 0o7777;
            assert_eq!(mode, folder_mode, "socket {socket:o}");
        }
    }

    #[test]
    fn the_folder_of_lanes_is_as_open_as_the_socket_where_root_listens() {
        let root = nix::unistd::geteuid().is_root();
        for (socket, lanes) in [(0o600, 0o700), (0o660, 0o1730), (0o666, 0o1733)] {
            let folder = folder();
            let run_dir = folder.path().join("run");
            let _owner = claim(&run_dir, socket).expect("an owner");
            let mode = fs::metadata(run_dir.join("lanes")).expect("the folder").mode() & 0o7777;
            assert_eq!(mode, if root { lanes } else { 0o700 }, "socket {socket:o}");
        }
    }

    #[test]
    fn a_planted_run_directory_is_refused() {
        let folder = folder();
        let run_dir = folder.path().join("run");
        fs::create_dir(&run_dir).expect("a folder");
        fs::set_permissions(&run_dir, Permissions::from_mode(0o777)).expect("its mode");
        let error = claim(&run_dir, 0o600).expect_err("others may write there");
        assert!(error.to_string().contains("chmod go-w"), "{error}");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&run_dir, &link).expect("a link");
        let error = claim(&link, 0o600).expect_err("a link is no run directory");
        assert!(error.to_string().contains("not a folder"), "{error}");
    }
}
