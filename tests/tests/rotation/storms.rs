//! Storms through a log that is rotated all the time: EXACT, and no file beyond its limit.

use std::fs;
use std::time::Duration;

use fleetlog_tests::{Fixture, Random, Steady, chapters, judge, usage, wait};

use crate::{demand_sizes, demand_tidy, fixture, listener, log, logs, number, scattered, storm};

const LIMIT: u64 = 1_000_000;
const ROTATED: [&str; 4] = ["--max-size", "1000000", "--compress", "gzip"];

fn fleet(fixture: &Fixture) -> Steady {
    Steady::start(fixture, 8, 1, &["--pause", "5000"])
}

fn has_archives(fixture: &Fixture, least: usize) -> bool {
    chapters::archives(&log(fixture)).len() >= least
}

#[test]
fn a_storm_through_compressed_files_is_exact_and_each_file_keeps_its_limit() {
    let records = 5000 * number("FLEETLOG_STORM_SCALE", 1);
    for compression in ["gzip", "zstd"] {
        let fixture = fixture();
        let running =
            listener(&fixture, &["--max-size", "1000000", "--compress", compression]).start();
        storm(&fixture, 0, 8, records);
        wait::until("an archive is packed", || {
            let archives = chapters::archives(&log(&fixture));
            archives.iter().any(|path| !path.to_string_lossy().ends_with(".log"))
        });
        let receipt = running.stop();
        assert!(receipt.is_complete(), "{receipt:?}");
        judge::judge(&log(&fixture)).demand_exact(8, records);
        assert!(demand_sizes(&log(&fixture), LIMIT) > 5);
        demand_tidy(&fixture);
    }
}

/// What is written when the sentinel comes takes room that nobody would give back before the next
/// start.
#[test]
fn a_listener_that_ends_while_it_packs_leaves_no_copy_behind() {
    for round in 0..10 {
        let fixture = fixture();
        let running = listener(&fixture, &["--max-size", "100000", "--compress", "zstd"]).start();
        storm(&fixture, 0, 4, 3000);
        assert!(running.stop().is_complete());
        let left = usage::unfinished(&logs(&fixture));
        assert!(left.is_empty(), "round {round}: {left:?}");
    }
}

#[test]
fn a_storm_whose_listener_is_killed_again_and_again_is_exact_in_all_its_files() {
    let fixture = fixture();
    let mut random = Random::seeded();
    let fleet = fleet(&fixture);
    let kills = number("FLEETLOG_KILLS", 10);
    for kill in 0..kills {
        let builder = listener(&fixture, &ROTATED);
        let running = if kill % 2 == 0 { builder.start() } else { builder.launch() };
        std::thread::sleep(Duration::from_micros(random.below(150_000)));
        running.kill();
    }
    let last = listener(&fixture, &ROTATED).start();
    wait::until("files are rotated", || has_archives(&fixture, 3));
    let counts = fleet.finish();
    assert!(last.stop().is_complete());
    judge::judge(&log(&fixture)).demand_counts(&counts);
    let archives = demand_sizes(&log(&fixture), LIMIT);
    demand_tidy(&fixture);
    eprintln!("{kills} kills, {archives} archives");
}

#[test]
fn a_storm_whose_files_are_rotated_on_command_is_exact() {
    let fixture = fixture();
    let running = listener(&fixture, &ROTATED).start();
    let fleet = fleet(&fixture);
    let rotations = number("FLEETLOG_ROTATIONS", 30);
    for _ in 0..rotations {
        let before = running.status().expect("a status")["totals"]["written"].as_u64();
        wait::until("somebody logs", || {
            running.status().expect("a status")["totals"]["written"].as_u64() > before
        });
        fixture.command(["rotate"]).succeed();
    }
    let counts = fleet.finish();
    let told = running.status().expect("a status")["sinks"][0]["rotations"].as_u64();
    assert!(told >= Some(rotations), "{told:?} rotations");
    assert!(running.stop().is_complete());
    judge::judge(&log(&fixture)).demand_counts(&counts);
    let archives = demand_sizes(&log(&fixture), LIMIT);
    assert_eq!(Some(archives as u64), told, "one archive for each rotation");
    demand_tidy(&fixture);
}

#[test]
fn a_storm_whose_files_are_moved_and_reopened_is_exact_in_the_moved_files_too() {
    let fixture = fixture();
    let running = listener(&fixture, &ROTATED).start();
    let fleet = fleet(&fixture);
    let moves = number("FLEETLOG_ROTATIONS", 30);
    for number in 0..moves {
        let moved = logs(&fixture).join(format!("apps.log.moved-{number:04}"));
        fs::rename(log(&fixture), &moved).expect("the current file is there");
        let said = fixture.command(["reopen"]).succeed();
        assert!(said.contains("written at its path"), "{said}");
        assert!(log(&fixture).exists(), "the new file is there when the command returns");
        std::thread::sleep(Duration::from_millis(100));
    }
    let counts = fleet.finish();
    assert!(running.stop().is_complete());
    let files = scattered(&fixture);
    let moved = files.iter().filter(|path| path.to_string_lossy().contains("moved")).count();
    assert_eq!(moved as u64, moves);
    assert!(files.len() as u64 > moves + 1, "rotated beside it: {files:?}");
    judge::judge_scattered(&files).demand_counts(&counts);
    demand_tidy(&fixture);
}
