//! Segments as files: who may make one, what is refused, what a hostile one can do, and when its
//! worker counts as dead.
#![allow(missing_docs, unreachable_pub, reason = "a test has no users")]

#[allow(dead_code, reason = "the raw file serves several tests")]
mod raw_segment;

#[path = "segment/child.rs"]
mod child;
#[path = "segment/format.rs"]
mod format;
#[path = "segment/hostile.rs"]
mod hostile;
#[path = "segment/life.rs"]
mod life;
#[path = "segment/room.rs"]
mod room;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use fleetlog_protocol::message::{DropReason, Drops, QueueId};
use fleetlog_protocol::run_dir::RunDirError;
use fleetlog_protocol::segment::{
    Description, FileName, ForeignSegment, LANES, Segment, SegmentError, remove, scan, start_time,
};
use raw_segment::{COMMITTED, RawSegment, TABLE, VERSION, bytes};
use tempfile::TempDir;

/// A folder for one test, with the path of a run directory in it that nobody has made yet.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a temporary folder") }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn run_dir(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    fn file(&self, name: FileName) -> PathBuf {
        self.run_dir().join(LANES).join(name.to_string())
    }
}

const A_NAME: FileName = FileName { pid: 17, start_time: 4711, number: 0 };

#[test]
fn a_segment_tells_whose_it_is() {
    let place = Place::new();
    let segment = Segment::create(&place.run_dir(), "wörker 3").expect("a segment");
    let pid = std::process::id();
    let name = FileName { pid, start_time: start_time(pid).expect("it runs"), number: 0 };
    assert_eq!(segment.name(), name);
    assert_eq!(scan(&place.run_dir()).expect("it is there"), [name]);

    let foreign = ForeignSegment::open(&place.run_dir(), name).expect("a segment");
    let expected = Description {
        identity: segment.identity(),
        pid,
        start_time: name.start_time,
        uid: nix::unistd::geteuid().as_raw(),
        name: "wörker 3".to_owned(),
    };
    assert_eq!(foreign.describe(), Some(expected));
    assert_eq!((foreign.claimed(), foreign.has_left(), foreign.take_active()), (0, false, 0));
    assert_eq!((foreign.drops(), foreign.reported()), (Drops::default(), Drops::default()));

    // Queues of one segment differ in the low byte, which the identity leaves them.
    let queue = |lane| ForeignSegment::queue_of(segment.identity(), lane);
    assert_eq!(segment.identity().0 & 0xff, 0);
    assert_eq!(queue(0), QueueId(segment.identity().0 | 1));
    assert_eq!(queue(63), QueueId(segment.identity().0 | 64));

    remove(&place.run_dir(), name).expect("it is there");
    assert_eq!(scan(&place.run_dir()).expect("a folder"), []);
}

#[test]
fn what_a_worker_notes_its_listener_reads() {
    let place = Place::new();
    let segment = Segment::create(&place.run_dir(), "w").expect("a segment");
    let foreign = ForeignSegment::open(&place.run_dir(), segment.name()).expect("a segment");
    for lane in 0..3 {
        segment
            .allocate_lane(lane, fleetlog_protocol::limits::LANE_CAPACITY)
            .expect("there is room");
    }
    segment.mark_active(0);
    segment.mark_active(2);
    segment.count_drops(DropReason::NoListener, 3);
    segment.count_drops(DropReason::NoListener, 4);
    segment.mark_left();
    assert_eq!(foreign.claimed(), 3);
    assert_eq!((foreign.take_active(), foreign.take_active()), (0b101, 0), "bits are taken once");
    assert_eq!(foreign.drops(), Drops([0, 7, 0, 0]));
    assert!(foreign.has_left());
    // The next listener reads what this one noted.
    foreign.set_reported(Drops([1, 2, 3, 0]));
    let next = ForeignSegment::open(&place.run_dir(), segment.name()).expect("a segment");
    assert_eq!(next.reported(), Drops([1, 2, 3, 0]));
    assert!(
        segment.allocate_lane(64, fleetlog_protocol::limits::LANE_CAPACITY).is_err(),
        "there are 64"
    );
}

