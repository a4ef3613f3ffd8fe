//! Descriptors by their number: what is behind one now.

#![allow(unsafe_code, reason = "a number that may be anybody's can't be borrowed as a descriptor")]

use std::mem::MaybeUninit;

use nix::libc;

/// The inode of what a descriptor is; `None` = it is none. May be called where a signal handler
/// may be.
pub(super) fn inode_of(number: i32) -> Option<u64> {
    let mut found = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the call writes a whole `stat` where it returns 0, and nothing else; any number is
    // a valid question.
    if unsafe { libc::fstat(number, found.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: the call returned 0.
    let found = unsafe { found.assume_init() };
    Some(found.st_ino)
}
