//! The disk and its clock, as the file logic sees them: the one narrow interface through which
//! logs, archives and the checkpoint are read, written and named.
//!
//! [`System`] is the real one. The tests have a simulated one that can be killed, filled and
//! set to another time at each single step, so that every state which a kill can leave is met.
//! Nothing here decides anything: a call is one system call, or as close to one as there is.

#[cfg(test)]
pub(crate) mod simulated;
mod system;

use std::ffi::OsString;
use std::fmt::Debug;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::{Gid, Uid};

pub(crate) use system::System;

/// The disk that is used, shared by all who use it.
pub(crate) type SharedDisk = Arc<dyn Disk>;

/// Which file it is, whatever it is called: device and inode. Zero for what is no file.
pub(crate) type Identity = (u64, u64);

/// Who may use a new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    /// The permission bits, whatever the umask.
    pub(crate) mode: u32,
    /// The owner, where it is another one than this process's.
    pub(crate) owner: Option<Uid>,
    /// The group, where it is another one than this process's.
    pub(crate) group: Option<Gid>,
}

/// What the disk knows of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) identity: Identity,
    /// In bytes.
    pub(crate) len: u64,
    /// How many names it has; 0 = it is removed.
    pub(crate) links: u64,
    /// A regular file: no folder, no device, no pipe.
    pub(crate) is_file: bool,
    /// The time of the last write, in nanoseconds since the Unix epoch.
    pub(crate) modified: u64,
    pub(crate) access: Access,
}

/// What can be done to files by their names. Links are followed, but for those that are made or
/// removed.
pub(crate) trait Disk: Debug + Send + Sync {
    /// Wall-clock time, in nanoseconds since the Unix epoch.
    fn now(&self) -> u64;

    /// Time that never goes back, whatever is done to the clock.
    fn elapsed(&self) -> Duration;

    /// Opens an existing file for appending.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Makes a new file for appending; fails where the name is taken.
    fn create(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a file for reading, from its beginning or from an offset.
    fn read(&self, path: &Path, offset: u64) -> io::Result<Box<dyn Read + Send>>;

    /// What is known of a file.
    fn metadata(&self, path: &Path) -> io::Result<Meta>;

    /// The names in a folder, in no order.
    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>>;

    /// Makes a folder and those above it.
    fn make_folder(&self, path: &Path) -> io::Result<()>;

    /// Gives a file a second name; fails where that is taken.
    fn link(&self, path: &Path, second: &Path) -> io::Result<()>;

    /// Gives a file another name, in place of whatever has that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file another name; fails where that is taken.
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a name.
    fn unlink(&self, path: &Path) -> io::Result<()>;

    /// Makes a symbolic link with this text in it; fails where the name is taken.
    fn symlink(&self, text: &Path, path: &Path) -> io::Result<()>;

    /// The text of a symbolic link; `InvalidInput` where the name is something else.
    fn read_link(&self, path: &Path) -> io::Result<PathBuf>;

    /// Makes the names in a folder durable.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;

    /// Makes a state of so many zero words; a file of that name is replaced.
    fn create_state(&self, path: &Path, words: usize) -> io::Result<Box<dyn Words>>;

    /// Opens a state as far as it holds whole words; `UnexpectedEof` where it holds none.
    fn open_state(&self, path: &Path) -> io::Result<Box<dyn Words>>;
}

/// A file that is open for appending.
pub(crate) trait DiskFile: Debug + Send {
    /// Writes a part of the bytes, at least one, behind the file's end.
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// What is known of it now.
    fn metadata(&self) -> io::Result<Meta>;

    /// Cuts it.
    fn set_len(&mut self, len: u64) -> io::Result<()>;

    /// Makes what was written durable.
    fn sync(&mut self) -> io::Result<()>;

    /// Keeps other processes' listeners away from it, as long as this one lives. Returns the pid of
    /// another process that was faster, if the system tells.
    fn claim(&self) -> io::Result<Claim>;
}

/// What came of claiming a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It is this process's, or the file system has no locks.
    Ours,
    /// Another process has it.
    Taken { pid: i32 },
}

/// 64-bit words that outlive this process, each read and written as a whole. What was stored
/// becomes visible to the next process after every store before it.
pub(crate) trait Words: Debug + Send {
    fn len(&self) -> usize;
    fn load(&self, at: usize) -> u64;
    fn store(&self, at: usize, value: u64);
}
