//! The bytes that layers keep with a span: a list of immutable blocks, newest first, each with the number
//! of the layer whose it is. A layer sees its own ones only.
//!
//! A block never changes once it is linked, so a reader needs no lock, and a fork in the middle of anything leaves the
//! child with a whole list. A long list is folded into one block by [`merge`](Pinned::merge_context); the old blocks are
//! kept aside until nobody can look at them any more. For that pins are counted by two *eras* in turn:
//!
//! - A chain is marked with the era in which it was unlinked, or a later one. Whoever may look at it took his pin before.
//! - An era ends only when no pin of the one before is left. So all those pins are of the chain's era by then, or of none.
//! - In the era after the chain's, new pins count elsewhere: when those of the chain's era are gone, it is freed.
//!
//! So chains are freed while readers and writers come and go without a pause, and what waits is what a few merges left. In a
//! child, a pin left behind by a thread of the parent defers it to the end of the span.
//!
//! It promises that a block seen through a pin stays readable while the pin lives. It never interprets the bytes.

#![allow(unsafe_code, reason = "a lock-free list of heap blocks")]

use std::{
    ptr,
    sync::atomic::{AtomicPtr, Ordering},
};

use super::slot::Pinned;

/// How many blocks a span may have before they should be merged: reading stays free of allocation below twice this number.
pub(crate) const CONTEXT_BLOCKS_MAX: usize = 8;

const ON_STACK: usize = 2 * CONTEXT_BLOCKS_MAX;

struct Block {
    older: *mut Block,
    /// Among garbage: the next unlinked chain. Apart from `older`, which readers of an unlinked chain still follow.
    next_chain: *mut Block,
    /// Among garbage: the era of the chain.
    era: bool,
    /// The number of blocks from this one to the oldest, itself included.
    count: usize,
    /// The layer that added it.
    layer: u32,
    bytes: Box<[u8]>,
}

/// One span's blocks.
pub(super) struct Context {
    head: AtomicPtr<Block>,
    /// Unlinked chains of blocks that a reader may still look at.
    garbage: AtomicPtr<Block>,
}

