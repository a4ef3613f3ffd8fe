//! The reading end.

use std::sync::atomic::Ordering;

use super::{Place, Word as _};

/// The head of a lane can't be true: it went back, or tells of more than the lane holds.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a lane's head of {head} can't follow {seen} with {released} released")]
pub struct Corrupt {
    /// What stands there.
    pub head: u64,
    /// The head before.
    pub seen: u64,
    /// The bytes that were released.
    pub released: u64,
}

crate::debug_as_display!(Corrupt);

/// The reading end of a lane. There is one at a time.
///
/// It trusts nothing but its own counters: the shared tail is written and never read, the shared
/// head is loaded once, checked, and only then used.
#[derive(Debug)]
pub struct Reader<P> {
    place: P,
    /// Bytes released, as the writer may know.
    released: u64,
    /// Bytes copied out.
    taken: u64,
    /// The head when it was last looked at.
    seen: u64,
}

impl<P: Place> Reader<P> {
    /// Reads from the counter value `tail` on, and tells the writer so.
    pub fn new(place: P, tail: u64) -> Self {
        let reader = Self { place, released: tail, taken: tail, seen: tail };
        reader.place.tail().publish(tail);
        reader
    }

    /// Where the lane is.
    pub const fn place(&self) -> &P {
        &self.place
    }

    /// The counter value behind the bytes that were copied out.
    pub const fn taken(&self) -> u64 {
        self.taken
    }

    /// The bytes that were published by the last look and not yet copied out.
    pub const fn waiting(&self) -> u64 {
        self.seen - self.taken
    }

    /// Looks at what has been published; returns the bytes that are there to be taken.
    ///
    /// # Errors
    /// [`Corrupt`] when the head can't be true.
    pub fn look(&mut self) -> Result<u64, Corrupt> {
        // Acquire: pairs with the writer's `publish` of the head (sync point Q), so that the
        // bytes before it are there.
        let head = self.place.head().load(Ordering::Acquire);
        self.accept_head(head)
    }

    fn accept_head(&mut self, head: u64) -> Result<u64, Corrupt> {
        if head < self.seen || head - self.released > self.place.capacity() {
            return Err(Corrupt { head, seen: self.seen, released: self.released });
        }
        self.seen = head;
        Ok(self.waiting())
    }

    /// Appends at most `most` of the waiting bytes to `out`; returns how many.
    pub fn take(&mut self, most: usize, out: &mut Vec<u8>) -> usize {
        let len = usize::try_from(self.waiting()).unwrap_or(usize::MAX).min(most);
        let start = out.len();
        out.resize(start + len, 0);
        self.place.copy_out(self.taken, &mut out[start..]);
        self.taken += len as u64;
        len
    }

    /// Copies the first of the bytes that are published and not taken into `out`, and changes nothing:
    /// the next [`look`](Self::look) finds them as news. Returns how many are there, and how many
    /// were copied; a head that can't be true counts as none.
    pub fn peek(&self, out: &mut [u8]) -> (u64, usize) {
        // Acquire: as in `look`.
        let head = self.place.head().load(Ordering::Acquire);
        let there = head.checked_sub(self.taken).filter(|there| *there <= self.place.capacity());
        let there = there.unwrap_or(0);
        let len = usize::try_from(there).unwrap_or(usize::MAX).min(out.len());
        self.place.copy_out(self.taken, &mut out[..len]);
        (there, len)
    }

    /// Lets the writer have the room of everything before the counter value `to` again.
    pub fn release(&mut self, to: u64) {
        debug_assert!(self.released <= to && to <= self.taken, "only what was taken is released");
        self.released = to;
        // Sync point W: the tail before the look at `waiting`.
        self.place.tail().publish(to);
        if self.place.waiting().observe() != 0 {
            // Relaxed: the writer clears it as well; it is only a hint for the next release.
            self.place.waiting().store(0, Ordering::Relaxed);
            self.place.unpark();
        }
    }

    /// Stops looking at the lane until its writer rings. Returns whether something was published
    /// in the meantime: then the reader goes on looking.
    ///
    /// # Errors
    /// [`Corrupt`] when the head can't be true.
    pub fn look_away(&mut self) -> Result<bool, Corrupt> {
        // Sync point Q: `quiet` before the look at the head. The other way round the writer could
        // publish in between, see a reader that looks, and not ring.
        self.place.quiet().publish(1);
        let head = self.place.head().observe();
        let news = self.accept_head(head)? > 0;
        if news {
            self.look_again();
        }
        Ok(news)
    }

    /// Looks at the lane again; its writer needs not ring.
    pub fn look_again(&self) {
        // Relaxed: a writer that still sees the old value rings once too often.
        self.place.quiet().store(0, Ordering::Relaxed);
    }
}
