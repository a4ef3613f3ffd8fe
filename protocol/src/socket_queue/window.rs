//! The window: the frames that a worker keeps until the listener has acknowledged them.
//!
//! ```text
//!   bytes   [ released | sent, not acknowledged | not yet sent ]
//!           0        start                     sent           end
//! ```
//!
//! Live bytes (`start..end`) never exceed the capacity but by one gap report. Memory is at most
//! twice the capacity, and grows only as far as an outage makes it.

use crate::frame::{self, Kind};
use crate::limits::RESERVED_SHARE;
use crate::message::{Gap, Name};
use crate::record::stamp_of;

/// Room beyond the capacity, so that the report of a gap never needs room that a gap denies it.
const REPORT_ROOM: usize = frame::HEADER_LEN + Gap::LEN;

#[derive(Debug)]
pub(super) struct Window {
    bytes: Vec<u8>,
    start: usize,
    sent: usize,
    /// Where the bytes begin that no connection has taken yet.
    fresh: usize,
    capacity: usize,
    acked: u64,
    /// Bytes that stood before `bytes` and were released.
    gone: u64,
}

impl Window {
    pub(super) const fn new(capacity: usize) -> Self {
        Self { bytes: Vec::new(), start: 0, sent: 0, fresh: 0, capacity, acked: 0, gone: 0 }
    }

