//! The text layout beside that of the real `tracing_subscriber::fmt`.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};

use fleetlog_protocol::Level;
use fleetlog_protocol::record::{FieldEncoder, FieldName};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event as TracingEvent, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use super::super::Format;
use super::super::fixture::Event;

/// Takes down what `tracing` reports, as the SDK does.
#[derive(Clone, Default)]
struct Capture(Arc<Mutex<Vec<String>>>);

type Value = Box<dyn Fn(&mut FieldEncoder<'_>, FieldName<'_>) + Send + Sync>;

/// The fields of one span or event.
#[derive(Default)]
struct Taken(Vec<(&'static str, Value)>);

impl Taken {
    fn encode(&self, fields: &mut FieldEncoder<'_>) {
        for (name, value) in &self.0 {
            value(fields, FieldName::Inline(name));
        }
    }

    fn push(
        &mut self,
        field: &Field,
        value: impl Fn(&mut FieldEncoder<'_>, FieldName<'_>) + Send + Sync + 'static,
    ) {
        self.0.push((field.name(), Box::new(value)));
    }
}

impl Visit for Taken {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.push(field, move |fields, name| fields.f64(name, value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push(field, move |fields, name| fields.i64(name, value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push(field, move |fields, name| fields.u64(name, value));
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.push(field, move |fields, name| fields.i128(name, value));
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.push(field, move |fields, name| fields.u128(name, value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push(field, move |fields, name| fields.bool(name, value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let value = value.to_owned();
        self.push(field, move |fields, name| fields.str(name, &value));
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        let value = value.to_owned();
        self.push(field, move |fields, name| fields.bytes(name, &value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut chain = vec![value.to_string()];
        let mut next = value.source();
        while let Some(source) = next {
            chain.push(source.to_string());
            next = source.source();
        }
        let chain = chain
            .into_iter()
            .rev()
            .fold(None, |source, text| Some(Box::new(Failure { text, source })));
        self.push(field, move |fields, name| {
            if let Some(error) = &chain {
                fields.error(name, &**error);
            }
        });
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let value = format!("{value:?}");
        self.push(field, move |fields, name| fields.debug(name, &format_args!("{value}")));
    }
}

#[derive(Debug)]
struct Failure {
    text: String,
    source: Option<Box<Failure>>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Capture {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut taken = Taken::default();
        attributes.record(&mut taken);
        context.span(id).unwrap().extensions_mut().insert(taken);
    }

    fn on_record(&self, id: &Id, values: &tracing::span::Record<'_>, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        values.record(span.extensions_mut().get_mut::<Taken>().unwrap());
    }

    fn on_event(&self, event: &TracingEvent<'_>, context: Context<'_, S>) {
        let mut taken = Taken::default();
        event.record(&mut taken);
        let metadata = event.metadata();
        let mut ours = Event::new(metadata.level().as_str().parse::<Level>().unwrap(), &[]);
        ours.callsite.target = metadata.target().to_owned();
        for span in context
            .event_scope(event)
            .into_iter()
            .flat_map(tracing_subscriber::registry::Scope::from_root)
        {
            ours = ours.span(span.name(), |fields| {
                span.extensions().get::<Taken>().unwrap().encode(fields);
            });
        }
        let ours = ours.fields(|fields| taken.encode(fields));
        self.0.lock().unwrap().push(ours.line(&Format::text()));
    }
}

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl io::Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs a program under both, and compares line by line.
fn compare(program: impl FnOnce()) {
    let (theirs, ours) = (Buffer::default(), Capture::default());
    let writer = theirs.clone();
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .without_time()
        .with_writer(move || writer.clone());
    let subscriber = tracing_subscriber::registry().with(ours.clone()).with(layer);
    tracing::subscriber::with_default(subscriber, program);
    let theirs = String::from_utf8(theirs.0.lock().unwrap().clone()).unwrap();
    let ours: Vec<_> = ours
        .0
        .lock()
        .unwrap()
        .iter()
        .map(|line| {
            line.strip_prefix("2026-11-22T10:00:00.123456Z ").unwrap().replacen(
                "worker 3[1234] ",
                "",
                1,
            )
        })
        .collect();
    assert_eq!(ours, theirs.lines().collect::<Vec<_>>());
    assert!(!ours.is_empty());
}

#[test]
fn events_look_as_fmt_prints_them() {
    compare(|| {
        tracing::info!("finished item");
        tracing::error!(target: "other::target", seq = 17, "finished {}", "item");
        tracing::warn!(seq = 17_u64, offset = -3_i64, ok = true, ratio = 0.5, big = 1e300);
        tracing::debug!(a = 1.0, b = f64::NAN, c = f64::NEG_INFINITY, d = -0.0, e = 1e-7);
        tracing::trace!(huge = u128::MAX, deep = i128::MIN, text = "with \"quotes\" and \\", "m");
        tracing::info!(text = "two\nlines\tand more", empty = "", "naïve 日本語");
        tracing::info!(debug = ?vec![Some("a"), None], display = %"bare text", "C:\\temp");
        tracing::info!(message = "by name", r#type = "raw");
        tracing::info!({ "quoted name" } = 1, "quoted");
        tracing::info!(bytes = &b"\x00hex\xff"[..], none = &b""[..], "bytes");
        tracing::info!(dotted.name = 1, "{}", "");
        tracing::info!(x = tracing::field::Empty, y = 2, "an empty field");
    });
}

#[test]
fn spans_look_as_fmt_prints_them() {
    compare(|| {
        let outer = tracing::info_span!("request", id = 7, user = "ann").entered();
        tracing::info!("inside");
        let bare = tracing::info_span!("bare").entered();
        let late = tracing::info_span!("late", status = tracing::field::Empty, n = 1).entered();
        late.record("status", "done");
        tracing::info!(seq = 17, "deep inside");
        drop((late, bare));
        let message = tracing::info_span!("odd", message = "bare here", x = 1).entered();
        tracing::info!("in an odd span");
        let empty = tracing::info_span!("empty", message = "").entered();
        tracing::info!("in an empty span");
        drop((empty, message, outer));
        tracing::info!("outside");
    });
}

#[test]
fn errors_look_as_fmt_prints_them() {
    let innermost = Failure { text: "innermost".to_owned(), source: None };
    let inner = Failure { text: "inner".to_owned(), source: Some(Box::new(innermost)) };
    let outer = Failure { text: "outer \"x\"".to_owned(), source: Some(Box::new(inner)) };
    let single = Failure { text: "alone".to_owned(), source: None };
    compare(|| {
        tracing::error!(err = &outer as &(dyn Error + 'static), code = 3, "failed");
        tracing::error!(err = &single as &(dyn Error + 'static), "failed");
        tracing::error!(message = &outer as &(dyn Error + 'static));
        let _span = tracing::error_span!("in", err = &outer as &(dyn Error + 'static)).entered();
        tracing::error!("in a span");
    });
}
