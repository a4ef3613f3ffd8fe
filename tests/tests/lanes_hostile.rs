//! P11 over lanes: whatever a worker does to its own segment, the listener lives, the others lose
//! nothing, and the offender is counted and named.

use std::fs;

use fleetlog_protocol::frame::{self, Kind};
use fleetlog_protocol::message::Attach;
use fleetlog_protocol::segment;
use fleetlog_tests::raw::{self, Raw};
use fleetlog_tests::{Fixture, ListenerUnderTest, Random, Steady, binaries, judge, wait};

fn offences(listener: &ListenerUnderTest) -> u64 {
    let status = listener.status().expect("a status");
    status["totals"]["offences"].as_u64().expect("a count")
}

/// Lets enemies scribble beside an honest fleet.
fn beside_enemies(how: &str, enemies: usize) {
    let fixture = Fixture::new(binaries!()).over("lanes");
    let listener = fixture.listener().start();
    let fleet = Steady::start(&fixture, 2, 2, &[]);
    let mut random = Random::seeded();
    for _ in 0..enemies {
        let seed = random.seed().to_string();
        fixture.workload(["scribble", "--how", how, "--seed", &seed]).succeed();
    }
    assert!(listener.status().is_some(), "the listener died of {how}: {}", fixture.report());
    let offences = offences(&listener);
    assert!(offences > 0, "nobody noticed {how}");
    let told = listener.program.output();
    assert!(told.contains("was cut off"), "the offender is not told of: {told}");
    let mut honest = fleet.finish();
    listener.stop();
    let mut verdict = judge::judge(&fixture.log());
    // An enemy's name is among what it scribbles over.
    verdict.notices.retain(|(_, line)| line.worker.starts_with("worker "));
    // An enemy's bytes may happen to be records; they are its own.
    verdict.sources.retain(|source, _| honest.contains_key(source));
    verdict.faults.retain(|fault| honest.keys().any(|source| fault.starts_with(source.as_str())));
    assert!(!honest.is_empty());
    verdict.demand_counts(&std::mem::take(&mut honest));
}

#[test]
fn random_bytes_all_over_a_segment_cost_nobody_else_a_record() {
    beside_enemies("bytes", 20);
}

#[test]
fn random_words_of_a_segment_cost_nobody_else_a_record() {
    beside_enemies("words", 20);
}

#[test]
fn frames_of_hostile_lengths_cost_nobody_else_a_record() {
    beside_enemies("lengths", 5);
}

#[test]
fn a_segment_that_is_truncated_while_it_is_mapped_costs_nobody_else_a_record() {
    beside_enemies("truncate", 10);
}

/// Two segments of one identity: the second speaks for queues that the first has.
#[test]
fn a_copy_of_a_segment_is_put_aside_and_costs_nobody_a_record() {
    let fixture = Fixture::new(binaries!()).over("lanes");
    let folder = fixture.path().to_str().expect("UTF-8").to_owned();
    let lone = fixture.workload(["lone", "--number", "7", "--folder", &folder]);
    wait::until("it logs", || {
        judge::returned_calls(fixture.path()).values().any(|calls| *calls > 0)
    });
    let lanes = fixture.run_dir().join("lanes");
    let entry = fs::read_dir(&lanes).expect("a folder").next().expect("its segment");
    let name = entry.expect("an entry").file_name().into_string().expect("UTF-8");
    let stem = name.strip_suffix(".0").expect("the first segment of its process");
    fs::copy(lanes.join(&name), lanes.join(format!("{stem}.9"))).expect("a copy");
    let listener = fixture.listener().start();
    let fleet = Steady::start(&fixture, 2, 1, &[]);
    wait::until("the copy is noticed", || offences(&listener) > 0);
    drop(lone);
    wait::until("both segments are gone", || {
        let left = fs::read_dir(&lanes).expect("a folder").flatten();
        !left.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with(stem))
    });
    let counts = fleet.finish();
    listener.stop();
    let mut verdict = judge::judge(&fixture.log());
    verdict.notices.retain(|(_, line)| line.worker.starts_with("worker "));
    // Which of the two is believed is its user's affair: nobody else can put files there.
    verdict.sources.retain(|source, _| counts.contains_key(source));
    verdict.demand_counts(&counts);
}

/// What stands behind the name of a segment is nobody's record, and costs no memory.
#[test]
fn bells_that_talk_without_end_cost_no_memory_and_keep_no_segment() {
    let fixture = Fixture::new(binaries!()).over("lanes");
    let folder = fixture.path().to_str().expect("UTF-8").to_owned();
    let listener = fixture.listener().start();
    let lone = fixture.workload(["lone", "--number", "7", "--folder", &folder]);
    wait::until("it logs", || {
        judge::returned_calls(fixture.path()).values().any(|calls| *calls > 0)
    });
    let [segment] = segment::scan(&fixture.run_dir()).expect("a folder")[..] else {
        panic!("one worker, one segment")
    };
    let mut greeting = frame::PREFACE.to_vec();
    let mut body = Vec::new();
    Attach { pid: std::process::id(), segment }.encode(&mut body);
    greeting.extend(raw::framed(Kind::Attach, &body));
    greeting.resize(160 << 10, 0x55);
    let before = memory(&listener);
    let bells: Vec<Raw> = (0..300)
        .map(|_| {
            let mut bell = Raw::connect(&fixture.run_dir());
            bell.send(&greeting);
            bell
        })
        .collect();
    assert!(listener.status().is_some());
    let growth = memory(&listener).saturating_sub(before);
    assert!(growth < 24 << 20, "the listener grew by {} KiB", growth >> 10);
    drop(lone);
    drop(bells);
    wait::until("the segment of the dead worker is removed", || {
        segment::scan(&fixture.run_dir()).expect("a folder").is_empty()
    });
    listener.stop();
}

fn memory(listener: &ListenerUnderTest) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", listener.program.pid()));
    let status = status.expect("a status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    1024 * line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number")
}
