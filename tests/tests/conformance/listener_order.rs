//! P2 across processes: if a call returned before another one began anywhere on the host, its
//! record stands first.

use fleetlog_tests::{Fixture, judge};
use serde_json::Value;

use crate::fixture;

fn steps() -> u64 {
    std::env::var("FLEETLOG_STEPS").ok().and_then(|steps| steps.parse().ok()).unwrap_or(20_000)
}

/// The numbers of the chain in the order of the file's lines.
fn chain_of(fixture: &Fixture) -> Vec<u64> {
    judge::lines(&fixture.log())
        .iter()
        .filter(|line| line.fields.get("source").and_then(Value::as_str) == Some("chain"))
        .map(|line| line.fields["n"].as_u64().expect("a number"))
        .collect()
}

fn demand_chain(fixture: &Fixture, steps: u64) {
    let chain = chain_of(fixture);
    let wrong = chain.iter().zip(0..).find(|(found, expected)| *found != expected);
    assert_eq!((chain.len() as u64, wrong), (steps, None), "an effect before its cause");
}

#[test]
fn no_effect_stands_before_its_cause_while_others_load_the_listener() {
    let fixture = fixture();
    let listener = fixture.listener().start();
    let until = fixture.path().join("until");
    let load = fixture.workload([
        "steady",
        "--first",
        "100",
        "--pause",
        "1000",
        "--burst",
        "16",
        "--until",
        until.to_str().expect("UTF-8"),
    ]);
    let steps = steps();
    let chain = fixture.workload([
        "chain",
        "--workers",
        "3",
        "--threads",
        "2",
        "--steps",
        &steps.to_string(),
    ]);
    chain.succeed();
    std::fs::write(&until, "").expect("a file");
    load.succeed();
    assert!(listener.stop().is_complete());
    demand_chain(&fixture, steps);
}

/// Over a socket a call that returns while no listener lives has sent nothing yet, so that the
/// order between processes can't be demanded there; within each thread it can. A lane keeps what
/// was published, whoever lives.
#[test]
fn a_chain_across_kills_of_the_listener_is_complete_and_each_thread_of_it_in_order() {
    let fixture = fixture();
    let steps = 10_000;
    let mut chain =
        fixture.workload(["chain", "--workers", "2", "--threads", "2", "--steps", "10000"]);
    let mut kills = 0;
    while kills < 5 && chain.is_running() {
        let listener = fixture.listener().start();
        std::thread::sleep(std::time::Duration::from_millis(10 + 7 * kills));
        listener.kill();
        kills += 1;
    }
    let listener = fixture.listener().start();
    chain.succeed();
    assert!(listener.stop().is_complete());
    let found = chain_of(&fixture);
    for place in 0..4 {
        let own = found.iter().filter(|n| **n % 4 == place);
        assert!(own.eq((0..steps).filter(|n| n % 4 == place).collect::<Vec<_>>().iter()));
    }
    let swapped = found.windows(2).filter(|pair| pair[0] > pair[1]).count();
    eprintln!("{kills} kills, {swapped} places where the chain goes back");
    if crate::TRANSPORT == "lanes" {
        demand_chain(&fixture, steps);
    }
}
