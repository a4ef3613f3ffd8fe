//! Fields that are too many, and values that are too long.

use tracing::{Event, Level, info, info_span};
use tracing_core::callsite::{Callsite, DefaultCallsite};
use tracing_core::field::FieldSet;
use tracing_core::metadata::Kind;
use tracing_core::{Metadata, identify_callsite};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::{layer, lines};

/// More names than a definition holds.
static NAMES: [&str; 300] = {
    let mut names = ["early"; 300];
    names[255] = "last_known";
    names[256] = "first_unknown";
    names[299] = "message";
    names
};

static WIDE: DefaultCallsite = DefaultCallsite::new(&WIDE_METADATA);
static WIDE_METADATA: Metadata<'static> = Metadata::new(
    "wide",
    "app",
    Level::INFO,
    None,
    None,
    None,
    FieldSet::new(&NAMES, identify_callsite!(&WIDE)),
    Kind::EVENT,
);

#[test]
fn a_record_of_more_fields_than_a_definition_has_is_read_by_their_names() {
    let (folder, layer) = layer();
    tracing::subscriber::with_default(fleetlog_worker::registry().with(layer), || {
        let fields = WIDE.metadata().fields();
        let field = |at: usize| fields.iter().nth(at).expect("a field");
        let (known, unknown, message) = (field(255), field(256), field(299));
        let values: [(_, Option<&dyn tracing::Value>); 3] =
            [(&known, Some(&1)), (&unknown, Some(&2)), (&message, Some(&"wide"))];
        Event::dispatch(&WIDE_METADATA, &fields.value_set(&values));
    });
    let lines = lines(&folder);
    let fields: Vec<_> =
        lines[0].fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(fields, ["first_unknown=2", "last_known=1", "message=wide"]);
    assert!(!lines[0].is_cut);
}

#[test]
fn a_long_value_of_a_span_is_cut_and_its_neighbours_stay() {
    let (folder, layer) = layer();
    let long = "x".repeat(30_000);
    tracing::subscriber::with_default(fleetlog_worker::registry().with(layer), || {
        let span = info_span!("request", first = long, id = 7, second = ?long, user = "ann");
        let _in = span.enter();
        let _inner = info_span!("step", body = long, number = 3).entered();
        let _innermost = info_span!("query", body = long, number = 4).entered();
        info!(done = true, "inside");
    });
    let lines = lines(&folder);
    let line = &lines[0];
    assert_eq!(line.spans.len(), 3, "a long span costs another one its place");
    for (span, neighbours) in
        line.spans.iter().zip([&["id=7", "user=ann"][..], &["number=3"], &["number=4"]])
    {
        for neighbour in neighbours {
            assert!(span.contains(neighbour), "{neighbour} is gone from {}", &span[..60]);
        }
        assert!(span.contains("xxx"), "{}", &span[..60]);
    }
    assert_eq!((line.field("done"), line.message()), ("true", "inside"));
    assert!(line.is_cut, "the record does not say that something is missing");
    assert!(line.len <= 64 << 10);
}

#[test]
fn a_long_value_of_an_event_is_cut_and_its_neighbours_stay() {
    let (folder, layer) = layer();
    let long = "x".repeat(100_000);
    tracing::subscriber::with_default(fleetlog_worker::registry().with(layer), || {
        info!(first = ?long, second = long, id = 7, user = "ann", "finished");
    });
    let lines = lines(&folder);
    let line = &lines[0];
    assert_eq!((line.field("id"), line.field("user"), line.message()), ("7", "ann", "finished"));
    assert!(line.is_cut);
    assert!(line.field("first").len() > 30_000 && line.field("second").len() > 30_000);
}
