//! The seeded simulation of the file logic: batches, rotation, retention, compression, reopening
//! and recovery, over a disk that kills, fails, fills up and changes its clock at any step.
//!
//! A run is made of one number, its seed: `FLEETLOG_SEED=<seed>` replays it, `FLEETLOG_SEEDS` says
//! how many are run. The model is simple: of the records that were fed, each stands in the files
//! exactly once, or in the oldest that retention removed; no file is larger than the limit unless
//! one record is; the bytes of all files never exceed the total, at any step.

mod fleet;
mod model;

use crate::disk::simulated::Planted;
use fleet::Fleet;

/// Seeds that are run in a normal test run; some 1.5 million steps.
const SEEDS: u64 = 3000;

/// What one run found.
fn run(seed: u64, planted: Option<Planted>) -> Result<u64, String> {
    let mut fleet = Fleet::new(seed, planted);
    let found = fleet.live();
    found.map(|()| fleet.steps()).map_err(|fault| {
        format!("seed {seed}: {fault}\nreplay it with FLEETLOG_SEED={seed}\n{}", fleet.story())
    })
}

#[test]
fn no_kill_no_full_disk_and_no_clock_loses_doubles_or_tears_a_record() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("FLEETLOG_SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..number("FLEETLOG_SEEDS").unwrap_or(SEEDS) + 1,
    };
    let (mut steps, count) = (0, seeds.end - seeds.start);
    for seed in seeds {
        match run(seed, None) {
            Ok(more) => steps += more,
            Err(report) => panic!("{report}"),
        }
    }
    eprintln!("{count} seeds, {steps} steps");
    assert!(count == 1 || steps / count > 100, "the simulation does next to nothing: {steps}");
}

#[test]
fn the_night_in_which_the_clock_falls_back_has_a_file_for_each_of_its_hours() {
    let mut fleet = Fleet::of_one_night();
    let files = fleet.live_through_the_night();
    // 00, 01, 02 and 02 again, 03, 04 by the local clock; the last hour is the current file.
    let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "/log/apps.2026-10-24T23-00-00Z.log",
            "/log/apps.2026-10-25T00-00-00Z.log",
            "/log/apps.2026-10-25T01-00-00Z.log",
            "/log/apps.2026-10-25T02-00-00Z.log",
            "/log/apps.2026-10-25T03-00-00Z.log",
            "/log/apps.log",
        ]
    );
    let numbers: Vec<u64> = files.iter().flat_map(|(_, numbers)| numbers).copied().collect();
    assert!(numbers.iter().copied().eq(1..=360), "each minute's record once: {numbers:?}");
    assert!(files.iter().all(|(_, numbers)| numbers.len() == 60), "{files:?}");
}

#[test]
fn a_planted_fault_is_found_and_its_seed_finds_it_again() {
    for planted in [Planted::NoCut, Planted::ForgetfulState, Planted::LyingWrite] {
        let found = (1..500).find_map(|seed| run(seed, Some(planted)).err().map(|_| seed));
        let seed = found.unwrap_or_else(|| panic!("{planted:?} was not found in 500 seeds"));
        let first = run(seed, Some(planted)).expect_err("the same seed finds it again");
        let again = run(seed, Some(planted)).expect_err("the same seed finds it again");
        assert_eq!(first, again, "a replay is the same to the last word");
        assert!(run(seed, None).is_ok(), "without the fault the same seed finds nothing");
    }
}
