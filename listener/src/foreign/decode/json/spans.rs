//! The spans of `tracing`'s JSON: `spans` from the outermost to the innermost, and `span`, which
//! is the innermost once more.

use std::borrow::Cow;

use fleetlog_protocol::limits::{FIELD_COUNT_MAX, SPAN_DEPTH_MAX};

use super::flat::{entries, items, leaves, text, value};
use crate::foreign::entry::{Field, Span, Value};

/// The texts of the two keys' values.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spans<'a> {
    pub(super) innermost: Option<&'a str>,
    pub(super) all: Option<&'a str>,
}

/// What the two keys say.
#[derive(Debug, Default)]
pub(super) struct Context<'a> {
    pub(super) spans: Vec<Span<'a>>,
    /// The keys that are something else than spans, or say something else than the other one.
    pub(super) rest: Spans<'a>,
    /// Bytes that the limits kept out.
    pub(super) missing: usize,
}

impl<'a> Spans<'a> {
    /// Reads the spans. Others call other things `span`: it is taken as `tracing`'s only if it
    /// has a name.
    pub(super) fn read(self) -> Context<'a> {
        let list = match (self.all, self.innermost) {
            (Some(all), _) => items(all),
            (None, Some(span)) => Some(vec![span]),
            (None, None) => return Context::default(),
        };
        let Some((list, context)) =
            list.and_then(|list| read(&list).map(|context| (list, context)))
        else {
            return Context { rest: self, ..Context::default() };
        };
        let innermost = self.innermost.filter(|span| list.last() != Some(span));
        Context { rest: Spans { innermost, all: None }, ..context }
    }
}

/// Reads a list of spans, of which the innermost are kept. `None` where they aren't all spans.
fn read<'a>(list: &[&'a str]) -> Option<Context<'a>> {
    let (outer, kept) = list.split_at(list.len().saturating_sub(SPAN_DEPTH_MAX));
    let mut missing = outer.iter().map(|raw| raw.len()).sum();
    let spans = kept.iter().map(|raw| span(raw, &mut missing)).collect::<Option<_>>()?;
    Some(Context { spans, missing, ..Context::default() })
}

/// Reads a span; `None` where it has no name.
fn span<'a>(raw: &'a str, missing: &mut usize) -> Option<Span<'a>> {
    let mut fields: Vec<Field<'a>> = Vec::new();
    let mut keep = |name: Cow<'a, str>, value: Value<'a>, size: usize| {
        if fields.len() < FIELD_COUNT_MAX {
            fields.push(Field { name, value });
        } else {
            *missing += size;
        }
    };
    let mut name: Option<Cow<'a, str>> = None;
    entries(raw, |key, raw| {
        if key == "name"
            && let Some(text) = text(raw)
        {
            // tracing prints the fields before the name: one that stands earlier is a field.
            if let Some(field) = name.replace(text) {
                let size = key.len() + field.len();
                keep(key, Value::Str(field), size);
            }
            return Some(());
        }
        // Our own layout calls a field so that could be mistaken for the span's name.
        let key = if key == "field.name" { Cow::Borrowed("name") } else { key };
        leaves(key, raw, 1, &mut |path, raw| {
            let size = path.len() + raw.len();
            keep(path, value(raw)?, size);
            Some(())
        })
    })?;
    Some(Span { name: name?, fields })
}
