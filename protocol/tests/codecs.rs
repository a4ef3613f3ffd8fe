//! Every codec gives back what it was given, and the encoder keeps its limit.
#![allow(missing_docs, unreachable_pub, reason = "a test has no users")]

mod model;

use std::time::Duration;

use fleetlog_protocol::callsite::{Callsite, Definition};
use fleetlog_protocol::frame::{self, Kind};
use fleetlog_protocol::limits::{
    CALLSITE_TEXT_MAX, DIRECTIVES_MAX, ERROR_CHAIN_MAX, FIELD_COUNT_MAX, FRAME_MAX, NAME_MAX,
    RECORD_MIN, SPAN_DEPTH_MAX,
};
use fleetlog_protocol::message::{
    Ack, Attach, Drops, Gap, Goodbye, Hello, LeftBehind, LevelChange, Loss, Losses, Name, QueueId,
    Receipt, Reply, Request, Welcome, WorkerAccount, bounded_name,
};
use fleetlog_protocol::record::{self, FieldEncoder, FieldName, Record, RecordEncoder, Value};
use fleetlog_protocol::segment::FileName;
use fleetlog_protocol::{DecodeError, Level};
use model::{Owned, OwnedField, OwnedName, block, encode_all, fields, inline_fields, own, text};
use proptest::collection::vec;
use proptest::prelude::*;

/// One event with its context, as an application would log it.
#[derive(Clone, Debug)]
struct Event {
    level: Level,
    spans: Vec<(String, Vec<Vec<OwnedField>>)>,
    fields: Vec<OwnedField>,
}

impl Event {
    fn encode(&self, limit: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = RecordEncoder::new(&mut bytes, self.level, limit);
        for (name, blocks) in &self.spans {
            let blocks: Vec<_> = blocks.iter().map(|fields| block(fields)).collect();
            encoder.span(name, &blocks.iter().map(Vec::as_slice).collect::<Vec<_>>());
        }
        let mut fields = encoder.fields();
        encode_all(&self.fields, &mut fields);
        let (count, missing) = (fields.count(), fields.missing());
        encoder.finish(7, count, missing);
        bytes
    }
}

fn level() -> impl Strategy<Value = Level> {
    proptest::sample::select(&Level::ALL[..])
}

fn event() -> impl Strategy<Value = Event> {
    let span = (text(20), vec(inline_fields(4), 0..3));
    (level(), vec(span, 0..4), fields(14)).prop_map(|(level, spans, fields)| Event {
        level,
        spans,
        fields,
    })
}

fn drops() -> impl Strategy<Value = Drops> {
    any::<[u64; 4]>().prop_map(Drops)
}

fn losses() -> impl Strategy<Value = Losses> {
    let loss = proptest::sample::select(&Loss::ALL[..]);
    vec((loss, any::<u64>(), any::<u64>(), any::<u64>()), 0..20).prop_map(|list| {
        let mut losses = Losses::default();
        for (loss, records, times, at) in list {
            losses.note(loss, records, times, at);
        }
        losses
    })
}

fn receipt() -> impl Strategy<Value = Receipt> {
    let account = (text(30), any::<u32>(), any::<u64>(), drops()).prop_map(
        |(name, pid, written, dropped)| WorkerAccount {
            name: bounded_name(&name).to_owned(),
            pid,
            written,
            dropped,
        },
    );
    (any::<u32>(), any::<[u64; 10]>(), drops(), losses(), vec(account, 0..5)).prop_map(
        |(pid, numbers, dropped, losses, accounts)| {
            let [
                uptime,
                workers,
                died,
                written,
                lines,
                bytes,
                missing,
                truncated,
                doubles,
                offences,
            ] = numbers;
            Receipt {
                pid,
                uptime: Duration::from_nanos(uptime),
                workers,
                died,
                written,
                lines,
                bytes,
                dropped,
                missing,
                truncated,
                doubles,
                offences,
                left: offences,
                left_named: vec![LeftBehind {
                    what: "1.2.0".to_owned(),
                    why: "no room".to_owned(),
                }],
                losses,
                accounts,
            }
        },
    )
}

