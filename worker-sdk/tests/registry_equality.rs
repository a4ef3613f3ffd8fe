//! The registry behaves as the stock one: the same program over both gives the same text and the same calls.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use tracing::{
    Dispatch, Metadata, Subscriber, debug, debug_span, error, info, info_span,
    span::{Attributes, Id, Record},
    trace, warn,
};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{LevelFilter, filter_fn},
    fmt::{self, format::FmtSpan},
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
};

/// What a program wrote, line by line.
#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Output {
    fn line(&self, text: &str) {
        let mut bytes = self.0.lock().unwrap();
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(b'\n');
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A text layer without what differs from run to run.
macro_rules! text {
    ($output:expr) => {{
        let output = $output.clone();
        fmt::layer().with_ansi(false).without_time().with_writer(move || output.clone())
    }};
}

/// Runs the program over ours and over the stock registry, each with the layers that `$stack` adds, and compares outputs.
macro_rules! assert_same {
    (|$registry:ident, $output:ident| $stack:expr) => {{
        let ours = {
            let $output = Output::default();
            let $registry = fleetlog_worker::registry();
            run($stack, program);
            $output.text()
        };
        let stock = {
            let $output = Output::default();
            let $registry = tracing_subscriber::registry();
            run($stack, program);
            $output.text()
        };
        assert_eq!(ours, stock, "{}", stringify!($stack));
        assert!(stock.lines().count() > 3, "the program wrote next to nothing:\n{stock}");
        stock
    }};
}

/// One program at a time: the interest in a callsite is shared by all dispatchers of the process.
fn run(subscriber: impl Subscriber + Send + Sync, program: impl FnOnce()) {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    tracing::dispatcher::with_default(&Dispatch::new(subscriber), program);
}

/// Spans and events of every kind, in every order that a program can bring about.
fn program() {
    info!("before any span");
    let root = info_span!("root", a = 1, late = tracing::field::Empty);
    root.in_scope(|| {
        info!("in root");
        let contextual = debug_span!("contextual", b = "two");
        let _in = contextual.enter();
        debug!(c = 3, "in contextual");
        info!("info in contextual");
        root.record("late", "recorded");
        warn!("after record");
        // Entering an entered span again.
        root.in_scope(|| error!("root entered twice"));
        info!("still in contextual");
        let alone = info_span!(parent: None, "alone");
        alone.in_scope(|| info!("inside a root span"));
        info!(parent: None, "event without a parent");
        info!(parent: &alone, "event with a parent");
    });
    let explicit = info_span!(parent: &root, "explicit");
    explicit.follows_from(&root);
    let clone = explicit.clone();
    drop(explicit);
    clone.in_scope(|| trace!("in the clone"));
    drop(root);
    clone.in_scope(|| info!("the parent's handle is gone"));
    drop(clone);
    // Left in another order than entered.
    let first = info_span!("first").entered();
    let second = info_span!("second").entered();
    drop(first);
    info!("only second");
    drop(second);
    let dropped_inside = info_span!("dropped inside").entered();
    let below = debug_span!("below").entered();
    drop(dropped_inside);
    info!("in below, whose parent's handle is gone");
    drop(below);
    let span = info_span!("shared");
    let dispatch = tracing::dispatcher::get_default(Dispatch::clone);
    let inside = span.clone();
    let elsewhere = move || {
        tracing::dispatcher::with_default(&dispatch, || {
            inside.in_scope(|| info!("on another thread"));
        });
    };
    std::thread::spawn(elsewhere).join().unwrap();
    drop(span);
    info!("after all spans");
}

#[test]
fn fmt_writes_the_same_text() {
    let output = assert_same!(|registry, output| registry.with(text!(output)));
    assert!(output.contains("root{a=1 late=\"recorded\"}"), "{output}");
    assert_same!(|registry, output| registry.with(text!(output).compact()));
}

#[test]
fn fmt_writes_the_same_span_events() {
    // Without times, the durations in close events are left out as well.
    let output = assert_same!(
        |registry, output| registry.with(text!(output).with_span_events(FmtSpan::FULL))
    );
    assert!(output.contains("close"), "{output}");
}

#[test]
fn per_layer_filters_show_each_layer_the_same_spans_and_events() {
    let output = assert_same!(|registry, output| {
        registry
            .with(text!(output).with_span_events(FmtSpan::FULL).with_filter(LevelFilter::INFO))
            .with(
                text!(output)
                    .with_level(false)
                    .with_span_events(FmtSpan::CLOSE)
                    .with_filter(LevelFilter::DEBUG),
            )
    });
    // The first layer doesn't see the debug span around this event, but the span around that one.
    assert!(output.contains(" INFO root{a=1}: registry_equality: info in contextual"), "{output}");
    assert!(
        output.contains("root{a=1}:contextual{b=\"two\"}: registry_equality: info in contextual"),
        "{output}"
    );
}

#[test]
fn filtered_and_unfiltered_layers_mix_in_any_order() {
    assert_same!(|registry, output| registry
        .with(text!(output))
        .with(text!(output).with_filter(LevelFilter::WARN)));
    assert_same!(|registry, output| registry
        .with(text!(output).with_filter(LevelFilter::WARN))
        .with(text!(output)));
    assert_same!(|registry, output| {
        registry
            .with(text!(output).with_filter(filter_fn(|metadata| metadata.name() != "root")))
            .with(LevelFilter::DEBUG)
            .with(Some(text!(output).with_filter(EnvFilter::new("info"))))
            .with(None::<LevelFilter>)
    });
    assert_same!(|registry, output| {
        let first = text!(output).with_filter(LevelFilter::INFO);
        registry.with(first.and_then(text!(output).with_filter(LevelFilter::DEBUG)))
    });
}

#[test]
fn env_filter_lets_the_same_pass() {
    for directives in ["info", "debug", "warn,registry_equality=trace"] {
        let filter = || EnvFilter::new(directives);
        assert_same!(|registry, output| registry.with(filter()).with(text!(output)));
        assert_same!(|registry, output| registry.with(text!(output).with_filter(filter())));
    }
}

#[test]
fn env_filter_with_span_and_field_directives_lets_the_same_pass() {
    for directives in ["warn,[root]=debug", "error,[root{a=1}]=trace", "info,[contextual{b}]=trace"]
    {
        let filter = || EnvFilter::new(directives);
        assert_same!(|registry, output| registry.with(filter()).with(text!(output)));
        assert_same!(|registry, output| registry.with(text!(output).with_filter(filter())));
    }
}

#[test]
fn level_hints_and_interests_are_those_over_the_stock_registry() {
    static CALLSITE: tracing::callsite::DefaultCallsite =
        tracing::callsite::DefaultCallsite::new(&METADATA);
    static METADATA: Metadata<'static> = Metadata::new(
        "a debug event",
        "registry_equality",
        tracing::Level::DEBUG,
        None,
        None,
        None,
        tracing::field::FieldSet::new(&[], tracing::callsite::Identifier(&CALLSITE)),
        tracing::metadata::Kind::EVENT,
    );
    fn show(stack: &impl Subscriber) -> String {
        let interest = stack.register_callsite(&METADATA);
        format!("interest {:?}, hint {:?}", interest, stack.max_level_hint())
    }
    macro_rules! same {
        ($(|$registry:ident| $stack:expr),+ $(,)?) => {$({
            let $registry = fleetlog_worker::registry();
            let ours = show(&$stack);
            let $registry = tracing_subscriber::registry();
            assert_eq!(ours, show(&$stack), "{}", stringify!($stack));
        })+};
    }
    same!(
        |registry| registry,
        |registry| registry.with(LevelFilter::INFO),
        |registry| registry.with(LevelFilter::INFO).with(fmt::layer()),
        |registry| registry.with(fmt::layer()).with(LevelFilter::INFO),
        |registry| registry.with(fmt::layer().with_filter(LevelFilter::INFO)),
        |registry| registry.with(fmt::layer()).with(fmt::layer().with_filter(LevelFilter::INFO)),
        |registry| registry.with(fmt::layer().with_filter(LevelFilter::INFO)).with(fmt::layer()),
        |registry| registry
            .with(fmt::layer().with_filter(LevelFilter::INFO))
            .with(fmt::layer().with_filter(LevelFilter::WARN)),
        |registry| registry.with(None::<LevelFilter>),
        |registry| registry
            .with(None::<LevelFilter>)
            .with(fmt::layer().with_filter(LevelFilter::INFO)),
        |registry| registry.with(EnvFilter::new("info")).with(fmt::layer()),
        |registry| registry.with(EnvFilter::new("info,[span]=trace")).with(fmt::layer()),
        |registry| registry.with(fmt::layer().with_filter(EnvFilter::new("warn,[span]=trace"))),
        |registry| registry.with(vec![LevelFilter::INFO.boxed(), fmt::layer().boxed()]),
    );
}

