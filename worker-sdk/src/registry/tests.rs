//! What only the crate can see: contexts, scopes, a full store.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use tracing::{Subscriber, info_span};
use tracing_subscriber::{Layer, fmt, layer::SubscriberExt};

use super::*;

fn id(span: &tracing::Span) -> Id {
    span.id().expect("the span is enabled")
}

fn bytes(text: &str) -> Box<[u8]> {
    text.as_bytes().into()
}

/// Runs `f` over a registry of its own.
fn with_registry(f: impl FnOnce(Spans)) {
    let registry = registry();
    let spans = Spans::of(&registry).unwrap();
    tracing::subscriber::with_default(registry, || f(spans));
}

fn scope(spans: Spans, leaf: &Id) -> Vec<String> {
    let mut seen = Vec::new();
    spans.for_each_in_scope(leaf, 0, &mut |_, metadata, blocks| {
        let blocks =
            blocks.iter().map(|block| String::from_utf8_lossy(block)).collect::<Vec<_>>().join("+");
        seen.push(format!("{}:{blocks}", metadata.name()));
    });
    seen
}

#[test]
fn a_layer_recognises_the_registry_below_other_layers_and_not_the_stock_one() {
    let ours = registry()
        .with(fmt::layer::<_>().with_writer(std::io::sink))
        .with(tracing_subscriber::layer::Identity::new());
    assert!(Spans::of(&ours).is_some());
    assert!(Spans::of(&tracing_subscriber::registry()).is_none());
}

#[test]
fn a_scope_is_shown_from_the_root_with_each_spans_blocks_in_order() {
    with_registry(|spans| {
        let outer = info_span!("outer");
        let inner = info_span!(parent: &outer, "inner");
        assert_eq!(spans.push_context(&id(&outer), 0, bytes("a")), 1);
        assert_eq!(spans.push_context(&id(&outer), 0, bytes("b")), 2);
        assert_eq!(spans.push_context(&id(&inner), 0, bytes("c")), 1);
        assert_eq!(scope(spans, &id(&inner)), ["outer:a+b", "inner:c"]);
        let _in = inner.enter();
        assert_eq!(spans.current(), Some(id(&inner)));
    });
}

#[test]
fn merging_keeps_every_block_and_a_long_list_is_readable_unmerged() {
    with_registry(|spans| {
        let span = info_span!("span");
        for n in 0..3 * CONTEXT_BLOCKS_MAX {
            assert_eq!(spans.push_context(&id(&span), 0, bytes(&format!("{n} "))), n + 1);
        }
        let all: String = (0..3 * CONTEXT_BLOCKS_MAX).map(|n| format!("{n} ")).collect();
        let read = |blocks: &[&[u8]]| String::from_utf8(blocks.concat()).unwrap();
        assert_eq!(spans.read_context(&id(&span), 0, read).unwrap(), all);
        assert!(spans.merge_context(&id(&span), 0, |blocks| blocks.concat().into()));
        assert_eq!(spans.push_context(&id(&span), 0, bytes("end")), 2);
        assert_eq!(spans.read_context(&id(&span), 0, read).unwrap(), all + "end");
    });
}

#[test]
fn readers_see_whole_blocks_while_writers_add_and_merge() {
    with_registry(|spans| {
        let span = info_span!("span");
        let id = id(&span);
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        spans.read_context(&id, 0, |blocks| {
                            for block in blocks {
                                assert!(
                                    block.iter().all(|byte| *byte == b'x') && block.len() % 7 == 0
                                );
                            }
                        });
                    }
                });
            }
            let writers: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        let mut added = 0;
                        for _ in 0..20_000 {
                            added += 1;
                            if spans.push_context(&id, 0, bytes("xxxxxxx")) > CONTEXT_BLOCKS_MAX {
                                spans.merge_context(&id, 0, |blocks| blocks.concat().into());
                            }
                        }
                        added
                    })
                })
                .collect();
            let added: usize = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
            stop.store(true, Ordering::Relaxed);
            let length = spans.read_context(&id, 0, |blocks| {
                blocks.iter().map(|block| block.len()).sum::<usize>()
            });
            assert_eq!(length, Some(7 * added), "a block was lost or doubled");
        });
    });
}

#[test]
fn a_block_read_under_a_pin_survives_a_merge_and_the_close_of_its_span() {
    with_registry(|spans| {
        let span = info_span!("span");
        let id = id(&span);
        spans.push_context(&id, 0, bytes("kept"));
        spans.read_context(&id, 0, |outer| {
            spans.merge_context(&id, 0, |_| bytes("merged"));
            drop(span);
            assert_eq!(outer, [b"kept"]);
        });
        assert_eq!(spans.read_context(&id, 0, |blocks| blocks.concat()), None);
    });
}

