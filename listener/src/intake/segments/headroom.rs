//! Headroom: address space that is kept from segments.
//!
//! A fleet may leave more segments than a limit of the process's memory lets be mapped at once. The
//! one that finds no room any more must not take the rest of it from what the listener needs to
//! drain the others: a buffer that can't be had would end it.

use memmap2::MmapMut;

/// More than the buffers of a round, in bytes. It is never touched, so that it costs no memory.
const HEADROOM: usize = 32 << 20;

/// Address space that is kept.
#[derive(Debug)]
pub(super) struct Headroom(Option<MmapMut>);

impl Headroom {
    pub(super) fn new() -> Self {
        let mut headroom = Self(None);
        headroom.keep();
        headroom
    }

    /// Keeps it again, where a segment has left some.
    pub(super) fn keep(&mut self) {
        if self.0.is_none() {
            self.0 = MmapMut::map_anon(HEADROOM).ok();
        }
    }

    /// Gives it to the listener's own work.
    pub(super) fn give_back(&mut self) {
        self.0 = None;
    }
}
