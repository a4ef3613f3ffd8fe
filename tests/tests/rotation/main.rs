//! P10 as a whole: real processes, files that are rotated, packed, moved and removed under them,
//! and a judge that reads every one of those files.

mod bounds;
mod clock;
mod commands;
mod disk;
mod foreign;
mod kills;
mod latest;
mod modes;
mod others;
mod refusal;
mod retention;
mod several;
mod storms;
mod torn;

use std::path::{Path, PathBuf};

use fleetlog_tests::fixture::ListenerBuilder;
use fleetlog_tests::{Fixture, binaries, chapters, usage};

/// A fixture with a folder in which nothing but logs lies.
fn fixture() -> Fixture {
    let fixture = Fixture::new(binaries!());
    std::fs::create_dir(logs(&fixture)).expect("a folder");
    fixture
}

fn logs(fixture: &Fixture) -> PathBuf {
    fixture.path().join("logs")
}

fn log(fixture: &Fixture) -> PathBuf {
    logs(fixture).join("apps.log")
}

/// A listener that writes JSON lines to [`log`], with more arguments.
fn listener<'f>(fixture: &'f Fixture, more: &[&str]) -> ListenerBuilder<'f> {
    let log = log(fixture);
    let arguments = ["--format", "json", "--file", log.to_str().expect("UTF-8")];
    fixture.listener().only_with(arguments).with(more.iter().copied())
}

/// A number of an environment variable, for longer runs by hand.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|number| number.parse().ok()).unwrap_or(default)
}

/// Runs a storm of numbered workers to its end.
fn storm(fixture: &Fixture, first: u64, workers: u64, records: u64) {
    let [first, workers, records] = [first, workers, records].map(|number| number.to_string());
    let arguments = ["storm", "--first", &first, "--workers", &workers, "--records", &records];
    fixture.workload(arguments).succeed();
}

/// Demands that no file of a log was ever larger than a limit, and returns how many archives it has.
fn demand_sizes(log: &Path, limit: u64) -> usize {
    for file in chapters::of(log) {
        let len = chapters::read(&file).len() as u64;
        assert!(len <= limit, "{} has {len} bytes, the limit is {limit}", file.display());
    }
    chapters::of(log).len() - 1
}

/// Every file of the folder of logs once, whatever it is called: neither the packed copy of a file
/// that is there as well, nor what is not whole.
fn scattered(fixture: &Fixture) -> Vec<PathBuf> {
    let files = usage::files(&logs(fixture));
    let is_copy = |path: &PathBuf| {
        let packed = path.extension().is_some_and(|end| end == "gz" || end == "zst");
        packed && files.contains(&path.with_extension(""))
    };
    let unfinished = usage::unfinished(&logs(fixture));
    files.iter().filter(|path| !is_copy(path) && !unfinished.contains(path)).cloned().collect()
}

/// Demands that nothing half done lies in the folder of logs once another listener has started,
/// which packs nothing by itself.
fn demand_tidy(fixture: &Fixture) {
    assert!(listener(fixture, &[]).start().stop().is_complete());
    let left = usage::unfinished(&logs(fixture));
    assert!(left.is_empty(), "left behind: {left:?}");
}
