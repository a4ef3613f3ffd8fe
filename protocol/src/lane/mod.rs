//! The lane: a queue of bytes with one writer and one reader, over two counters.
//!
//! ```text
//!            tail (the reader's)                 head (the writer's)
//!   bytes  ---|====== published, not released ======|--- free ---
//!             counters only grow; a byte stands at `counter % capacity`
//! ```
//!
//! The writer copies bytes behind the head and publishes them with one store. A writer that dies
//! before that store has published nothing, so that there is never anything to repair. The
//! reader copies bytes out, and releases them with one store when they are in the files; until
//! then they stay, and the next reader finds them.
//!
//! Two pairs of words let either side sleep without a lost wake-up. Both are the same handshake:
//! each side stores its own word, then looks at the other's, and the two can't both miss
//! ([`Word::publish`], [`Word::observe`]):
//!
//! - **quiet**: the reader looks away from a lane that stays empty. Sync point Q: the writer
//!   publishes `head` and observes `quiet`; the reader publishes `quiet` and observes `head`.
//! - **waiting**: the writer waits for room. Sync point W: the writer publishes `waiting` and
//!   observes `tail`; the reader publishes `tail` and observes `waiting`.
//!
//! The algorithm is apart from where its words and bytes are ([`Place`]): in a mapped file for
//! real ([`crate::segment`]), under a model checker in the tests.

mod reader;
mod word;
mod writer;

use std::time::Duration;

pub use reader::{Corrupt, Reader};
pub use word::Word;
pub use writer::{Published, Writer, wait_for_release};

/// Where a lane's words and bytes are.
///
/// A place may be shared with a process that writes anything at any time; whoever implements it
/// for such memory must not hand out references into its bytes.
pub trait Place {
    /// A counter of bytes.
    type Counter: Word;
    /// A flag, 0 or 1.
    type Flag: Word;

    /// Bytes ever published. Only the writer stores it.
    fn head(&self) -> &Self::Counter;
    /// Bytes ever released. Only the reader stores it.
    fn tail(&self) -> &Self::Counter;
    /// 1 = the reader looks away: whoever publishes must ring.
    fn quiet(&self) -> &Self::Flag;
    /// 1 = the writer waits for room.
    fn waiting(&self) -> &Self::Flag;
    /// The bytes that the lane holds.
    fn capacity(&self) -> u64;
    /// Copies bytes to where the counter value `at` stands, around the end if need be.
    fn copy_in(&self, at: u64, bytes: &[u8]);
    /// Copies a few bytes, and words behind them, little-endian, to where the counter value `at`
    /// stands, around the end if need be.
    #[inline]
    fn copy_in_head<const B: usize, const W: usize>(
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
    /// Copies bytes from where the counter value `at` stands, around the end if need be.
    fn copy_out(&self, at: u64, out: &mut [u8]);
    /// Sleeps while `waiting` is 1, at most so long; may return at any time.
    fn park(&self, at_most: Duration);
    /// Wakes the writer that sleeps.
    fn unpark(&self);
}
