//! A segment's file: its name, its lock, and who it belongs to.

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::unistd::ftruncate;

use super::{LANES, SegmentError, system};
use crate::descriptor::Kept;
use crate::run_dir;

/// Names that one process may find taken before it gives up: by segments of earlier processes
/// with the same pid and start time, which other pid namespaces can have.
const ATTEMPTS_MAX: u32 = 64;

/// More than the kernel's line about a process has: 52 numbers and a name.
const STAT_MAX: usize = 2048;

/// The name of a segment's file: `<pid>.<start time>.<n>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileName {
    /// The worker's pid, in its own pid namespace.
    pub pid: u32,
    /// When the process started, in the kernel's ticks since boot; 0 = it could not find out.
    pub start_time: u64,
    /// Which of the process's segments.
    pub number: u32,
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.pid, self.start_time, self.number)
    }
}

/// A name that is not one of a segment.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a segment's name is <pid>.<start time>.<n>, in digits")]
pub struct NotASegment;

crate::debug_as_display!(NotASegment);

impl FromStr for FileName {
    type Err = NotASegment;

    fn from_str(text: &str) -> Result<Self, NotASegment> {
        let mut parts = text.split('.');
        let mut part = || parts.next().and_then(|part| part.parse::<u64>().ok());
        let (Some(pid), Some(start_time), Some(number)) = (part(), part(), part()) else {
            return Err(NotASegment);
        };
        let pid = u32::try_from(pid).map_err(|_| NotASegment)?;
        let number = u32::try_from(number).map_err(|_| NotASegment)?;
        let name = Self { pid, start_time, number };
        // `+7` and `007` are numbers as well, but not the name of the file that was found.
        if name.to_string() == text { Ok(name) } else { Err(NotASegment) }
    }
}

/// Makes, locks and names a file of this process.
pub(super) fn create(run_dir: &Path) -> Result<(Kept, PathBuf, FileName), SegmentError> {
    let folder = prepare_folder(run_dir)?;
    let pid = std::process::id();
    let start_time = start_time(pid).unwrap_or(0);
    let mut last = None;
    for number in 0..ATTEMPTS_MAX {
        let name = FileName { pid, start_time, number };
        let path = folder.join(name.to_string());
        match create_locked(&path) {
            Ok(file) => return Ok((file, path, name)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = Some(error),
            Err(error) => return Err(system("can't make the segment", &path)(error)),
        }
    }
    let error = last.unwrap_or_else(|| io::ErrorKind::AlreadyExists.into());
    Err(system("can't find a free name for a segment in", &folder)(error))
}

/// Whoever comes first makes the run directory, for its own user alone. Nothing is made in one
/// that somebody else may have planted.
fn prepare_folder(run_dir: &Path) -> Result<PathBuf, SegmentError> {
    let folder = run_dir.join(LANES);
    make_folder(run_dir)?;
    run_dir::check_trust(run_dir)?;
    make_folder(&folder)?;
    run_dir::check_trust_of_lanes(&folder)?;
    Ok(folder)
}

fn make_folder(path: &Path) -> Result<(), SegmentError> {
    if path.is_dir() {
        return Ok(());
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(system("can't make the folder", path)(error))
        }
        _ => Ok(()),
    }
}

fn create_locked(path: &Path) -> io::Result<Kept> {
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(libc::O_CLOEXEC | libc::O_NOFOLLOW)
        .open(path)?;
    let file = keep_locked(opened)?;
    // A host that has closed its standard output got its number for a moment: what it printed
    // meanwhile is not ours.
    ftruncate(file.get().ok_or(Errno::EBADF)?, 0)?;
    // A listener that looked between the two calls may have taken an unlocked file for a dead
    // process's, and removed it.
    if file.is_named(path) { Ok(file) } else { Err(io::ErrorKind::AlreadyExists.into()) }
}

/// Keeps a segment's file under its lock. The lock comes last: closing the number under which the
/// file was opened would let go of it.
fn keep_locked(opened: File) -> io::Result<Kept> {
    let file = Kept::new(opened.into())?;
    lock(file.get().ok_or(Errno::EBADF)?)?;
    Ok(file)
}

/// Opens a segment's file again whose descriptor is lost, and with it the lock; `None` = the path
/// does not name it any more.
pub(super) fn reopen(path: &Path, lost: &Kept) -> Option<Kept> {
    // Asked first: to open and close another process's file would let go of nothing of ours, but
    // it is none of our business.
    if !lost.is_named(path) {
        return None;
    }
    keep_locked(open(path).ok()?).ok().filter(|found| found.is_same(lost))
}

/// Takes the lock, which the kernel releases with the process.
pub(super) fn lock(file: impl AsFd) -> io::Result<()> {
    match fcntl(file, FcntlArg::F_SETLK(&whole_file(libc::F_WRLCK))) {
        Ok(_) => Ok(()),
        Err(Errno::EACCES | Errno::EAGAIN) => Err(io::ErrorKind::WouldBlock.into()),
        Err(errno) => Err(errno.into()),
    }
}

pub(super) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
}

/// Whether no other process holds the lock of a file.
pub(super) fn is_unlocked(file: &File) -> bool {
    let mut lock = whole_file(libc::F_WRLCK);
    match fcntl(file, FcntlArg::F_GETLK(&mut lock)) {
        Ok(_) => i32::from(lock.l_type) == libc::F_UNLCK,
        // A file system without locks tells nothing; the process's start time decides alone.
        Err(Errno::EINVAL | Errno::ENOLCK | Errno::ENOSYS | Errno::EOPNOTSUPP) => true,
        Err(_) => false,
    }
}

fn whole_file(kind: libc::c_int) -> libc::flock {
    libc::flock {
        l_type: libc::c_short::try_from(kind).unwrap_or(1),
        l_whence: libc::c_short::try_from(libc::SEEK_SET).unwrap_or(0),
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

/// When a process started, in the kernel's ticks since boot; `None` = there is no such process
/// to be seen, or it runs no more.
///
/// A pid alone recurs; together with its start time it names one process.
#[must_use]
pub fn start_time(pid: u32) -> Option<u64> {
    // The kernel writes the line anew for each read: one that takes all of it is the cheapest.
    let mut line = [0; STAT_MAX];
    let length = File::open(format!("/proc/{pid}/stat")).ok()?.read(&mut line).ok()?;
    let stat = &line[..length];
    // The name in parentheses may hold anything; the fields behind the last one are numbers.
    let behind_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let fields = std::str::from_utf8(&stat[behind_name..]).ok()?;
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next()?;
    let start = fields.nth(18)?.parse().ok()?;
    // A zombie runs no more.
    (state != "Z" && state != "X").then_some(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_a_start_time_and_a_dead_one_has_none() {
        assert!(start_time(std::process::id()).is_some_and(|start| start > 0));
        assert_eq!(start_time(u32::MAX), None);
    }

    #[test]
    fn only_the_names_of_segments_are_names_of_segments() {
        let name = FileName { pid: 17, start_time: 4711, number: 0 };
        assert_eq!("17.4711.0".parse(), Ok(name));
        for other in ["17.4711", "17.4711.0.1", "+17.4711.0", "017.4711.0", "../17.4711.0", ""] {
            assert_eq!(other.parse::<FileName>(), Err(NotASegment), "{other}");
        }
    }
}
