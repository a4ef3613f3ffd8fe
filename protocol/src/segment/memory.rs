//! A segment's memory: a file, mapped, whose other end may be anybody.
//!
//! This is the protocol's one room for `unsafe`. The rules of the house: words are only ever
//! reached as atomics, bytes are only ever copied in or out and never referred to, and every
//! offset comes from [`super::layout`], whose sum is the mapping's length.
//!
//! What this module can't promise is that the file stays as long as the mapping: a peer that
//! truncates it makes the next access a SIGBUS. A worker's own file is truncated by nobody but
//! its user; the listener guards its accesses.

#![allow(unsafe_code, reason = "memory that is shared with other processes has no safe form")]

use std::ffi::c_void;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap, munmap};

use super::layout;
use crate::lane::Place;

/// The bytes of a mask of signals, as the kernel has it.
const MASK_BYTES: usize = 8;

/// A mapped segment.
#[derive(Debug)]
pub(super) struct Memory {
    start: NonNull<u8>,
    /// The bytes of one lane, a power of two.
    lane_bytes: usize,
    /// The only process that has it, if forked children don't.
    only_in: Option<u32>,
}

// SAFETY: the mapping belongs to no thread, and all access goes through atomics and copies.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// Maps a segment's file, also where it is shorter than a whole segment: those pages are
    /// there once the file has grown.
    pub(super) fn map(file: impl AsFd, lane_bytes: usize) -> io::Result<Self> {
        let length = layout::segment_bytes(lane_bytes);
        let length = NonZeroUsize::new(length).ok_or(io::ErrorKind::InvalidInput)?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory in use.
        let start = unsafe { mmap(None, length, protection, MapFlags::MAP_SHARED, file, 0) }?;
        Ok(Self { start: start.cast(), lane_bytes, only_in: None })
    }

    /// Keeps the mapping out of forked children: a child that wrote to its parent's lanes would
    /// be a second writer; without the mapping it can't.
    pub(super) fn keep_from_children(&mut self) {
        // SAFETY: the advice concerns this mapping alone, and takes nothing from this process.
        let advised =
            unsafe { madvise(self.start.cast(), self.length(), MmapAdvise::MADV_DONTFORK) };
        debug_assert!(advised.is_ok(), "the kernel knows the advice since 2.6.16");
        self.only_in = Some(std::process::id());
    }

    /// Takes space for pages of the file and brings them in, before anybody stores to them. It
    /// needs no descriptor: one that was kept since the file was made may be the host's by now,
    /// and what grew would be a file of the host's.
    ///
    /// # Errors
    /// There is no room, or not all of it; then nothing may be stored there, ever: it would be
    /// SIGBUS. What was taken until then is given back.
    pub(super) fn populate(&self, at: usize, len: usize) -> io::Result<()> {
        debug_assert!(at + len <= self.length());
        // SAFETY: the range is within the mapping.
        let start = unsafe { self.start.as_ptr().add(at) }.cast::<c_void>();
        let populated = loop {
            // SAFETY: populating changes no byte of the range, which is within the mapping.
            match unsafe { libc::madvise(start, len, libc::MADV_POPULATE_WRITE) } {
                0 => break Ok(()),
                _ => match Errno::last() {
                    Errno::EINTR | Errno::EAGAIN => {}
                    // A kernel before 5.14, or a sandbox that does not know the advice.
                    Errno::EINVAL => break self.populate_page_by_page(at, len),
                    errno => break Err(errno),
                },
            }
        };
        populated.map_err(|errno| {
            // SAFETY: nobody has stored anything in the range, nor will.
            unsafe { libc::madvise(start, len, libc::MADV_REMOVE) };
            // The kernel's word for a page that the file system can't give.
            if errno == Errno::EFAULT { Errno::ENOSPC.into() } else { errno.into() }
        })
    }

    /// As [`populate`](Self::populate), by calls with which the kernel itself stores something
    /// into each page: where it can't, it says so and sends no signal.
    fn populate_page_by_page(&self, at: usize, len: usize) -> Result<(), Errno> {
        for page in (at..at + len).step_by(layout::PAGE) {
            // SAFETY: the page is within the mapping.
            let place = unsafe { self.start.as_ptr().add(page) };
            // The thread's mask of signals, which is asked for and not changed, is as good as
            // any bytes: nobody reads what stands there before it is written.
            // SAFETY: the kernel writes the eight bytes of a mask, to a place within the mapping.
            let failed = unsafe {
                libc::syscall(
                    libc::SYS_rt_sigprocmask,
                    libc::SIG_BLOCK,
                    ptr::null::<c_void>(),
                    place,
                    MASK_BYTES,
                )
            } != 0;
            if failed {
                return Err(Errno::last());
            }
            // SAFETY: the kernel has just stored there, and nobody else knows the place yet.
            unsafe { place.cast::<u64>().write(0) };
        }
        Ok(())
    }

    /// The bytes of one lane.
    pub(super) const fn lane_bytes(&self) -> usize {
        self.lane_bytes
    }

    /// The bytes of the mapping.
    const fn length(&self) -> usize {
        layout::segment_bytes(self.lane_bytes)
    }

    /// The addresses of the mapping.
    pub(super) fn range(&self) -> std::ops::Range<usize> {
        let start = self.start.as_ptr().addr();
        start..start + self.length()
    }

    /// The 64-bit word at an offset.
    #[inline]
    pub(super) fn word(&self, at: usize) -> &AtomicU64 {
        debug_assert!(at + 8 <= self.length() && at.is_multiple_of(8));
        // SAFETY: the offset is within the mapping.
        let word = unsafe { self.start.as_ptr().add(at) }.cast::<AtomicU64>();
        // SAFETY: the word is aligned, as the mapping is by pages and the offset by eight, lives
        // as long as the mapping that `self` keeps, and is only reached as an atomic.
        unsafe { &*word }
    }

    #[inline]
    fn half_word(&self, at: usize) -> &AtomicU32 {
        debug_assert!(at + 4 <= self.length() && at.is_multiple_of(4));
        // SAFETY: the offset is within the mapping.
        let word = unsafe { self.start.as_ptr().add(at) }.cast::<AtomicU32>();
        // SAFETY: as for `word`, aligned by four.
        unsafe { &*word }
    }

    #[inline]
    pub(super) fn copy_in(&self, at: usize, bytes: &[u8]) {
        debug_assert!(at + bytes.len() <= self.length());
        // SAFETY: the range is within the mapping.
        let to = unsafe { self.start.as_ptr().add(at) };
        // SAFETY: the target is mapped for writing, and no reference into it exists anywhere.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
    }

    /// Copies bytes out. Whatever a peer writes meanwhile, the copy is just bytes.
    pub(super) fn copy_out(&self, at: usize, out: &mut [u8]) {
        debug_assert!(at + out.len() <= self.length());
        // SAFETY: the range is within the mapping.
        let from = unsafe { self.start.as_ptr().add(at) };
        // SAFETY: the source is mapped for reading; the target is this caller's own.
        unsafe { ptr::copy_nonoverlapping(from, out.as_mut_ptr(), out.len()) };
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // A forked child has no such mapping, and may well have one of its own in its place.
        if self.only_in.is_some_and(|owner| owner != std::process::id()) {
            return;
        }
        // SAFETY: nothing refers to the mapping any more: lanes keep it alive as long as they do.
        let _ = unsafe { munmap(self.start.cast(), self.length()) };
    }
}

