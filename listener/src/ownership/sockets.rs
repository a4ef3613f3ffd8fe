//! The sockets of a run directory: bound here, or taken over from a service manager.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _,
};
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};

use interprocess::local_socket::traits::Listener as _;
use interprocess::local_socket::{
    GenericFilePath, ListenerNonblockingMode, ListenerOptions, ToFsName as _,
};
use interprocess::os::unix::uds_local_socket::Listener as Socket;
use nix::sys::socket::{SockType, getsockopt, setsockopt, sockopt};

use super::{OwnershipError, system};

/// Where a socket of this process stands. It is removed in the end, unless another one stands
/// there by then.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    inode: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Binds the socket for streams. Called with the lock held, so that a socket that is found there
/// belongs to nobody alive.
pub(super) fn bind_stream(
    run_dir: &Path,
    path: &Path,
    mode: u32,
) -> Result<(Socket, Place), OwnershipError> {
    bind(run_dir, path, mode, |first| {
        ListenerOptions::new()
            .name(first.to_fs_name::<GenericFilePath>()?)
            .nonblocking(ListenerNonblockingMode::Both)
            .reclaim_name(false)
            .create_sync_as()
    })
}

/// Binds the socket for datagrams, with the lock held.
pub(super) fn bind_datagrams(
    run_dir: &Path,
    path: &Path,
    mode: u32,
) -> Result<(UnixDatagram, Place), OwnershipError> {
    bind(run_dir, path, mode, |first| {
        let socket = UnixDatagram::bind(first)?;
        // Before anybody can send: who sent a datagram, and when, is asked for in advance.
        ask_for_senders(&socket)?;
        Ok(socket)
    })
}

/// Asks the kernel to say of each datagram who sent it, and when.
fn ask_for_senders(socket: &UnixDatagram) -> io::Result<()> {
    setsockopt(socket, sockopt::PassCred, &true)?;
    setsockopt(socket, sockopt::ReceiveTimestampns, &true)?;
    Ok(())
}

fn bind<S>(
    run_dir: &Path,
    path: &Path,
    mode: u32,
    make: impl FnOnce(&Path) -> io::Result<S>,
) -> Result<(S, Place), OwnershipError> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(OwnershipError::ForeignFile(path.to_owned()));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(system("can't look at", path)(error)),
    }
    // One letter keeps the path within what a socket address can hold.
    let private = run_dir.join("b");
    let _ = fs::remove_dir_all(&private);
    DirBuilder::new().mode(0o700).create(&private).map_err(system("can't make", &private))?;
    let first = private.join("s");
    let bound = make(&first)
        .map_err(system("can't bind the socket", &first))
        .and_then(|socket| put_into_place(&first, path, mode).map(|place| (socket, place)));
    let _ = fs::remove_dir_all(&private);
    bound
}

fn put_into_place(first: &Path, path: &Path, mode: u32) -> Result<Place, OwnershipError> {
    fs::set_permissions(first, Permissions::from_mode(mode))
        .map_err(system("can't set the mode of", first))?;
    fs::rename(first, path).map_err(system("can't put into place", path))?;
    let bound = fs::symlink_metadata(path).map_err(system("can't look at", path))?;
    Ok(Place { path: path.to_owned(), inode: bound.ino() })
}

/// Whether a socket that was handed down is one of datagrams.
pub(super) fn is_of_datagrams(socket: &impl AsFd) -> bool {
    getsockopt(socket, sockopt::SockType) == Ok(SockType::Datagram)
}

/// Takes over the socket for streams. Returns its permission bits too.
pub(super) fn adopt_stream(
    handed_down: OwnedFd,
    path: &Path,
) -> Result<(Socket, u32), OwnershipError> {
    let wanted = std::path::absolute(path).map_err(system("can't name", path))?;
    let is_listening = getsockopt(&handed_down, sockopt::AcceptConn).unwrap_or(false);
    let is_stream = getsockopt(&handed_down, sockopt::SockType) == Ok(SockType::Stream);
    let socket = UnixListener::from(handed_down);
    let other = check_address(socket.local_addr().ok().as_ref(), &wanted).or_else(|| {
        let what = "a socket of this path that takes no stream connections (it needs \
                    ListenStream= and Accept=no)";
        (!is_stream || !is_listening).then(|| what.to_owned())
    });
    if let Some(handed) = other {
        return Err(OwnershipError::OtherSocket { handed, wanted, key: "ListenStream" });
    }
    let mode = mode_of(path, wanted)?;
    let socket = Socket::from(socket);
    socket
        .set_nonblocking(ListenerNonblockingMode::Both)
        .map_err(system("can't accept connections without waiting on", path))?;
    Ok((socket, mode))
}

/// Takes over the socket for datagrams.
pub(super) fn adopt_datagrams(
    handed_down: OwnedFd,
    path: &Path,
) -> Result<UnixDatagram, OwnershipError> {
    let wanted = std::path::absolute(path).map_err(system("can't name", path))?;
    let socket = UnixDatagram::from(handed_down);
    if let Some(handed) = check_address(socket.local_addr().ok().as_ref(), &wanted) {
        return Err(OwnershipError::OtherSocket { handed, wanted, key: "ListenDatagram" });
    }
    mode_of(path, wanted)?;
    ask_for_senders(&socket).map_err(system("can't ask for the senders of", path))?;
    Ok(socket)
}

/// What a socket is whose address is not the one that is wanted.
fn check_address(address: Option<&SocketAddr>, wanted: &Path) -> Option<String> {
    match address.map(SocketAddr::as_pathname) {
        None => Some("something that is no Unix socket".to_owned()),
        Some(None) => Some("a Unix socket without a path".to_owned()),
        Some(Some(bound)) if bound != wanted => Some(format!("the socket {}", bound.display())),
        Some(Some(_)) => None,
    }
}

/// The permission bits of a socket that was handed down. Somebody may have removed it, or put
/// another one there: a listener that was started by hand.
fn mode_of(path: &Path, wanted: PathBuf) -> Result<u32, OwnershipError> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => Ok(found.mode() & 0o777),
        Ok(_) => Err(OwnershipError::ForeignFile(path.to_owned())),
        Err(_) => Err(OwnershipError::SocketGone(wanted)),
    }
}
