//! Pressure: full lanes, with and without waiting, and what is said about the losses.

use std::time::Duration;

use fleetlog_protocol::message::{DropReason, Drops};
use fleetlog_worker::WhenFull;
use nix::sys::resource::{UsageWho, getrusage};

use crate::reader::{self, Entry, Seen};
use crate::stage::{self, Play, play};
use crate::{Roles, allocator, install, install_plainly};

pub(crate) const ROLES: Roles = &[
    ("drops", drops),
    ("drops_and_ends", drops_and_ends),
    ("drops_and_leaves", drops_and_leaves),
    ("waits", waits),
    ("inside", inside),
];

/// More than a lane holds of records with [`PADDING`].
const TOO_MANY: u64 = 3000;
const PADDING: &str = "01234567890123456789012345678901234567890123456789\
                       01234567890123456789012345678901234567890123456789";

pub(crate) fn fill() {
    for n in 0..TOO_MANY {
        tracing::info!(n, PADDING, "info");
    }
}

fn drops_of(seen: &Seen, lane: usize) -> Vec<(u64, u64, Drops)> {
    let gaps = seen.lanes[lane].iter().filter_map(|entry| match entry {
        Entry::Gap { first_seq, seq, drops } => Some((*first_seq, *seq, *drops)),
        Entry::Line(_) | Entry::Name(_) => None,
    });
    gaps.collect()
}

const fn unheard(count: u64) -> Drops {
    Drops([0, count, 0, 0])
}

#[test]
fn warnings_get_in_where_a_lane_is_full_behind_a_report_of_the_gap() {
    let mut play = Play::start("drops");
    play.wait_for("full");
    let mut seen = reader::read_one(&play.run_dir());
    seen.assert_unbroken();
    let kept = seen.messages().iter().filter(|message| *message == "info").count();
    let first_ones: Vec<u64> =
        seen.lines().iter().take(kept).map(|line| line.number("n")).collect();
    assert_eq!(seen.messages()[kept..], ["warn", "error"]);
    let kept = kept as u64;
    assert_eq!(first_ones, (0..kept).collect::<Vec<_>>(), "the newest are dropped");
    assert!((1000..TOO_MANY).contains(&kept), "{kept}");
    let lost = TOO_MANY - kept;
    assert_eq!(drops_of(&seen, 0), [(kept + 1, TOO_MANY, unheard(lost))]);
    assert_eq!(seen.segment.drops(), unheard(lost + 10), "and ten behind the warnings");

    seen.release();
    play.go();
    play.wait_for("room");
    let seen = reader::read_one(&play.run_dir());
    let last = TOO_MANY + 2;
    assert_eq!(drops_of(&seen, 0), [(last + 1, last + 10, unheard(10))]);
    assert_eq!(seen.messages(), ["room again"]);
    assert_eq!(seen.lines()[0].seq, last + 11);
    play.go();
    play.end_well();
}

fn drops() {
    install(|builder| builder.when_full(WhenFull::DropNewest));
    fill();
    tracing::warn!("warn");
    tracing::error!("error");
    for n in 0..10 {
        tracing::info!(n, PADDING, "info");
    }
    stage::cue("full", "");
    stage::wait();
    tracing::info!("room again");
    stage::cue("room", "");
    stage::wait();
}

#[test]
fn the_gap_of_a_thread_is_reported_when_it_ends() {
    let left = play("drops_and_ends");
    let seen = reader::read_one(&left.run_dir);
    seen.assert_unbroken();
    let kept = seen.messages().len() as u64;
    assert_eq!(drops_of(&seen, 0), [(kept + 1, TOO_MANY, unheard(TOO_MANY - kept))]);
}

fn drops_and_ends() {
    install(|builder| builder.when_full(WhenFull::DropNewest));
    std::thread::spawn(fill).join().expect("a thread");
    // No handler and no destructor of the main thread may do it instead.
    // SAFETY: ends this process; nothing of it is needed any more.
    unsafe { nix::libc::_exit(0) }
}

#[test]
fn the_gap_of_the_calling_thread_is_reported_by_a_goodbye_and_it_logs_on() {
    let mut play = Play::start("drops_and_leaves");
    play.wait_for("left");
    let seen = reader::read_one(&play.run_dir());
    assert!(seen.segment.has_left());
    let kept = seen.messages().len() as u64;
    assert_eq!(drops_of(&seen, 0), [(kept + 1, TOO_MANY, unheard(TOO_MANY - kept))]);
    play.go();
    let seen = reader::read_one(&play.end_well().run_dir);
    seen.assert_unbroken();
    assert_eq!(seen.messages().last().expect("lines"), "after the goodbye");
}

fn drops_and_leaves() {
    install(|builder| builder.when_full(WhenFull::DropNewest));
    fill();
    fleetlog_worker::goodbye();
    stage::cue("left", "");
    stage::wait();
    tracing::error!("after the goodbye");
}

#[test]
fn an_outage_costs_one_budget_and_not_one_a_record() {
    let mut play = Play::start("waits");
    let waits: u64 = play.wait_for("waits").parse().expect("a number");
    let left = play.end_well();
    let seen = reader::read_one(&left.run_dir);
    let lost = seen.segment.drops().total();
    assert_eq!(lost + seen.messages().len() as u64, 4 * TOO_MANY);
    // A budget is a few waits long; each of these records could have had its own.
    assert!(waits > 0 && waits < lost / 4, "{waits} waits for {lost} records");
}

fn waits() {
    let stall_budget = Duration::from_millis(200);
    install(|builder| builder.when_full(WhenFull::Block { stall_budget }));
    let waits = || getrusage(UsageWho::RUSAGE_SELF).expect("usage").voluntary_context_switches();
    tracing::info!("the first record makes the segment");
    let before = waits();
    for n in 1..4 * TOO_MANY {
        tracing::info!(n, PADDING, "info");
    }
    stage::cue("waits", waits() - before);
}

#[test]
fn records_that_are_made_inside_of_the_sdk_are_counted_at_their_place() {
    let mut play = Play::start("inside");
    let made: u64 = play.wait_for("made").parse().expect("a number");
    let left = play.end_well();
    let seen = reader::read_one(&left.run_dir);
    seen.assert_unbroken();
    let inside = seen.segment.drops().0[DropReason::Reentrant as usize];
    assert!(inside > 0, "a new name is told, which allocates");
    let outside = seen.messages().iter().filter(|message| *message == "from the allocator").count();
    assert_eq!(inside + outside as u64, made);
    let lane = &seen.lanes[0];
    let first = lane.iter().position(|entry| is_line(entry, "first")).expect("the first");
    let Entry::Gap { drops, .. } = &lane[first + 1] else {
        panic!("no gap behind the record: {lane:?}")
    };
    assert_eq!(*drops, Drops([0, 0, inside, 0]));
    assert!(is_line(&lane[first + 2], "second"));
}

fn is_line(entry: &Entry, message: &str) -> bool {
    matches!(entry, Entry::Line(line) if line.message() == message)
}

fn inside() {
    install_plainly();
    const MADE: u32 = 1000;
    tracing::info!("a buffer and a lane are there");
    // So that there is something to allocate behind the buffer.
    fleetlog_worker::set_name("somebody else");
    allocator::arm(MADE);
    tracing::info!("first");
    let left = allocator::disarm();
    tracing::info!("second");
    stage::cue("made", MADE - left);
}