    /// Bytes that are not acknowledged.
    pub(super) const fn live(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// The last sequence number that was acknowledged.
    pub(super) const fn acked(&self) -> u64 {
        self.acked
    }

    /// Whether frames of `len` bytes fit; only urgent ones may use the last share.
    pub(super) const fn has_room(&self, len: usize, urgent: bool) -> bool {
        self.live() + len <= self.room_of_empty(urgent)
    }

    /// The room of an empty window.
    pub(super) const fn room_of_empty(&self, urgent: bool) -> usize {
        let reserved = if urgent { 0 } else { self.capacity / RESERVED_SHARE };
        self.capacity - reserved
    }

    /// Appends a frame. The caller has asked for room; a gap report needs none.
    pub(super) fn push(&mut self, kind: Kind, body: &[u8]) {
        debug_assert!(self.live() + body.len() <= self.capacity + REPORT_ROOM);
        if self.start >= self.bytes.len() / 2 {
            self.compact();
        }
        // Doubling would hold far more than the capacity; steps keep the promise of the module.
        let needed = self.bytes.len() + frame::HEADER_LEN + body.len();
        if needed > self.bytes.capacity() {
            let step = (self.capacity / 16).max(4096);
            self.bytes.reserve_exact(needed.next_multiple_of(step) - self.bytes.len());
        }
        frame::put(kind, body, &mut self.bytes);
    }

    pub(super) fn unsent(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    /// The place after the last byte, counted from the first that was ever pushed.
    pub(super) const fn end(&self) -> u64 {
        self.gone + self.bytes.len() as u64
    }

    /// The place before which this connection took everything, counted like [`end`](Self::end).
    pub(super) const fn sent_to(&self) -> u64 {
        self.gone + self.sent as u64
    }

    /// Counts bytes that a connection took, and returns whether it took any for the first time.
    pub(super) fn mark_sent(&mut self, len: usize) -> bool {
        self.sent = (self.sent + len).min(self.bytes.len());
        let is_news = self.sent > self.fresh;
        self.fresh = self.fresh.max(self.sent);
        is_news
    }

    /// A new connection sends everything again that the old one did not see acknowledged.
    pub(super) const fn rewind(&mut self) {
        self.sent = self.start;
    }

    /// The first sequence number that is kept. A gap begins before its own number.
    pub(super) fn first_seq(&self) -> Option<u64> {
        let mut at = self.start;
        while let Ok(Some(frame)) = frame::take(&self.bytes[at..]) {
            if frame.kind.is_sequenced() {
                return first_seq_of(&frame);
            }
            at += frame.len;
        }
        None
    }

    /// The first sequence number that no connection has taken as a whole.
    pub(super) fn first_unsent_seq(&self) -> Option<u64> {
        let mut at = self.start;
        while let Ok(Some(frame)) = frame::take(&self.bytes[at..]) {
            at += frame.len;
            if at > self.sent && frame.kind.is_sequenced() {
                return first_seq_of(&frame);
            }
        }
        None
    }

    /// Releases the frames up to `seq` and returns whether there were any. A name that is
    /// released is handed over: it is from then on the name at the window's start.
    ///
    /// Unsequenced frames are released together with the next sequenced one. An acknowledgement
    /// beyond what was sent is a lie or belongs to somebody else, and releases nothing unsent.
    pub(super) fn release(&mut self, seq: u64, mut on_name: impl FnMut(&str)) -> bool {
        let before = self.start;
        let mut at = self.start;
        let mut name = None;
        while let Ok(Some(frame)) = frame::take(&self.bytes[at..self.sent]) {
            at += frame.len;
            if frame.kind == Kind::Name {
                name = Name::decode(frame.body).ok();
            }
            if !frame.kind.is_sequenced() {
                continue;
            }
            match stamp_of(frame.body) {
                Some((found, _)) if found <= seq => {
                    self.start = at;
                    self.acked = found;
                    if let Some(name) = name.take() {
                        on_name(name.name);
                    }
                }
                _ => break,
            }
        }
        self.start > before
    }

    fn compact(&mut self) {
        self.bytes.drain(..self.start);
        self.gone += self.start as u64;
        self.sent -= self.start;
        self.fresh -= self.start;
        self.start = 0;
    }
}

/// Where the numbers of a sequenced frame begin: a gap stands for several.
fn first_seq_of(frame: &frame::Frame<'_>) -> Option<u64> {
    if frame.kind == Kind::Gap {
        return Gap::decode(frame.body).ok().map(|gap| gap.first_seq);
    }
    stamp_of(frame.body).map(|(seq, _)| seq)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(seq: u64) -> Vec<u8> {
        let mut body = seq.to_le_bytes().to_vec();
        body.extend_from_slice(&[0; 92]);
        body
    }

    #[test]
    fn frames_leave_in_the_order_of_their_acknowledgement() {
        let mut window = Window::new(4096);
        for seq in 1..=10 {
            window.push(Kind::Record, &body(seq));
        }
        window.mark_sent(window.unsent().len());
        assert!(window.release(4, |_| ()));
        assert_eq!((window.acked(), window.first_seq()), (4, Some(5)));
        assert!(!window.release(4, |_| ()), "an old acknowledgement releases nothing");
    }

    #[test]
    fn what_was_never_sent_is_never_released() {
        let mut window = Window::new(4096);
        window.push(Kind::Record, &body(1));
        window.push(Kind::Record, &body(2));
        window.mark_sent(105);
        window.release(u64::MAX, |_| ());
        assert_eq!(window.first_seq(), Some(2));
    }

    #[test]
    fn a_callsite_stays_until_the_record_behind_it_is_acknowledged() {
        let mut window = Window::new(4096);
        window.push(Kind::Callsite, b"definition");
        window.push(Kind::Record, &body(1));
        window.mark_sent(window.unsent().len());
        window.release(0, |_| ());
        assert_eq!(window.live(), 15 + 105);
        window.release(1, |_| ());
        assert_eq!(window.live(), 0);
    }

    #[test]
    fn only_urgent_frames_may_use_the_reserved_share() {
        let mut window = Window::new(800);
        for seq in 1..=6 {
            window.push(Kind::Record, &body(seq));
        }
        assert!(!window.has_room(105, false));
        assert!(window.has_room(105, true));
    }

    #[test]
    fn memory_stays_bounded_while_frames_come_and_go() {
        let mut window = Window::new(8192);
        for seq in 1..=100_000 {
            window.push(Kind::Record, &body(seq));
            window.mark_sent(window.unsent().len());
            if seq > 50 {
                window.release(seq - 50, |_| ());
            }
        }
        assert!(window.bytes.capacity() <= 2 * 8192 + 1024, "{}", window.bytes.capacity());
    }
}
