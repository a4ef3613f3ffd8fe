//! The run directory: the folder where one fleet and its listener meet.
//!
//! Both sides find it the same way, and both sides refuse one that somebody else may have
//! planted: it must be a real folder, owned by root or by the user of this process, and writable
//! for nobody else.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

/// The environment variable that names the run directory.
pub const VARIABLE: &str = "FLEETLOG_RUN_DIR";

/// The socket's name in the run directory.
pub const SOCKET: &str = "socket";

/// The name of the socket for datagrams in the run directory; no longer than [`SOCKET`], so that a
/// path that is short enough for the one is for both.
pub const DATAGRAMS: &str = "dgram";

/// The longest path that a Unix socket can have, in bytes, without its closing zero.
pub const SOCKET_PATH_MAX: usize = 107;

/// The run directory that a process uses when it was told none: `$FLEETLOG_RUN_DIR`, else
/// `/run/fleetlog` for root, else `$XDG_RUNTIME_DIR/fleetlog`, else `/tmp/fleetlog-<uid>`.
#[must_use]
pub fn default_path() -> PathBuf {
    if let Some(path) = non_empty_variable(VARIABLE) {
        return path;
    }
    let uid = geteuid();
    if uid.is_root() {
        return PathBuf::from("/run/fleetlog");
    }
    match non_empty_variable("XDG_RUNTIME_DIR") {
        Some(runtime) => runtime.join("fleetlog"),
        None => PathBuf::from(format!("/tmp/fleetlog-{uid}")),
    }
}

fn non_empty_variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// A run directory that must not be trusted or used, and why.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum RunDirError {
    /// It is relative, and nobody knows to what.
    #[error(
        "the run directory {path} is relative, and the working directory can't be found: {source}. \
         Give an absolute path with --run-dir or {VARIABLE}"
    )]
    NoWorkingDirectory {
        /// The run directory, as it was given.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It can't be looked at.
    #[error("the run directory {path} can't be read: {source}")]
    Unreadable {
        /// The run directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is a link, a file, or something else.
    #[error(
        "the run directory {0} is not a folder: name one that is, with --run-dir or {VARIABLE}"
    )]
    NotAFolder(PathBuf),
    /// It belongs to a user who is neither root nor this process's.
    #[error(
        "the run directory {path} belongs to uid {owner}, who could read or forge this fleet's \
         records: name one of your own with --run-dir or {VARIABLE}"
    )]
    ForeignOwner {
        /// The run directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// Other users may put files into it.
    #[error(
        "the run directory {path} has mode {mode:04o}: other users could replace its socket. \
         Take the permission away with `chmod go-w {path}`"
    )]
    WritableByOthers {
        /// The run directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A Unix socket's path in it would be longer than the kernel allows.
    #[error(
        "the run directory {0} has too long a path for a Unix socket: its socket may have at most \
         {SOCKET_PATH_MAX} bytes. Name a shorter one with --run-dir or {VARIABLE}"
    )]
    PathTooLong(PathBuf),
}

crate::debug_as_display!(RunDirError);

/// A run directory as an absolute path, so that it stays the same folder when the process goes to
/// another one, as daemons do. Links in it are not followed: what they lead to may change.
///
/// # Errors
/// [`RunDirError::NoWorkingDirectory`]; also for an empty path.
pub fn absolute(run_dir: &Path) -> Result<PathBuf, RunDirError> {
    std::path::absolute(run_dir)
        .map_err(|source| RunDirError::NoWorkingDirectory { path: run_dir.to_owned(), source })
}

/// The path of the socket of a run directory.
///
/// # Errors
/// [`RunDirError::PathTooLong`].
pub fn socket_path(run_dir: &Path) -> Result<PathBuf, RunDirError> {
    let path = run_dir.join(SOCKET);
    if path.as_os_str().len() > SOCKET_PATH_MAX {
        return Err(RunDirError::PathTooLong(run_dir.to_owned()));
    }
    Ok(path)
}

/// Checks that nobody but root and this process's user could have planted the run directory.
///
/// # Errors
/// Any [`RunDirError`]; it says what is wrong and how to mend it.
pub fn check_trust(run_dir: &Path) -> Result<(), RunDirError> {
    let metadata = std::fs::symlink_metadata(run_dir)
        .map_err(|source| RunDirError::Unreadable { path: run_dir.to_owned(), source })?;
    if !metadata.is_dir() {
        return Err(RunDirError::NotAFolder(run_dir.to_owned()));
    }
    check_owner(run_dir, &metadata)?;
    let mode = metadata.mode() & 0o7777;
    if mode & 0o022 != 0 {
        return Err(RunDirError::WritableByOthers { path: run_dir.to_owned(), mode });
    }
    Ok(())
}

/// Checks the folder of segments like its run directory, but that others may make files of their
/// own in it where it is sticky: that is how root's listener takes lanes of other users.
///
/// # Errors
/// Any [`RunDirError`].
pub fn check_trust_of_lanes(folder: &Path) -> Result<(), RunDirError> {
    let metadata = std::fs::symlink_metadata(folder)
        .map_err(|source| RunDirError::Unreadable { path: folder.to_owned(), source })?;
    if !metadata.is_dir() {
        return Err(RunDirError::NotAFolder(folder.to_owned()));
    }
    check_owner(folder, &metadata)?;
    let mode = metadata.mode() & 0o7777;
    if mode & 0o022 != 0 && mode & 0o1000 == 0 {
        return Err(RunDirError::WritableByOthers { path: folder.to_owned(), mode });
    }
    Ok(())
}

fn check_owner(path: &Path, metadata: &std::fs::Metadata) -> Result<(), RunDirError> {
    let owner = metadata.uid();
    if owner != 0 && owner != geteuid().as_raw() {
        return Err(RunDirError::ForeignOwner { path: path.to_owned(), owner });
    }
    Ok(())
}
