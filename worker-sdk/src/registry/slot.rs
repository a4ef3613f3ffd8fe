//! One span's place in memory, and the protocol that says who may read it and when it is used again.
//!
//! ```text
//!            open                 last reference gone        every layer told           last pin gone
//!   FREE ----------> LIVE --------------------------> CLOSING ----------------> CLOSED ---------------> FREE
//!                    look-ups pin it                  look-ups pin it            no new pins      next generation
//! ```
//!
//! `life` holds generation, state and pins in one word, so each step is one atomic operation, and a fork in the middle
//! of any other thread's step leaves the child with a slot that is either before or after it. A pin that a thread of the
//! parent held at that moment keeps its slot from being used again in the child: a leaked slot, never a dangling one.
//!
//! It promises that what a [`Pinned`] reads stays valid until it is dropped. It never blocks, and frees no slot's memory.

#![allow(unsafe_code, reason = "slots live behind atomic pointers, and so does their metadata")]

use std::{
    ptr,
    sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering},
};

use tracing_core::Metadata;

use super::{context::Context, loans::Loans, store::Store};

const CLOSED: u64 = 1 << 31;
const CLOSING: u64 = 1 << 30;
/// The nested `try_close` came by: every layer is being told.
const TOLD: u64 = 1 << 29;
/// Which of the two counts new pins are taken in: the era. See [`context`](super::context).
const ERA: u64 = 1 << 28;
/// The bits of each count of pins.
const PIN_BITS: u32 = 14;
const PINS: u64 = (1 << PIN_BITS) - 1;

const _: () = assert!(1 << (2 * PIN_BITS) == ERA);

/// A pin in one of the two counts.
const fn pin(era: bool) -> u64 {
    if era { 1 << PIN_BITS } else { 1 }
}

/// The pins in one of the two counts.
const fn pins(life: u64, era: bool) -> u64 {
    (if era { life >> PIN_BITS } else { life }) & PINS
}

/// No stock span was made for this one yet.
const NO_CELL: u64 = 0;
/// The span is closed: whoever makes a cell now must see to its end alone.
const CELL_SEALED: u64 = u64::MAX;

/// One span. 64 bytes: a span's users share no cache line with those of another.
#[repr(align(64))]
pub(super) struct Slot {
    /// generation (32 bits) | CLOSED | CLOSING | TOLD | ERA | pins of either era (14 bits each)
    life: AtomicU64,
    /// Handles and open children.
    refs: AtomicU32,
    /// The number of the registry that opened the span; while the slot is free, the number of the next free one.
    owner_or_next: AtomicU32,
    metadata: AtomicPtr<Metadata<'static>>,
    /// The parent's id, or 0.
    parent: AtomicU64,
    /// The id of the stock span that carries the extensions.
    cell: AtomicU64,
    pub(super) loans: Loans,
    pub(super) context: Context,
}

const _: () = assert!(size_of::<Slot>() == 64);

/// What became of a reference that was given back.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Released {
    /// It was the last one: the caller has to close the span.
    Last,
    /// The span was closing already, and this call carries the news to the layers.
    Telling,
    /// Others hold the span, or it is none of ours.
    Held,
}

impl Slot {
    pub(super) const fn new() -> Self {
        Self {
            life: AtomicU64::new(CLOSED),
            refs: AtomicU32::new(0),
            owner_or_next: AtomicU32::new(0),
            metadata: AtomicPtr::new(ptr::null_mut()),
            parent: AtomicU64::new(0),
            cell: AtomicU64::new(NO_CELL),
            loans: Loans::new(),
            context: Context::new(),
        }
    }

    /// A span of generation 1 that is open from the start and for ever.
    pub(super) const fn open_for_ever(metadata: &'static Metadata<'static>) -> Self {
        let mut slot = Self::new();
        slot.life = AtomicU64::new(1 << 32);
        slot.refs = AtomicU32::new(u32::MAX);
        slot.metadata = AtomicPtr::new(ptr::from_ref(metadata).cast_mut());
        slot
    }