#[test]
fn one_process_has_several_segments_and_each_its_own_identity() {
    let place = Place::new();
    let segments = [0, 1, 2].map(|_| Segment::create(&place.run_dir(), "w").expect("a segment"));
    assert_eq!(segments.each_ref().map(|segment| segment.name().number), [0, 1, 2]);
    assert_ne!(segments[0].identity(), segments[1].identity());
    assert_ne!(segments[1].identity(), segments[2].identity());
}

#[test]
fn a_process_that_finds_too_many_names_taken_gives_up() {
    let place = Place::new();
    let first = Segment::create(&place.run_dir(), "w").expect("a segment").name();
    for number in 1..64 {
        fs::write(place.file(FileName { number, ..first }), "").expect("it can be written");
    }
    let error = Segment::create(&place.run_dir(), "w").expect_err("64 are enough");
    assert!(matches!(error, SegmentError::System { .. }), "{error}");
}

#[test]
fn whoever_comes_first_makes_the_folders_for_its_own_user_alone() {
    let place = Place::new();
    let segment = Segment::create(&place.run_dir(), "w").expect("a segment");
    let mode = |path: &Path| fs::metadata(path).expect("it is there").mode() & 0o7777;
    assert_eq!(mode(&place.run_dir()) & 0o077, 0);
    assert_eq!(mode(&place.run_dir().join(LANES)) & 0o077, 0);
    assert_eq!(mode(&place.file(segment.name())), 0o600);
}

#[test]
fn a_run_directory_that_others_may_write_to_is_refused() {
    let place = Place::new();
    fs::create_dir(place.run_dir()).expect("a folder");
    for mode in [0o777, 0o775, 0o1777] {
        fs::set_permissions(place.run_dir(), Permissions::from_mode(mode)).expect("a mode");
        let error = Segment::create(&place.run_dir(), "w").expect_err("it is not to be trusted");
        let SegmentError::RunDir(RunDirError::WritableByOthers { mode: found, .. }) = error else {
            panic!("{error}")
        };
        assert_eq!(found, mode);
    }
    assert!(scan(&place.run_dir()).expect("a folder").is_empty(), "nothing was made");
}

#[test]
fn a_folder_of_segments_that_others_may_write_to_must_be_sticky() {
    let place = Place::new();
    drop(Segment::create(&place.run_dir(), "w").expect("a segment"));
    let lanes = place.run_dir().join(LANES);
    fs::set_permissions(&lanes, Permissions::from_mode(0o777)).expect("a mode");
    let error = Segment::create(&place.run_dir(), "w").expect_err("others could replace it");
    assert!(matches!(error, SegmentError::RunDir(RunDirError::WritableByOthers { .. })), "{error}");
    fs::set_permissions(&lanes, Permissions::from_mode(0o1777)).expect("a mode");
    Segment::create(&place.run_dir(), "w").expect("nobody can remove another's file");
}

#[test]
fn a_link_in_place_of_a_folder_is_refused() {
    let place = Place::new();
    let elsewhere = place.path().join("elsewhere");
    fs::create_dir(&elsewhere).expect("a folder");
    symlink(&elsewhere, place.run_dir()).expect("a link");
    let error = Segment::create(&place.run_dir(), "w").expect_err("a link");
    assert!(matches!(error, SegmentError::RunDir(RunDirError::NotAFolder(_))), "{error}");

    let place = Place::new();
    fs::create_dir(place.run_dir()).expect("a folder");
    symlink(&elsewhere, place.run_dir().join(LANES)).expect("a link");
    let error = Segment::create(&place.run_dir(), "w").expect_err("a link");
    assert!(matches!(error, SegmentError::RunDir(RunDirError::NotAFolder(_))), "{error}");
    assert!(fs::read_dir(&elsewhere).expect("a folder").next().is_none(), "nothing was made there");
}

