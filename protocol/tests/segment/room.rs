//! A run directory without room: an error where space is asked for, and nothing later.

use std::fs;
use std::path::Path;

use fleetlog_protocol::lane::Writer;
use fleetlog_protocol::segment::{ForeignSegment, LANES, Segment, check_space, scan};
use nix::errno::Errno;
use nix::libc;
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

/// Lets a part of this process's files be all that a tmpfs has room for.
fn fill_a_tmpfs(place: &Path) {
    if let Err(error) = mount_tmpfs(place) {
        child::say(place, &format!("no tmpfs can be mounted here: {error}"));
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
    // The part of a lane for which there was room is nobody's, and is given back.
    assert!(segment.allocate_lane(lanes.len(), 32 << 10).is_ok(), "there is room for less");
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

fn other_process_fills_a_tmpfs(test: &str) {
    let place = Place::new();
    let mut other = Other::start(test, &place);
    assert!(other.wait().success());
    if let Ok(why) = fs::read_to_string(place.path().join("ready")) {
        eprintln!("SKIPPED: {why}");
    }
}

#[test]
fn a_full_tmpfs_is_an_error_and_never_a_sigbus() {
    if let Some(place) = child::place() {
        fill_a_tmpfs(&place);
    }
    other_process_fills_a_tmpfs("room::a_full_tmpfs_is_an_error_and_never_a_sigbus");
}

/// Takes more than half of a tmpfs for lanes.
fn fill_half_of_a_tmpfs(place: &Path) {
    if let Err(error) = mount_tmpfs(place) {
        child::say(place, &format!("no tmpfs can be mounted here: {error}"));
        std::process::exit(0);
    }
    let run_dir = place.join("run");
    let segment = Segment::create_with(&run_dir, "w", 1 << 20).expect("a segment");
    segment.allocate_lane(0, 256 << 10).expect("room");
    check_space(&run_dir, 128 << 10).expect("less than half in all");
    let told = check_space(&run_dir, 512 << 10).expect_err("more than half in all");
    assert!(told.to_string().contains("half of the file system"), "{told}");
    // What others have there does not count.
    fs::write(place.join("others"), vec![1; 400 << 10]).expect("room");
    check_space(&run_dir, 128 << 10).expect("the lanes have less than half");
    segment.allocate_lane(1, 240 << 10).expect("room");
    let told = Segment::create(&run_dir, "w").expect_err("another process's comes too late");
    assert!(told.to_string().contains("half of the file system"), "{told}");
    assert_eq!(scan(&run_dir).expect("a folder"), [segment.name()]);
    std::process::exit(0);
}

#[test]
fn the_lanes_of_a_run_directory_take_at_most_half_of_its_file_system() {
    if let Some(place) = child::place() {
        fill_half_of_a_tmpfs(&place);
    }
    let test = "room::the_lanes_of_a_run_directory_take_at_most_half_of_its_file_system";
    other_process_fills_a_tmpfs(test);
}

/// Refuses this process an advice to the kernel's memory, as a kernel does that does not know it.
fn forget_advice(advice: libc::c_int) {
    let statement = |code: u32, k: u32| libc::sock_filter {
        code: u16::try_from(code).expect("a code"),
        jt: 0,
        jf: 0,
        k,
    };
    let load = |at| statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, at);
    let unless = |value, jump| libc::sock_filter {
        jf: jump,
        ..statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value)
    };
    let madvise = u32::try_from(libc::SYS_madvise).expect("a number");
    let advice = u32::try_from(advice).expect("an advice");
    let einval = libc::SECCOMP_RET_ERRNO | Errno::EINVAL as u32;
    let mut program = [
        // The number of the call, and the low half of its third argument.
        load(0),
        unless(madvise, 3),
        load(16 + 2 * 8),
        unless(advice, 1),
        statement(libc::BPF_RET | libc::BPF_K, einval),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: 6, filter: program.as_mut_ptr() };
    // SAFETY: the call takes plain numbers.
    unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    // SAFETY: the program and its statements outlive the call.
    let failed =
        unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) }
            != 0;
    assert!(!failed, "no filter of calls: {}", Errno::last());
}

#[test]
fn a_kernel_without_the_advice_takes_space_page_by_page_and_says_as_well_that_there_is_none() {
    if let Some(place) = child::place() {
        forget_advice(libc::MADV_POPULATE_WRITE);
        fill_a_tmpfs(&place);
    }
    other_process_fills_a_tmpfs(
        "room::a_kernel_without_the_advice_takes_space_page_by_page_and_says_as_well_that_there_is_none",
    );
}
