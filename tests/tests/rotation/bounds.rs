//! The bound of all bytes: never exceeded, at no instant, by whatever the listener does.

use std::fs;

use fleetlog_tests::{Fixture, Random, Usage, chapters, judge};
use serde_json::Value;

use crate::{demand_sizes, fixture, listener, log, number, storm};

/// Sends many times the bound through a log while its folder is looked at. Returns the records of
/// each worker.
fn flood(fixture: &Fixture, megabytes: u64, limit: u64, more: &[&str]) -> u64 {
    let limit_text = limit.to_string();
    let running = listener(fixture, &[&["--max-total-size", &limit_text], more].concat()).start();
    let usage = Usage::of(&log(fixture));
    // Four workers; a line has about 1,200 bytes.
    let records = megabytes * 1_000_000 / 4 / 1200;
    let records_text = records.to_string();
    let arguments = ["storm", "--workers", "4", "--ballast", "1000", "--records", &records_text];
    fixture.workload(arguments).succeed();
    let status = running.status().expect("a status");
    let receipt = running.stop();
    assert!(receipt.is_complete(), "{receipt:?}");
    assert!(receipt.bytes > 10 * limit, "{} bytes prove nothing", receipt.bytes);
    let most = usage.most();
    assert!(most <= limit, "{most} bytes, the limit is {limit}");
    assert!(most > limit / 2, "{most} bytes: the room is used");
    let sink = &status["sinks"][0];
    assert_eq!(sink["total_bytes_max"], limit, "{status}");
    assert!(sink["total_bytes"].as_u64() <= Some(limit), "{status}");
    records
}

/// What is left of each source are its last records, without a hole.
fn demand_newest(fixture: &Fixture, records: u64) {
    let verdict = judge::judge(&log(fixture));
    for (source, numbers) in &verdict.sources {
        let first = numbers.first().copied().expect("a number");
        assert!(numbers.iter().copied().eq(first..records), "{source}: the oldest go first");
    }
    assert!(!verdict.sources.is_empty());
}

#[test]
fn many_times_the_total_go_through_a_log_that_never_has_more_bytes_than_it() {
    let fixture = fixture();
    let scale = number("FLEETLOG_STORM_SCALE", 1);
    let records = flood(&fixture, 100 * scale, 5_000_000, &[]);
    demand_newest(&fixture, records);
}

#[test]
fn the_total_holds_while_files_are_packed_too() {
    for compression in ["gzip", "zstd"] {
        let fixture = fixture();
        let scale = number("FLEETLOG_STORM_SCALE", 1);
        let records = flood(&fixture, 50 * scale, 5_000_000, &["--compress", compression]);
        demand_newest(&fixture, records);
    }
}

/// A copy that is almost as large as its file needs the room that was set aside for it.
#[test]
fn the_total_holds_where_packing_hardly_makes_a_file_smaller() {
    const LIMIT: u64 = 2_000_000;
    let fixture = fixture();
    let mut random = Random::seeded();
    let mut letter = || char::from(b'!' + u8::try_from(random.below(90)).expect("a letter"));
    let mut input = String::new();
    for _ in 0..30_000 {
        input.extend((0..600).map(|_| letter()));
        input.push('\n');
    }
    let arguments = ["--max-total-size", "2000000", "--compress", "zstd"];
    let running = listener(&fixture, &arguments).start();
    let usage = Usage::of(&log(&fixture));
    fixture.command_with_input(["pipe", "--name", "noise"], &input).succeed();
    let receipt = running.stop();
    assert!(receipt.is_complete() && receipt.written == 30_000, "{receipt:?}");
    let most = usage.most();
    assert!(most <= LIMIT, "{most} bytes");
}

#[test]
fn the_total_holds_where_a_file_is_almost_as_large_as_it() {
    let fixture = fixture();
    let records = flood(&fixture, 40, 2_000_000, &["--max-size", "1900000", "--compress", "gzip"]);
    demand_newest(&fixture, records);
}

