//! Who lives: told by the kernel's lock and the process's start time, never by a timeout.

use std::fs;
use std::os::fd::RawFd;

use fleetlog_protocol::segment::{FileName, Segment, is_dead, start_time};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};

use super::Place;
use super::child::{self, Other, until};

#[test]
fn a_killed_worker_is_dead_and_a_living_one_is_not() {
    if let Some(place) = child::place() {
        child::hold_a_segment(&place);
    }
    let place = Place::new();
    let mut other = Other::start("life::a_killed_worker_is_dead_and_a_living_one_is_not", &place);
    let name = other.segment();
    assert!(!is_dead(&place.run_dir(), name));
    other.kill();
    // Its parent may never collect it; the locks of a zombie are gone.
    until("a zombie is dead", || is_dead(&place.run_dir(), name));
    other.wait();
    assert!(is_dead(&place.run_dir(), name));
}

#[test]
fn a_worker_that_closed_every_descriptor_lives() {
    if let Some(place) = child::place() {
        let segment = Segment::create(&place.join("run"), "other").expect("a segment");
        let name = segment.name();
        // As a daemon does that wants to begin afresh.
        let file = fs::canonicalize(place.join("run/lanes").join(name.to_string())).expect("there");
        for entry in fs::read_dir("/proc/self/fd").expect("/proc").flatten() {
            let number: RawFd = entry.file_name().to_string_lossy().parse().expect("a number");
            if fs::read_link(entry.path()).is_ok_and(|target| target == file) {
                nix::unistd::close(number).expect("it is open");
            }
        }
        std::mem::forget(segment);
        child::say(&place, &name.to_string());
        child::sleep();
    }
    let place = Place::new();
    let mut other = Other::start("life::a_worker_that_closed_every_descriptor_lives", &place);
    let name = other.segment();
    assert!(!is_dead(&place.run_dir(), name), "its start time tells");

    // Under a name that is no process's nothing tells but the lock, which it gave up.
    let unseen = FileName { start_time: name.start_time + 1, ..name };
    fs::hard_link(place.file(name), place.file(unseen)).expect("a link");
    assert!(is_dead(&place.run_dir(), unseen));
    other.kill();
    other.wait();
    assert!(is_dead(&place.run_dir(), name));
}

#[test]
fn a_worker_whose_process_cannot_be_seen_lives_by_its_lock() {
    if let Some(place) = child::place() {
        child::hold_a_segment(&place);
    }
    let place = Place::new();
    let mut other =
        Other::start("life::a_worker_whose_process_cannot_be_seen_lives_by_its_lock", &place);
    let name = other.segment();
    // From another pid namespace its pid is nobody's, or somebody else's.
    let nobody = FileName { pid: u32::MAX, ..name };
    let somebody = FileName { pid: std::process::id(), ..name };
    for unseen in [nobody, somebody] {
        fs::hard_link(place.file(name), place.file(unseen)).expect("a link");
        assert!(!is_dead(&place.run_dir(), unseen));
    }
    other.kill();
    other.wait();
    for unseen in [nobody, somebody] {
        assert!(is_dead(&place.run_dir(), unseen));
    }
}

#[test]
fn a_pid_that_recurs_does_not_keep_a_dead_worker_alive() {
    let place = Place::new();
    let name = Segment::create(&place.run_dir(), "w").expect("a segment").name();
    assert_eq!(Some(name.start_time), start_time(name.pid));
    let earlier = FileName { start_time: name.start_time - 1, ..name };
    fs::rename(place.file(name), place.file(earlier)).expect("it can be renamed");
    assert!(is_dead(&place.run_dir(), earlier));
    let removed = FileName { number: 9, ..earlier };
    assert!(is_dead(&place.run_dir(), removed), "a file that is not there has no lock");
}

#[test]
fn a_forked_child_does_not_inherit_the_lock() {
    let place = Place::new();
    if let Some(place) = child::place() {
        let segment = Segment::create(&place.join("run"), "other").expect("a segment");
        // SAFETY: the child makes no call but the sleep, which allocates nothing that matters.
        match unsafe { fork() }.expect("a fork") {
            ForkResult::Child => child::sleep(),
            ForkResult::Parent { child } => {
                child::say(&place, &format!("{} {child}", segment.name()));
                child::sleep();
            }
        }
    }
    let mut other = Other::start("life::a_forked_child_does_not_inherit_the_lock", &place);
    let said = other.ready();
    let (name, forked) = said.split_once(' ').expect("two words");
    let name = name.parse().expect("a segment's name");
    other.kill();
    until("the worker is dead although its child lives", || is_dead(&place.run_dir(), name));
    let forked: u32 = forked.parse().expect("a pid");
    assert!(start_time(forked).is_some());
}

#[test]
fn a_forked_child_that_drops_its_parents_segment_unmaps_nothing_of_its_own() {
    let place = Place::new();
    let parents = Segment::create(&place.run_dir(), "parent").expect("a segment");
    let lane =
        parents.allocate_lane(0, fleetlog_protocol::limits::LANE_CAPACITY).expect("there is room");
    // SAFETY: the child calls nothing but this crate, the C library's allocator takes care of
    // itself in a fork, and it ends without unwinding into the test.
    match unsafe { fork() }.expect("a fork") {
        ForkResult::Child => {
            let own = Segment::create(&place.run_dir(), "child");
            drop((parents, lane));
            let works = own.is_ok_and(|own| {
                own.allocate_lane(0, fleetlog_protocol::limits::LANE_CAPACITY).is_ok()
                    && own.head(0) == 0
            });
            // SAFETY: ends this process and nothing else.
            unsafe { nix::libc::_exit(i32::from(!works)) }
        }
        ForkResult::Parent { child } => {
            let status = waitpid(child, None).expect("it is ours");
            assert_eq!(status, WaitStatus::Exited(child, 0), "its own segment was unmapped");
        }
    }
    assert_eq!(parents.head(0), 0);
}