/// One lane of a mapped segment.
#[derive(Clone, Debug)]
pub struct MappedLane {
    memory: Arc<Memory>,
    control: usize,
    bytes: usize,
    /// The bytes that it holds, a power of two.
    capacity: usize,
}

impl MappedLane {
    pub(super) fn new(memory: Arc<Memory>, lane: usize) -> Self {
        let capacity = memory.lane_bytes();
        let bytes = layout::lane(lane, capacity);
        Self { memory, control: layout::control(lane), bytes, capacity }
    }

    /// The place in the ring, and how far it is to the end.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "masked to less than a lane")]
    const fn place(&self, at: u64) -> (usize, usize) {
        let place = (at & (self.capacity as u64 - 1)) as usize;
        (place, self.capacity - place)
    }

    #[cold]
    fn copy_in_head_around_the_end<const B: usize, const W: usize>(
        &self,
        at: u64,
        bytes: [u8; B],
        words: [u64; W],
    ) {
        self.copy_in(at, &bytes);
        for (word, at) in words.into_iter().zip((at + B as u64..).step_by(8)) {
            self.copy_in(at, &word.to_le_bytes());
        }
    }
}

impl Place for MappedLane {
    type Counter = AtomicU64;
    type Flag = AtomicU32;

    #[inline]
    fn head(&self) -> &AtomicU64 {
        self.memory.word(self.control + layout::HEAD)
    }

