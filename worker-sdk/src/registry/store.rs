//! The span store: slots in chunks that double in size, and the free ones on lock-free lists.
//!
//! It is a `static` that is ready before `main`: nothing is initialised lazily, nothing is ever unmapped or moved, and
//! each step is a single compare-and-swap. So a child forked at any instant has a store that works; what another thread
//! of the parent had taken off a list and not yet put to use stays lost to the child, one slot per such thread.
//!
//! It promises at most [`Store::new`]'s limit of open spans, after which it says no. It never blocks and never panics.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use tracing_core::Metadata;

use super::{
    current,
    slot::{Chunk, Pinned, Slot},
};

/// Spans that may be open at once, in one process: 256 MiB of slots when all are.
pub(super) const SPANS_MAX: u32 = FIRST_CHUNK * ((1 << CHUNKS) - 1);

const FIRST_CHUNK: u32 = 64;
const CHUNKS: usize = 16;
/// Threads spread over this many free lists, so that they don't all swap the same word.
const FREE_LISTS: usize = 8;

/// The lists hold slot numbers, which are indexes plus one; 0 is none.
const NONE: u32 = 0;
/// The number of the slot that stands for every span that found no room.
const OVERFLOW: u32 = u32::MAX;
/// The id of that span.
pub(super) const OVERFLOW_ID: u64 = (1 << 32) | OVERFLOW as u64;

const _: () = assert!(SPANS_MAX < OVERFLOW);

/// The store of the process.
pub(super) static STORE: Store = Store::new(SPANS_MAX);

/// Slots for spans.
pub(super) struct Store {
    limit: u32,
    chunks: [Chunk; CHUNKS],
    /// How many slots were ever used.
    fresh: AtomicU32,
    free: [FreeList; FREE_LISTS],
    overflow: Slot,
}

impl Store {
    /// An empty store for at most `limit` spans.
    pub(super) const fn new(limit: u32) -> Self {
        assert!(limit <= SPANS_MAX);
        Self {
            limit,
            chunks: [const { Chunk::new() }; CHUNKS],
            fresh: AtomicU32::new(0),
            free: [const { FreeList::new() }; FREE_LISTS],
            overflow: Slot::open_for_ever(&OVERFLOW_METADATA),
        }
    }

    /// Opens a span with one reference and returns its id, or nothing when the store is full.
    pub(super) fn open(
        &'static self,
        owner: u32,
        metadata: &'static Metadata<'static>,
        parent: Option<u64>,
    ) -> Option<u64> {
        let number = self.take_free().or_else(|| self.take_fresh())?;
        let generation = self.slot(number)?.open(owner, metadata, parent.unwrap_or(0));
        Some((u64::from(generation) << 32) | u64::from(number))
    }

    /// Finds a span of the registry `owner` by its id, and keeps it from being recycled.
    pub(super) fn pin(&'static self, owner: u32, id: u64) -> Option<Pinned> {
        let pinned = Pinned::new(self, self.slot(slot_number(id))?, id)?;
        (pinned.owner() == owner || id == OVERFLOW_ID).then_some(pinned)
    }

    /// Takes a closed and unpinned slot back.
    pub(super) fn recycle(&'static self, slot: &'static Slot, id: u64) {
        let list = &self.free[current::thread_hash() % FREE_LISTS];
        list.push(slot, slot_number(id));
    }

    /// How many slots were ever used at once.
    #[cfg(test)]
    pub(super) fn high_water(&self) -> u32 {
        self.fresh.load(Ordering::SeqCst)
    }

