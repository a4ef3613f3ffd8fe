//! Many threads open, enter, clone, hand over and close spans at once, and nothing is lost, doubled or kept.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

use tracing::{
    Dispatch, Event, Span, Subscriber, dispatcher, info, info_span,
    span::{Attributes, Id},
};
use tracing_subscriber::{
    Layer,
    filter::LevelFilter,
    fmt,
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
};

const THREADS: usize = 6;
const ROUNDS: usize = 1_500;

#[derive(Default)]
struct Counts {
    opened: AtomicUsize,
    closed: AtomicUsize,
    /// Extension values alive.
    held: AtomicUsize,
}

/// Counts spans, and checks that each shows its own extensions at any time.
struct Witness(Arc<Counts>);

/// Says whose extensions these are.
struct Mark {
    id: Id,
    counts: Arc<Counts>,
}

impl Drop for Mark {
    fn drop(&mut self) {
        self.counts.held.fetch_sub(1, Ordering::SeqCst);
    }
}

impl<S> Layer<S> for Witness
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, _: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.0.opened.fetch_add(1, Ordering::SeqCst);
        self.0.held.fetch_add(1, Ordering::SeqCst);
        let mark = Mark { id: id.clone(), counts: Arc::clone(&self.0) };
        context.span(id).unwrap().extensions_mut().insert(mark);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        for span in context.event_scope(event).into_iter().flatten() {
            assert_eq!(
                span.extensions().get::<Mark>().unwrap().id,
                span.id(),
                "another span's extensions"
            );
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        self.0.closed.fetch_add(1, Ordering::SeqCst);
        let span = context.span(&id).expect("a span can be looked up while it closes");
        assert_eq!(span.extensions().get::<Mark>().unwrap().id, id);
        // A parent outlives its children.
        for above in span.scope() {
            assert_eq!(above.extensions().get::<Mark>().unwrap().id, above.id());
        }
    }
}

/// Spans travel around a ring of threads, each entered, cloned and left on every one; most end where they were not opened.
fn stress(dispatch: &Dispatch, counts: &Counts) {
    let shared = dispatcher::with_default(dispatch, || info_span!("shared"));
    let (senders, receivers): (Vec<_>, Vec<_>) =
        (0..THREADS).map(|_| mpsc::sync_channel::<Span>(64)).unzip();
    thread::scope(|scope| {
        for (n, receiver) in receivers.into_iter().enumerate() {
            let next = senders[(n + 1) % THREADS].clone();
            let shared = &shared;
            scope.spawn(move || {
                let _default = dispatcher::set_default(dispatch);
                for round in 0..ROUNDS {
                    let outer = info_span!(parent: shared, "outer", round).entered();
                    let inner = info_span!("inner", n);
                    let clone = inner.clone();
                    info!("in outer");
                    // A full ring keeps the span here; nobody waits for anybody.
                    drop(next.try_send(inner));
                    drop(outer);
                    while let Ok(guest) = receiver.try_recv() {
                        let below = guest.in_scope(|| {
                            info!("in a guest");
                            info_span!("below").or_current()
                        });
                        drop(guest);
                        below.in_scope(|| info!("whose parent's handle is gone"));
                    }
                    clone.in_scope(|| shared.in_scope(|| info!("in both")));
                }
            });
        }
        drop(senders);
    });
    drop(shared);
    let opened = counts.opened.load(Ordering::SeqCst);
    assert!(opened >= 2 * THREADS * ROUNDS, "only {opened} spans were opened");
    assert_eq!(counts.closed.load(Ordering::SeqCst), opened, "each span closes once");
    assert_eq!(counts.held.load(Ordering::SeqCst), 0, "extensions outlived their spans");
}

#[test]
fn every_span_closes_exactly_once_whichever_thread_has_it_last() {
    let counts = Arc::new(Counts::default());
    let registry = fleetlog_worker::registry().with(Witness(Arc::clone(&counts)));
    stress(&Dispatch::new(registry), &counts);
}

#[test]
fn every_span_closes_exactly_once_under_fmt_and_per_layer_filters() {
    let counts = Arc::new(Counts::default());
    let registry = fleetlog_worker::registry()
        .with(fmt::layer().with_writer(io::sink).with_filter(LevelFilter::WARN))
        .with(Witness(Arc::clone(&counts)).with_filter(LevelFilter::INFO));
    stress(&Dispatch::new(registry), &counts);
}

#[test]
fn threads_that_come_and_go_leave_nothing_behind() {
    let counts = Arc::new(Counts::default());
    let dispatch = Dispatch::new(fleetlog_worker::registry().with(Witness(Arc::clone(&counts))));
    for _ in 0..300 {
        let handles: Vec<_> = (0..4)
            .map(|_| {
                let dispatch = dispatch.clone();
                thread::spawn(move || {
                    dispatcher::with_default(&dispatch, || {
                        info_span!("short").in_scope(|| info!("inside"));
                    });
                })
            })
            .collect();
        for handle in handles {
            handle.join().unwrap();
        }
    }
    assert_eq!(counts.closed.load(Ordering::SeqCst), 1_200);
    assert_eq!(counts.held.load(Ordering::SeqCst), 0);
}