fn reply() -> impl Strategy<Value = Reply> {
    prop_oneof![
        any::<u64>().prop_map(|written| Reply::Pending { written }),
        receipt().prop_map(|receipt| Reply::Stopped(Box::new(receipt))),
        any::<u64>().prop_map(|written| Reply::Synced { written }),
        text(60).prop_map(Reply::Status),
        text(60).prop_map(Reply::Failed),
        any::<u64>().prop_map(|logs| Reply::Rotated { logs }),
        any::<u64>().prop_map(|logs| Reply::Reopened { logs }),
        text(60).prop_map(Reply::Levels),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 192,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_record_is_read_as_it_was_written(
        event in event(),
        (seq, stamp, callsite) in any::<(u64, u64, u32)>(),
        definition in vec(any::<u8>(), 0..60),
    ) {
        let mut bytes = event.encode(1 << 20);
        if !definition.is_empty() {
            RecordEncoder::append_definition(&mut bytes, &definition);
        }
        record::seal(&mut bytes, seq, stamp, callsite);
        prop_assert_eq!(record::stamp_of(&bytes), Some((seq, stamp)));

        let record = Record::decode(&bytes).unwrap();
        prop_assert_eq!((record.seq, record.stamp), (seq, stamp));
        prop_assert_eq!((record.thread, record.callsite), (7, callsite));
        prop_assert_eq!((record.level, record.original_len), (event.level, None));
        prop_assert_eq!(record.definition.unwrap_or(&[]), definition.as_slice());
        prop_assert_eq!(record.fields().map(own).collect::<Vec<_>>(), event.fields);
        let spans: Vec<(String, Vec<_>)> =
            record.spans().map(|span| (span.name.to_owned(), span.fields.map(own).collect())).collect();
        let expected: Vec<(String, Vec<_>)> =
            event.spans.into_iter().map(|(name, blocks)| (name, blocks.concat())).collect();
        prop_assert_eq!(spans, expected);
    }

    #[test]
    fn a_cut_record_keeps_its_limit_and_says_how_long_it_would_have_been(
        event in event(),
        limit in RECORD_MIN..1400,
    ) {
        let whole = event.encode(usize::MAX);
        let bytes = event.encode(limit);
        prop_assert!(bytes.len() <= limit, "{} bytes, the limit is {}", bytes.len(), limit);

        let record = Record::decode(&bytes).unwrap();
        let original = record.original_len.map_or(bytes.len(), |length| length as usize);
        prop_assert_eq!(original, whole.len());
        prop_assert_eq!(record.original_len.is_none(), bytes == whole);

        // What is kept stands in the order of the call, each value whole or a prefix.
        let mut rest = event.fields.iter();
        for kept in record.fields().map(own) {
            prop_assert!(
                rest.any(|(name, value)| *name == kept.0 && kept.1.is_prefix_of(value)),
                "{kept:?} is no part of {:?}", event.fields
            );
        }
        let mut names = event.spans.iter().map(|(name, _)| name.as_str());
        prop_assert!(record.spans().all(|span| names.any(|name| name == span.name)));
    }

    #[test]
    fn merged_fields_keep_the_last_value_at_the_place_of_the_first(
        blocks in vec(inline_fields(6), 0..5),
    ) {
        let mut expected: Vec<OwnedField> = Vec::new();
        for (name, value) in blocks.concat() {
            match expected.iter_mut().find(|(known, _)| *known == name) {
                Some(known) => known.1 = value,
                None => expected.push((name, value)),
            }
        }
        let blocks: Vec<_> = blocks.iter().map(|fields| block(fields)).collect();
        let blocks: Vec<_> = blocks.iter().map(Vec::as_slice).collect();
        let merged = record::merge_fields(&blocks, 1 << 20);
        prop_assert_eq!(fields_of(&merged), expected);
    }

    #[test]
    fn merged_fields_stay_readable_at_any_limit(
        fields in inline_fields(8),
        limit in 2..600_usize,
    ) {
        let merged = record::merge_fields(&[&block(&fields)], limit);
        prop_assert!(merged.len() <= 6 + limit);
        let count = usize::from(u16::from_le_bytes([merged[0], merged[1]]));
        prop_assert_eq!(fields_of(&merged).len(), count, "a block holds the fields that it counts");
    }

    #[test]
    fn a_callsite_is_read_as_it_was_written(
        level in level(),
        target in text(40),
        name in text(40),
        file in proptest::option::of("[a-z/]{1,30}"),
        line in proptest::option::of(1..u32::MAX),
        module_path in proptest::option::of("[a-z:]{1,30}"),
        fields in vec(text(10), 0..8),
    ) {
        let definition = Definition {
            level,
            target: &target,
            name: &name,
            file: file.as_deref(),
            line,
            module_path: module_path.as_deref(),
        };
        let mut bytes = Vec::new();
        definition.encode(fields.iter().map(String::as_str), &mut bytes);
        let expected = Callsite { level, target: target.clone(), name: name.clone(), file: file.clone(), line, module_path: module_path.clone(), fields };
        prop_assert_eq!(Callsite::decode(&bytes).unwrap(), expected);
    }

    #[test]
    fn messages_are_read_as_they_were_written(
        (queue, pid, first_seq) in any::<(u128, u32, u64)>(),
        seq in any::<u64>(),
        (name, fallback) in (text(60), text(60)),
        (segment_pid, start_time, number) in any::<(u32, u64, u32)>(),
        reply in reply(),
    ) {
        let kept = bounded_name(&name);
        prop_assert!(kept.len() <= NAME_MAX && name.starts_with(kept));

        let mut bytes = Vec::new();
        Hello { queue: QueueId(queue), pid, first_seq, name: &name, fallback: &fallback }
            .encode(&mut bytes);
        let fallback = bounded_name(&fallback);
        let hello = Hello { queue: QueueId(queue), pid, first_seq, name: kept, fallback };
        prop_assert_eq!(Hello::decode(&bytes).unwrap(), hello);

        let segment = FileName { pid: segment_pid, start_time, number };
        let mut bytes = Vec::new();
        Attach { pid, segment }.encode(&mut bytes);
        prop_assert_eq!(Attach::decode(&bytes).unwrap(), Attach { pid, segment });
        prop_assert_eq!(segment.to_string().parse(), Ok(segment));

        let mut bytes = Vec::new();
        Name { name: &name }.encode(&mut bytes);
        prop_assert_eq!(bytes.len(), Name::HEADER_LEN + kept.len());
        prop_assert_eq!(Name::decode(&bytes).unwrap(), Name { name: kept });

        let mut bytes = Vec::new();
        Welcome { acked: seq }.encode(&mut bytes);
        prop_assert_eq!(Welcome::decode(&bytes).unwrap(), Welcome { acked: seq });

        let mut bytes = Vec::new();
        Ack { seq }.encode(&mut bytes);
        prop_assert_eq!(Ack::decode(&bytes).unwrap(), Ack { seq });

        let mut bytes = Vec::new();
        Goodbye { last_seq: seq }.encode(&mut bytes);
        prop_assert_eq!(Goodbye::decode(&bytes).unwrap(), Goodbye { last_seq: seq });

        let mut bytes = Vec::new();
        reply.encode(&mut bytes);
        prop_assert_eq!(Reply::decode(&bytes).unwrap(), reply);
    }

    #[test]
    fn a_gap_is_read_as_it_was_written_and_must_add_up(
        first_seq in 1..u64::from(u32::MAX),
        counts in any::<[u16; 4]>(),
        stamp in any::<u64>(),
        lie in 1..u64::from(u32::MAX),
    ) {
        let drops = Drops(counts.map(u64::from));
        let seq = first_seq + drops.total() - u64::from(drops.total() > 0);
        let gap = Gap { seq, stamp, first_seq, drops };
        let encode = |gap: Gap| {
            let mut bytes = Vec::new();
            gap.encode(&mut bytes);
            bytes
        };
        prop_assert_eq!(encode(gap).len(), Gap::LEN);
        if drops.total() > 0 {
            prop_assert_eq!(Gap::decode(&encode(gap)).unwrap(), gap);
        } else {
            prop_assert!(Gap::decode(&encode(gap)).is_err(), "a gap of nothing is none");
        }
        let later = Gap { seq: seq + lie, ..gap };
        prop_assert!(Gap::decode(&encode(later)).is_err());
        let backwards = Gap { first_seq: seq + lie, ..gap };
        prop_assert!(Gap::decode(&encode(backwards)).is_err());
        let from_nothing = Gap { first_seq: 0, ..gap };
        prop_assert!(Gap::decode(&encode(from_nothing)).is_err());
    }

    #[test]
    fn frames_are_taken_one_after_another_however_the_stream_is_cut(
        bodies in vec((0..13_usize, vec(any::<u8>(), 0..50)), 1..6),
        cut in 1..40_usize,
    ) {
        const KINDS: [Kind; 13] = [
            Kind::Hello, Kind::Record, Kind::Callsite, Kind::Name, Kind::Gap, Kind::Goodbye,
            Kind::Attach, Kind::Ring, Kind::Welcome, Kind::Ack, Kind::Refused, Kind::Request,
            Kind::Reply,
        ];
        let mut stream = Vec::new();
        for (kind, body) in &bodies {
            frame::put(KINDS[*kind], body, &mut stream);
        }
        let (mut inbox, mut taken) = (Vec::new(), Vec::new());
        for part in stream.chunks(cut) {
            inbox.extend_from_slice(part);
            while let Some(frame) = frame::take(&inbox).unwrap() {
                taken.push((frame.kind, frame.body.to_vec()));
                inbox.drain(..frame.len);
            }
        }
        prop_assert!(inbox.is_empty());
        let expected: Vec<_> =
            bodies.into_iter().map(|(kind, body)| (KINDS[kind], body)).collect();
        prop_assert_eq!(taken, expected);
    }
}

fn fields_of(block: &[u8]) -> Vec<OwnedField> {
    // A block has no public reader; a span of a record has one.
    let mut bytes = Vec::new();
    let mut encoder = RecordEncoder::new(&mut bytes, Level::Info, usize::MAX);
    encoder.span("block", &[block]);
    encoder.finish(1, 0, 0);
    let record = Record::decode(&bytes).expect("the block is whole");
    record.spans().next().expect("the span is there").fields.map(own).collect()
}

#[test]
fn requests_are_read_as_they_were_written() {
    let level = |worker: Option<&str>, for_seconds| {
        let (directives, worker) = ("app=debug".to_owned(), worker.map(str::to_owned));
        Request::SetLevel(LevelChange { directives, worker, for_seconds })
    };
    let requests = [
        Request::Stop,
        Request::Sync,
        Request::Status,
        Request::Rotate,
        Request::Reopen,
        level(None, None),
        level(Some(""), Some(0)),
        level(Some("worker 7"), Some(u64::MAX - 1)),
        Request::ResetLevel { worker: None },
        Request::ResetLevel { worker: Some("w*".to_owned()) },
        Request::Levels,
    ];
    for request in requests {
        let mut bytes = Vec::new();
        request.encode(&mut bytes);
        assert_eq!(Request::decode(&bytes).unwrap(), request);
        for end in 0..bytes.len() {
            assert!(Request::decode(&bytes[..end]).is_err(), "{request:?} at {end}");
        }
    }
}

#[test]
fn directives_that_are_too_long_are_refused_and_never_cut() {
    let directives = "a".repeat(DIRECTIVES_MAX + 1);
    let change = LevelChange { directives, worker: None, for_seconds: None };
    let mut bytes = Vec::new();
    Request::SetLevel(change).encode(&mut bytes);
    assert!(matches!(Request::decode(&bytes), Err(DecodeError::TooLarge { .. })));
}

#[test]
fn only_asking_changes_nothing() {
    for asks in [Request::Status, Request::Sync, Request::Levels] {
        assert!(!asks.changes_something(), "{asks:?}");
    }
    let reset = Request::ResetLevel { worker: None };
    for changes in [Request::Stop, Request::Rotate, Request::Reopen, reset] {
        assert!(changes.changes_something(), "{changes:?}");
    }
}

#[test]
fn an_event_keeps_as_many_fields_as_a_reader_allows() {
    let fields = vec![(OwnedName::Index(0), Owned::Bool(true)); FIELD_COUNT_MAX + 10];
    let event = Event { level: Level::Info, spans: Vec::new(), fields };
    let bytes = event.encode(1 << 20);
    let record = Record::decode(&bytes).unwrap();
    assert_eq!(record.fields().count(), FIELD_COUNT_MAX);
    assert_eq!(record.original_len, Some(u32::try_from(bytes.len() + 10 * 4).unwrap()));
}

#[test]
fn a_span_recorded_again_and_again_does_not_cost_its_record() {
    let fields = vec![(OwnedName::Inline("n".to_owned()), Owned::U64(1)); 20];
    let last = (OwnedName::Inline("n".to_owned()), Owned::U64(2));
    let mut blocks = vec![fields; 20];
    blocks.push(vec![last.clone()]);
    let event =
        Event { level: Level::Info, spans: vec![("loop".to_owned(), blocks)], fields: Vec::new() };
    let bytes = event.encode(1 << 20);
    let record = Record::decode(&bytes).expect("the reader accepts it");
    let span = record.spans().next().expect("the span is kept");
    assert_eq!(span.fields.map(own).collect::<Vec<_>>(), [last]);
}

#[test]
fn a_deep_context_keeps_as_many_spans_as_a_reader_allows() {
    let spans = vec![("deep".to_owned(), Vec::new()); SPAN_DEPTH_MAX + 3];
    let event = Event { level: Level::Info, spans, fields: Vec::new() };
    let bytes = event.encode(1 << 20);
    let record = Record::decode(&bytes).unwrap();
    assert_eq!(record.spans().len(), SPAN_DEPTH_MAX);
    assert!(record.original_len.is_some(), "what was left out is reported");
}

#[test]
fn an_error_chain_that_never_ends_is_cut_at_its_limit() {
    #[derive(Debug)]
    struct Endless;
    impl std::fmt::Display for Endless {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("again")
        }
    }
    impl std::error::Error for Endless {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(self)
        }
    }
    let mut bytes = Vec::new();
    let mut encoder = RecordEncoder::new(&mut bytes, Level::Error, 1 << 20);
    let mut fields = encoder.fields();
    fields.error(FieldName::Index(0), &Endless);
    let (count, missing) = (fields.count(), fields.missing());
    encoder.finish(1, count, missing);
    let record = Record::decode(&bytes).unwrap();
    let Some(Value::Error(chain)) = record.fields().next().map(|field| field.value) else {
        panic!("the error is there")
    };
    assert_eq!(chain.iter().collect::<Vec<_>>(), ["again"; ERROR_CHAIN_MAX]);
}

