//! Which archives go, and that nothing else does.

use std::fs;
use std::path::PathBuf;

use fleetlog_tests::{Fixture, chapters, wait};

use crate::{fixture, listener, log, logs, storm};

const OLD: &str = "apps.2020-01-01T00-00-00Z.log";

fn archives(fixture: &Fixture) -> Vec<PathBuf> {
    let mut archives = chapters::archives(&log(fixture));
    archives.retain(|path| path.is_file());
    archives
}

/// Files that look almost like archives, and hold their own names.
fn foreign(fixture: &Fixture) -> Vec<PathBuf> {
    let names = [
        "apps-errors.log",
        "apps-errors.2020-01-01T00-00-00Z.log",
        "apps.errors.2020-01-01T00-00-00Z.log",
        "apps.2020-01-01.log",
        "apps.2020-01-01T00-00-00Z.log.bz2",
        "apps.2020-01-01T00-00-00Z.json",
        "apps.log.1",
        "apps.log.2020-01-01T00-00-00Z.tmp",
    ];
    let paths: Vec<_> = names.iter().map(|name| logs(fixture).join(name)).collect();
    for path in &paths {
        fs::write(path, path.to_str().expect("UTF-8")).expect("a file");
    }
    fs::create_dir(logs(fixture).join("apps.2020-01-02T00-00-00Z.log")).expect("a folder");
    paths
}

fn demand_untouched(fixture: &Fixture, paths: &[PathBuf]) {
    for path in paths {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        assert_eq!(text, path.to_str().expect("UTF-8"));
    }
    assert!(logs(fixture).join("apps.2020-01-02T00-00-00Z.log").is_dir());
}

#[test]
fn ten_restarts_leave_exactly_as_many_old_files_as_are_kept_and_no_other_file_is_touched() {
    let fixture = fixture();
    let foreign = foreign(&fixture);
    for round in 0..10 {
        let more: &[&str] = if round % 2 == 0 { &[] } else { &["--compress", "zstd"] };
        let running = listener(&fixture, &[&["--max-files", "5"], more].concat()).start();
        storm(&fixture, round, 1, 20);
        fixture.command(["rotate"]).succeed();
        assert!(running.stop().is_complete());
        let expected = usize::try_from(round + 1).expect("a number").min(5);
        let found = archives(&fixture);
        let mut stems: Vec<String> =
            found.iter().map(|path| path.display().to_string().replace(".zst", "")).collect();
        stems.dedup();
        assert_eq!(stems.len(), expected, "round {round}: {found:?}");
    }
    demand_untouched(&fixture, &foreign);
    // The newest ones: of the last rounds, one each.
    for (file, worker) in archives(&fixture).iter().zip(5..) {
        let text = String::from_utf8(chapters::read(file)).expect("UTF-8");
        assert!(text.contains(&format!("\"{worker}.0\"")), "{}: {text}", file.display());
    }
}

#[test]
fn what_is_too_old_goes_at_start_and_what_is_young_stays() {
    let fixture = fixture();
    let foreign = foreign(&fixture);
    let first = listener(&fixture, &[]).start();
    storm(&fixture, 0, 1, 20);
    fixture.command(["rotate"]).succeed();
    assert!(first.stop().is_complete());
    let young = archives(&fixture);
    for end in ["", ".gz", ".zst"] {
        fs::write(logs(&fixture).join(format!("{OLD}{end}")), "old").expect("a file");
    }
    fs::write(logs(&fixture).join("apps.2026-01-01T00-00-00Z_0007.log"), "old").expect("a file");
    let second = listener(&fixture, &["--max-age", "1h"]).start();
    wait::until("the old ones are gone", || {
        let left = archives(&fixture);
        left.len() <= young.len() || left.iter().all(|path| !path.ends_with(OLD))
    });
    assert!(second.stop().is_complete());
    let left: Vec<_> = archives(&fixture);
    // Packed twice by somebody: one of them is ours and goes, the other is not, until it is alone.
    let ours: Vec<_> = left.iter().filter(|path| !path.to_string_lossy().contains(OLD)).collect();
    assert_eq!(ours, young.iter().collect::<Vec<_>>(), "{left:?}");
    demand_untouched(&fixture, &foreign);
}

#[test]
fn an_archive_goes_when_its_time_has_come_though_nobody_logs() {
    let fixture = fixture();
    let running = listener(&fixture, &["--max-age", "2s", "--compress", "gzip"]).start();
    storm(&fixture, 0, 1, 20);
    fixture.command(["rotate"]).succeed();
    wait::until("the archive is gone", || archives(&fixture).is_empty());
    assert!(running.stop().is_complete());
}

#[test]
fn a_folder_in_the_place_of_a_packed_copy_keeps_no_listener_from_its_start() {
    let fixture = fixture();
    let folder = logs(&fixture).join("apps.2020-01-03T00-00-00Z.log.gz.tmp");
    fs::create_dir(&folder).expect("a folder");
    let mut running = listener(&fixture, &["--compress", "gzip"]).launch();
    wait::until("the listener answers or ends", || {
        running.status().is_some() || !running.program.is_running()
    });
    assert!(running.program.is_running(), "{}", running.program.output());
    assert!(running.stop().is_complete());
    assert!(folder.is_dir());
}

/// Whoever tidies up by hand must not stop the packing of everything that comes later.
#[test]
fn an_archive_that_somebody_removed_does_not_keep_the_next_ones_from_being_packed() {
    let fixture = fixture();
    let running = listener(&fixture, &["--compress", "gzip", "--delay-compress"]).start();
    storm(&fixture, 0, 1, 20);
    fixture.command(["rotate"]).succeed();
    let removed = archives(&fixture);
    assert_eq!(removed.len(), 1);
    fs::remove_file(&removed[0]).expect("the archive");
    for round in 1..3 {
        storm(&fixture, round, 1, 20);
        fixture.command(["rotate"]).succeed();
    }
    wait::until("an archive is packed", || {
        archives(&fixture).iter().any(|path| path.extension().is_some_and(|end| end == "gz"))
    });
    assert!(running.stop().is_complete());
}

/// What is not there must not push out what is.
#[test]
fn an_archive_that_somebody_removed_does_not_count() {
    let fixture = fixture();
    let running = listener(&fixture, &["--max-files", "3"]).start();
    for round in 0..3 {
        storm(&fixture, round, 1, 20);
        fixture.command(["rotate"]).succeed();
    }
    let first = archives(&fixture);
    fs::remove_file(&first[2]).expect("the newest archive");
    storm(&fixture, 3, 1, 20);
    fixture.command(["rotate"]).succeed();
    assert_eq!(archives(&fixture).len(), 3, "{:?} of {first:?}", archives(&fixture));
    assert_eq!(running.status().expect("a status")["sinks"][0]["archives"], 3);
}
