//! The page about the format and a real segment say the same.

use fleetlog_protocol::lane::{Reader, Writer};
use fleetlog_protocol::limits::{
    CALLSITE_TABLE_MAX, CALLSITES_MAX, LANE_CAPACITY, LANE_RECORD_MAX, LANES_MAX,
};
use fleetlog_protocol::message::{DropReason, Drops};
use fleetlog_protocol::segment::{ForeignSegment, Segment};

use super::Place;
use super::raw_segment::{
    ACTIVE, CLAIMED, COMMITTED, DROPS, HEAD, LANE_BYTES, LEFT, NAME, QUIET, REPORTED, RawSegment,
    TABLE, TAIL, VERSION, WAITING, bytes, words,
};

const PAGE: &str = include_str!("../../../docs/segment-format.md");

/// Offsets and lengths of the table below a heading.
fn table(heading: &str) -> Vec<(u64, String)> {
    let (_, behind) = PAGE.split_once(&format!("\n### {heading}\n")).expect("the heading is there");
    let section = behind.split("\n#").next().unwrap_or(behind);
    section
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
            Some((cells.next()?.parse().ok()?, cells.next()?.to_owned()))
        })
        .collect()
}

fn rows(rows: &[(u64, &str)]) -> Vec<(u64, String)> {
    rows.iter().map(|(offset, length)| (*offset, (*length).to_owned())).collect()
}

#[test]
fn the_page_has_the_offsets_that_these_tests_use() {
    let header = [
        (0, "8"),
        (VERSION, "4"),
        (12, "4"),
        (16, "8"),
        (24, "8"),
        (32, "16"),
        (48, "4"),
        (56, "8"),
        (CLAIMED, "8"),
        (LEFT, "8"),
        (ACTIVE, "8"),
        (DROPS, "32"),
        (REPORTED, "32"),
        (COMMITTED, "8"),
        (NAME, "1"),
        (NAME + 1, "128"),
    ];
    assert_eq!(table("Header"), rows(&header));
    let lane = [(HEAD, "8"), (TAIL, "8"), (QUIET, "4"), (WAITING, "4")];
    assert_eq!(table("Words of a lane"), rows(&lane));
    assert_eq!(table("Callsite table"), rows(&[(0, "4"), (4, "n")]));
    for part in [words(0), TABLE, bytes(0), bytes(1), bytes(64)] {
        assert!(PAGE.contains(&format!("{part:>9} +-")), "{part} begins a part of the picture");
    }
}

#[test]
fn the_limits_are_those_of_the_page() {
    assert_eq!((LANE_CAPACITY as u64, LANES_MAX), (LANE_BYTES, 64));
    assert_eq!((CALLSITE_TABLE_MAX, CALLSITES_MAX), (1 << 20, 16_384));
    assert_eq!(LANE_RECORD_MAX, 64 << 10);
    assert_eq!(TABLE, words(64));
    assert_eq!(bytes(0), TABLE + CALLSITE_TABLE_MAX as u64);
}

#[test]
fn a_segment_has_these_bytes() {
    let place = Place::new();
    let segment = Segment::create(&place.run_dir(), "wörker 3").expect("a segment");
    let raw = RawSegment::open(&place.run_dir(), segment.name());
    let foreign = ForeignSegment::open(&place.run_dir(), segment.name()).expect("a segment");

    let mut header = vec![0; 4096];
    header[..8].copy_from_slice(b"fleetseg");
    header[8] = 1;
    header[12] = 64;
    header[18] = 4;
    header[26] = 16;
    header[32..48].copy_from_slice(&segment.identity().0.to_le_bytes());
    header[48..52].copy_from_slice(&std::process::id().to_le_bytes());
    header[56..64].copy_from_slice(&segment.name().start_time.to_le_bytes());
    header[1024] = 9;
    header[1025..1034].copy_from_slice("wörker 3".as_bytes());
    assert_eq!(raw.read(0, 4096), header);
    assert_eq!(raw.read(4096, 64 * 384), vec![0; 64 * 384], "the words of lanes that are free");

    for lane in 0..6 {
        segment
            .allocate_lane(lane, fleetlog_protocol::limits::LANE_CAPACITY)
            .expect("there is room");
    }
    segment.mark_active(5);
    segment.mark_left();
    for (reason, count) in DropReason::ALL.into_iter().zip([0x0102, 0x0304, 0x0506]) {
        segment.count_drops(reason, count);
    }
    foreign.set_reported(Drops([7, 8, 9, 0]));
    let mut allocated = 0;
    let end = segment.append_callsite(0, &mut allocated, b"first").expect("there is room");
    segment.append_callsite(end, &mut allocated, b"second").expect("there is room");
    header[128] = 6;
    header[136] = 1;
    header[256] = 0b10_0000;
    header[384..386].copy_from_slice(&[2, 1]);
    header[392..394].copy_from_slice(&[4, 3]);
    header[400..402].copy_from_slice(&[6, 5]);
    (header[448], header[456], header[464]) = (7, 8, 9);
    header[512] = 19;
    assert_eq!(raw.read(0, 4096), header);
    assert_eq!(raw.read(28_672, 20), b"\x05\0\0\0first\x06\0\0\0second\0");
}

#[test]
fn a_lane_has_these_bytes() {
    let place = Place::new();
    let segment = Segment::create(&place.run_dir(), "w").expect("a segment");
    let raw = RawSegment::open(&place.run_dir(), segment.name());
    let foreign = ForeignSegment::open(&place.run_dir(), segment.name()).expect("a segment");
    let words = 4096 + 5 * 384;
    let bytes = 1_077_248 + 5 * 262_144;

    let lane =
        segment.allocate_lane(5, fleetlog_protocol::limits::LANE_CAPACITY).expect("there is room");
    let mut expected = vec![0; 384];
    expected[256] = 1;
    assert_eq!(raw.read(words, 384), expected, "nobody looks at it yet");

    // Around the end.
    raw.set_word(words, 262_140);
    raw.set_word(words + 128, 262_140);
    let mut writer = Writer::new(lane);
    writer.fill(b"abcdefgh");
    assert!(writer.publish().reader_looks_away);
    let mut reader = Reader::new(foreign.lane(5), 262_140);
    reader.look().expect("an honest head");
    reader.take(3, &mut Vec::new());
    reader.release(262_143);
    expected[..8].copy_from_slice(&262_148_u64.to_le_bytes());
    expected[128..136].copy_from_slice(&262_143_u64.to_le_bytes());
    expected[256] = 0;
    assert_eq!(raw.read(words, 384), expected);
    assert_eq!(raw.read(bytes, 5), b"efgh\0");
    assert_eq!(raw.read(bytes + 262_140, 4), b"abcd");
    reader.take(5, &mut Vec::new());
    assert!(!reader.look_away().expect("an honest head"));
    expected[256] = 1;
    assert_eq!(raw.read(words, 384), expected);
}
