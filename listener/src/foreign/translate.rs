//! Translation: an entry becomes the frames that a worker would have sent.

use std::borrow::Cow;
use std::collections::HashMap;

use fleetlog_protocol::callsite::Definition;
use fleetlog_protocol::frame::{self, Kind};
use fleetlog_protocol::limits::RECORD_MAX;
use fleetlog_protocol::message::{Drops, Gap};
use fleetlog_protocol::record::{FieldEncoder, FieldName, RecordEncoder, put_block, seal};
use fleetlog_protocol::stamp::Stamp;

use super::entry::{Entry, Field, Value};

/// Callsites of one foreign process that are kept under a number, and their definitions' bytes.
/// Targets may hold anything, and whoever makes them up anew for each record sends them along.
const SITES_MAX: usize = 1024;
const SITES_BYTES_MAX: usize = 256 << 10;

/// The definitions of all processes together, in bytes; the drain has them once more.
const ALL_SITES_BYTES_MAX: usize = 16 << 20;

/// The callsites of one process by their definitions.
#[derive(Debug, Default)]
pub(super) struct Sites {
    numbers: HashMap<Box<[u8]>, u32>,
    bytes: usize,
}

/// What every translation uses anew.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    definition: Vec<u8>,
    record: Vec<u8>,
    block: Vec<u8>,
    /// Definitions of all processes together.
    sites_bytes: usize,
}

impl Scratch {
    /// The callsites of a process are forgotten.
    pub(super) const fn forget(&mut self, sites: &Sites) {
        self.sites_bytes -= sites.bytes;
    }
}

/// Appends the frames of an entry.
pub(super) fn record(
    entry: &Entry<'_>,
    (seq, stamp): (u64, Stamp),
    sites: &mut Sites,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) {
    let Scratch { definition, record, block, sites_bytes } = scratch;
    definition.clear();
    Definition {
        level: entry.level,
        target: &entry.target,
        name: "event",
        file: entry.file.as_deref(),
        line: entry.line,
        module_path: entry.module.as_deref(),
    }
    .encode(["message"].into_iter(), definition);
    let number = sites.number(definition, sites_bytes, out);
    // A definition in the record counts towards its length.
    let limit = RECORD_MAX - if number == 0 { definition.len() } else { 0 };
    let encoder = RecordEncoder::new(record, entry.level, limit);
    let mut encoder = encoder.with_spans(|encoder| {
        for span in &entry.spans {
            put_block(block, limit / 4, |fair| {
                for field in &span.fields {
                    fair.field(|fields| put(field, fields));
                }
            });
            encoder.span(&span.name, &[block]);
        }
    });
    let mut fields = encoder.fields();
    put_message(entry, &mut fields);
    entry.fields.iter().for_each(|field| put(field, &mut fields));
    let (mut count, mut missing) = (fields.count(), fields.missing());
    if missing > 0 {
        (count, missing) = encoder.fields_fairly(|fair| {
            if has_message(entry) {
                fair.field(|fields| put_message(entry, fields));
            }
            for field in &entry.fields {
                fair.field(|fields| put(field, fields));
            }
        });
    }
    encoder.finish(entry.thread.unwrap_or(0), count, missing + entry.missing);
    seal(record, seq, stamp, number);
    if number == 0 {
        RecordEncoder::append_definition(record, definition);
    }
    frame::put(Kind::Record, record, out);
}

/// Appends the report of records that were left out.
pub(super) fn gap(last_seq: u64, stamp: Stamp, drops: Drops, out: &mut Vec<u8>) {
    let first_seq = last_seq.saturating_sub(drops.total()) + 1;
    let mut body = Vec::with_capacity(Gap::LEN);
    Gap { seq: last_seq, stamp, first_seq, drops }.encode(&mut body);
    frame::put(Kind::Gap, &body, out);
}

impl Sites {
    /// The number of a definition; 0 = it has none and travels in its record. A new one is
    /// defined in `out`.
    fn number(&mut self, definition: &[u8], all_bytes: &mut usize, out: &mut Vec<u8>) -> u32 {
        if let Some(number) = self.numbers.get(definition) {
            return *number;
        }
        if self.numbers.len() >= SITES_MAX
            || self.bytes + definition.len() > SITES_BYTES_MAX
            || *all_bytes + definition.len() > ALL_SITES_BYTES_MAX
        {
            return 0;
        }
        let number = u32::try_from(self.numbers.len() + 1).unwrap_or(0);
        self.bytes += definition.len();
        *all_bytes += definition.len();
        self.numbers.insert(definition.into(), number);
        let body = [&number.to_le_bytes()[..], definition].concat();
        frame::put(Kind::Callsite, &body, out);
        number
    }
}

/// A record that says nothing but its fields needs no empty message.
fn has_message(entry: &Entry<'_>) -> bool {
    !entry.message.is_empty() || entry.fields.is_empty()
}

