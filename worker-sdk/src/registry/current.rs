//! The spans that this thread is in, innermost last.
//!
//! Plain thread-local data without a process-wide lock: a forked child goes on with the stack of the thread that forked.
//! While the thread's locals are being destroyed it is empty, and entering a span does nothing.
//!
//! It promises the stock registry's rules: entering a span again hides the repetition, leaving removes the innermost
//! entry of that span, and no entry keeps a span open.

use std::cell::{Cell, RefCell};

struct Entered {
    id: u64,
    /// The registry that was entered: two registries on one thread have a scope each.
    owner: u32,
    duplicate: bool,
}

thread_local! {
    static STACK: RefCell<Vec<Entered>> = const { RefCell::new(Vec::new()) };
    // Without a destructor, so that it can be read at any time of a thread's life.
    static ASKED: Cell<u64> = const { Cell::new(0) };
}

pub(super) fn enter(owner: u32, id: u64) {
    let _ = STACK.try_with(|stack| {
        if let Ok(mut stack) = stack.try_borrow_mut() {
            let duplicate = stack.iter().any(|entered| entered.id == id && entered.owner == owner);
            stack.push(Entered { id, owner, duplicate });
        }
    });
}

pub(super) fn exit(owner: u32, id: u64) {
    let _ = STACK.try_with(|stack| {
        if let Ok(mut stack) = stack.try_borrow_mut() {
            let place =
                stack.iter().rposition(|entered| entered.id == id && entered.owner == owner);
            if let Some(place) = place {
                stack.remove(place);
            }
        }
    });
}

/// The span `depth` steps out of the innermost one of that registry.
#[inline]
pub(super) fn nth(owner: u32, depth: usize) -> Option<u64> {
    STACK
        .try_with(|stack| {
            let stack = stack.try_borrow().ok()?;
            let mut shown =
                stack.iter().rev().filter(|entered| entered.owner == owner && !entered.duplicate);
            shown.nth(depth).map(|entered| entered.id)
        })
        .ok()
        .flatten()
}

/// Remembers that this thread was told `id` as its current span.
pub(super) fn note_asked(id: u64) {
    ASKED.set(id);
}

/// Whether `id` is what this thread was last told as its current span; true once.
pub(super) fn take_asked(id: u64) -> bool {
    ASKED.replace(0) == id
}

/// A number that differs between most threads.
pub(super) fn thread_hash() -> usize {
    // Thread-locals of different threads lie at least a guard page apart.
    ASKED.with(|here| {
        let page = std::ptr::from_ref(here).addr() >> 12;
        page ^ (page >> 4) ^ (page >> 9)
    })
}
