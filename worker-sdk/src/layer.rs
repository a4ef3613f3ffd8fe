//! The layer: from an event of `tracing` to a record in the queue.
//!
//! An event is encoded by its own thread into that thread's buffer, together with the fields of
//! the spans that it is in, and handed to the worker. The layer never filters (that is for the
//! filters beside it), starts no thread, and never panics by itself; a `Debug` that panics is the
//! caller's panic, and leaves nothing behind.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};

use fleetlog_protocol::Level;
use fleetlog_protocol::callsite::Definition;
use fleetlog_protocol::diagnostics;
use fleetlog_protocol::limits::SPAN_DEPTH_MAX;
use fleetlog_protocol::record::{RecordEncoder, merge_fields, put_block};
use fleetlog_protocol::socket_queue::CallsiteOf;
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::builder::Builder;
use crate::registry::{CONTEXT_BLOCKS_MAX, Spans};
use crate::thread::{self, Caller, ThreadState};
use crate::visit::{FairVisitor, FieldVisitor, Names};
use crate::worker::Worker;

/// What one span's fields may hold, in bytes. Every record of the span carries a copy. The largest
/// values are cut, and every record of the span says how much is missing.
const SPAN_MAX: usize = 16 << 10;

/// A buffer that grew beyond this for one huge record is given back.
const BUFFER_KEPT: usize = 64 << 10;

/// The layer that sends events to the fleet's listener.
///
/// Compose it with [`fleetlog_worker::registry()`](crate::registry()), which survives forks, or
/// with the stock registry in programs that never fork.
///
/// ```
/// use tracing_subscriber::layer::SubscriberExt as _;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let run_dir = folder.path();
/// let layer = fleetlog_worker::Layer::builder().run_dir(run_dir).name("worker 3").build()?;
/// let subscriber = fleetlog_worker::registry().with(layer);
/// tracing::subscriber::with_default(subscriber, || {
///     tracing::info!(item = 7, "finished");
/// });
/// # Ok(())
/// # }
/// ```
pub struct Layer {
    worker: &'static Worker,
    /// Tells this layer's bytes from those of another one on the same registry.
    number: u32,
    /// The spans of our own registry; `None` over another one, which keeps them for us.
    spans: Option<Spans>,
    /// Whether some filter may hide a span from this layer.
    is_filtered: bool,
}

/// A span's fields where another registry keeps them, with the number of the layer that put each of
/// them there.
struct SpanFields(Vec<(u32, Box<[u8]>)>);

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layer").field("worker", &self.worker).finish_non_exhaustive()
    }
}

impl Layer {
    /// Starts to describe a layer.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn of(worker: &'static Worker) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self { worker, number, spans: None, is_filtered: false }
    }

    pub(crate) const fn worker(&self) -> &'static Worker {
        self.worker
    }

    /// Encodes an event into `buffer` and sends it.
    #[inline]
    fn send<S>(
        &self,
        event: &Event<'_>,
        context: &Context<'_, S>,
        thread: Option<&ThreadState>,
        buffer: &mut Vec<u8>,
    ) where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let metadata = event.metadata();
        let source = source_of(event);

        let level = level(metadata);
        let encoder = RecordEncoder::new(buffer, level, self.worker.record_max());
        let mut encoder = match self.spans {
            Some(spans) => match leaf_of(event, spans) {
                Some(leaf) => {
                    encoder.with_spans(|encoder| self.encode_scope(spans, &leaf, context, encoder))
                }
                None => encoder,
            },
            None => {
                encoder.with_spans(|encoder| self.encode_foreign_scope(event, context, encoder))
            }
        };
        let fields = encoder.fields();
        let names = if source.is_some() { Names::InlineWithoutSource } else { Names::Indexed };
        let mut visitor = FieldVisitor { fields, names };
        event.record(&mut visitor);
        let mut cut = 0;
        if source.is_some() {
            cut = show_values(&mut |name, value| visitor.fields.value(name, value));
        }
        let (mut count, mut missing) = (visitor.fields.count(), visitor.fields.missing());
        if missing > 0 {
            (count, missing) = encoder.fields_fairly(|fair| {
                event.record(&mut FairVisitor { fair, names });
                if source.is_some() {
                    show_values(&mut |name, value| fair.field(|field| field.value(name, value)));
                }
            });
        }
        missing += cut;
        let caller = Caller::now(thread);
        encoder.finish(caller.thread_number(), count, missing);

        let callsite = match &source {
            Some(source) => {
                carry_source(source, buffer);
                CallsiteOf::Inline
            }
            None => {
                CallsiteOf::Static(std::ptr::from_ref(metadata).addr(), &|out: &mut Vec<u8>| {
                    define(metadata, true, out);
                })
            }
        };
        self.worker.send(caller, buffer, level.is_urgent(), callsite);
    }

    fn add_span_fields<S>(&self, id: &Id, block: Box<[u8]>, context: &Context<'_, S>)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        if let Some(spans) = self.spans {
            if spans.push_context(id, self.number, block) > CONTEXT_BLOCKS_MAX {
                let merge = |blocks: &[&[u8]]| merge_fields(blocks, SPAN_MAX).into();
                spans.merge_context(id, self.number, merge);
            }
            return;
        }
        let Some(span) = context.span(id) else { return };
        let mut extensions = span.extensions_mut();
        match extensions.get_mut::<SpanFields>() {
            Some(fields) => {
                fields.0.push((self.number, block));
                let mine = fields.of(self.number);
                if mine.len() > CONTEXT_BLOCKS_MAX {
                    let merged = merge_fields(&mine, SPAN_MAX).into();
                    fields.0.retain(|(number, _)| *number != self.number);
                    fields.0.push((self.number, merged));
                }
            }
            None => extensions.insert(SpanFields(vec![(self.number, block)])),
        }
    }

    #[inline(never)]
    fn encode_scope<S>(
        &self,
        spans: Spans,
        leaf: &Id,
        context: &Context<'_, S>,
        encoder: &mut RecordEncoder<'_>,
    ) where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        spans.for_each_in_scope(leaf, self.number, &mut |id, span, blocks| {
            // The context knows the filters of this layer: it finds no span that one of them hides.
            if !self.is_filtered || context.span(id).is_some() {
                encoder.span(span.name(), blocks);
            }
        });
    }

    /// Encodes the spans of a registry that is not ours.
    #[inline(never)]
    fn encode_foreign_scope<S>(
        &self,
        event: &Event<'_>,
        context: &Context<'_, S>,
        encoder: &mut RecordEncoder<'_>,
    ) where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let Some(scope) = context.event_scope(event) else { return };
        // The innermost spans say most about the event; `from_root` would keep the outermost.
        let innermost: Vec<_> = scope.take(SPAN_DEPTH_MAX).collect();
        for span in innermost.iter().rev() {
            let extensions = span.extensions();
            let blocks = extensions.get::<SpanFields>();
            let blocks = blocks.map_or_else(Vec::new, |fields| fields.of(self.number));
            encoder.span(span.name(), &blocks);
        }
    }
}

