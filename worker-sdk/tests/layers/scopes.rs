//! The spans of an event, as several layers see them.

use std::sync::{Arc, Mutex};

use tracing::Dispatch;
use tracing::field::Empty;
use tracing::span::Id;
use tracing::{info, info_span};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

use crate::{layer, lines};

/// Tells of each span that closes, and of its parent while that is still there.
struct Closes(Arc<Mutex<Vec<String>>>);

impl<S> tracing_subscriber::Layer<S> for Closes
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let span = context.span(&id).expect("a span that closes can be looked up");
        let parent = span.parent().map_or("none", |parent| parent.name());
        self.0.lock().expect("a list").push(format!("{} in {parent}", span.name()));
    }
}

/// Closes a span where there is no default dispatcher.
fn close_elsewhere(span: tracing::Span) {
    std::thread::spawn(move || drop(span.entered())).join().expect("a thread");
}

#[test]
fn a_span_that_outlives_its_scope_is_closed_by_a_thread_without_a_default() {
    let closed = Arc::new(Mutex::new(Vec::new()));
    let subscriber = fleetlog_worker::registry().with(Closes(Arc::clone(&closed)));
    let inner = tracing::subscriber::with_default(subscriber, || {
        let outer = info_span!("outer");
        info_span!(parent: &outer, "inner")
    });
    close_elsewhere(inner);
    assert_eq!(*closed.lock().expect("a list"), ["inner in outer", "outer in none"]);
}

#[test]
fn a_span_of_a_subscriber_that_does_not_know_its_dispatcher_is_closed_all_the_same() {
    let closed = Arc::new(Mutex::new(Vec::new()));
    // An `Arc` tells what it holds nothing of the dispatcher.
    let subscriber = Arc::new(fleetlog_worker::registry().with(Closes(Arc::clone(&closed))));
    for round in 1..=3 {
        // Each round has a dispatcher of its own, and all have one registry.
        let span =
            tracing::subscriber::with_default(Arc::clone(&subscriber), || info_span!("span"));
        close_elsewhere(span);
        assert_eq!(closed.lock().expect("a list").len(), round);
    }
    let inner = tracing::subscriber::with_default(Arc::clone(&subscriber), || {
        let outer = info_span!("outer");
        outer.in_scope(|| info_span!("inner"))
    });
    close_elsewhere(inner);
    assert_eq!(closed.lock().expect("a list")[3..], ["inner in outer", "outer in none"]);
}

/// Both registries, by their names.
const REGISTRIES: [&str; 2] = ["ours", "stock"];

#[test]
fn of_two_layers_in_one_process_each_shows_a_span_once() {
    for name in REGISTRIES {
        let ((first, one), (second, two)) = (layer(), layer());
        let dispatch = match name {
            "ours" => Dispatch::new(fleetlog_worker::registry().with(one).with(two)),
            _ => Dispatch::new(tracing_subscriber::registry().with(one).with(two)),
        };
        tracing::dispatcher::with_default(&dispatch, || {
            let span = info_span!("request", id = 7, status = Empty);
            let _in = span.enter();
            info!("opened");
            // More than a span keeps unmerged.
            for status in 0..30 {
                span.record("status", status);
            }
            info!("recorded");
        });
        for folder in [first, second] {
            let scopes: Vec<_> = lines(&folder).into_iter().map(|line| line.spans).collect();
            assert_eq!(scopes[0], ["request{id=7}"], "{name}");
            let [span] = &scopes[1][..] else { panic!("{name}: {scopes:?}") };
            assert_eq!(span.matches("id=").count(), 1, "{name}: {span}");
            assert!(span.matches("status=").count() <= 8 + 1, "{name}: {span}");
            assert!(span.ends_with("status=29}"), "{name}: {span}");
        }
    }
}

#[test]
fn a_span_that_a_layers_filter_hides_is_in_no_scope_of_that_layer() {
    let mut seen = Vec::new();
    for name in REGISTRIES {
        let ((some, first), (all, second)) = (layer(), layer());
        let filter = filter_fn(|metadata| metadata.name() != "hidden");
        let dispatch = match name {
            "ours" => {
                let first = first.with_filter(filter);
                Dispatch::new(fleetlog_worker::registry().with(first).with(second))
            }
            _ => {
                let first = first.with_filter(filter);
                Dispatch::new(tracing_subscriber::registry().with(first).with(second))
            }
        };
        tracing::dispatcher::with_default(&dispatch, || {
            let outer = info_span!("outer", a = 1).entered();
            let hidden = info_span!("hidden", b = 2, c = Empty).entered();
            hidden.record("c", 5);
            info!("in a hidden span");
            let inner = info_span!("inner", d = 3).entered();
            info!("below a hidden span");
            drop((inner, hidden));
            info!("beside");
            drop(outer);
            info!("outside");
        });
        let scopes = [some, all]
            .map(|folder| lines(&folder).into_iter().map(|line| line.spans).collect::<Vec<_>>());
        seen.push(scopes);
    }
    let own = |list: &[&str]| list.iter().map(|span| (*span).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        seen[0][0],
        [own(&["outer{a=1}"]), own(&["outer{a=1}", "inner{d=3}"]), own(&["outer{a=1}"]), own(&[])]
    );
    assert_eq!(seen[0][1][1], own(&["outer{a=1}", "hidden{b=2 c=5}", "inner{d=3}"]));
    assert_eq!(seen[0], seen[1], "ours and the stock registry differ");
}
