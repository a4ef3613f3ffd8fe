//! A run directory without room: an error where space is asked for, and nothing later.

use std::fs;
use std::path::Path;

use fleetlog_protocol::lane::Writer;
use fleetlog_protocol::segment::{ForeignSegment, LANES, Segment, scan};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, setrlimit};

use super::Place;
use super::child::{self, Other};

/// What a new segment needs, in bytes: header, lanes' words, and the first part of the table.
const FIRST: u64 = (28 << 10) + (4 << 10);

/// Limits the size of this process's files. What the limit forbids would end the process by a
/// signal if it were attempted.
fn limit_files(bytes: u64) {
    setrlimit(Resource::RLIMIT_FSIZE, bytes, bytes).expect("a limit");
}

#[test]
fn a_segment_without_room_is_refused_and_leaves_no_file() {
    if let Some(place) = child::place() {
        limit_files(FIRST - 1);
        let run_dir = place.join("run");
        Segment::create(&run_dir, "w").expect_err("a byte is missing");
        assert!(fs::read_dir(run_dir.join(LANES)).expect("a folder").next().is_none());
        std::process::exit(0);
    }
    let place = Place::new();
    let mut other =
        Other::start("room::a_segment_without_room_is_refused_and_leaves_no_file", &place);
    assert!(other.wait().success());
}

#[test]
fn a_lane_or_callsite_without_room_leaves_the_rest_as_it_was() {
    if let Some(place) = child::place() {
        limit_files(FIRST);
        let run_dir = place.join("run");
        let segment = Segment::create(&run_dir, "w").expect("just enough");
        let foreign = ForeignSegment::open(&run_dir, segment.name()).expect("a segment");
        assert!(segment.allocate_lane(0, fleetlog_protocol::limits::LANE_CAPACITY).is_err());
        assert_eq!(foreign.claimed(), 0, "a lane that is counted is there");

        let mut allocated = 0;
        let end = segment.append_callsite(0, &mut allocated, &[1; 4000]).expect("it fits");
        segment.append_callsite(end, &mut allocated, &[2; 100]).expect_err("it does not fit");
        let mut found = Vec::new();
        assert_eq!(foreign.read_callsites(0, &mut found), end);
        assert_eq!(found.len(), end);
        std::process::exit(0);
    }
    let place = Place::new();
    let mut other =
        Other::start("room::a_lane_or_callsite_without_room_leaves_the_rest_as_it_was", &place);
    assert!(other.wait().success());
}

/// Mounts a tmpfs that nobody but this thread sees.
fn mount_tmpfs(at: &Path) -> Result<(), Errno> {
    const NONE: Option<&str> = None;
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)?;
    mount(NONE, at, Some("tmpfs"), MsFlags::empty(), Some("size=1m,mode=700"))
}

#[test]
fn a_full_tmpfs_is_an_error_and_never_a_sigbus() {
    if let Some(place) = child::place() {
        if let Err(error) = mount_tmpfs(&place) {
            child::say(&place, &format!("no tmpfs can be mounted here: {error}"));
            std::process::exit(0);
        }
        let run_dir = place.join("run");
        let segment = Segment::create(&run_dir, "w").expect("a segment");
        let mut lanes = Vec::new();
        let error = loop {
            match segment.allocate_lane(lanes.len(), fleetlog_protocol::limits::LANE_CAPACITY) {
                Ok(lane) => lanes.push(lane),
                Err(error) => break error,
            }
        };
        assert_eq!(error.raw_os_error(), Some(Errno::ENOSPC as i32));
        assert!((1..4).contains(&lanes.len()), "{} lanes in 1 MiB", lanes.len());
        // What there is holds every byte that it should.
        for lane in lanes {
            let mut writer = Writer::new(lane);
            writer.fill(&[7; 256 << 10]);
            writer.publish();
        }
        fs::write(place.join("filler"), vec![0; 1 << 20]).expect_err("the tmpfs is full");
        Segment::create(&run_dir, "w").expect_err("there is no room for another");
        assert_eq!(scan(&run_dir).expect("a folder"), [segment.name()]);
        std::process::exit(0);
    }
    let place = Place::new();
    let mut other = Other::start("room::a_full_tmpfs_is_an_error_and_never_a_sigbus", &place);
    assert!(other.wait().success());
    if let Ok(why) = fs::read_to_string(place.path().join("ready")) {
        eprintln!("SKIPPED: {why}");
    }
}