impl Context {
    pub(super) const fn new() -> Self {
        Self { head: AtomicPtr::new(ptr::null_mut()), garbage: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Frees everything. Only for the thread that found the slot closed and unpinned: nobody else can reach the lists.
    pub(super) fn clear(&self) {
        free_chain(self.head.swap(ptr::null_mut(), Ordering::Acquire));
        free_chains(self.garbage.swap(ptr::null_mut(), Ordering::Acquire));
    }
}

impl Pinned {
    /// Adds a block of a layer's, and returns how many it has now.
    pub(super) fn push_context(&self, layer: u32, bytes: Box<[u8]>) -> usize {
        let list = &self.slot().context;
        let new = Block::alone(layer, bytes);
        let mut head = list.head.load(Ordering::SeqCst);
        loop {
            // SAFETY: linked blocks stay allocated while this span is pinned, and it is.
            let count = 1 + unsafe { head.as_ref() }.map_or(0, |block| block.count);
            // SAFETY: `new` is not linked yet, so this thread alone knows it.
            let block = unsafe { &mut *new };
            block.older = head;
            block.count = count;
            match list.head.compare_exchange_weak(head, new, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => return 1 + self.chain(head).filter(|block| block.layer == layer).count(),
                Err(actual) => head = actual,
            }
        }
    }

    /// Shows all blocks of a layer's, oldest first.
    pub(super) fn read_context<R>(&self, layer: u32, read: impl FnOnce(&[&[u8]]) -> R) -> R {
        self.read_from(self.slot().context.head.load(Ordering::SeqCst), layer, read)
    }

    /// Puts what `merge` makes of all blocks of a layer's in their place; does nothing and returns false when another block
    /// is added meanwhile.
    pub(super) fn merge_context(
        &self,
        layer: u32,
        merge: impl FnOnce(&[&[u8]]) -> Box<[u8]>,
    ) -> bool {
        let list = &self.slot().context;
        let head = list.head.load(Ordering::SeqCst);
        let merged = Block::alone(layer, self.read_from(head, layer, merge));
        // What other layers have there comes along: it may be unlinked only as a whole.
        let mut oldest = merged;
        let mut count = 1;
        for other in self.chain(head).filter(|block| block.layer != layer) {
            let copy = Block::alone(other.layer, other.bytes.clone());
            // SAFETY: none of the new blocks is linked yet, so this thread alone knows them.
            unsafe { (*oldest).older = copy };
            oldest = copy;
            count += 1;
        }
        let mut next = merged;
        // SAFETY: as above.
        while let Some(block) = unsafe { next.as_mut() } {
            block.count = count;
            count -= 1;
            next = block.older;
        }
        if list.head.compare_exchange(head, merged, Ordering::SeqCst, Ordering::SeqCst).is_err() {
            free_chain(merged);
            return false;
        }
        self.discard(head);
        true
    }

    /// The blocks from `head`, which was read from the list under this pin, to the oldest.
    fn chain(&self, head: *mut Block) -> impl Iterator<Item = &Block> {
        // SAFETY: `head` and all older blocks stay allocated while the pin lives.
        let head = unsafe { head.as_ref() };
        // SAFETY: as above.
        std::iter::successors(head, |block| unsafe { block.older.as_ref() })
    }

    fn read_from<R>(&self, head: *mut Block, layer: u32, read: impl FnOnce(&[&[u8]]) -> R) -> R {
        let mut on_stack: [&[u8]; ON_STACK] = [&[]; ON_STACK];
        let mut on_heap = Vec::new();
        let count = self.chain(head).next().map_or(0, |block| block.count);
        let blocks = if count <= ON_STACK {
            &mut on_stack[..]
        } else {
            on_heap.resize(count, &[][..]);
            &mut on_heap[..]
        };
        // From the end, as the newest comes first.
        let mut first = blocks.len();
        for block in self.chain(head).filter(|block| block.layer == layer) {
            let Some(at) = first.checked_sub(1) else { break };
            blocks[at] = &block.bytes;
            first = at;
        }
        read(&blocks[first..])
    }

    /// Puts a chain that was just unlinked aside, and frees what nobody can be looking at any more.
    fn discard(&self, chain: *mut Block) {
        if chain.is_null() {
            return;
        }
        // SAFETY: this thread unlinked the chain, so it alone writes here, and readers don't read this field.
        unsafe { (*chain).era = self.era().0 };
        self.keep_chains(chain);
        let mut next = self.slot().context.garbage.swap(ptr::null_mut(), Ordering::SeqCst);
        // Read behind the exchange: each chain in hand was unlinked before.
        let (era, is_free) = self.era();
        let (mut kept, mut free) = (ptr::null_mut(), ptr::null_mut());
        let mut has_new = false;
        while !next.is_null() {
            let chain = next;
            // SAFETY: the list is in this thread's hands since the exchange, and none of its blocks is freed yet.
            next = unsafe { (*chain).next_chain };
            // SAFETY: as above.
            let is_new = unsafe { (*chain).era } == era;
            has_new |= is_new;
            let list = if !is_new && is_free { &mut free } else { &mut kept };
            // SAFETY: as above; readers don't read this field.
            unsafe { (*chain).next_chain = *list };
            *list = chain;
        }
        free_chains(free);
        if !kept.is_null() {
            self.keep_chains(kept);
        }
        if has_new {
            self.end_era(era);
        }
    }

    /// Puts a list of chains, not empty, aside.
    fn keep_chains(&self, first: *mut Block) {
        let kept = &self.slot().context.garbage;
        let mut last = first;
        loop {
            // SAFETY: the list is in this thread's hands, and none of its blocks is freed while this
            // span is pinned.
            let next = unsafe { (*last).next_chain };
            if next.is_null() {
                break;
            }
            last = next;
        }
        let mut head = kept.load(Ordering::SeqCst);
        loop {
            // SAFETY: as above; readers don't read this field.
            unsafe { (*last).next_chain = head };
            match kept.compare_exchange_weak(head, first, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => return,
                Err(actual) => head = actual,
            }
        }
    }
}

/// Blocks that are allocated.
#[cfg(test)]
pub(super) static BLOCKS: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

#[cfg(test)]
impl Drop for Block {
    fn drop(&mut self) {
        BLOCKS.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Block {
    fn alone(layer: u32, bytes: Box<[u8]>) -> *mut Self {
        #[cfg(test)]
        BLOCKS.fetch_add(1, Ordering::SeqCst);
        Box::into_raw(Box::new(Self {
            older: ptr::null_mut(),
            next_chain: ptr::null_mut(),
            era: false,
            count: 1,
            layer,
            bytes,
        }))
    }
}

/// Frees a list of chains that no other thread can reach.
fn free_chains(mut first: *mut Block) {
    // SAFETY: the caller guarantees that nobody else can reach the list.
    while let Some(next) = unsafe { first.as_ref() }.map(|block| block.next_chain) {
        free_chain(first);
        first = next;
    }
}

/// Frees a chain that no other thread can reach.
fn free_chain(mut chain: *mut Block) {
    while !chain.is_null() {
        // SAFETY: the caller guarantees that nobody else can reach the chain; every block comes from `Block::alone`.
        let block = unsafe { Box::from_raw(chain) };
        chain = block.older;
    }
}
