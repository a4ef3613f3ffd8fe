//! The door: where connections come in, by TCP or by a Unix socket.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _,
};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Address;

/// The longest time for a request, and for its answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// The permission bits of a Unix socket: its owner's.
const SOCKET_MODE: u32 = 0o600;

/// Where connections come in.
#[derive(Debug)]
pub(super) enum Door {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Door {
    /// Opens the door.
    pub(super) fn open(address: &Address) -> io::Result<(Self, Option<Place>)> {
        match address {
            Address::Tcp(address) => Ok((Self::Tcp(tcp(*address)?), None)),
            Address::Unix(path) => {
                let (listener, place) = unix(path)?;
                Ok((Self::Unix(listener), Some(place)))
            }
        }
    }

    /// The TCP address, also where the system chose the port.
    pub(super) fn tcp_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }

    /// The next connection.
    pub(super) fn accept(&self) -> io::Result<Stream> {
        let stream = match self {
            Self::Tcp(listener) => Stream::Tcp(listener.accept()?.0),
            Self::Unix(listener) => Stream::Unix(listener.accept()?.0),
        };
        stream.prepare()?;
        Ok(stream)
    }
}

impl AsFd for Door {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener) => listener.as_fd(),
        }
    }
}

fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Binds in a folder of its own and renames the socket into place: it is never wider open than it
/// is to be, and a socket that a killed listener left is replaced.
fn unix(path: &Path) -> io::Result<(UnixListener, Place)> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            let why = "something that is no socket stands there, and is left alone";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
        }
        Ok(_) if UnixStream::connect(path).is_ok() => {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "somebody listens there"));
        }
        _ => {}
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let private = private_folder(folder.unwrap_or(Path::new(".")))?;
    let bound = private.join("s");
    let made = UnixListener::bind(&bound).and_then(|listener| {
        fs::set_permissions(&bound, fs::Permissions::from_mode(SOCKET_MODE))?;
        listener.set_nonblocking(true)?;
        let found = fs::symlink_metadata(&bound)?;
        fs::rename(&bound, path)?;
        let identity = (found.dev(), found.ino());
        Ok((listener, Place { path: path.to_owned(), identity }))
    });
    let _ = fs::remove_file(&bound);
    let _ = fs::remove_dir(&private);
    made
}

fn private_folder(parent: &Path) -> io::Result<PathBuf> {
    let path = parent.join(format!(".fleetlog-{}", std::process::id()));
    fs::DirBuilder::new().mode(0o700).create(&path)?;
    Ok(path)
}

/// The file of a Unix socket, removed at the end if it is still ours.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    identity: (u64, u64),
}

impl Drop for Place {
    fn drop(&mut self) {
        let found = fs::symlink_metadata(&self.path).map(|found| (found.dev(), found.ino()));
        if found.is_ok_and(|identity| identity == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A connection.
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn prepare(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => {
                stream.set_nonblocking(false)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))
            }
            Self::Unix(stream) => {
                stream.set_nonblocking(false)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))
            }
        }
    }

    /// Bounds the next read.
    pub(super) fn wait_at_most(&self, time: Duration) -> io::Result<()> {
        // Zero would be for ever.
        let time = Some(time.max(Duration::from_millis(1)));
        match self {
            Self::Tcp(stream) => stream.set_read_timeout(time),
            Self::Unix(stream) => stream.set_read_timeout(time),
        }
    }

    /// Tells the peer that nothing follows, and reads what it still says: a close with unread bytes
    /// would take the answer away from it.
    pub(super) fn finish(&mut self, deadline: Instant) {
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(std::net::Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(std::net::Shutdown::Write),
        };
        let mut rest = [0; 1024];
        while Instant::now() < deadline && self.read(&mut rest).is_ok_and(|read| read > 0) {}
    }
}

impl Read for Stream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(bytes),
            Self::Unix(stream) => stream.read(bytes),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
