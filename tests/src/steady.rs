//! A fleet that logs until it is told to end, whatever happens to its listener: the load in the
//! background of a test, and the witness that nothing it logged was lost or doubled.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use crate::fixture::{Fixture, Program};

/// The workload's scenario `steady`.
#[derive(Debug)]
pub struct Steady {
    /// The process that forked the workers.
    pub program: Program,
    until: PathBuf,
    sources: Vec<String>,
}

impl Steady {
    /// Starts `workers` processes of `threads` threads each, with more arguments of the scenario.
    #[must_use]
    pub fn start(fixture: &Fixture, workers: usize, threads: usize, arguments: &[&str]) -> Self {
        let until = fixture.path().join("until");
        let [worker_count, thread_count] = [workers, threads].map(|count| count.to_string());
        let until_text = until.to_str().expect("UTF-8").to_owned();
        let mut all = vec!["steady", "--workers", &worker_count, "--threads", &thread_count];
        all.extend(["--until", &until_text]);
        all.extend(arguments);
        let program = fixture.workload(all);
        let sources = (0..workers)
            .flat_map(|worker| (0..threads).map(move |thread| format!("{worker}.{thread}")))
            .collect();
        Self { program, until, sources }
    }

    /// Tells the fleet to end, without waiting for it.
    pub fn tell_to_end(&self) {
        fs::write(&self.until, "").expect("a file");
    }

    /// Lets the fleet end, which it does when everything is in the files, and returns how many
    /// records each source logged, by the names that the judge gives them.
    #[must_use]
    pub fn finish(self) -> HashMap<String, u64> {
        self.tell_to_end();
        self.program.succeed();
        let count = |source: &String| {
            let path = format!("{}.{source}", self.until.display());
            let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
            (format!("\"{source}\""), text.parse().expect("a count"))
        };
        self.sources.iter().map(count).collect()
    }
}
