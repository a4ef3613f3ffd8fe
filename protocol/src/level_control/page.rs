//! The control page: one word on which sleeping workers wait for a change.
//!
//! The word is a generation, and is bumped behind each change. It is *read* from the file and only
//! *waited on* through the mapping, by the kernel, whose wait returns an error where a page is gone:
//! a file that somebody truncates can so cost nobody a SIGBUS. The kernel compares it once more
//! before it sleeps, so that a change between reading and sleeping wakes at once.

#![allow(unsafe_code, reason = "a word that several processes wait on has no safe form")]

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::ptr::{self, NonNull};
use std::time::Duration;

use nix::libc;
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap, munmap};

/// The bytes of the page; the generation is the first word.
pub(super) const PAGE_BYTES: usize = 4096;

/// A mapped control page.
#[derive(Debug)]
pub(super) struct Page {
    start: NonNull<u8>,
    /// Device and inode: whether a path still names this page.
    identity: (u64, u64),
    /// The only process that has the mapping.
    process: u32,
}

// SAFETY: the mapping belongs to no thread, and this process never reads or writes through it.
unsafe impl Send for Page {}

impl Page {
    /// Maps the page of a file, for waiting and waking only.
    pub(super) fn map(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let length = NonZeroUsize::new(PAGE_BYTES).ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory in use.
        let start =
            unsafe { mmap(None, length, ProtFlags::PROT_READ, MapFlags::MAP_SHARED, file, 0) }?;
        // A child maps the page for itself: lines of forks would gather mappings otherwise.
        // SAFETY: the advice concerns this mapping alone, and takes nothing from this process.
        let advised = unsafe { madvise(start, PAGE_BYTES, MmapAdvise::MADV_DONTFORK) };
        debug_assert!(advised.is_ok(), "the kernel knows the advice since 2.6.16");
        let identity = (metadata.dev(), metadata.ino());
        Ok(Self { start: start.cast(), identity, process: std::process::id() })
    }

    /// Whether this is the page of a file.
    pub(super) fn is_of(&self, file: &File) -> bool {
        file.metadata().is_ok_and(|file| (file.dev(), file.ino()) == self.identity)
    }

    /// Sleeps while the generation is this one, at most a time. Who wakes looks again: the page may
    /// be gone, or somebody wakes without reason.
    pub(super) fn wait(&self, generation: u32, at_most: Duration) {
        let timeout = libc::timespec {
            tv_sec: libc::time_t::try_from(at_most.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: libc::c_long::from(at_most.subsec_nanos().cast_signed()),
        };
        // Never the PRIVATE flag: who wakes is another process.
        // SAFETY: the kernel alone looks at the word, and says so where there is none; the timeout
        // outlives the call.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.start.as_ptr(),
                libc::FUTEX_WAIT,
                generation,
                ptr::from_ref(&timeout),
            )
        };
    }

    /// Wakes all who sleep on the page.
    pub(super) fn wake(&self) {
        // SAFETY: waking looks at no byte of the page.
        unsafe { libc::syscall(libc::SYS_futex, self.start.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // A forked child has no such mapping, and may well have one of its own in its place.
        if self.process != std::process::id() {
            return;
        }
        // SAFETY: nobody else knows the mapping.
        let _ = unsafe { munmap(self.start.cast(), PAGE_BYTES) };
    }
}

/// The generation in a control file; `None` where it has none any more.
pub(super) fn generation(file: &File) -> Option<u32> {
    let mut word = [0; 4];
    file.read_exact_at(&mut word, 0).ok()?;
    Some(u32::from_ne_bytes(word))
}

/// Makes the generation another one. Only the listener does it, whose lock keeps others away.
pub(super) fn bump(file: &File) -> io::Result<()> {
    let next = generation(file).unwrap_or(0).wrapping_add(1);
    file.write_all_at(&next.to_ne_bytes(), 0)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn file() -> File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(PAGE_BYTES as u64).unwrap();
        file
    }

    #[test]
    fn a_bump_wakes_who_sleeps_and_one_before_lets_nobody_sleep() {
        let file = file();
        let page = Page::map(&file).unwrap();
        let generation_before = generation(&file).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let sleeper = Page::map(&file).unwrap();
                let started = Instant::now();
                while generation(&file).unwrap() == generation_before {
                    sleeper.wait(generation_before, Duration::from_secs(60));
                }
                assert!(started.elapsed() < Duration::from_secs(50));
            });
            bump(&file).unwrap();
            page.wake();
        });
        let started = Instant::now();
        page.wait(generation_before, Duration::from_secs(60));
        assert!(started.elapsed() < Duration::from_secs(50));
    }

    #[test]
    fn a_page_that_is_cut_off_is_an_error_of_the_wait_and_no_signal() {
        let file = file();
        let page = Page::map(&file).unwrap();
        file.set_len(0).unwrap();
        let started = Instant::now();
        page.wait(0, Duration::from_secs(60));
        page.wake();
        assert!(started.elapsed() < Duration::from_secs(50));
        assert_eq!(generation(&file), None);
    }
}
