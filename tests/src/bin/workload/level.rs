//! Workers whose level somebody changes: forked at the start and later, silent or not.
//!
//! The program obeys files in a folder: `spawn.<n>` lets it fork worker `n`, `end` lets all end. A
//! worker notes each change of its level with the host's monotonic time, in `level.<n>`, and then
//! logs once at `debug`. Silent workers log nothing else, ever; the others log all the time.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fleetlog_protocol::stamp;
use fleetlog_worker::Fleet;
use tracing::level_filters::LevelFilter;

use crate::arguments::Arguments;
use crate::setup::announce;

/// How often a worker looks at its level; the measured times are no finer.
const GLANCE: Duration = Duration::from_millis(2);

pub(crate) struct Level {
    workers: u64,
    /// The first worker's number.
    first: u64,
    folder: PathBuf,
}

impl From<&mut Arguments> for Level {
    fn from(arguments: &mut Arguments) -> Self {
        Self {
            workers: arguments.take("workers", 4),
            first: arguments.take("first", 0),
            folder: arguments.take("folder", PathBuf::new()),
        }
    }
}

pub(crate) fn run(level: &Level) {
    fleetlog_worker::init().expect("a subscriber");
    let mut fleet = Fleet::new(crate::setup::run_dir()).expect("a fleet");
    let mut spawn = |number: u64| {
        let folder = level.folder.as_path();
        fleet.spawn(format!("worker {number}"), || work(folder, number)).expect("a fork");
    };
    (level.first..level.first + level.workers).for_each(&mut spawn);
    let mut later = level.first + level.workers;
    while !is_over(&level.folder) {
        if level.folder.join(format!("spawn.{later}")).exists() {
            spawn(later);
            later += 1;
        }
        std::thread::sleep(GLANCE);
    }
    assert!(fleet.join().expect("all workers").is_success());
}

/// Whether all are to end; a test that failed has taken its folder along.
fn is_over(folder: &Path) -> bool {
    folder.join("end").exists() || !folder.exists()
}

fn work(folder: &Path, number: u64) {
    let is_silent = number.is_multiple_of(2);
    let path = folder.join(format!("level.{number}"));
    let mut notes = OpenOptions::new().create(true).append(true).open(path).expect("a file");
    let mut before = None;
    let mut n = 0;
    announce(folder, &format!("ready.{number}"));
    while !is_over(folder) {
        let level = LevelFilter::current();
        // The callsite's own interest is what counts, and the interest follows the level.
        if before != Some(level) {
            tracing::debug!(target: "app", source = number, n, "the level is {level}");
            writeln!(notes, "{level} {}", stamp::now()).expect("a note");
            before = Some(level);
        }
        if !is_silent {
            tracing::debug!(target: "app", source = number, n, "all the time");
            tracing::info!(target: "other", source = number, n, "all the time");
            n += 1;
        }
        std::thread::sleep(GLANCE);
    }
}
