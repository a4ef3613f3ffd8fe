//! The bytes that a layer keeps with a span: a list of immutable blocks, newest first.
//!
//! A block never changes once it is linked, so a reader needs no lock, and a fork in the middle of anything leaves the
//! child with a whole list. A long list is folded into one block by [`merge`](Pinned::merge_context); the old blocks are
//! freed at once when nobody else has the span pinned, else kept aside until a later merge or the end of the span. In a
//! child, a pin left behind by a thread of the parent defers that to the end of the span.
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
    /// The number of blocks from this one to the oldest, itself included.
    count: usize,
    bytes: Box<[u8]>,
}

/// One span's blocks.
pub(super) struct Context {
    head: AtomicPtr<Block>,
    /// Unlinked blocks that a reader may still look at.
    garbage: AtomicPtr<Block>,
}

impl Context {
    pub(super) const fn new() -> Self {
        Self { head: AtomicPtr::new(ptr::null_mut()), garbage: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Frees everything. Only for the thread that found the slot closed and unpinned: nobody else can reach the lists.
    pub(super) fn clear(&self) {
        free(self.head.swap(ptr::null_mut(), Ordering::Acquire));
        free(self.garbage.swap(ptr::null_mut(), Ordering::Acquire));
    }
}

impl Pinned {
    /// Adds a block, and returns how many there are now.
    pub(super) fn push_context(&self, bytes: Box<[u8]>) -> usize {
        let list = &self.slot().context;
        let new = Box::into_raw(Box::new(Block { older: ptr::null_mut(), count: 1, bytes }));
        let mut head = list.head.load(Ordering::SeqCst);
        loop {
            // SAFETY: linked blocks stay allocated while this span is pinned, and it is.
            let count = 1 + unsafe { head.as_ref() }.map_or(0, |block| block.count);
            // SAFETY: `new` is not linked yet, so this thread alone knows it.
            let block = unsafe { &mut *new };
            block.older = head;
            block.count = count;
            match list.head.compare_exchange_weak(head, new, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => return count,
                Err(actual) => head = actual,
            }
        }
    }

    /// Shows all blocks, oldest first.
    pub(super) fn read_context<R>(&self, read: impl FnOnce(&[&[u8]]) -> R) -> R {
        self.read_from(self.slot().context.head.load(Ordering::SeqCst), read)
    }

    /// Puts what `merge` makes of all blocks in their place; does nothing and returns false when another block is added
    /// meanwhile.
    pub(super) fn merge_context(&self, merge: impl FnOnce(&[&[u8]]) -> Box<[u8]>) -> bool {
        let list = &self.slot().context;
        let head = list.head.load(Ordering::SeqCst);
        let bytes = self.read_from(head, merge);
        let merged = Box::into_raw(Box::new(Block { older: ptr::null_mut(), count: 1, bytes }));
        if list.head.compare_exchange(head, merged, Ordering::SeqCst, Ordering::SeqCst).is_err() {
            free(merged);
            return false;
        }
        self.discard(head);
        true
    }

    fn read_from<R>(&self, head: *mut Block, read: impl FnOnce(&[&[u8]]) -> R) -> R {
        let mut on_stack: [&[u8]; ON_STACK] = [&[]; ON_STACK];
        let mut on_heap = Vec::new();
        // SAFETY: `head` was read from the list under this pin, so it and all older blocks stay allocated while the pin lives.
        let mut next = unsafe { head.as_ref() };
        let count = next.map_or(0, |block| block.count);
        let blocks = if count <= ON_STACK {
            &mut on_stack[..count]
        } else {
            on_heap.resize(count, &[][..]);
            &mut on_heap[..]
        };
        for place in blocks.iter_mut().rev() {
            let Some(block) = next else { break };
            *place = &block.bytes;
            // SAFETY: as above.
            next = unsafe { block.older.as_ref() };
        }
        read(blocks)
    }

    /// Frees a chain that was just unlinked, and older garbage, if nobody else can be looking at them.
    fn discard(&self, chain: *mut Block) {
        let list = &self.slot().context;
        let garbage = list.garbage.swap(ptr::null_mut(), Ordering::SeqCst);
        // Both chains are unreachable now. Whoever may still see them pinned the span before this point and has not left:
        // then there is more than one pin. A pin taken later reads the new head, as both sides are SeqCst.
        if self.is_alone() {
            free(chain);
            free(garbage);
        } else {
            self.keep_garbage(chain);
            self.keep_garbage(garbage);
        }
    }

    fn keep_garbage(&self, chain: *mut Block) {
        let list = &self.slot().context;
        let mut last = chain;
        loop {
            // SAFETY: the chain is unlinked and this thread alone may free or relink it; readers only read it.
            let Some(block) = (unsafe { last.as_ref() }) else { return };
            if block.older.is_null() {
                break;
            }
            last = block.older;
        }
        // Readers may be walking the chain, so its blocks stay as they are: a fresh block without bytes would be needed to
        // join two chains. Swap instead, and push what was there only when there was something.
        let was = list.garbage.swap(chain, Ordering::SeqCst);
        if !was.is_null() {
            todo!("{last:?}")
        }
    }
}

/// Frees a chain that no other thread can reach.
fn free(mut chain: *mut Block) {
    while !chain.is_null() {
        // SAFETY: the caller guarantees that nobody else can reach the chain; every block comes from `Box::into_raw`.
        let block = unsafe { Box::from_raw(chain) };
        chain = block.older;
    }
}