/// Writes down every call, and what can be looked up in it.
struct Witness(Output);

/// Put into the extensions when a span opens.
struct Note(String);

impl<S> Layer<S> for Witness
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        let parent = span.parent().map(|parent| parent.name());
        self.0.line(&format!("new {} in {parent:?}, root {}", span.name(), attributes.is_root()));
        span.extensions_mut().insert(Note(format!("note of {}", span.name())));
    }

    fn on_record(&self, id: &Id, _: &Record<'_>, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        span.extensions_mut().get_mut::<Note>().unwrap().0.push('!');
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, context: Context<'_, S>) {
        let name = |id| context.span(id).map(|span| span.name());
        self.0.line(&format!("{:?} follows {:?}", name(id), name(follows)));
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        let scope: Vec<_> = context.span_scope(id).unwrap().map(|span| span.name()).collect();
        let current = context.lookup_current().map(|span| span.name());
        self.0.line(&format!("enter {scope:?}, current {current:?}"));
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        let current = context.lookup_current().map(|span| span.name());
        self.0.line(&format!(
            "exit {:?}, current {current:?}",
            context.span(id).map(|span| span.name())
        ));
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let span = context.span(&id).expect("a span can be looked up while it closes");
        let extensions = span.extensions();
        let note = extensions.get::<Note>().expect("its extensions are whole while it closes");
        let parent = span.parent().map(|parent| parent.name());
        self.0.line(&format!("close {} in {parent:?}: {}", span.name(), note.0));
    }

    fn on_id_change(&self, _: &Id, _: &Id, _: Context<'_, S>) {
        self.0.line("an id changed");
    }
}