fn put_message(entry: &Entry<'_>, fields: &mut FieldEncoder<'_>) {
    if has_message(entry) {
        fields.str(FieldName::Index(0), &entry.message);
    }
}

fn put(Field { name, value }: &Field<'_>, fields: &mut FieldEncoder<'_>) {
    let name = FieldName::Inline(name);
    match value {
        Value::U64(value) => fields.u64(name, *value),
        Value::I64(value) => fields.i64(name, *value),
        Value::F64(value) => fields.f64(name, *value),
        Value::Bool(value) => fields.bool(name, *value),
        Value::Str(value) => fields.str(name, value),
        Value::Bytes(value) => fields.bytes(name, value),
        Value::Shown(value) => fields.debug(name, &format_args!("{value}")),
    }
}

/// A time in the way in which claims are shown.
pub(super) fn shown_time(nanoseconds: u64) -> Cow<'static, str> {
    let time = jiff::Timestamp::from_nanosecond(i128::from(nanoseconds));
    time.map_or(Cow::Borrowed("out of range"), |time| Cow::Owned(time.to_string()))
}

#[cfg(test)]
mod tests {
    use fleetlog_protocol::Level;
    use fleetlog_protocol::callsite::Callsite;
    use fleetlog_protocol::record::{Record, Value as Read};

    use super::super::entry::Span;
    use super::*;

    /// The frames of some bytes.
    fn frames(mut bytes: &[u8]) -> Vec<(Kind, Vec<u8>)> {
        let mut frames = Vec::new();
        while let Some(frame) = frame::take(bytes).expect("frames") {
            frames.push((frame.kind, frame.body.to_vec()));
            bytes = &bytes[frame.len..];
        }
        assert!(bytes.is_empty());
        frames
    }

    fn translated(entry: &Entry<'_>, sites: &mut Sites) -> Vec<(Kind, Vec<u8>)> {
        let mut out = Vec::new();
        record(entry, (7, 99), sites, &mut Scratch::default(), &mut out);
        frames(&out)
    }

    #[test]
    fn an_entry_becomes_a_record_of_a_callsite_that_is_defined_once() {
        let mut sites = Sites::default();
        let mut entry = Entry::new(Level::Warn, "hello");
        entry.target = "app.db".into();
        entry.file = Some("db.py".into());
        entry.line = Some(3);
        entry.field("n", Value::U64(5));
        let fields = vec![Field { name: "id".into(), value: Value::I64(-1) }];
        entry.spans.push(Span { name: "request".into(), fields });
        let first = translated(&entry, &mut sites);
        assert_eq!(
            first.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(),
            [Kind::Callsite, Kind::Record]
        );
        let callsite = Callsite::decode(&first[0].1[4..]).unwrap();
        assert_eq!(
            (&*callsite.target, callsite.line, callsite.level),
            ("app.db", Some(3), Level::Warn)
        );
        let read = Record::decode(&first[1].1).unwrap();
        assert_eq!((read.seq, read.stamp, read.callsite), (7, 99, 1));
        let fields: Vec<_> = read.fields().map(|field| (field.name, field.value)).collect();
        assert_eq!(
            fields,
            [(FieldName::Index(0), Read::Str("hello")), (FieldName::Inline("n"), Read::U64(5))]
        );
        let span = read.spans().next().unwrap();
        assert_eq!((span.name, span.fields.count()), ("request", 1));
        assert_eq!(translated(&entry, &mut sites).len(), 1, "the callsite is known");
    }

    #[test]
    fn targets_that_are_made_up_anew_travel_in_their_records() {
        let mut sites = Sites::default();
        let long = "t".repeat(1000);
        for number in 0..2000 {
            let mut entry = Entry::new(Level::Info, "x".repeat(RECORD_MAX * 2));
            entry.target = format!("{number}{long}").into();
            if number < 1999 {
                entry.message = "short".into();
            }
            let frames = translated(&entry, &mut sites);
            let (kind, body) = frames.last().unwrap();
            assert_eq!(*kind, Kind::Record);
            let read = Record::decode(body).unwrap();
            if read.callsite == 0 {
                let site = Callsite::decode(read.definition.unwrap()).unwrap();
                assert!(site.target.starts_with(&number.to_string()));
            }
            assert_eq!(read.original_len.is_some(), number == 1999);
        }
        assert!(sites.bytes <= SITES_BYTES_MAX);
    }

    #[test]
    fn a_long_message_leaves_room_for_the_fields() {
        let mut entry = Entry::new(Level::Info, "x".repeat(2 * RECORD_MAX));
        entry.field("id", Value::U64(5));
        let frames = translated(&entry, &mut Sites::default());
        let read = Record::decode(&frames[1].1).unwrap();
        let names: Vec<_> = read.fields().map(|field| field.name).collect();
        assert_eq!(names, [FieldName::Index(0), FieldName::Inline("id")]);
        let original = read.original_len.unwrap() as usize;
        assert!((2 * RECORD_MAX..2 * RECORD_MAX + 200).contains(&original), "{original}");
    }
}