#[test]
fn files_of_other_names_are_nobodys() {
    let place = Place::new();
    assert!(scan(&place.run_dir()).expect("no folder is no error").is_empty());
    let segment = Segment::create(&place.run_dir(), "w").expect("a segment");
    for other in ["notes", "17", "17.4711", "17.4711.0.tmp", "017.4711.0", "-1.0.0", ".17.4711.0"] {
        fs::write(place.run_dir().join(LANES).join(other), "").expect("it can be written");
    }
    assert_eq!(scan(&place.run_dir()).expect("a folder"), [segment.name()]);
}

#[test]
fn a_segment_is_complete_once_its_magic_stands() {
    let place = Place::new();
    let segment = Segment::create(&place.run_dir(), "w").expect("a segment");
    let raw = RawSegment::open(&place.run_dir(), segment.name());
    let foreign = ForeignSegment::open(&place.run_dir(), segment.name()).expect("a segment");
    let magic = raw.word(0);
    raw.set_word(0, 0);
    assert_eq!(foreign.describe(), None, "its worker may be about to write it");
    raw.set_word(0, magic);
    assert!(foreign.describe().is_some());
    raw.write(VERSION, &2_u32.to_le_bytes());
    assert_eq!(foreign.describe(), None, "another version");
}

#[test]
fn callsites_are_read_once_and_whole() {
    let place = Place::new();
    let segment = Segment::create(&place.run_dir(), "w").expect("a segment");
    let foreign = ForeignSegment::open(&place.run_dir(), segment.name()).expect("a segment");
    let (mut end, mut allocated, mut read) = (0, 0, 0);
    let (mut expected, mut found) = (Vec::new(), Vec::new());
    // Across the parts in which the table is allocated.
    for number in 0..200_u8 {
        let definition = vec![number; 3 * usize::from(number)];
        end = segment.append_callsite(end, &mut allocated, &definition).expect("there is room");
        expected.extend(u32::try_from(definition.len()).expect("short").to_le_bytes());
        expected.extend(definition);
        if number % 7 == 0 {
            read = foreign.read_callsites(read, &mut found);
        }
    }
    read = foreign.read_callsites(read, &mut found);
    assert_eq!((read, found == expected), (end, true));
    assert_eq!(foreign.read_callsites(read, &mut found), read);
    assert_eq!(found.len(), end);
    let raw = RawSegment::open(&place.run_dir(), segment.name());
    assert_eq!(raw.word(COMMITTED), end as u64);
    assert_eq!(raw.read(TABLE, end), expected);
    assert!(bytes(0) >= TABLE + (1 << 20));
}

#[test]
fn a_full_callsite_table_takes_nothing_more_and_loses_nothing() {
    let place = Place::new();
    let segment = Segment::create(&place.run_dir(), "w").expect("a segment");
    let (mut end, mut allocated) = (0, 0);
    let definition = vec![7; (1 << 18) - 4];
    for _ in 0..4 {
        end = segment.append_callsite(end, &mut allocated, &definition).expect("there is room");
    }
    assert_eq!(end, 1 << 20);
    segment.append_callsite(end, &mut allocated, &[]).expect_err("the table is full");
    let foreign = ForeignSegment::open(&place.run_dir(), segment.name()).expect("a segment");
    let mut found = Vec::new();
    assert_eq!(foreign.read_callsites(0, &mut found), end);
    // What stands behind the table was not touched.
    let lane =
        segment.allocate_lane(0, fleetlog_protocol::limits::LANE_CAPACITY).expect("there is room");
    let raw = RawSegment::open(&place.run_dir(), segment.name());
    assert_eq!(raw.read(bytes(0), 8), [0; 8]);
    drop(lane);
}