#[test]
fn a_value_without_any_room_still_counts_in_the_original_length() {
    let long = "x".repeat(600);
    for value in [
        Owned::U64(1),
        Owned::Str(long.clone()),
        Owned::Bytes(vec![1; 600]),
        Owned::Debug(long.clone()),
        Owned::Error(vec![long.clone(), long.clone()]),
    ] {
        let filling = (OwnedName::Index(0), Owned::Str(long.clone()));
        let fields = vec![filling, (OwnedName::Index(1), value)];
        let event = Event { level: Level::Info, spans: Vec::new(), fields };
        let whole = u32::try_from(event.encode(usize::MAX).len()).unwrap();
        let cut = event.encode(RECORD_MIN);
        assert_eq!(Record::decode(&cut).unwrap().original_len, Some(whole), "{event:?}");
    }
}

#[test]
fn an_error_that_does_not_fit_is_merged_as_far_as_it_fits() {
    let name = OwnedName::Inline("e".to_owned());
    let texts = vec!["outer error".to_owned(), "inner error".to_owned()];
    let fields = block(&[(name.clone(), Owned::Error(texts))]);
    // Five for type and name, two for the chain's count.
    let merged = record::merge_fields(&[&fields], 5 + 2 + 4 + 5);
    assert_eq!(fields_of(&merged), [(name, Owned::Error(vec!["outer".to_owned()]))]);
}

