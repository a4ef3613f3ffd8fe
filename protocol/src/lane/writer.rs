//! The writing end.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Place, Word as _};

/// What a publication found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// The reader looks away from this lane: somebody must ring.
    pub reader_looks_away: bool,
}

/// The writing end of a lane. There is one at a time.
///
/// Its own counter is kept here as well: a peer that scribbles over the shared copy confuses its
/// reader, never this writer.
#[derive(Debug)]
pub struct Writer<P> {
    place: P,
    /// Bytes published.
    head: u64,
    /// Bytes copied in, published or not.
    filled: u64,
    /// The tail when it was last looked at. The true one is never less.
    seen_tail: u64,
}

impl<P: Place> Writer<P> {
    /// Goes on where the last writer of the lane stopped.
    pub fn new(place: P) -> Self {
        // Relaxed: the head is this side's own word; whoever wrote it before handed the lane over
        // by other means.
        let head = place.head().load(Ordering::Relaxed);
        let tail = place.tail().load(Ordering::Acquire);
        // A tail that can't be true is a scribble, and gives no room.
        let full = head.saturating_sub(place.capacity());
        let seen_tail = if (full..=head).contains(&tail) { tail } else { full };
        Self { place, head, filled: head, seen_tail }
    }

    /// Where the lane is.
    pub const fn place(&self) -> &P {
        &self.place
    }

    /// Bytes ever published.
    pub const fn head(&self) -> u64 {
        self.head
    }

    /// The tail when it was last looked at.
    pub const fn seen_tail(&self) -> u64 {
        self.seen_tail
    }

    /// Bytes ever copied in.
    #[inline]
    pub const fn filled(&self) -> u64 {
        self.filled
    }

    /// Whether `len` more bytes fit if the lane may be filled up to `limit`.
    #[inline]
    pub fn has_room(&mut self, len: usize, limit: u64) -> bool {
        let needed = self.filled + len as u64;
        if needed <= self.seen_tail + limit {
            return true;
        }
        self.look();
        needed <= self.seen_tail + limit
    }

    /// Looks at the tail; returns the bytes that are not released.
    pub fn look(&mut self) -> u64 {
        // Acquire: pairs with the reader's `publish` of the tail (sync point W), so that the
        // reader has finished with the bytes that are about to be overwritten.
        let tail = self.place.tail().load(Ordering::Acquire);
        self.accept_tail(tail)
    }

    /// A tail that goes back, or beyond the head, is a scribble; the last good one stands.
    fn accept_tail(&mut self, tail: u64) -> u64 {
        if tail <= self.head && tail >= self.seen_tail {
            self.seen_tail = tail;
        }
        self.filled - self.seen_tail
    }

    /// Copies bytes in. The caller has asked for room; nobody sees them before
    /// [`publish`](Self::publish).
    #[inline]
    pub fn fill(&mut self, bytes: &[u8]) {
        debug_assert!(
            self.filled + bytes.len() as u64 - self.seen_tail <= self.place.capacity(),
            "room was asked for"
        );
        self.place.copy_in(self.filled, bytes);
        self.filled += bytes.len() as u64;
    }

    /// [`fill`](Self::fill) with a few bytes, and words behind them, little-endian.
    #[inline]
    pub fn fill_head<const B: usize, const W: usize>(&mut self, bytes: [u8; B], words: [u64; W]) {
        self.place.copy_in_head(self.filled, bytes, words);
        self.filled += (B + 8 * W) as u64;
    }

    /// Publishes what was copied in.
    #[inline]
    pub fn publish(&mut self) -> Published {
        self.head = self.filled;
        // Sync point Q: the bytes before the head, the head before the look at `quiet`. With a
        // plain release store the look could come first, and the reader fall asleep unnoticed.
        self.place.head().publish(self.head);
        let reader_looks_away = self.place.quiet().observe() != 0;
        if reader_looks_away {
            // Relaxed: the ring that follows is what the reader hears; this only keeps the next
            // publication from ringing as well.
            self.place.quiet().store(0, Ordering::Relaxed);
        }
        Published { reader_looks_away }
    }

    /// The ring that [`publish`](Self::publish) asked for found no way: the next one asks again.
    pub fn ask_again(&self) {
        // Relaxed: the reader looks away all the same, and only this side reads the word.
        self.place.quiet().store(1, Ordering::Relaxed);
    }

    /// Sleeps until the reader releases something, at most so long. May wake early.
    pub fn wait(&mut self, at_most: Duration) {
        wait_for_release(&self.place, self.seen_tail, at_most);
        self.look();
    }
}

/// Sleeps until the reader releases something beyond the tail `seen`, at most so long. May wake
/// early. Several threads may wait for the same lane, each with the tail that it saw.
pub fn wait_for_release<P: Place>(place: &P, seen: u64, at_most: Duration) {
    // Sync point W: `waiting` before the look at the tail. The other way round the reader could
    // release in between, see nobody waiting, and let this side sleep on an empty lane.
    place.waiting().publish(1);
    let tail = place.tail().observe();
    // Relaxed: the head is this side's own word. A tail beyond it is a scribble, and no release.
    let is_release = tail > seen && tail <= place.head().load(Ordering::Relaxed);
    if !is_release {
        place.park(at_most);
    }
    // The word stays: others may wait still. The reader clears it with its next release, which
    // costs it one system call too many where nobody waits.
}
