//! The exact bytes of one of each frame. A red test here means that the format has changed:
//! either by accident, or the protocol's version must change with it.
#![allow(missing_docs, reason = "a test has no users")]

use std::time::Duration;

use fleetlog_protocol::Level;
use fleetlog_protocol::callsite::Definition;
use fleetlog_protocol::frame::{self, Kind, PREFACE};
use fleetlog_protocol::limits::PROTOCOL_VERSION;
use fleetlog_protocol::message::{
    Ack, Attach, Drops, Gap, Goodbye, Hello, LeftBehind, LevelChange, Loss, Losses, Name, QueueId,
    Receipt, Refusal, RefusalReason, Reply, Request, Welcome, WorkerAccount,
};
use fleetlog_protocol::record::{self, FieldEncoder, FieldName, RecordEncoder};
use fleetlog_protocol::segment::FileName;

/// Frames what `encode` appends and compares it with the parts.
#[track_caller]
fn assert_frame(kind: Kind, encode: impl FnOnce(&mut Vec<u8>), parts: &[&[u8]]) {
    let (mut body, mut found) = (Vec::new(), Vec::new());
    encode(&mut body);
    frame::put(kind, &body, &mut found);
    assert_eq!(found, parts.concat(), "the bytes of a {kind:?} frame have changed");
}

#[test]
fn the_version_is_that_of_these_bytes() {
    assert_eq!(PROTOCOL_VERSION, 1);
    assert_eq!(PREFACE, [0x89, 0x66, 0x6c, 0x6f, 0x67, 0x0d, 0x0a, 0x1a]);
}

#[test]
fn a_hello_has_these_bytes() {
    let queue = QueueId(0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100);
    let hello = Hello {
        queue,
        pid: 0x0102_0304,
        first_seq: 0x1122,
        name: "worker 3",
        fallback: "no space",
    };
    assert_frame(
        Kind::Hello,
        |out| hello.encode(out),
        &[
            &[49, 0, 0, 0, 1],
            &[1, 0],
            &[4, 3, 2, 1],
            &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
            &[0x22, 0x11, 0, 0, 0, 0, 0, 0],
            &[8],
            b"worker 3",
            &[8],
            b"no space",
        ],
    );
}

#[test]
fn an_attach_has_these_bytes() {
    let segment = FileName { pid: 0x0506_0708, start_time: 0x1122, number: 9 };
    assert_frame(
        Kind::Attach,
        |out| Attach { pid: 0x0102_0304, segment }.encode(out),
        &[
            &[23, 0, 0, 0, 7],
            &[1, 0],
            &[4, 3, 2, 1],
            &[8, 7, 6, 5],
            &[0x22, 0x11, 0, 0, 0, 0, 0, 0],
            &[9, 0, 0, 0],
        ],
    );
}

#[test]
fn a_ring_has_these_bytes() {
    assert_frame(Kind::Ring, |_| {}, &[&[1, 0, 0, 0, 8]]);
    assert_eq!(frame::header(Kind::Ring, 0), [1, 0, 0, 0, 8]);
}

#[test]
fn a_welcome_has_these_bytes() {
    assert_frame(
        Kind::Welcome,
        |out| Welcome { acked: 0x0304 }.encode(out),
        &[&[11, 0, 0, 0, 16], &[1, 0], &[4, 3, 0, 0, 0, 0, 0, 0]],
    );
}

#[test]
fn an_ack_has_these_bytes() {
    assert_frame(
        Kind::Ack,
        |out| Ack { seq: 0x0102_0304_0506_0708 }.encode(out),
        &[&[9, 0, 0, 0, 17], &[8, 7, 6, 5, 4, 3, 2, 1]],
    );
}

#[test]
fn a_refusal_has_these_bytes() {
    assert_frame(
        Kind::Refused,
        |out| Refusal::new(RefusalReason::NoSeat, "why é").encode(out),
        &[&[8, 0, 0, 0, 18], &[1], b"why \xc3\xa9"],
    );
    let bytes = RefusalReason::ALL.map(|reason| reason as u8);
    assert_eq!(bytes, [1, 2, 3, 4, 5], "no seat, no room, version, not allowed, unfit");
}