impl SpanFields {
    /// What one layer put there, oldest first.
    fn of(&self, layer: u32) -> Vec<&[u8]> {
        let mine = self.0.iter().filter(|(number, _)| *number == layer);
        mine.map(|(_, block)| &**block).collect()
    }
}

impl<S> tracing_subscriber::Layer<S> for Layer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_layer(&mut self, subscriber: &mut S) {
        self.spans = Spans::of(subscriber);
        // A filter of this layer is registered before the layer is.
        self.is_filtered = Spans::is_filtered(subscriber);
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if !attributes.is_empty() {
            let block = span_block(|visitor| attributes.record(visitor));
            self.add_span_fields(id, block, &context);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if !values.is_empty() {
            let block = span_block(|visitor| values.record(visitor));
            self.add_span_fields(id, block, &context);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        // A listener in this process must not drain what it says about draining.
        if diagnostics::is_listeners(event.metadata().name()) {
            return;
        }
        thread::with(|thread| match thread.map(|thread| thread.buffer.try_borrow_mut()) {
            Some(Ok(mut buffer)) => {
                self.send(event, &context, thread, &mut buffer);
                buffer.shrink_to(BUFFER_KEPT);
            }
            // A `Debug` that logs comes here while its own event holds the buffer, and a
            // destructor that logs when the thread's buffer is gone: both are rare and get a
            // buffer of their own.
            Some(Err(_)) | None => self.send(event, &context, thread, &mut Vec::new()),
        });
    }
}

/// The innermost span that an event is in.
#[inline]
fn leaf_of(event: &Event<'_>, spans: Spans) -> Option<Id> {
    if event.is_contextual() { spans.current() } else { event.parent().cloned() }
}

/// Where a record of the `log` crate comes from; `None` = the event is none.
#[cfg(feature = "log")]
#[inline]
fn source_of<'e>(event: &'e Event<'_>) -> Option<Metadata<'e>> {
    // What every callsite of `tracing-log` looks like. Its own test is two calls through tables.
    let metadata = event.metadata();
    if metadata.file().is_some() || metadata.target() != "log" {
        return None;
    }
    tracing_log::NormalizeEvent::normalized_metadata(event)
}

#[cfg(not(feature = "log"))]
fn source_of<'e>(_: &'e Event<'_>) -> Option<Metadata<'e>> {
    None
}

#[cfg(feature = "log")]
use crate::log_record::show_values;

#[cfg(not(feature = "log"))]
use fleetlog_protocol::record;

/// Without the `log` crate there are no key-values.
#[cfg(not(feature = "log"))]
fn show_values(_: &mut dyn FnMut(record::FieldName<'_>, &record::Value<'_>)) -> usize {
    0
}

/// `log` has one callsite per level; the record itself says where it comes from.
#[cold]
fn carry_source(source: &Metadata<'_>, record: &mut Vec<u8>) {
    let mut definition = Vec::new();
    define(source, false, &mut definition);
    RecordEncoder::append_definition(record, &definition);
}

/// Fields with inline names.
fn span_block(record: impl Fn(&mut FairVisitor<'_, '_>)) -> Box<[u8]> {
    let mut block = Vec::new();
    put_block(&mut block, SPAN_MAX, |fair| record(&mut FairVisitor { fair, names: Names::Inline }));
    block.into()
}

fn define(metadata: &Metadata<'_>, with_fields: bool, out: &mut Vec<u8>) {
    let definition = Definition {
        level: level(metadata),
        target: metadata.target(),
        name: metadata.name(),
        file: metadata.file(),
        line: metadata.line(),
        module_path: metadata.module_path(),
    };
    let fields = metadata.fields();
    definition.encode(fields.iter().filter(|_| with_fields).map(|field| field.name()), out);
}

#[inline]
pub(crate) fn level(metadata: &Metadata<'_>) -> Level {
    use tracing_core::Level as Theirs;
    match *metadata.level() {
        Theirs::ERROR => Level::Error,
        Theirs::WARN => Level::Warn,
        Theirs::INFO => Level::Info,
        Theirs::DEBUG => Level::Debug,
        Theirs::TRACE => Level::Trace,
    }
}
