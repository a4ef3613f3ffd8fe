//! Forks: a child has a segment of its own, and its parent's is left alone.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, Ordering};

use fleetlog_protocol::frame::{self, Kind};
use fleetlog_protocol::message::Attach;
use fleetlog_protocol::segment;
use fleetlog_worker::WhenFull;
use nix::libc;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, alarm, fork, getpid};

use crate::reader::{self, Entry, Seen};
use crate::stage::{self, Play, play};
use crate::{Roles, install, install_plainly, pressure};

pub(crate) const ROLES: Roles = &[
    ("parent_and_child", parent_and_child),
    ("raw_clone", raw_clone),
    ("child_of_a_thread", child_of_a_thread),
    ("silent_child", silent_child),
    ("forks_in_a_record", forks_in_a_record),
    ("storm", storm),
    ("dies_before_its_child", dies_before_its_child),
];

/// How long a child may take before it counts as hung. It needs milliseconds.
const CHILD_DEADLINE_S: u32 = 30;

/// Forks a child that does something and leaves with `_exit`.
fn start_child(child: impl FnOnce()) -> Pid {
    // SAFETY: what a child of a process with threads may do is under test; it leaves by `_exit`.
    match unsafe { fork() }.expect("a child") {
        ForkResult::Child => leave_after(child),
        ForkResult::Parent { child } => child,
    }
}

fn leave_after(child: impl FnOnce()) -> ! {
    alarm::set(CHILD_DEADLINE_S);
    child();
    // SAFETY: ends the process without what belongs to its parent.
    unsafe { libc::_exit(0) }
}

fn reap(child: Pid) {
    assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, 0)));
}

fn numbers(seen: &Seen) -> Vec<u64> {
    seen.lines().iter().map(|line| line.number("n")).collect()
}

fn log(numbers: std::ops::Range<u64>) {
    for n in numbers {
        tracing::info!(n, "in {}", getpid());
    }
}

#[test]
fn a_child_logs_into_a_segment_of_its_own_and_its_parent_goes_on() {
    let left = play("parent_and_child");
    let parent = reader::read_of(&left.run_dir, left.pid);
    parent.assert_unbroken();
    assert_eq!(numbers(&parent), (0..20).collect::<Vec<_>>());
    let mut children: Vec<Seen> = reader::read(&left.run_dir);
    children.retain(|seen| seen.described.pid != left.pid);
    assert_eq!(children.len(), 3, "two children and a grandchild");
    for child in children {
        child.assert_unbroken();
        assert_eq!(numbers(&child), (10..15).collect::<Vec<_>>());
        let pid = child.described.pid;
        assert_eq!(child.described.name, format!("child {pid}"));
        assert!(child.messages().iter().all(|message| *message == format!("in {pid}")));
        assert!(child.lines().iter().all(|line| line.thread == pid), "its one thread");
    }
}

fn parent_and_child() {
    install_plainly();
    let child = || {
        fleetlog_worker::set_name(&format!("child {}", getpid()));
        log(10..15);
    };
    log(0..10);
    let first = start_child(child);
    log(10..15);
    let second = start_child(|| {
        child();
        reap(start_child(child));
    });
    reap(first);
    reap(second);
    log(15..20);
}

#[test]
fn a_child_of_a_raw_clone_logs_as_itself() {
    let left = play("raw_clone");
    let parent = reader::read_of(&left.run_dir, left.pid);
    assert_eq!(numbers(&parent), (0..20).collect::<Vec<_>>());
    let all = reader::read(&left.run_dir);
    let child = all.iter().find(|seen| seen.described.pid != left.pid).expect("the child's");
    assert_eq!(numbers(child), (10..15).collect::<Vec<_>>());
}

fn raw_clone() {
    install_plainly();
    log(0..10);
    // SAFETY: without flags a clone is a fork that no handler hears of; the child leaves by
    // `_exit`.
    let cloned = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
    match i32::try_from(cloned).expect("a pid") {
        0 => leave_after(|| log(10..15)),
        child => reap(Pid::from_raw(child)),
    }
    log(10..20);
}

#[test]
fn a_child_of_a_thread_with_a_lane_leaves_the_lane_to_its_parent() {
    let left = play("child_of_a_thread");
    let parent = reader::read_of(&left.run_dir, left.pid);
    parent.assert_unbroken();
    assert_eq!(numbers(&parent), (0..30).collect::<Vec<_>>());
    let all = reader::read(&left.run_dir);
    let child = all.iter().find(|seen| seen.described.pid != left.pid).expect("the child's");
    assert_eq!(numbers(child), (10..20).collect::<Vec<_>>());
}

fn child_of_a_thread() {
    install_plainly();
    std::thread::spawn(|| {
        log(0..10);
        if !child_of_this_thread() {
            return log(10..20);
        }
        log(10..20);
    })
    .join()
    .expect("a thread");
    log(20..30);
}

/// Forks a child that leaves by the end of its one thread, whose destructors find what its
/// parent's thread held. Returns true in the parent, when the child has ended well.
fn child_of_this_thread() -> bool {
    // SAFETY: as in `start_child`; the child returns to where its thread began.
    match unsafe { fork() }.expect("a child") {
        ForkResult::Child => {
            alarm::set(CHILD_DEADLINE_S);
            false
        }
        ForkResult::Parent { child } => {
            reap(child);
            true
        }
    }
}

