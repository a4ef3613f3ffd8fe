//! Rotation by the clock, alone and together with the size.

use std::fs::File;
use std::time::{Duration, SystemTime};

use fleetlog_tests::{Fixture, chapters, judge, wait};

use crate::{demand_sizes, fixture, listener, log, storm};

/// Sets the time of the last write back.
fn age(fixture: &Fixture, by: Duration) {
    let file = File::options().write(true).open(log(fixture)).expect("the log");
    file.set_modified(SystemTime::now() - by).expect("another time");
}

#[test]
fn a_file_of_an_earlier_period_is_an_archive_before_the_first_record_of_this_one() {
    for period in ["minutely", "hourly", "daily", "weekly"] {
        let fixture = fixture();
        let first = listener(&fixture, &["--rotation", period]).start();
        storm(&fixture, 0, 1, 20);
        assert!(first.stop().is_complete());
        age(&fixture, Duration::from_secs(15 * 86_400));
        let second = listener(&fixture, &["--rotation", period]).start();
        storm(&fixture, 1, 1, 20);
        assert!(second.stop().is_complete());
        let archives = chapters::archives(&log(&fixture));
        // Never more than one line of time lies between the two, but a minute may end meanwhile.
        assert!(!archives.is_empty(), "{period}");
        let old = judge::lines_of_file(&archives[0]);
        let source = |line: &judge::Line| line.fields.get("source").cloned();
        assert!(old.iter().filter_map(source).all(|source| source == "0.0"), "{period}");
        judge::judge(&log(&fixture)).demand_exact(2, 20);
    }
}

#[test]
fn a_file_of_this_period_goes_on_after_a_restart() {
    let fixture = fixture();
    for round in 0..3 {
        let running = listener(&fixture, &["--rotation", "weekly"]).start();
        storm(&fixture, round, 1, 20);
        assert!(running.stop().is_complete());
    }
    assert!(chapters::archives(&log(&fixture)).len() <= 1, "only if a week ended meanwhile");
    judge::judge(&log(&fixture)).demand_exact(3, 20);
}

#[test]
fn size_and_time_rotate_together() {
    let fixture = fixture();
    let arguments = ["--rotation", "hourly", "--max-size", "100000", "--compress", "gzip"];
    let first = listener(&fixture, &arguments).start();
    storm(&fixture, 0, 2, 1000);
    assert!(first.stop().is_complete());
    let by_size = demand_sizes(&log(&fixture), 100_000);
    assert!(by_size > 3);
    age(&fixture, Duration::from_secs(7200));
    let second = listener(&fixture, &arguments).start();
    storm(&fixture, 2, 1, 10);
    assert!(second.stop().is_complete());
    assert!(demand_sizes(&log(&fixture), 100_000) > by_size, "one more by time");
    let verdict = judge::judge(&log(&fixture));
    let counts = [("\"0.0\"", 1000), ("\"1.0\"", 1000), ("\"2.0\"", 10)];
    verdict.demand_counts(&counts.map(|(source, count)| (source.to_owned(), count)).into());
}

/// Takes as long as the minute does.
#[test]
fn a_minute_ends_and_its_file_is_an_archive_though_nobody_logs() {
    let fixture = fixture();
    let running = listener(&fixture, &["--rotation", "minutely"]).start();
    storm(&fixture, 0, 1, 20);
    wait::until("the minute is over", || !chapters::archives(&log(&fixture)).is_empty());
    wait::until("it is told", || {
        running.status().expect("a status")["sinks"][0]["rotations"].as_u64() >= Some(1)
    });
    assert!(running.stop().is_complete());
    let archives = chapters::archives(&log(&fixture));
    let name = archives[0].file_name().expect("a name").to_string_lossy().into_owned();
    assert!(name.contains("-00Z"), "closed with the minute: {name}");
    judge::judge(&log(&fixture)).demand_exact(1, 20);
}