#[test]
fn a_callsite_has_these_bytes() {
    let definition = Definition {
        level: Level::Info,
        target: "app::job",
        name: "event",
        file: Some("src/job.rs"),
        line: Some(0x0107),
        module_path: None,
    };
    assert_frame(
        Kind::Callsite,
        |out| {
            out.extend_from_slice(&3_u32.to_le_bytes());
            definition.encode(["message", "id"].into_iter(), out);
        },
        &[
            &[56, 0, 0, 0, 3],
            &[3, 0, 0, 0],
            &[3],
            &[7, 1, 0, 0],
            &[8, 0],
            b"app::job",
            &[5, 0],
            b"event",
            &[10, 0],
            b"src/job.rs",
            &[0, 0],
            &[2, 0],
            &[7, 0],
            b"message",
            &[2, 0],
            b"id",
        ],
    );
}

#[test]
fn a_record_with_a_span_has_these_bytes() {
    let mut block = vec![1, 0, 0, 0, 0, 0];
    FieldEncoder::new(&mut block, 100).u64(FieldName::Inline("id"), 7);
    let mut bytes = Vec::new();
    let mut encoder = RecordEncoder::new(&mut bytes, Level::Warn, 1024);
    encoder.span("request", &[&block]);
    let mut fields = encoder.fields();
    fields.str(FieldName::Index(0), "done");
    let (count, missing) = (fields.count(), fields.missing());
    encoder.finish(0x0a0b, count, missing);
    record::seal(&mut bytes, 5, 0x0908_0706, 3);
    assert_frame(
        Kind::Record,
        |out| out.extend_from_slice(&bytes),
        &[
            &[80, 0, 0, 0, 2],
            // Sequence number, stamp, thread, callsite, definition, original length.
            &[5, 0, 0, 0, 0, 0, 0, 0],
            &[6, 7, 8, 9, 0, 0, 0, 0],
            &[0x0b, 0x0a, 0, 0],
            &[3, 0, 0, 0],
            &[0, 0, 0, 0],
            &[0, 0, 0, 0],
            // Level, reserved, spans, fields, reserved.
            &[2, 0, 1, 0, 1, 0, 0, 0],
            // The span: its length, name, field count, and one field with its name.
            &[24, 0, 0, 0, 7],
            b"request",
            &[1, 0],
            &[1, 0xff, 0xff, 2],
            b"id",
            &[7, 0, 0, 0, 0, 0, 0, 0],
            // The event's field: type, index, length, text.
            &[7, 0, 0, 4, 0, 0, 0],
            b"done",
        ],
    );
}

