//! Bytes that nobody honest sent: no decoder panics, reads past its input, or allocates by a
//! length that it did not check.
#![allow(missing_docs, unreachable_pub, reason = "a test has no users")]

#[allow(dead_code, reason = "the model serves several tests")]
mod model;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

use fleetlog_protocol::callsite::{Callsite, Definition};
use fleetlog_protocol::frame::{self, Kind};
use fleetlog_protocol::message::{
    Ack, Attach, Drops, Gap, Goodbye, Hello, Name, QueueId, Receipt, Refusal, Reply, Request,
    Welcome, WorkerAccount,
};
use fleetlog_protocol::record::{HEADER_LEN, Record, RecordEncoder};
use fleetlog_protocol::segment::FileName;
use fleetlog_protocol::{DecodeError, Level};
use model::{OwnedField, block, encode_all, inline_fields, own};
use proptest::collection::vec;
use proptest::prelude::*;

/// Counts what a thread asks for, so that a decoder that believes a length is caught.
struct Counting;

thread_local! {
    static ASKED: Cell<usize> = const { Cell::new(0) };
}

fn count(bytes: usize) {
    // A thread that ends allocates after its counter is gone.
    let _ = ASKED.try_with(|asked| asked.set(asked.get().saturating_add(bytes)));
}

// SAFETY: every call goes to the system's allocator unchanged; the counter beside it does not
// allocate, because it is a constant-initialised cell.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps `alloc`'s contract, which is the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `System` with this layout, see `alloc` and `realloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: the pointer came from `System` with this layout, see `alloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn bytes_asked_for(action: impl FnOnce()) -> usize {
    ASKED.set(0);
    action();
    ASKED.get()
}

/// Gives the bytes to every decoder and touches everything that comes out.
fn decode_everything(bytes: &[u8]) {
    if let Ok(record) = Record::decode(bytes) {
        touch(&record);
    }
    let mut stream = bytes;
    while let Ok(Some(frame)) = frame::take(stream) {
        assert!(frame.len <= stream.len() && frame.body.len() + frame::HEADER_LEN == frame.len);
        stream = &stream[frame.len..];
    }
    black_box(Callsite::decode(bytes).is_ok());
    black_box(Hello::decode(bytes).is_ok());
    black_box(Attach::decode(bytes).is_ok());
    black_box(Welcome::decode(bytes).is_ok());
    black_box(Ack::decode(bytes).is_ok());
    black_box(Name::decode(bytes).is_ok());
    black_box(Goodbye::decode(bytes).is_ok());
    black_box(Request::decode(bytes).is_ok());
    black_box(Reply::decode(bytes).is_ok());
    if let Ok(refusal) = Refusal::decode(bytes) {
        black_box(refusal.text(usize::MAX));
    }
    if let Ok(gap) = Gap::decode(bytes) {
        // A listener computes with these numbers.
        assert_eq!(gap.seq - gap.first_seq + 1, gap.drops.total());
    }
}

fn touch(record: &Record<'_>) {
    let spans = record.spans();
    let expected = spans.len();
    let mut count = 0;
    for span in spans {
        count += 1;
        black_box(span.name.len());
        span.fields.for_each(|field| drop(black_box(own(field))));
    }
    assert_eq!(count, expected, "what was checked once is there when it is read");
    let (_, expected) = record.fields().size_hint();
    assert_eq!(record.fields().map(own).count(), expected.unwrap_or(0));
    if let Some(definition) = record.definition {
        black_box(Callsite::decode(definition).is_ok());
    }
}

/// One of each body that an honest peer sends.
fn valid_bodies(fields: &[OwnedField]) -> Vec<(Kind, Vec<u8>)> {
    let mut definition = Vec::new();
    Definition {
        level: Level::Info,
        target: "app::job",
        name: "event",
        file: Some("src/job.rs"),
        line: Some(7),
        module_path: Some("app"),
    }
    .encode(["message", "item"].into_iter(), &mut definition);
    let mut record = Vec::new();
    let mut encoder = RecordEncoder::new(&mut record, Level::Warn, 1 << 20);
    encoder.span("request", &[&block(fields)]);
    let mut own = encoder.fields();
    encode_all(fields, &mut own);
    let (count, missing) = (own.count(), own.missing());
    encoder.finish(1, count, missing);
    RecordEncoder::append_definition(&mut record, &definition);

    let mut bodies = vec![(Kind::Record, record), (Kind::Callsite, definition)];
    let mut add = |kind, encode: &dyn Fn(&mut Vec<u8>)| {
        let mut body = Vec::new();
        encode(&mut body);
        bodies.push((kind, body));
    };
    let drops = Drops([1, 2, 3, 0]);
    add(Kind::Hello, &|out| {
        Hello { queue: QueueId(5), pid: 6, first_seq: 7, name: "worker 3", fallback: "no space" }
            .encode(out);
    });
    let segment = FileName { pid: 17, start_time: 4711, number: 0 };
    add(Kind::Attach, &|out| Attach { pid: 6, segment }.encode(out));
    add(Kind::Welcome, &|out| Welcome { acked: 9 }.encode(out));
    add(Kind::Ack, &|out| Ack { seq: 9 }.encode(out));
    add(Kind::Name, &|out| Name { name: "worker 4" }.encode(out));
    add(Kind::Gap, &|out| Gap { seq: 14, stamp: 10, first_seq: 9, drops }.encode(out));
    add(Kind::Goodbye, &|out| Goodbye { last_seq: 14 }.encode(out));
    add(Kind::Request, &|out| Request::Sync.encode(out));
    let account = WorkerAccount { name: "w".to_owned(), pid: 1, written: 2, dropped: drops };
    let receipt = Receipt { accounts: vec![account; 3], ..Receipt::default() };
    add(Kind::Reply, &|out| Reply::Stopped(Box::new(receipt.clone())).encode(out));
    add(Kind::Reply, &|out| Reply::Status("{}".to_owned()).encode(out));
    bodies
}

