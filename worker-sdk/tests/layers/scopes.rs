//! The spans of an event, as several layers see them.

use tracing::Dispatch;
use tracing::field::Empty;
use tracing::{info, info_span};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::{layer, lines};

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
