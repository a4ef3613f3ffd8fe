//! P12, the level: what living workers log is changed from outside, within moments and for a time.

mod command;
mod effect;
mod forks;
mod restarts;
mod users;

use std::fs;
use std::path::PathBuf;

use fleetlog_protocol::stamp::Stamp;
use fleetlog_tests::fixture::Program;
use fleetlog_tests::{Fixture, binaries, wait};

fn fixture() -> Fixture {
    Fixture::new(binaries!())
}

/// The workload's scenario `level`.
struct Fleet<'f> {
    fixture: &'f Fixture,
    program: Program,
}

impl<'f> Fleet<'f> {
    /// Starts workers with the numbers from `first`, and waits until all of them are there. Those
    /// with an even number are silent.
    fn start(fixture: &'f Fixture, first: u64, workers: u64) -> Self {
        let folder = fixture.path().to_str().expect("UTF-8");
        let [first_text, count] = [first, workers].map(|number| number.to_string());
        let arguments = ["level", "--folder", folder, "--first", &first_text, "--workers", &count];
        let fleet = Self { fixture, program: fixture.workload(arguments) };
        (first..first + workers).for_each(|worker| fleet.await_worker(worker));
        fleet
    }

    /// Lets the program fork its next worker.
    fn fork(&self, worker: u64) {
        fs::write(self.fixture.path().join(format!("spawn.{worker}")), "").expect("a file");
        self.await_worker(worker);
    }

    fn await_worker(&self, worker: u64) {
        let path = self.fixture.path().join(format!("ready.{worker}"));
        wait::until("the worker is there", || {
            path.exists() && !notes(self.fixture, worker).is_empty()
        });
    }

    /// Ends the workers.
    fn end(self) {
        let end = self.fixture.path().join("end");
        fs::write(&end, "").expect("a file");
        self.program.succeed();
        fs::remove_file(end).expect("a file");
    }
}

/// The levels that a worker has noted, with the times.
fn notes(fixture: &Fixture, worker: u64) -> Vec<(String, Stamp)> {
    let path: PathBuf = fixture.path().join(format!("level.{worker}"));
    let text = fs::read_to_string(path).unwrap_or_default();
    // The last line may be under way.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let note = |line: &str| {
        let (level, stamp) = line.split_once(' ').expect("a level and a time");
        (level.to_owned(), stamp.parse().expect("a time"))
    };
    whole.lines().map(note).collect()
}

/// The level that a worker has at the moment.
fn level(fixture: &Fixture, worker: u64) -> Option<String> {
    notes(fixture, worker).pop().map(|(level, _)| level)
}

fn await_level(fixture: &Fixture, workers: impl IntoIterator<Item = u64>, expected: &str) {
    for worker in workers {
        wait::until(&format!("worker {worker} is at {expected}"), || {
            level(fixture, worker).as_deref() == Some(expected)
        });
    }
}