#[test]
fn a_debug_that_fails_keeps_what_it_printed() {
    struct Failing;
    impl std::fmt::Debug for Failing {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("half")?;
            Err(std::fmt::Error)
        }
    }
    let mut out = vec![0; 6];
    let mut fields = FieldEncoder::new(&mut out, 100);
    fields.debug(FieldName::Inline("d"), &Failing);
    out[0] = 1;
    let kept = (OwnedName::Inline("d".to_owned()), Owned::Debug("half".to_owned()));
    assert_eq!(fields_of(&out), [kept]);
}

#[test]
fn long_strings_of_a_callsite_are_cut_between_characters() {
    let target = "é".repeat(CALLSITE_TEXT_MAX);
    let odd = format!("a{target}");
    let fields = vec!["field"; FIELD_COUNT_MAX + 1];
    let definition = Definition {
        level: Level::Info,
        target: &target,
        name: &odd,
        file: None,
        line: None,
        module_path: None,
    };
    let mut bytes = Vec::new();
    definition.encode(fields.into_iter(), &mut bytes);
    let callsite = Callsite::decode(&bytes).unwrap();
    assert_eq!(callsite.target.len(), CALLSITE_TEXT_MAX);
    assert_eq!(callsite.name.len(), CALLSITE_TEXT_MAX - 1);
    assert_eq!(callsite.fields.len(), FIELD_COUNT_MAX);
}