#[test]
fn a_layer_gets_the_same_calls_in_the_same_order() {
    let calls = assert_same!(|registry, output| registry.with(Witness(output.clone())));
    let below = calls.find("close below in Some(\"dropped inside\")").expect(&calls);
    let above = calls.find("close dropped inside in None").expect(&calls);
    assert!(below < above, "a parent closes after its child:\n{calls}");
    assert!(calls.contains("close root in None: note of root!"), "{calls}");
}

#[test]
fn several_layers_each_see_each_close_once() {
    assert_same!(|registry, output| {
        registry
            .with(Witness(output.clone()).with_filter(LevelFilter::DEBUG))
            .with(text!(output).with_span_events(FmtSpan::FULL))
    });
    let calls = assert_same!(|registry, output| {
        registry.with(text!(output).with_span_events(FmtSpan::CLOSE)).with(Witness(output.clone()))
    });
    assert_eq!(calls.matches("close alone").count(), 1, "{calls}");
}

#[test]
fn extensions_end_with_their_span() {
    struct Held(#[expect(dead_code, reason = "held for its drop")] Arc<()>);
    struct Holder(Arc<()>);
    impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Holder {
        fn on_new_span(&self, _: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
            context.span(id).unwrap().extensions_mut().insert(Held(Arc::clone(&self.0)));
        }
    }
    let probe = Arc::new(());
    let subscriber = fleetlog_worker::registry().with(Holder(Arc::clone(&probe)));
    run(subscriber, || {
        for _ in 0..500 {
            let outer = info_span!("outer").entered();
            let inner = info_span!("inner");
            drop(outer);
            assert_eq!(Arc::strong_count(&probe), 2 + 2);
            std::thread::spawn(move || drop(inner)).join().unwrap();
            assert_eq!(Arc::strong_count(&probe), 2, "an extension outlived its span");
        }
    });
}

#[test]
fn unknown_and_closed_ids_are_ignored_where_the_stock_registry_panics() {
    let output = Output::default();
    run(fleetlog_worker::registry().with(text!(output)), || {
        let dispatch = tracing::dispatcher::get_default(Dispatch::clone);
        let closed = info_span!("closed").id().unwrap();
        let unknown = [1, u64::MAX, u64::MAX >> 32, 1 << 32 | 4_000_000].map(Id::from_u64);
        for id in unknown.into_iter().chain([closed]) {
            assert_eq!(dispatch.clone_span(&id), id);
            assert!(!dispatch.try_close(id.clone()));
            info!(parent: &id, "below a span that is not there");
            let span = info_span!(parent: &id, "child of nobody");
            span.in_scope(|| info!("inside"));
            dispatch.enter(&id);
            assert!(dispatch.current_span().id().is_none());
            info!("in a span that is not there");
            dispatch.exit(&id);
        }
    });
    assert_eq!(
        output.text().matches("child of nobody: registry_equality: inside").count(),
        5,
        "{}",
        output.text()
    );
}
