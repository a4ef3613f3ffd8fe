//! Segments that nobody honest made.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use fleetlog_protocol::lane::Place as _;
use fleetlog_protocol::limits::LANE_CAPACITY_MAX;
use fleetlog_protocol::segment::{FileName, ForeignSegment, LANES, Segment, SegmentError};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use proptest::collection::vec;
use proptest::prelude::*;

use super::raw_segment::{CLAIMED, COMMITTED, LANE_BYTES, RawSegment, TABLE, bytes};
use super::{A_NAME, Place};

fn place_with_lanes() -> Place {
    let place = Place::new();
    fs::create_dir_all(place.run_dir().join(LANES)).expect("a folder");
    place
}

#[test]
fn what_is_no_plain_file_is_not_opened() {
    let place = place_with_lanes();
    let open = || ForeignSegment::open(&place.run_dir(), A_NAME).expect_err("it is no segment");
    let file = place.file(A_NAME);
    let is_system = |error: SegmentError| matches!(error, SegmentError::System { .. });
    assert!(is_system(open()), "nothing");

    let other = Segment::create(&place.run_dir(), "w").expect("a segment");
    symlink(place.file(other.name()), &file).expect("a link");
    assert!(is_system(open()), "a link");
    fs::remove_file(&file).expect("it is there");

    fs::hard_link(place.file(other.name()), &file).expect("a second name");
    assert!(matches!(open(), SegmentError::Foreign(path) if path == file), "a second name");
    fs::remove_file(&file).expect("it is there");
    ForeignSegment::open(&place.run_dir(), other.name()).expect("it has one name again");

    // Opening it for reading alone would wait for a writer.
    mkfifo(&file, Mode::S_IRWXU).expect("a FIFO");
    assert!(matches!(open(), SegmentError::Foreign(_)), "a FIFO");
    fs::remove_file(&file).expect("it is there");

    fs::create_dir(&file).expect("a folder");
    assert!(is_system(open()), "a folder");
    fs::remove_dir(&file).expect("it is there");

    let listener = UnixListener::bind(&file).expect("a socket");
    assert!(is_system(open()), "a socket");
    drop(listener);
    fs::remove_file(&file).expect("it is there");

    File::create(&file).expect("a file").set_len(TABLE - 1).expect("it grows");
    assert!(matches!(open(), SegmentError::Foreign(_)), "a short file");
    File::create(&file).expect("a file").set_len(TABLE).expect("it grows");
    let empty = ForeignSegment::open(&place.run_dir(), A_NAME).expect("long enough for a header");
    assert_eq!((empty.describe(), empty.file_len()), (None, TABLE));
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 128,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_header_can_be_described(
        junk in vec(any::<u8>(), 0..1400),
        flips in vec((0..1400_usize, any::<u8>()), 0..4),
        is_plausible in any::<bool>(),
    ) {
        let place = place_with_lanes();
        let honest = Segment::create(&place.run_dir(), "worker").expect("a segment").name();
        let raw = RawSegment::open(&place.run_dir(), honest);
        // Behind the first four words everything goes.
        if is_plausible {
            raw.write(32, &junk);
        } else {
            raw.write(0, &junk);
        }
        for (at, byte) in flips {
            raw.write(at as u64, &[byte]);
        }
        let foreign = ForeignSegment::open(&place.run_dir(), honest).expect("long enough");
        if let Some(described) = foreign.describe() {
            prop_assert_eq!(described.identity.0 & 0xff, 0);
            prop_assert!(described.name.len() <= 128);
        }
        prop_assert!(foreign.claimed() <= 64);
        let _ = (foreign.has_left(), foreign.take_active(), foreign.drops().total(), foreign.reported());
        for lane in [0, 63, 64, usize::MAX] {
            let _ = foreign.tail(lane);
        }
    }

    #[test]
    fn any_end_of_the_callsite_table_is_kept_within_it(
        committed in prop_oneof![any::<u64>().boxed(), (0..3_u64 << 19).boxed()],
        from in prop_oneof![Just(0), 0..3_usize << 19, Just(usize::MAX)],
        again in any::<u64>(),
    ) {
        let place = place_with_lanes();
        let name = Segment::create(&place.run_dir(), "worker").expect("a segment").name();
        let raw = RawSegment::open(&place.run_dir(), name);
        raw.set_len(TABLE + (1 << 20));
        let foreign = ForeignSegment::open(&place.run_dir(), name).expect("a segment");
        let mut out = b"kept".to_vec();
        let mut read = from;
        // It may go back, and forth, between two reads.
        for committed in [committed, again, 0, u64::MAX] {
            raw.set_word(COMMITTED, committed);
            let before = out.len();
            let end = foreign.read_callsites(read, &mut out);
            prop_assert!(end >= read && (end <= 1 << 20 || end == from));
            prop_assert_eq!(out.len() - before, end - read);
            read = end;
        }
        prop_assert!(out.starts_with(b"kept"));
    }
}

#[test]
fn lanes_that_were_never_claimed_have_an_address_and_nothing_more() {
    let place = place_with_lanes();
    let name = Segment::create(&place.run_dir(), "w").expect("a segment").name();
    let raw = RawSegment::open(&place.run_dir(), name);
    raw.set_word(CLAIMED, u64::MAX);
    raw.set_len(bytes(63) + LANE_BYTES);
    let foreign = ForeignSegment::open(&place.run_dir(), name).expect("a segment");
    assert_eq!(foreign.claimed(), 64);
    let range = foreign.range();
    assert_eq!(range.len() as u64, bytes(63) + LANE_BYTES);
    // A number beyond the last is the last.
    let mut reader = fleetlog_protocol::lane::Reader::new(foreign.lane(usize::MAX), 0);
    assert_eq!(reader.look(), Ok(0));
}

#[test]
fn a_name_leads_nowhere_but_into_the_folder() {
    for hostile in ["../../etc/passwd", "1.2.3/../x", "1.2.", "1..3", "1.2.3\0", "1.2.99999999999"]
    {
        assert!(hostile.parse::<FileName>().is_err(), "{hostile:?}");
    }
}

#[test]
fn a_size_of_lanes_is_believed_once_and_only_if_it_can_be() {
    let place = Place::new();
    let size = 1_u64 << 20;
    let segment = Segment::create_with(&place.run_dir(), "w", 1 << 20).expect("a segment");
    let open = || ForeignSegment::open(&place.run_dir(), segment.name()).expect("a segment");
    let raw = RawSegment::open(&place.run_dir(), segment.name());
    assert_eq!(raw.word(16), size);
    let honest = open();
    assert!(honest.describe().is_some());
    assert_eq!(honest.lane(63).capacity(), size);
    assert_eq!(honest.range().len() as u64, 1_077_248 + 64 * size);
    let (least, most) = (LANE_BYTES, LANE_CAPACITY_MAX as u64);
    for lie in [0, 1, least / 2, least - 1, least + 4096, 2 * most, 1 << 40, 1 << 63, u64::MAX] {
        raw.set_word(16, lie);
        assert_eq!(open().describe(), None, "{lie}");
        assert!(open().range().len() as u64 <= 1_077_248 + 64 * most, "{lie}");
    }
    // One that could be true, but is another than when the file was mapped.
    raw.set_word(16, 2 * size);
    assert_eq!(honest.describe(), None);
    assert_eq!(honest.lane(63).capacity(), size);
}