#[test]
fn a_child_that_logs_nothing_does_not_report_its_parents_gap() {
    let left = play("silent_child");
    let seen = reader::read_one(&left.run_dir);
    seen.assert_unbroken();
    assert_eq!(seen.described.pid, left.pid, "the child made none");
    let gaps = seen.lanes[0].iter().filter(|entry| matches!(entry, Entry::Gap { .. }));
    assert_eq!(gaps.count(), 1);
}

fn silent_child() {
    install(|builder| builder.when_full(WhenFull::DropNewest));
    std::thread::spawn(|| {
        // Leaves a gap that is due when the thread ends.
        pressure::fill();
        child_of_this_thread();
    })
    .join()
    .expect("a thread");
}

#[test]
fn a_debug_that_forks_makes_one_record_in_each_process() {
    let left = play("forks_in_a_record");
    let parent = reader::read_of(&left.run_dir, left.pid);
    assert_eq!(parent.messages(), ["before", "forked"]);
    let threads: Vec<u32> = parent.lines().iter().map(|line| line.thread).collect();
    assert_eq!(threads[0], threads[1], "the same thread made both");
    let all = reader::read(&left.run_dir);
    let child = all.iter().find(|seen| seen.described.pid != left.pid).expect("the child's");
    child.assert_unbroken();
    assert_eq!(child.messages(), ["forked"]);
    assert_eq!(child.lines()[0].thread, child.described.pid);
}

fn forks_in_a_record() {
    struct Forks;
    impl std::fmt::Debug for Forks {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            // SAFETY: the child goes on in its parent's code, which is under test, and leaves by
            // `_exit` right behind it.
            let forked = unsafe { fork() }.expect("a child");
            f.write_str(if forked.is_child() { "child" } else { "parent" })?;
            if let ForkResult::Parent { child } = forked {
                reap(child);
            }
            Ok(())
        }
    }
    install_plainly();
    let parent = getpid();
    tracing::info!("before");
    tracing::info!(who = ?Forks, "forked");
    if getpid() != parent {
        leave_after(|| ());
    }
}

const CHILDREN: u64 = 200;

#[test]
fn children_of_a_process_whose_threads_log_have_whole_segments() {
    let left = play("storm");
    let mut children = 0;
    for seen in reader::read(&left.run_dir) {
        seen.assert_unbroken();
        if seen.described.pid == left.pid {
            let mut threads: BTreeMap<u32, u64> = BTreeMap::new();
            for line in seen.lines() {
                let next = threads.entry(line.thread).or_default();
                assert_eq!(line.number("n"), *next, "thread {}", line.thread);
                *next += 1;
            }
            assert_eq!(threads.len(), 4);
        } else {
            assert_eq!(numbers(&seen), (0..10).collect::<Vec<_>>());
            children += 1;
        }
    }
    assert_eq!(children, CHILDREN);
}

fn storm() {
    install_plainly();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                // What fits into a lane that nobody reads.
                for n in 0..1500_u64 {
                    tracing::info!(n, "busy");
                    std::thread::yield_now();
                }
                while !stop.load(Ordering::Relaxed) {
                    std::thread::yield_now();
                }
            });
        }
        for _ in 0..CHILDREN {
            reap(start_child(|| log(0..10)));
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn the_listener_hears_of_the_end_of_a_parent_whose_child_lives() {
    let folder = stage::folder();
    let listener = UnixListener::bind(folder.path().join("run/socket")).expect("a socket");
    let mut play = Play::start_in(folder, "dies_before_its_child", &[]);
    let (mut bell, _) = listener.accept().expect("the bell");
    let pid: u32 = play.wait_for("child").parse().expect("a pid");
    let mut heard = Vec::new();
    // Ends when the last copy of the connection is closed: the child must have closed its own.
    bell.read_to_end(&mut heard).expect("the end");
    let bytes = heard.strip_prefix(&frame::PREFACE).expect("a preface");
    let attach = frame::take(bytes).expect("a frame").expect("a whole one");
    assert_eq!(attach.kind, Kind::Attach);
    let attach = Attach::decode(attach.body).expect("an attach");
    // Connections are closed a moment before a process counts as ended.
    play.wait_for("reaped");
    assert!(segment::is_dead(&play.run_dir(), attach.segment), "its lock is released");
    assert!(segment::start_time(pid).is_some(), "the child lives");
    play.go();
    let left = play.end_well();
    assert_eq!(numbers(&reader::read_of(&left.run_dir, pid)), [1]);
}

fn dies_before_its_child() {
    install_plainly();
    set_child_subreaper(true).expect("children's children are ours");
    let (reading, writing) = nix::unistd::pipe().expect("a pipe");
    let mut writing = Some(writing);
    let parent = start_child(|| {
        log(0..1);
        let child = start_child(|| {
            let mut byte = [0];
            // Its own copy: what ends the pipe is the end of the last one.
            drop(writing.take());
            let _ = nix::unistd::read(&reading, &mut byte);
            log(1..2);
        });
        stage::cue("child", child);
    });
    reap(parent);
    stage::cue("reaped", "");
    stage::wait();
    drop(writing.take());
    let child = waitpid(None, None).expect("the child's end");
    assert!(matches!(child, WaitStatus::Exited(_, 0)), "{child:?}");
}
