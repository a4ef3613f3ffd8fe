//! Segments whose bytes are anybody's: nothing panics, loops or reads beyond what is there.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use fleetlog_protocol::lane_queue::{Lanes, LanesConfig};
use fleetlog_protocol::level::Level;
use fleetlog_protocol::limits::{LANE_CAPACITY, LANES_MAX};
use fleetlog_protocol::record::{Record, RecordEncoder};
use fleetlog_protocol::segment;
use fleetlog_protocol::socket_queue::{CallsiteOf, LinkNumber, WhenFull};
use proptest::prelude::*;

use super::*;

const RECORDS: usize = 40;

/// A segment with some honest records in two lanes, and where it is.
fn honest(run_dir: &Path) -> (Lanes, FileName) {
    let link = || Box::leak(Box::new(LinkNumber::new()));
    let lanes = Lanes::create(LanesConfig {
        run_dir: run_dir.to_owned(),
        socket: run_dir.join("socket"),
        when_full: WhenFull::DropNewest,
        lane_max: 0,
        name: "worker".to_owned(),
        link_number: link(),
        file_number: link(),
    })
    .expect("a segment");
    let mut queues =
        [lanes.claim(), lanes.claim()].map(|queue| queue.expect("room").expect("a lane"));
    let define = |out: &mut Vec<u8>| {
        let definition = fleetlog_protocol::callsite::Definition {
            level: Level::Info,
            target: "app",
            name: "event",
            file: None,
            line: None,
            module_path: None,
        };
        definition.encode(["message"].into_iter(), out);
    };
    let mut record = Vec::new();
    for _ in 0..RECORDS {
        for queue in &mut queues {
            RecordEncoder::new(&mut record, Level::Info, 1024).finish(1, 0, 0);
            let callsite = CallsiteOf::Static(8, &define);
            queue.record(&lanes, &mut record, false, callsite).expect("there is room");
        }
    }
    for queue in queues {
        lanes.release(queue);
    }
    let [file] = segment::scan(run_dir).expect("a folder")[..] else { panic!("one segment") };
    (lanes, file)
}

/// Reads whatever is there, as the drain does; returns the records and the offences.
fn read_all(segments: &mut Segments, index: SegmentIndex) -> (usize, usize) {
    let mut shared = Shared::new();
    for (_, _, tail) in segments.unknown_lanes(index) {
        segments.add_lane(index, 0, Arc::from("worker"), tail);
    }
    let (mut records, mut news, mut offences) = (0, Vec::new(), Vec::new());
    segments.look(&mut news, &mut offences);
    for lane in news {
        let offence = loop {
            match segments.next_stamp(lane, &mut shared) {
                Ok(None) => break None,
                Err(offence) => break Some(offence),
                Ok(Some(_)) => {}
            }
            let (found, _) = segments.speaker(lane).expect("the lane");
            let is_record =
                found.feed.front().is_some_and(|(_, body)| Record::decode(body).is_ok());
            records += usize::from(is_record);
            found.feed.advance();
        };
        if let Some(offence) = offence {
            offences.push((lane, offence));
        }
    }
    let _ = segments.read_callsites(index, |_| 1);
    for (lane, offence) in &offences {
        segments.put_aside(*lane, offence);
    }
    (records, offences.len())
}

#[test]
fn what_is_honest_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_lanes, file) = honest(folder.path());
    let mut segments = Segments::new(folder.path()).expect("segments");
    let index = segments.open(file, None).expect("a segment");
    assert_eq!(read_all(&mut segments, index), (2 * RECORDS, 0));
    assert_eq!(segments.drops(index, u64::MAX), Default::default());
}

/// Where scribbles hurt: the header, the lanes' words, the table, the records; or anywhere.
fn places() -> impl Strategy<Value = u64> {
    let first_lane = 1_077_248_u64;
    prop_oneof![
        0..1200_u64,
        4096..4096 + 3 * 384_u64,
        28_672..28_900_u64,
        first_lane..first_lane + 4096,
        first_lane + LANE_CAPACITY as u64..first_lane + LANE_CAPACITY as u64 + 4096,
        0..first_lane + 2 * LANE_CAPACITY as u64,
    ]
}

proptest! {
    #[test]
    fn scribbles_anywhere_neither_panic_nor_loop(
        scribbles in prop::collection::vec(
            (places(), prop::collection::vec(any::<u8>(), 1..24)), 1..12),
        cut in prop::option::of(0..1_600_000_u64),
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let (_lanes, name) = honest(folder.path());
        let path = folder.path().join(segment::LANES).join(name.to_string());
        let file = OpenOptions::new().write(true).open(path).expect("the segment");
        let mut segments = Segments::new(folder.path()).expect("segments");
        let early = segments.open(name, None).expect("an honest segment");
        if let Some(cut) = cut {
            file.set_len(cut).expect("a shorter file");
        }
        for (at, bytes) in &scribbles {
            file.write_all_at(bytes, *at).expect("a scribble");
        }
        // Mapped before the scribbles, and by a listener that comes behind them.
        let (records, _) = read_all(&mut segments, early);
        prop_assert!(records <= LANES_MAX * LANE_CAPACITY / 45, "{records} records");
        let mut later = Segments::new(folder.path()).expect("segments");
        if let Ok(index) = later.open(name, None) {
            read_all(&mut later, index);
            later.rung(index);
            later.watch_all(index);
            read_all(&mut later, index);
        }
    }
}
