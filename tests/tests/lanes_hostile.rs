//! P11 over lanes: whatever a worker does to its own segment, the listener lives, the others lose
//! nothing, and the offender is counted and named.

use fleetlog_tests::{Fixture, ListenerUnderTest, Steady, binaries, judge};

fn offences(listener: &ListenerUnderTest) -> u64 {
    let status = listener.status().expect("a status");
    status["totals"]["offences"].as_u64().expect("a count")
}

/// Lets enemies scribble beside an honest fleet.
fn beside_enemies(how: &str, enemies: usize) {
    let fixture = Fixture::new(binaries!()).over("lanes");
    let listener = fixture.listener().start();
    let fleet = Steady::start(&fixture, 2, 2, &[]);
    for _ in 0..enemies {
        fixture.workload(["scribble", "--how", how]).succeed();
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
