//! An allocator that logs when it is asked to: what happens when a record is made inside of the
//! SDK.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static LEFT: Cell<u32> = const { Cell::new(0) };
}

/// The next so many allocations of this thread log.
pub(crate) fn arm(allocations: u32) {
    LEFT.set(allocations);
}

/// How many of them are still to come.
pub(crate) fn disarm() -> u32 {
    LEFT.replace(0)
}

struct Logging;

#[global_allocator]
static ALLOCATOR: Logging = Logging;

// SAFETY: every call is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Logging {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let left = LEFT.get();
        if left > 0 {
            // What the record itself allocates logs no more.
            LEFT.set(0);
            tracing::info!("from the allocator");
            LEFT.set(left - 1);
        }
        // SAFETY: the caller keeps the contract of the trait.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of the trait.
        unsafe { System.dealloc(pointer, layout) };
    }
}