    #[inline]
    fn tail(&self) -> &AtomicU64 {
        self.memory.word(self.control + layout::TAIL)
    }

    #[inline]
    fn quiet(&self) -> &AtomicU32 {
        self.memory.half_word(self.control + layout::QUIET)
    }

    #[inline]
    fn waiting(&self) -> &AtomicU32 {
        self.memory.half_word(self.control + layout::WAITING)
    }

    fn capacity(&self) -> u64 {
        self.capacity as u64
    }

    #[inline]
    fn copy_in(&self, at: u64, bytes: &[u8]) {
        let (place, to_end) = self.place(at);
        if bytes.len() <= to_end {
            self.memory.copy_in(self.bytes + place, bytes);
        } else {
            let (first, rest) = bytes.split_at(to_end);
            self.memory.copy_in(self.bytes + place, first);
            self.memory.copy_in(self.bytes, &rest[..rest.len().min(self.capacity)]);
        }
    }

    /// Word by word, so that they go from registers to the lane: what is put together in memory
    /// first can't be read there at once.
    #[inline]
    fn copy_in_head<const B: usize, const W: usize>(
        &self,
        at: u64,
        bytes: [u8; B],
        words: [u64; W],
    ) {
        let (place, to_end) = self.place(at);
        if B + 8 * W <= to_end {
            let place = self.bytes + place;
            self.memory.copy_in(place, &bytes);
            for (word, place) in words.into_iter().zip((place + B..).step_by(8)) {
                self.memory.copy_in(place, &word.to_le_bytes());
            }
        } else {
            self.copy_in_head_around_the_end(at, bytes, words);
        }
    }

    fn copy_out(&self, at: u64, out: &mut [u8]) {
        let (place, to_end) = self.place(at);
        let (first, rest) = out.split_at_mut(to_end.min(out.len()));
        self.memory.copy_out(self.bytes + place, first);
        let rest_len = rest.len().min(self.capacity);
        self.memory.copy_out(self.bytes, &mut rest[..rest_len]);
    }

    fn park(&self, at_most: Duration) {
        let timeout = libc::timespec {
            tv_sec: libc::time_t::try_from(at_most.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: libc::c_long::from(at_most.subsec_nanos().cast_signed()),
        };
        // Never the PRIVATE flag: the other side is another process.
        // SAFETY: the word is mapped and aligned, the timeout outlives the call; any error means
        // that the caller looks again.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.waiting().as_ptr(),
                libc::FUTEX_WAIT,
                1_u32,
                ptr::from_ref(&timeout),
            )
        };
    }

    fn unpark(&self) {
        // SAFETY: the word is mapped and aligned; a lane has one writer, but a scribbled word may
        // have gathered others, who look again and sleep again.
        unsafe {
            libc::syscall(libc::SYS_futex, self.waiting().as_ptr(), libc::FUTEX_WAKE, i32::MAX)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::super::Segment;
    use super::*;
    use crate::limits::LANE_CAPACITY;

    #[test]
    fn a_head_goes_around_the_end_of_a_lane_at_each_of_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let run_dir = folder.path().join("run");
        for capacity in [LANE_CAPACITY, 4 * LANE_CAPACITY] {
            let segment = Segment::create_with(&run_dir, "worker", capacity).unwrap();
            goes_around_the_end(&segment.allocate_lane(0, capacity).unwrap(), capacity as u64);
        }
    }

    fn goes_around_the_end(lane: &MappedLane, capacity: u64) {
        let words = [0x0807_0605_0403_0201, 0x100f_0e0d_0c0b_0a09];
        let mut expected = vec![0xa1, 0xa2, 0xa3];
        expected.extend(1..=16);
        for before_end in 0..=expected.len() {
            let at = 3 * capacity - before_end as u64;
            lane.copy_in(at, &[0; 19]);
            lane.copy_in_head(at, [0xa1, 0xa2, 0xa3], words);
            let mut found = vec![0; expected.len()];
            lane.copy_out(at, &mut found);
            assert_eq!(found, expected, "{before_end} bytes before the end");
        }
    }
}