#[test]
fn another_version_is_told_apart_from_garbage() {
    let mut hello = Vec::new();
    Hello { queue: QueueId(1), pid: 1, first_seq: 1, name: "w", fallback: "" }.encode(&mut hello);
    hello[0] = 9;
    let expected = DecodeError::Version { found: 9, expected: 1 };
    // A later version may have changed everything behind its number.
    assert_eq!(Hello::decode(&hello[..2]).unwrap_err(), expected);
    assert_eq!(Hello::decode(&hello).unwrap_err(), expected);
    assert_eq!(Welcome::decode(&[9, 0]).unwrap_err(), expected);
    assert_eq!(Attach::decode(&[9, 0]).unwrap_err(), expected);
}

#[test]
fn a_name_beyond_the_limit_is_refused() {
    let mut bytes = [0; Name::HEADER_LEN + NAME_MAX + 1];
    bytes[0] = u8::try_from(NAME_MAX + 1).unwrap();
    assert!(matches!(Name::decode(&bytes), Err(DecodeError::TooLarge { .. })));
}

#[test]
fn a_body_beyond_the_limit_leaves_the_stream_readable() {
    let mut stream = Vec::new();
    frame::put(Kind::Record, &vec![0; FRAME_MAX + 5], &mut stream);
    frame::put(Kind::Ack, &[0; 8], &mut stream);
    let first = frame::take(&stream).unwrap().unwrap();
    assert_eq!((first.kind, first.body.len()), (Kind::Record, FRAME_MAX - 1));
    assert_eq!(frame::take(&stream[first.len..]).unwrap().unwrap().kind, Kind::Ack);
}

