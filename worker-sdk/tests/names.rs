//! Names that are set again and again.
#![allow(missing_docs, reason = "a test has no users")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use tracing_subscriber::layer::SubscriberExt as _;

static LIVE: AtomicUsize = AtomicUsize::new(0);

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::SeqCst);
        // SAFETY: the caller keeps the contract of the trait.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::SeqCst);
        // SAFETY: the caller keeps the contract of the trait.
        unsafe { System.dealloc(pointer, layout) };
    }
}

/// The only test of this program: whatever else ran would be counted as well.
#[test]
fn a_name_that_is_set_again_and_again_takes_no_more_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let layer = fleetlog_worker::Layer::builder().run_dir(folder.path()).build().expect("a layer");
    tracing::subscriber::with_default(fleetlog_worker::registry().with(layer), || {
        let set = |number: u32| {
            fleetlog_worker::set_name(&format!("worker {number:080}"));
            if number.is_multiple_of(1000) {
                tracing::info!(number, "so that the process has lanes");
            }
        };
        (0..1001).for_each(set);
        let before = LIVE.load(Ordering::SeqCst);
        (1001..11_001).for_each(set);
        let grown = LIVE.load(Ordering::SeqCst).saturating_sub(before);
        assert!(grown < 20_000, "{grown} bytes for 10,000 names");
    });
}