    /// Opens a span in a slot that the caller took off the free list, and returns its generation.
    pub(super) fn open(
        &self,
        owner: u32,
        metadata: &'static Metadata<'static>,
        parent: u64,
    ) -> u32 {
        // Relaxed: nobody can pin the slot before `life` is stored, which publishes all of these.
        let generation = generation(self.life.load(Ordering::Relaxed)).wrapping_add(1).max(1);
        self.refs.store(1, Ordering::Relaxed);
        self.owner_or_next.store(owner, Ordering::Relaxed);
        self.metadata.store(ptr::from_ref(metadata).cast_mut(), Ordering::Relaxed);
        self.parent.store(parent, Ordering::Relaxed);
        self.cell.store(NO_CELL, Ordering::Relaxed);
        self.loans.reset();
        self.life.store(u64::from(generation) << 32, Ordering::Release);
        generation
    }

    // Relaxed in both: the free list's own word publishes the number, and a reader who came too late loses its swap.

    pub(super) fn next_free(&self) -> u32 {
        self.owner_or_next.load(Ordering::Relaxed)
    }

    pub(super) fn set_next_free(&self, number: u32) {
        self.owner_or_next.store(number, Ordering::Relaxed);
    }

    /// Adds a pin, if the slot holds that generation and is not closed; returns in which count.
    fn try_pin(&self, wanted: u32) -> Option<bool> {
        let mut life = self.life.load(Ordering::Acquire);
        loop {
            if generation(life) != wanted || life & CLOSED != 0 {
                return None;
            }
            let era = life & ERA != 0;
            // In the other count a pin is as safe, and puts the next era off.
            let era = if pins(life, era) < PINS { era } else { !era };
            if pins(life, era) == PINS {
                return None;
            }
            // SeqCst: `Context::merge` swaps the list, then looks for pins; a pin that it did not see must see the new list.
            match self.life.compare_exchange_weak(
                life,
                life + pin(era),
                Ordering::SeqCst,
                Ordering::Acquire,
            ) {
                Ok(_) => return Some(era),
                Err(actual) => life = actual,
            }
        }
    }
}

const fn generation(life: u64) -> u32 {
    (life >> 32) as u32
}

/// A span that can't be recycled while this value lives.
pub(super) struct Pinned {
    store: &'static Store,
    slot: &'static Slot,
    id: u64,
    /// The count that the pin is in.
    era: bool,
}

impl Pinned {
    pub(super) fn new(store: &'static Store, slot: &'static Slot, id: u64) -> Option<Self> {
        slot.try_pin(generation(id)).map(|era| Self { store, slot, id, era })
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn slot(&self) -> &'static Slot {
        self.slot
    }

    // Relaxed in the readers below: the pin's acquire saw the store of `life` that published these fields.

    pub(super) fn owner(&self) -> u32 {
        self.slot.owner_or_next.load(Ordering::Relaxed)
    }

    pub(super) fn parent(&self) -> Option<u64> {
        Some(self.slot.parent.load(Ordering::Relaxed)).filter(|id| *id != 0)
    }

    pub(super) fn metadata(&self) -> &'static Metadata<'static> {
        let metadata = self.slot.metadata.load(Ordering::Relaxed);
        // SAFETY: only `open` and `open_for_ever` store here, always from a `&'static` reference, before the slot could
        // be pinned.
        unsafe { &*metadata }
    }

    /// The era, and whether no other pin is held that was taken in the one before. The latter stays true only for what was
    /// made unreachable in that one.
    pub(super) fn era(&self) -> (bool, bool) {
        let life = self.slot.life.load(Ordering::SeqCst);
        let era = life & ERA != 0;
        (era, pins(life, !era) == u64::from(self.era != era))
    }