#[test]
fn what_merges_leave_is_freed_although_somebody_always_looks_at_the_span() {
    static OWN: Store = Store::new(4);
    let number = 7_000_000;
    let id = OWN.open(number, &store::OVERFLOW_METADATA, None).unwrap();
    let pin = || OWN.pin(number, id).unwrap();
    let before = context::BLOCKS.load(Ordering::SeqCst);
    let mut held = pin();
    for _ in 0..2_000 {
        let next = pin();
        let writer = pin();
        for _ in 0..=CONTEXT_BLOCKS_MAX {
            writer.push_context(0, bytes("value"));
        }
        assert!(writer.merge_context(0, |_| bytes("merged")));
        drop(writer);
        // One of them looks at any time.
        held = next;
    }
    // Other tests have some blocks at the same time.
    let left = context::BLOCKS.load(Ordering::SeqCst).saturating_sub(before);
    assert!(left < 5_000, "{left} of 20,000 blocks wait for an end that never comes");
    held.close();
    let left = context::BLOCKS.load(Ordering::SeqCst).saturating_sub(before);
    assert!(left < 5_000, "{left}");
}

#[test]
fn a_scope_deeper_than_the_limit_shows_its_innermost_spans() {
    with_registry(|spans| {
        let mut chain = vec![info_span!("root")];
        for _ in 0..SCOPE_DEPTH_MAX {
            chain.push(info_span!(parent: chain.last().unwrap(), "below"));
        }
        let seen = scope(spans, &id(chain.last().unwrap()));
        assert_eq!(seen.len(), SCOPE_DEPTH_MAX);
        assert!(!seen[0].starts_with("root"));
    });
}

#[test]
fn a_chain_of_a_hundred_thousand_parents_closes_without_overflowing_the_stack() {
    struct Closed(Arc<Mutex<usize>>);
    impl<S: Subscriber> Layer<S> for Closed {
        fn on_close(&self, _: Id, _: tracing_subscriber::layer::Context<'_, S>) {
            *self.0.lock().unwrap() += 1;
        }
    }
    let closed = Arc::new(Mutex::new(0));
    let subscriber = registry().with(Closed(Arc::clone(&closed)));
    tracing::subscriber::with_default(subscriber, || {
        let mut leaf = info_span!("root");
        for _ in 0..100_000 {
            leaf = info_span!(parent: &leaf, "below");
        }
        assert_eq!(*closed.lock().unwrap(), 0);
        drop(leaf);
        assert_eq!(*closed.lock().unwrap(), 100_001);
    });
}

#[test]
fn a_full_store_hands_out_one_placeholder_that_every_layer_can_use() {
    static SMALL: Store = Store::new(2);
    let output = Arc::new(Mutex::new(Vec::new()));
    let written = Arc::clone(&output);
    let writer = move || Shared(Arc::clone(&written));
    let registry = Registry::with_store(&SMALL);
    let spans = Spans::of(&registry).unwrap();
    let layer = fmt::layer()
        .with_ansi(false)
        .without_time()
        .with_span_events(fmt::format::FmtSpan::FULL)
        .with_writer(writer);
    tracing::subscriber::with_default(registry.with(layer), || {
        let first = info_span!("first");
        let second = info_span!(parent: &first, "second");
        let third = info_span!(parent: &second, "third", a = 1);
        let fourth = info_span!("fourth", b = 2);
        assert_eq!(third.id(), fourth.id());
        assert_eq!(spans.push_context(&id(&third), 0, bytes("x")), 0);
        third.in_scope(|| tracing::info!("inside"));
        drop((third, fourth, second));
        let room = info_span!("room");
        room.in_scope(|| tracing::info!("again"));
    });
    let output = String::from_utf8(output.lock().unwrap().clone()).unwrap();
    assert!(
        output.contains("span store full{a=1}: fleetlog_worker::registry::tests: inside"),
        "{output}"
    );
    assert!(output.contains("room: fleetlog_worker::registry::tests: again"), "{output}");
    assert_eq!(SMALL.high_water(), 2);
}

struct Shared(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn threads_that_open_and_close_spans_use_slots_again() {
    static OWN: Store = Store::new(store::SPANS_MAX);
    let dispatch = Dispatch::new(Registry::with_store(&OWN));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                tracing::dispatcher::with_default(&dispatch, || {
                    for _ in 0..5_000 {
                        let outer = info_span!("outer").entered();
                        let inner = info_span!("inner");
                        // Its last reference goes on another thread.
                        let clone = inner.clone();
                        inner.in_scope(|| drop(outer));
                        drop(inner);
                        drop(clone);
                    }
                });
            });
        }
    });
    assert!(OWN.high_water() <= 4 * 4, "{} slots for at most 8 open spans", OWN.high_water());
}