#[derive(Clone, Debug)]
enum Mutation {
    Set(usize, u8),
    Flip(usize, u8),
    Remove(usize),
    Insert(usize, u8),
    Cut(usize),
    Largest(usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let (at, byte) = (any::<usize>(), any::<u8>());
    prop_oneof![
        (at, byte).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        (at, 0..8_u8).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        at.prop_map(Mutation::Remove),
        (at, byte).prop_map(|(at, byte)| Mutation::Insert(at, byte)),
        at.prop_map(Mutation::Cut),
        at.prop_map(Mutation::Largest),
    ]
}

fn mutate(bytes: &mut Vec<u8>, mutation: &Mutation) {
    let (Mutation::Set(at, _)
    | Mutation::Flip(at, _)
    | Mutation::Remove(at)
    | Mutation::Insert(at, _)
    | Mutation::Cut(at)
    | Mutation::Largest(at)) = *mutation;
    if bytes.is_empty() {
        return;
    }
    let at = at % bytes.len();
    match *mutation {
        Mutation::Set(_, byte) => bytes[at] = byte,
        Mutation::Flip(_, bit) => bytes[at] ^= 1 << bit,
        Mutation::Remove(_) => drop(bytes.remove(at)),
        Mutation::Insert(_, byte) => bytes.insert(at, byte),
        Mutation::Cut(_) => bytes.truncate(at),
        // The largest length that can be claimed.
        Mutation::Largest(_) => {
            bytes.iter_mut().skip(at).take(4).for_each(|byte| *byte = u8::MAX);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn arbitrary_bytes_never_make_a_decoder_panic(bytes in vec(any::<u8>(), 0..400)) {
        decode_everything(&bytes);
    }

    #[test]
    fn arbitrary_bytes_behind_a_plausible_header_never_make_a_decoder_panic(
        level in 0..7_u8,
        (spans, fields) in (0..4_u8, 0..4_u8),
        definition in prop_oneof![Just(0_u32), 0..200_u32, any::<u32>()],
        body in vec(prop_oneof![0..12_u8, Just(u8::MAX), any::<u8>()], 0..200),
    ) {
        let mut bytes = vec![0; HEADER_LEN];
        bytes[24..28].copy_from_slice(&definition.to_le_bytes());
        bytes[32] = level;
        bytes[34] = spans;
        bytes[36] = fields;
        bytes.extend_from_slice(&body);
        decode_everything(&bytes);
    }

    #[test]
    fn damaged_bytes_never_make_a_decoder_panic(
        fields in inline_fields(4),
        mutations in vec(mutation(), 1..6),
    ) {
        for (kind, mut body) in valid_bodies(&fields) {
            let mut framed = Vec::new();
            frame::put(kind, &body, &mut framed);
            for mutation in &mutations {
                mutate(&mut body, mutation);
                mutate(&mut framed, mutation);
            }
            decode_everything(&body);
            decode_everything(&framed);
        }
    }

    #[test]
    fn every_prefix_of_a_valid_body_is_refused(fields in inline_fields(3), at in any::<usize>()) {
        for (kind, body) in valid_bodies(&fields) {
            let at = at % body.len();
            let prefix = &body[..at];
            let refused = match kind {
                // The definition ends where its record ends.
                Kind::Record => Record::decode(prefix)
                    .refused_or(|record| record.definition.is_some_and(|definition| Callsite::decode(definition).is_err())),
                Kind::Callsite => Callsite::decode(prefix).is_err(),
                Kind::Hello => Hello::decode(prefix).is_err(),
                Kind::Attach => Attach::decode(prefix).is_err(),
                Kind::Welcome => Welcome::decode(prefix).is_err(),
                Kind::Ack => Ack::decode(prefix).is_err(),
                Kind::Name => Name::decode(prefix).is_err(),
                Kind::Gap => Gap::decode(prefix).is_err(),
                Kind::Goodbye => Goodbye::decode(prefix).is_err(),
                Kind::Request => Request::decode(prefix).is_err(),
                // A text reply has no inner end to miss.
                Kind::Reply => Reply::decode(prefix).refused_or(|reply| matches!(reply, Reply::Status(_))),
                Kind::Refused | Kind::Ring => true,
            };
            prop_assert!(refused, "{kind:?} cut at {at} of {}", body.len());
        }
    }

    #[test]
    fn what_a_decoder_allocates_is_bounded_by_what_it_was_given(
        fields in inline_fields(3),
        mutation in mutation(),
    ) {
        for (kind, mut body) in valid_bodies(&fields) {
            mutate(&mut body, &mutation);
            let asked = bytes_asked_for(|| match kind {
                Kind::Callsite => drop(black_box(Callsite::decode(&body))),
                Kind::Reply => drop(black_box(Reply::decode(&body))),
                _ => drop(black_box(Record::decode(&body))),
            });
            // A callsite makes room for its field names, at most 256, before it reads them.
            prop_assert!(asked <= 8192 + 8 * body.len(), "{asked} bytes for {}", body.len());
        }
    }
}

trait RefusedOr<T> {
    fn refused_or(self, or: impl FnOnce(T) -> bool) -> bool;
}

impl<T> RefusedOr<T> for Result<T, DecodeError> {
    fn refused_or(self, or: impl FnOnce(T) -> bool) -> bool {
        self.map_or(true, or)
    }
}

#[test]
fn a_claim_of_four_gigabytes_allocates_nothing() {
    let mut claims: Vec<Vec<u8>> = Vec::new();
    // A frame, with and without its kind.
    claims.push(vec![0xff; 4]);
    claims.push(vec![0xff, 0xff, 0xff, 0xff, Kind::Record as u8, 0, 0]);
    let header = |spans: u8, fields: u8| {
        let mut header = vec![0; HEADER_LEN];
        header[32] = Level::Info as u8;
        header[34] = spans;
        header[36] = fields;
        header
    };
    // A span, then a string, bytes, a debug text and an error of that length.
    claims.push([header(1, 0), vec![0xff; 4]].concat());
    for of in [7, 8, 9] {
        claims.push([header(0, 1), vec![of, 0, 0, 0xff, 0xff, 0xff, 0xff]].concat());
    }
    claims.push([header(0, 1), vec![10, 0, 0, 1, 0, 0xff, 0xff, 0xff, 0xff]].concat());
    // A definition at that offset.
    let mut far = header(0, 0);
    far[24..28].fill(0xff);
    claims.push(far);
    // The largest counts of spans, fields, errors and listed workers.
    for at in [34, 36] {
        let mut many = header(0, 0);
        many[at..at + 2].fill(0xff);
        claims.push(many);
    }
    claims.push([header(0, 1), vec![10, 0, 0, 0xff, 0xff]].concat());
    claims.push([vec![2], vec![0; 4 + 13 * 8], vec![0xff; 2]].concat());

    for claim in claims {
        let asked = bytes_asked_for(|| {
            let taken = frame::take(&claim).map(|frame| frame.is_some());
            assert_ne!(black_box(taken), Ok(true));
            assert!(black_box(Record::decode(&claim)).is_err());
            assert!(black_box(Reply::decode(&claim)).is_err());
            assert!(black_box(Callsite::decode(&claim)).is_err());
        });
        assert_eq!(asked, 0, "{claim:?}");
    }
}

#[test]
fn more_fields_than_a_span_may_have_are_refused() {
    // A reader that joins fields by name takes quadratic time: their count must be bounded.
    let count = 257_u16;
    let mut span = vec![0];
    span.extend_from_slice(&count.to_le_bytes());
    for _ in 0..count {
        span.extend_from_slice(&[6, 0xff, 0xff, 1, b'n', 1]);
    }
    let mut bytes = vec![0; HEADER_LEN];
    bytes[32] = Level::Info as u8;
    bytes[34] = 1;
    bytes.extend_from_slice(&u32::try_from(span.len()).unwrap().to_le_bytes());
    bytes.extend_from_slice(&span);
    assert!(matches!(Record::decode(&bytes), Err(DecodeError::TooLarge { .. })));
}

#[test]
fn an_unknown_kind_or_a_false_length_is_refused_as_soon_as_it_is_known() {
    assert!(matches!(frame::take(&[0, 0, 0, 0]), Err(DecodeError::Truncated(_))));
    assert!(matches!(frame::take(&[1, 0, 0, 0, 99]), Err(DecodeError::Unknown { .. })));
    let too_long = u32::try_from(fleetlog_protocol::limits::FRAME_MAX + 1).unwrap();
    assert!(matches!(frame::take(&too_long.to_le_bytes()), Err(DecodeError::TooLarge { .. })));
    assert_eq!(frame::take(&[5, 0, 0]).unwrap(), None);
}