#[test]
fn the_total_holds_across_restarts() {
    const LIMIT: u64 = 300_000;
    let fixture = fixture();
    let usage = Usage::of(&log(&fixture));
    let mut archives = 0;
    for round in 0..8 {
        let running = listener(&fixture, &["--max-total-size", "300000"]).start();
        storm(&fixture, round, 1, 1000);
        assert!(running.stop().is_complete());
        archives = archives.max(chapters::archives(&log(&fixture)).len());
    }
    let most = usage.most();
    assert!(most <= LIMIT, "{most} bytes");
    assert!((5..=10).contains(&archives), "{archives} files of a tenth of the total");
}

#[test]
fn a_size_smaller_than_one_record_gives_each_record_a_file_and_loses_none() {
    let fixture = fixture();
    let running = listener(&fixture, &["--max-size", "100"]).start();
    storm(&fixture, 0, 2, 60);
    assert!(running.stop().is_complete());
    judge::judge(&log(&fixture)).demand_exact(2, 60);
    for file in chapters::archives(&log(&fixture)) {
        assert_eq!(judge::lines_of_file(&file).len(), 1, "{}", file.display());
    }
    assert!(judge::lines_of_file(&log(&fixture)).len() <= 1);
}

#[test]
fn records_of_every_size_never_make_a_file_too_large() {
    let fixture = fixture();
    let running = listener(&fixture, &["--max-size", "70000"]).start();
    for (first, ballast) in ["0", "10", "3000", "30000", "60000"].into_iter().enumerate() {
        let first = first.to_string();
        let arguments = ["storm", "--first", &first, "--workers", "1", "--records", "40"];
        fixture.workload(arguments.iter().chain(&["--ballast", ballast])).succeed();
    }
    assert!(running.stop().is_complete());
    judge::judge(&log(&fixture)).demand_exact(5, 40);
    assert!(demand_sizes(&log(&fixture), 70_000) > 40);
}

#[test]
fn a_size_beyond_the_total_is_refused_and_both_are_named() {
    let fixture = fixture();
    let mut refused =
        listener(&fixture, &["--max-size", "20M", "--max-total-size", "10M"]).launch();
    assert_eq!(refused.program.code(), 2, "{}", refused.program.output());
    let said = refused.program.output();
    assert!(
        said.contains("20971520") || said.contains("20000000") || said.contains("20M"),
        "{said}"
    );
    assert!(
        said.contains("10485760") || said.contains("10000000") || said.contains("10M"),
        "{said}"
    );
    assert!(!log(&fixture).exists(), "nothing was begun");
}

#[test]
fn status_tells_of_rotations_archives_and_bytes_as_they_lie_in_the_folder() {
    let fixture = fixture();
    let running =
        listener(&fixture, &["--max-size", "50000", "--max-total-size", "9000000"]).start();
    storm(&fixture, 0, 2, 1000);
    fixture.command(["sync"]).succeed();
    let status = running.status().expect("a status");
    let sink = &status["sinks"][0];
    let files = chapters::of(&log(&fixture));
    let bytes: u64 = files.iter().map(|file| fs::metadata(file).expect("a file").len()).sum();
    assert!(files.len() > 5, "{files:?}");
    assert_eq!(sink["archives"], files.len() - 1, "{status}");
    assert_eq!(sink["rotations"], files.len() - 1, "{status}");
    assert_eq!(sink["total_bytes"], bytes, "{status}");
    assert_eq!(sink["total_bytes_max"], 9_000_000, "{status}");
    assert_eq!(sink["truncations"], 0, "{status}");
    assert!(running.stop().is_complete());
    // After a restart the archives are known, the rotations of an earlier listener are not.
    let unbounded = ["--max-size", "50000", "--max-files", "100"];
    let running = listener(&fixture, &unbounded).start();
    let status = running.status().expect("a status");
    let sink = &status["sinks"][0];
    assert_eq!(sink["archives"], files.len() - 1, "{status}");
    assert_eq!((&sink["rotations"], &sink["total_bytes_max"]), (&Value::from(0), &Value::Null));
}