    fn slot(&'static self, number: u32) -> Option<&'static Slot> {
        if number == OVERFLOW {
            return Some(&self.overflow);
        }
        let index = number.checked_sub(1).filter(|index| *index < self.limit)?;
        let (chunk, offset, size) = place(index);
        self.chunks[chunk].get(offset, size)
    }

    fn take_free(&'static self) -> Option<u32> {
        let first = current::thread_hash();
        (0..FREE_LISTS)
            .find_map(|turn| self.free[(first + turn) % FREE_LISTS].pop(|number| self.slot(number)))
    }

    fn take_fresh(&'static self) -> Option<u32> {
        let more = |used: u32| (used < self.limit).then(|| used + 1);
        // Relaxed: the number is all that is taken; the chunk publishes itself.
        let index = self.fresh.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        let (chunk, _, size) = place(index);
        self.chunks[chunk].allocate(size);
        Some(index + 1)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the number is the lower half of the id")]
const fn slot_number(id: u64) -> u32 {
    id as u32
}

/// Where an index lies: chunk, offset in it, and the chunk's size. Chunk k holds 64 * 2^k slots.
fn place(index: u32) -> (usize, usize, usize) {
    let shifted = index + FIRST_CHUNK;
    let chunk = shifted.ilog2() - FIRST_CHUNK.ilog2();
    let size = FIRST_CHUNK << chunk;
    (chunk as usize, (shifted - size) as usize, size as usize)
}

/// A stack of free slots. A line of its own, as two cores that swap neighbouring words would slow each other down.
#[repr(align(128))]
struct FreeList {
    /// A tag (32 bits) that every change increments, and the number of the top slot. Without the tag, a pop that slept
    /// while its slot was taken and given back would install a stale successor.
    top: AtomicU64,
}

impl FreeList {
    const fn new() -> Self {
        Self { top: AtomicU64::new(0) }
    }

    fn push(&self, slot: &Slot, number: u32) {
        let mut top = self.top.load(Ordering::Relaxed);
        loop {
            slot.set_next_free(slot_number(top));
            match self.top.compare_exchange_weak(
                top,
                next_top(top, number),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(actual) => top = actual,
            }
        }
    }

    fn pop(&self, slot: impl Fn(u32) -> Option<&'static Slot>) -> Option<u32> {
        let mut top = self.top.load(Ordering::Acquire);
        loop {
            let number = slot_number(top);
            if number == NONE {
                return None;
            }
            let next = slot(number)?.next_free();
            match self.top.compare_exchange_weak(
                top,
                next_top(top, next),
                Ordering::Acquire,
                Ordering::Acquire,
            ) {
                Ok(_) => return Some(number),
                Err(actual) => top = actual,
            }
        }
    }
}

fn next_top(top: u64, number: u32) -> u64 {
    let tag = (top >> 32).wrapping_add(1);
    (tag << 32) | u64::from(number)
}

static OVERFLOW_CALLSITE: tracing_core::callsite::DefaultCallsite =
    tracing_core::callsite::DefaultCallsite::new(&OVERFLOW_METADATA);

/// What a record says about its scope when its span found no room.
pub(super) static OVERFLOW_METADATA: Metadata<'static> = Metadata::new(
    "span store full",
    "fleetlog_worker::registry",
    tracing_core::Level::WARN,
    None,
    None,
    None,
    tracing_core::field::FieldSet::new(&[], tracing_core::identify_callsite!(&OVERFLOW_CALLSITE)),
    tracing_core::metadata::Kind::SPAN,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_index_has_one_place_and_places_are_dense() {
        let mut expected = (0, 0);
        for index in 0..100_000 {
            let (chunk, offset, size) = place(index);
            assert_eq!((chunk, offset), expected);
            assert_eq!(size, 64 << chunk);
            expected = if offset + 1 == size { (chunk + 1, 0) } else { (chunk, offset + 1) };
        }
        assert_eq!(place(SPANS_MAX - 1).0, CHUNKS - 1);
    }

    #[test]
    fn a_full_store_says_no_and_has_room_again_after_a_close() {
        static SMALL: Store = Store::new(100);
        let ids: Vec<u64> =
            (0..100).map(|_| SMALL.open(1, &OVERFLOW_METADATA, None).unwrap()).collect();
        assert_eq!(SMALL.open(1, &OVERFLOW_METADATA, None), None);
        SMALL.pin(1, ids[50]).unwrap().close();
        let again = SMALL.open(1, &OVERFLOW_METADATA, None).unwrap();
        assert_ne!(again, ids[50], "a stale id must not find the next span");
        assert!(SMALL.pin(1, ids[50]).is_none());
        assert!(SMALL.pin(1, again).is_some());
        assert!(SMALL.pin(2, again).is_none(), "another registry's span");
    }

    #[test]
    fn a_pinned_slot_is_recycled_only_when_the_pin_is_gone() {
        static SMALL: Store = Store::new(1);
        let id = SMALL.open(1, &OVERFLOW_METADATA, None).unwrap();
        let pin = SMALL.pin(1, id).unwrap();
        SMALL.pin(1, id).unwrap().close();
        assert!(SMALL.pin(1, id).is_none());
        assert_eq!(pin.metadata().name(), "span store full");
        assert_eq!(SMALL.open(1, &OVERFLOW_METADATA, None), None);
        drop(pin);
        assert!(SMALL.open(1, &OVERFLOW_METADATA, None).is_some());
    }
}