#[test]
fn a_cut_record_with_its_own_definition_has_these_bytes() {
    let mut bytes = Vec::new();
    let mut encoder = RecordEncoder::new(&mut bytes, Level::Error, 40 + 7 + 3);
    let mut fields = encoder.fields();
    fields.str(FieldName::Index(1), "aéé");
    let (count, missing) = (fields.count(), fields.missing());
    encoder.finish(1, count, missing);
    RecordEncoder::append_definition(&mut bytes, &[5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    record::seal(&mut bytes, 1, 2, 0);
    assert_frame(
        Kind::Record,
        |out| out.extend_from_slice(&bytes),
        &[
            &[66, 0, 0, 0, 2],
            &[1, 0, 0, 0, 0, 0, 0, 0],
            &[2, 0, 0, 0, 0, 0, 0, 0],
            &[1, 0, 0, 0],
            &[0, 0, 0, 0],
            // The definition stands at 50; whole, the record would have had 52 bytes.
            &[50, 0, 0, 0],
            &[52, 0, 0, 0],
            &[1, 0, 0, 0, 1, 0, 0, 0],
            &[7, 1, 0, 3, 0, 0, 0],
            b"a\xc3\xa9",
            &[5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ],
    );
}

#[test]
fn a_field_of_each_type_has_these_bytes() {
    let mut out = Vec::new();
    let mut fields = FieldEncoder::new(&mut out, 4096);
    fields.u64(FieldName::Index(0), 0x0102);
    fields.i64(FieldName::Index(1), -2);
    fields.u128(FieldName::Index(2), 0x0102);
    fields.i128(FieldName::Index(3), -2);
    fields.f64(FieldName::Index(4), 1.5);
    fields.bool(FieldName::Index(0x0105), true);
    fields.str(FieldName::Inline("s"), "é");
    fields.bytes(FieldName::Index(7), &[0, 0xff]);
    fields.debug(FieldName::Index(8), &Some(1));
    let error = std::io::Error::other("disk");
    fields.error(FieldName::Index(9), &error);
    let minus_two = [0xff; 15];
    let expected: [&[u8]; 20] = [
        &[1, 0, 0],
        &[2, 1, 0, 0, 0, 0, 0, 0],
        &[2, 1, 0],
        &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[3, 2, 0],
        &[2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[4, 3, 0, 0xfe],
        &minus_two,
        &[5, 4, 0],
        &[0, 0, 0, 0, 0, 0, 0xf8, 0x3f],
        &[6, 5, 1, 1],
        &[7, 0xff, 0xff, 1],
        b"s",
        &[2, 0, 0, 0, 0xc3, 0xa9],
        &[8, 7, 0],
        &[2, 0, 0, 0, 0, 0xff],
        &[9, 8, 0, 7, 0, 0, 0],
        b"Some(1)",
        &[10, 9, 0, 1, 0, 4, 0, 0, 0],
        b"disk",
    ];
    assert_eq!(out, expected.concat());
}

#[test]
fn a_name_has_these_bytes() {
    assert_frame(
        Kind::Name,
        |out| Name { name: "worker 4" }.encode(out),
        &[&[10, 0, 0, 0, 4], &[8], b"worker 4"],
    );
}

#[test]
fn a_gap_has_these_bytes() {
    let gap = Gap { seq: 14, stamp: 0x0908, first_seq: 5, drops: Drops([1, 2, 3, 4]) };
    assert_frame(
        Kind::Gap,
        |out| gap.encode(out),
        &[
            &[57, 0, 0, 0, 5],
            &[14, 0, 0, 0, 0, 0, 0, 0],
            &[8, 9, 0, 0, 0, 0, 0, 0],
            &[5, 0, 0, 0, 0, 0, 0, 0],
            // Full, no listener, reentrant, rate limited.
            &[1, 0, 0, 0, 0, 0, 0, 0],
            &[2, 0, 0, 0, 0, 0, 0, 0],
            &[3, 0, 0, 0, 0, 0, 0, 0],
            &[4, 0, 0, 0, 0, 0, 0, 0],
        ],
    );
}

#[test]
fn a_goodbye_has_these_bytes() {
    assert_frame(
        Kind::Goodbye,
        |out| Goodbye { last_seq: 10 }.encode(out),
        &[&[9, 0, 0, 0, 6], &[10, 0, 0, 0, 0, 0, 0, 0]],
    );
}

#[test]
fn requests_have_these_bytes() {
    assert_frame(Kind::Request, |out| Request::Stop.encode(out), &[&[2, 0, 0, 0, 32, 1]]);
    assert_frame(Kind::Request, |out| Request::Sync.encode(out), &[&[2, 0, 0, 0, 32, 2]]);
    assert_frame(Kind::Request, |out| Request::Status.encode(out), &[&[2, 0, 0, 0, 32, 3]]);
    assert_frame(Kind::Request, |out| Request::Rotate.encode(out), &[&[2, 0, 0, 0, 32, 4]]);
    assert_frame(Kind::Request, |out| Request::Reopen.encode(out), &[&[2, 0, 0, 0, 32, 5]]);
    let change = |worker: Option<&str>, for_seconds| {
        let (directives, worker) = ("debug".to_owned(), worker.map(str::to_owned));
        Request::SetLevel(LevelChange { directives, worker, for_seconds })
    };
    assert_frame(
        Kind::Request,
        |out| change(Some("w*"), Some(300)).encode(out),
        &[&[22, 0, 0, 0, 32, 6], &[44, 1, 0, 0, 0, 0, 0, 0], &[1, 2, 0], b"w*", &[5, 0], b"debug"],
    );
    assert_frame(
        Kind::Request,
        |out| change(None, None).encode(out),
        &[&[18, 0, 0, 0, 32, 6], &[0xff; 8], &[0], &[5, 0], b"debug"],
    );
    assert_frame(
        Kind::Request,
        |out| Request::ResetLevel { worker: Some("w".to_owned()) }.encode(out),
        &[&[6, 0, 0, 0, 32, 7], &[1, 1, 0], b"w"],
    );
    assert_frame(
        Kind::Request,
        |out| Request::ResetLevel { worker: None }.encode(out),
        &[&[3, 0, 0, 0, 32, 7, 0]],
    );
    assert_frame(Kind::Request, |out| Request::Levels.encode(out), &[&[2, 0, 0, 0, 32, 8]]);
}

#[test]
fn replies_have_these_bytes() {
    assert_frame(
        Kind::Reply,
        |out| Reply::Pending { written: 6 }.encode(out),
        &[&[10, 0, 0, 0, 33, 1], &[6, 0, 0, 0, 0, 0, 0, 0]],
    );
    assert_frame(
        Kind::Reply,
        |out| Reply::Synced { written: 7 }.encode(out),
        &[&[10, 0, 0, 0, 33, 3], &[7, 0, 0, 0, 0, 0, 0, 0]],
    );
    assert_frame(
        Kind::Reply,
        |out| Reply::Rotated { logs: 2 }.encode(out),
        &[&[10, 0, 0, 0, 33, 6], &[2, 0, 0, 0, 0, 0, 0, 0]],
    );
    assert_frame(
        Kind::Reply,
        |out| Reply::Reopened { logs: 1 }.encode(out),
        &[&[10, 0, 0, 0, 33, 7], &[1, 0, 0, 0, 0, 0, 0, 0]],
    );
    assert_frame(
        Kind::Reply,
        |out| Reply::Status("{}".to_owned()).encode(out),
        &[&[4, 0, 0, 0, 33, 4], b"{}"],
    );
    assert_frame(
        Kind::Reply,
        |out| Reply::Failed("no".to_owned()).encode(out),
        &[&[4, 0, 0, 0, 33, 5], b"no"],
    );
    assert_frame(
        Kind::Reply,
        |out| Reply::Levels("{}".to_owned()).encode(out),
        &[&[4, 0, 0, 0, 33, 8], b"{}"],
    );
}

#[test]
fn a_receipt_has_these_bytes() {
    let account = WorkerAccount {
        name: "w".to_owned(),
        pid: 0x0102,
        written: 15,
        dropped: Drops([16, 17, 18, 19]),
    };
    let mut losses = Losses::default();
    losses.note(Loss::Torn, 0, 30, 40);
    let receipt = Receipt {
        pid: 0x0304,
        uptime: Duration::from_nanos(1),
        workers: 2,
        died: 3,
        written: 4,
        lines: 5,
        bytes: 6,
        missing: 7,
        truncated: 8,
        doubles: 9,
        offences: 10,
        left: 11,
        left_named: vec![LeftBehind { what: "1.2.0".to_owned(), why: "so".to_owned() }],
        dropped: Drops([12, 13, 14, 15]),
        losses,
        accounts: vec![account],
    };
    let numbers: Vec<u8> = (1..=15_u64).flat_map(u64::to_le_bytes).collect();
    assert_frame(
        Kind::Reply,
        |out| Reply::Stopped(Box::new(receipt)).encode(out),
        &[
            &[218, 0, 0, 0, 33, 2],
            &[4, 3, 0, 0],
            &numbers,
            &[1, 7],
            &[0; 8],
            &[30, 0, 0, 0, 0, 0, 0, 0],
            &[40, 0, 0, 0, 0, 0, 0, 0],
            &[40, 0, 0, 0, 0, 0, 0, 0],
            &[1, 5],
            b"1.2.0",
            &[2],
            b"so",
            &[1, 0],
            &[1],
            b"w",
            &[2, 1, 0, 0],
            &[15, 0, 0, 0, 0, 0, 0, 0],
            &[16, 0, 0, 0, 0, 0, 0, 0],
            &[17, 0, 0, 0, 0, 0, 0, 0],
            &[18, 0, 0, 0, 0, 0, 0, 0],
            &[19, 0, 0, 0, 0, 0, 0, 0],
        ],
    );
}