    /// Begins the next era, if `era` is still the present one and no pin of the one before is left.
    pub(super) fn end_era(&self, era: bool) {
        let next = |life: u64| {
            let is_over = (life & ERA != 0) == era && pins(life, !era) == 0;
            is_over.then_some(life ^ ERA)
        };
        let _ = self.slot.life.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next);
    }

    /// Takes a reference, unless the span has none left.
    pub(super) fn retain(&self) -> bool {
        let more = |refs: u32| if refs == 0 { None } else { refs.checked_add(1) };
        // Relaxed, as in `Arc`: whoever takes a reference holds one.
        self.slot.refs.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// Gives a reference back.
    pub(super) fn release(&self) -> Released {
        if self.slot.life.load(Ordering::Acquire) & CLOSING != 0 {
            let before = self.slot.life.fetch_or(TOLD, Ordering::AcqRel);
            return if before & TOLD == 0 { Released::Telling } else { Released::Held };
        }
        let fewer = |refs: u32| refs.checked_sub(1);
        // AcqRel, as in `Arc`: what every holder did to the span happened before it is closed.
        match self.slot.refs.fetch_update(Ordering::AcqRel, Ordering::Relaxed, fewer) {
            Ok(1) => {
                self.slot.life.fetch_or(CLOSING, Ordering::AcqRel);
                Released::Last
            }
            _ => Released::Held,
        }
    }

    /// Ends the span: no look-up finds it any more, and the last pin recycles its slot.
    pub(super) fn close(self) {
        self.slot.life.fetch_or(CLOSED, Ordering::AcqRel);
    }

    /// The stock span of this one.
    pub(super) fn cell(&self) -> Cell {
        match self.slot.cell.load(Ordering::Acquire) {
            NO_CELL => Cell::None,
            CELL_SEALED => Cell::Sealed,
            cell => Cell::Some(cell),
        }
    }

    /// Puts `new` in the place of `old`; false when another thread was first.
    pub(super) fn replace_cell(&self, old: Cell, new: Option<u64>) -> bool {
        let old = match old {
            Cell::None => NO_CELL,
            Cell::Some(cell) => cell,
            Cell::Sealed => return false,
        };
        let new = new.unwrap_or(NO_CELL);
        self.slot.cell.compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Takes the stock span away for good, for the caller to close.
    pub(super) fn seal_cell(&self) -> Option<u64> {
        let cell = self.slot.cell.swap(CELL_SEALED, Ordering::AcqRel);
        (cell != NO_CELL && cell != CELL_SEALED).then_some(cell)
    }
}

/// The state of a slot's stock span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    None,
    Some(u64),
    Sealed,
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // AcqRel: the last one to leave frees what the others read.
        let before = self.slot.life.fetch_sub(pin(self.era), Ordering::AcqRel);
        // Exactly one operation leads to "closed and unpinned", as nothing can be pinned after it was closed.
        if before & CLOSED != 0 && pins(before, false) + pins(before, true) == 1 {
            self.slot.context.clear();
            self.store.recycle(self.slot, self.id);
        }
    }
}

/// A lazily allocated array of slots that is never freed.
pub(super) struct Chunk(AtomicPtr<Slot>);

impl Chunk {
    pub(super) const fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// The slot at `offset` of this chunk, if the chunk was allocated. `size` must be the size that it is allocated with.
    pub(super) fn get(&self, offset: usize, size: usize) -> Option<&'static Slot> {
        assert!(offset < size);
        let first = self.0.load(Ordering::Acquire);
        if first.is_null() {
            return None;
        }
        // SAFETY: a pointer that is not null was leaked by `allocate` from a slice of `size` slots, and `offset` is below it.
        let slot = unsafe { first.add(offset) };
        // SAFETY: the slice is initialised, never freed, and only ever shared.
        Some(unsafe { &*slot })
    }

    /// Makes sure that the chunk is there.
    pub(super) fn allocate(&self, size: usize) {
        if !self.0.load(Ordering::Acquire).is_null() {
            return;
        }
        let slots: Box<[Slot]> = (0..size).map(|_| Slot::new()).collect();
        let slots = Box::into_raw(slots);
        let first = slots.cast::<Slot>();
        if self
            .0
            .compare_exchange(ptr::null_mut(), first, Ordering::AcqRel, Ordering::Acquire)
            .is_err()
        {
            // SAFETY: another thread's chunk won, so nobody has seen this one; it comes from `Box::into_raw` above.
            drop(unsafe { Box::from_raw(slots) });
        }
    }
}
