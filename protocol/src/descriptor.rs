//! Descriptors that are kept in somebody else's process.
//!
//! A number that is kept is a promise that the host can break: it may close every descriptor that
//! it does not know, and get the number for a file of its own. So a descriptor that is kept
//! between two calls is a [`Kept`]: it is moved above the numbers that hosts count on, and it is
//! proven to be the same file (device and inode) each time before it is used or closed. What is
//! not ours any more is never touched: the caller hears that it has none.
//!
//! What no proof can exclude is a thread of the host that closes our number, and gets it anew,
//! between the proof and the call that follows it. Only the calls of a connection are open to that
//! (`send`, `recv`, `poll`, `close`); on what is no socket the first two fail and change nothing.

#![allow(unsafe_code, reason = "a number that may be anybody's can't be borrowed as a descriptor")]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, FromRawFd as _, IntoRawFd as _, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use nix::errno::Errno;
use nix::libc;
use nix::sys::resource::{Resource, getrlimit};

/// Where kept descriptors have their numbers, if the process may have so many: above what loops
/// close and `dup2` reaches in practice, below what `select` can wait for and what makes the
/// kernel enlarge the process's table beyond its usual first sizes.
const FLOOR: RawFd = 512;

/// The limit of descriptors that leaves enough room above the floor.
const LIMIT_FOR_FLOOR: u64 = 2 * FLOOR as u64;

/// Numbers below are standard input, output and error, whatever they are at the moment: what
/// the host prints must never reach a file of ours.
const LOWEST: RawFd = 3;

/// What a descriptor is: device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// What a number is now; `None` = nothing. May be called where a signal handler may be.
    fn of(number: RawFd) -> Option<Self> {
        let mut found = MaybeUninit::<libc::stat>::uninit();
        // SAFETY: the call writes a whole `stat` where it returns 0, and nothing else; any number
        // is a valid question.
        if unsafe { libc::fstat(number, found.as_mut_ptr()) } != 0 {
            return None;
        }
        // SAFETY: the call returned 0.
        let found = unsafe { found.assume_init() };
        Some(Self { device: found.st_dev, inode: found.st_ino })
    }

    /// Closes a number if this is behind it.
    fn close(self, number: RawFd) {
        if Self::of(number) == Some(self) {
            // SAFETY: the descriptor was proven to be ours, and whoever calls gives it up.
            unsafe { libc::close(number) };
        }
    }
}

/// A descriptor that is kept.
#[derive(Debug)]
pub(crate) struct Kept {
    number: RawFd,
    identity: Identity,
}

impl Kept {
    /// Moves a descriptor that was just opened to where it is kept. What is known by its
    /// descriptor, such as a record lock, must be taken afterwards.
    ///
    /// # Errors
    /// The process can have no more descriptors, and this one has a number that is the host's.
    pub(crate) fn new(opened: OwnedFd) -> io::Result<Self> {
        let number = opened.into_raw_fd();
        let identity = Identity::of(number).ok_or(Errno::EBADF)?;
        for floor in [floor(), LOWEST] {
            // SAFETY: the call makes a new descriptor and touches no other.
            let moved = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, floor) };
            if moved < 0 {
                continue;
            }
            identity.close(number);
            if Identity::of(moved) == Some(identity) {
                return Ok(Self { number: moved, identity });
            }
            // Another thread of the host closed ours in between: what was doubled is its file.
            // SAFETY: made by this call, and told to nobody.
            drop(unsafe { OwnedFd::from_raw_fd(moved) });
            return Err(Errno::EBADF.into());
        }
        if number >= LOWEST {
            return Ok(Self { number, identity });
        }
        identity.close(number);
        Err(Errno::EMFILE.into())
    }

    /// The descriptor, proven to be ours; `None` = the host has closed it. To be asked right
    /// before each use.
    pub(crate) fn get(&self) -> Option<BorrowedFd<'_>> {
        if Identity::of(self.number) != Some(self.identity) {
            return None;
        }
        // SAFETY: the descriptor is open, and this module closes it only when `self` is dropped.
        Some(unsafe { BorrowedFd::borrow_raw(self.number) })
    }

    /// Whether both are of the same file.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.identity == other.identity
    }

    /// Whether a path names this very file.
    pub(crate) fn is_named(&self, path: &Path) -> bool {
        std::fs::symlink_metadata(path).is_ok_and(|named| {
            self.identity == Identity { device: named.dev(), inode: named.ino() }
        })
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.identity.close(self.number);
    }
}

/// Above which number a kept descriptor has its own, under the limit that holds now.
fn floor() -> RawFd {
    let (limit, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((LIMIT_FOR_FLOOR, 0));
    if limit >= LIMIT_FOR_FLOOR {
        return FLOOR;
    }
    RawFd::try_from(limit / 2).unwrap_or(LOWEST).max(LOWEST)
}

/// A kept descriptor as a fork handler knows it, which must close a child's copy without touching
/// any lock; number -1 = there is none.
#[derive(Debug)]
pub struct LinkNumber {
    number: AtomicI32,
    device: AtomicU64,
    inode: AtomicU64,
}

impl LinkNumber {
    /// Nothing is kept.
    #[must_use]
    pub const fn new() -> Self {
        Self { number: AtomicI32::new(-1), device: AtomicU64::new(0), inode: AtomicU64::new(0) }
    }

    /// Takes the number away, so that whoever gets it is the only one to close it; `None` = there
    /// is none, or the host has something else there.
    pub fn take(&self) -> Option<i32> {
        let number = self.number.swap(-1, Ordering::AcqRel);
        let device = self.device.load(Ordering::Acquire);
        let identity = Identity { device, inode: self.inode.load(Ordering::Acquire) };
        (number >= 0 && Identity::of(number) == Some(identity)).then_some(number)
    }

    pub(crate) fn set(&self, kept: &Kept) {
        // In between there is none: a fork there leaves a copy in the child, and no more.
        self.number.store(-1, Ordering::Release);
        self.device.store(kept.identity.device, Ordering::Release);
        self.inode.store(kept.identity.inode, Ordering::Release);
        self.number.store(kept.number, Ordering::Release);
    }
}

impl Default for LinkNumber {
    fn default() -> Self {
        Self::new()
    }
}