/// The text fields of a record or span, by their index or name, with their lengths.
fn lengths(fields: fleetlog_protocol::record::Fields<'_>) -> Vec<usize> {
    fields
        .map(|field| match field.value {
            record::Value::Str(text) => text.len(),
            record::Value::U64(_) => 8,
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn a_value_that_is_too_long_never_costs_a_small_one_of_its_record() {
    let long = "x".repeat(100_000);
    // The first two are long; they stand before the others, or behind them.
    for order in [Vec::from_iter(0..10), Vec::from_iter((2..10).chain(0..2))] {
        let put = |index: u16, fields: &mut FieldEncoder<'_>| match index {
            0..2 => fields.str(FieldName::Index(index), &long),
            _ => fields.u64(FieldName::Index(index), 7),
        };
        let mut bytes = Vec::new();
        let mut encoder = RecordEncoder::new(&mut bytes, Level::Info, 4096);
        let mut fields = encoder.fields();
        order.iter().for_each(|index| put(*index, &mut fields));
        assert!(fields.missing() > 0);
        let (count, missing) = encoder.fields_fairly(|fair| {
            order.iter().for_each(|index| fair.field(|fields| put(*index, fields)));
        });
        encoder.finish(1, count, missing);
        let record = Record::decode(&bytes).unwrap();
        assert_eq!(count, 10);
        let mut found = lengths(record.fields());
        found.sort_unstable();
        assert_eq!(found[..8], [8; 8]);
        assert_eq!(found[8], found[9], "both long ones are cut to the same length");
        assert!(bytes.len() > 4096 - 2 && bytes.len() <= 4096, "{}", bytes.len());
        let whole = record.original_len.unwrap() as usize;
        assert_eq!(whole, 40 + 2 * (3 + 4 + 100_000) + 8 * 11);
    }
}

#[test]
fn a_span_that_is_too_long_never_costs_a_small_one_of_its_scope() {
    let long = "x".repeat(10_000);
    let mut big = Vec::new();
    record::put_block(&mut big, 8000, |fair| {
        fair.field(|fields| fields.str(FieldName::Inline("big"), &long));
        fair.field(|fields| fields.u64(FieldName::Inline("id"), 1));
    });
    let mut small = Vec::new();
    record::put_block(&mut small, 8000, |fair| {
        fair.field(|fields| fields.u64(FieldName::Inline("id"), 2));
    });
    let mut bytes = Vec::new();
    let encoder = RecordEncoder::new(&mut bytes, Level::Info, 8192);
    let encoder = encoder.with_spans(|encoder| {
        encoder.span("outer", &[&big]);
        encoder.span("middle", &[&big]);
        encoder.span("inner", &[&small]);
    });
    encoder.finish(1, 0, 0);
    let record = Record::decode(&bytes).unwrap();
    let spans: Vec<_> = record.spans().map(|span| (span.name, lengths(span.fields))).collect();
    assert_eq!(
        spans.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        ["outer", "middle", "inner"]
    );
    assert_eq!((spans[0].1[1], spans[1].1[1], &*spans[2].1), (8, 8, &[8][..]), "{spans:?}");
    assert_eq!(spans[0].1[0], spans[1].1[0], "both long ones are cut to the same length");
    assert!(bytes.len() > 4096 - 2 && bytes.len() <= 4096, "{}", bytes.len());
    // What was cut when the spans were opened is told as well.
    assert!(record.original_len.unwrap() > 20_000, "{record:?}");
}

#[test]
fn a_span_whose_fields_were_cut_says_so_after_a_merge_and_keeps_its_small_ones() {
    let long = "x".repeat(20_000);
    let mut block = Vec::new();
    record::put_block(&mut block, 1000, |fair| {
        fair.field(|fields| fields.str(FieldName::Inline("a"), &long));
        fair.field(|fields| fields.u64(FieldName::Inline("b"), 1));
    });
    let mut later = Vec::new();
    record::put_block(&mut later, 1000, |fair| {
        fair.field(|fields| fields.str(FieldName::Inline("c"), &long));
    });
    let merged = record::merge_fields(&[&block, &later], 1000);
    let fields = fields_of(&merged);
    assert_eq!(fields.len(), 3, "{fields:?}");
    assert_eq!(fields[1], (OwnedName::Inline("b".to_owned()), Owned::U64(1)));
    let mut bytes = Vec::new();
    let encoder = RecordEncoder::new(&mut bytes, Level::Info, 8192);
    let encoder = encoder.with_spans(|encoder| encoder.span("span", &[&merged]));
    encoder.finish(1, 0, 0);
    let whole = Record::decode(&bytes).unwrap().original_len.unwrap();
    assert!((40_000..40_200).contains(&whole), "{whole}");
}
