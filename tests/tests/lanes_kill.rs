//! P3 and P4 together, over lanes: whoever is killed at whatever moment, each record whose call
//! returned stands in the file exactly once, in order, in a whole line.

use std::fs;
use std::time::Duration;

use fleetlog_tests::{Fixture, ListenerUnderTest, Program, Random, binaries, judge, wait};
use nix::sys::signal::Signal;

/// Rounds of one run; `FLEETLOG_KILLS=1000` for a run by hand.
fn rounds() -> u64 {
    std::env::var("FLEETLOG_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(25)
}

fn worker(fixture: &Fixture, number: u64, more: &[&str]) -> Program {
    let (number, folder) = (number.to_string(), fixture.path().to_str().expect("UTF-8"));
    let all = ["lone", "--number", &number, "--folder", folder];
    fixture.workload(all.iter().chain(more))
}

fn kill(mut programs: Vec<Program>) {
    for program in &programs {
        program.signal(Signal::SIGKILL);
    }
    for program in &mut programs {
        program.wait();
    }
}

/// Every record whose call returned, once; and of the calls that were under way when their
/// process was killed, at most the one of each thread.
fn demand_all(fixture: &Fixture) {
    let returned = judge::returned_calls(fixture.path());
    let verdict = judge::judge(&fixture.log());
    verdict.demand_prefixes(&returned);
    for (source, numbers) in &verdict.sources {
        let returned = returned.get(source).copied().unwrap_or(0);
        assert!(numbers.len() as u64 <= returned + 1, "{source}: {} of {returned}", numbers.len());
    }
    eprintln!("{} records of {} threads", verdict.records, verdict.sources.len());
}

fn segments(fixture: &Fixture) -> Vec<String> {
    let folder = fs::read_dir(fixture.run_dir().join("lanes")).expect("the folder of lanes");
    folder.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect()
}

/// The end of a run: a last listener takes in what the dead left, and leaves nothing behind.
fn finish(fixture: &Fixture, listener: ListenerUnderTest) {
    wait::until("the segments of the dead are drained", || segments(fixture).is_empty());
    let receipt = listener.stop();
    assert_eq!((receipt.dropped.total(), receipt.missing), (0, 0), "{receipt:?}");
    demand_all(fixture);
}

#[test]
fn listener_and_workers_that_are_killed_together_at_any_moment_lose_and_double_nothing() {
    let fixture = Fixture::new(binaries!()).over("lanes");
    let mut random = Random::seeded();
    for round in 0..rounds() {
        let workers = vec![worker(&fixture, 2 * round, &[]), worker(&fixture, 2 * round + 1, &[])];
        if round % 3 == 0 {
            // One that dies alone in between, with its workers going on.
            let listener = fixture.listener().start();
            std::thread::sleep(Duration::from_micros(random.below(20_000)));
            listener.kill();
        }
        let listener =
            if round % 2 == 0 { fixture.listener().start() } else { fixture.listener().launch() };
        std::thread::sleep(Duration::from_micros(random.below(30_000)));
        if random.below(2) == 0 {
            listener.kill();
            kill(workers);
        } else {
            kill(workers);
            listener.kill();
        }
    }
    finish(&fixture, fixture.listener().start());
}

#[test]
fn workers_that_die_while_nobody_listens_are_written_by_the_next_listener() {
    let fixture = Fixture::new(binaries!()).over("lanes");
    let workers: Vec<Program> =
        (0..20).map(|number| worker(&fixture, number, &["--pause", "2000"])).collect();
    for number in 0..20 {
        wait::until("each worker logs", || {
            let path = fixture.path().join(format!("returned.{number}.1"));
            fs::read(path).is_ok_and(|count| count.try_into().map_or(0, u64::from_le_bytes) > 20)
        });
    }
    kill(workers);
    assert_eq!(segments(&fixture).len(), 20);
    finish(&fixture, fixture.listener().start());
}

/// The listener dies at each of its steps while segments of dead workers end.
#[test]
fn a_listener_that_dies_at_each_step_of_ending_a_segment_loses_and_doubles_nothing() {
    let points = [
        "before-intent",
        "after-intent",
        "in-write",
        "after-write",
        "after-positions",
        "after-clear",
        "after-release",
        "before-unlink",
        "after-unlink",
    ];
    for (number, point) in (0..).zip(points) {
        let fixture = Fixture::new(binaries!()).over("lanes");
        let workers =
            vec![worker(&fixture, 2 * number, &[]), worker(&fixture, 2 * number + 1, &[])];
        let listener = fixture.listener().start();
        wait::until("the workers log", || {
            listener.status().is_some_and(|status| status["totals"]["written"].as_u64() > Some(100))
        });
        listener.kill();
        kill(workers);
        for count in 1..=3 {
            let fault = format!("{point}:{count}");
            let mut dying = fixture.listener().dying_at(&fault).launch();
            // Fewer segments than counts: then the listener has nothing left to die at.
            wait::until("the listener dies or is done", || {
                !dying.program.is_running() || segments(&fixture).is_empty()
            });
            if dying.program.is_running() {
                dying.kill();
            }
        }
        finish(&fixture, fixture.listener().start());
    }
}
