//! A disk that somebody else filled: the drain waits and goes on by itself, whatever a rotation or
//! a packer had under way.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use fleetlog_tests::{Disk, Steady, judge, usage, wait};

use crate::{demand_sizes, fixture, storm};

/// Takes every byte that is left.
fn fill(path: &Path) {
    let mut hog = File::create(path).expect("a file");
    for size in [64 << 10, 4 << 10, 1] {
        let chunk = vec![b'h'; size];
        while hog.write_all(&chunk).is_ok() {}
    }
}

#[test]
fn a_disk_that_somebody_else_filled_is_used_again_when_it_has_room_and_nothing_is_lost() {
    let fixture = fixture();
    let Some(disk) = Disk::mount(&fixture.path().join("disk"), "10m") else { return };
    let log = disk.path().join("apps.log");
    let arguments = ["--format", "json", "--file", log.to_str().expect("UTF-8")];
    let rotated = ["--max-size", "100000", "--max-total-size", "9000000", "--compress", "gzip"];
    let builder = fixture.listener().only_with(arguments).with(rotated);
    let running = builder.start();
    let steady = Steady::start(&fixture, 4, 1, &["--pause", "20000"]);
    wait::until("files are rotated", || {
        running.status().expect("a status")["sinks"][0]["rotations"].as_u64() > Some(3)
    });
    for round in 0..3 {
        let hog = disk.path().join("hog");
        fill(&hog);
        wait::until("the drain pauses", || {
            running.status().expect("a status")["listener"]["paused"].is_string()
        });
        // Nobody may rotate now; whoever asks hears so, or waits.
        let code = fixture.command(["rotate", "--timeout", "100ms"]).code();
        assert!(code == 1 || code == 4, "round {round}: {code}");
        fs::remove_file(&hog).expect("the hog");
        wait::until("the drain goes on", || {
            running.status().expect("a status")["listener"]["paused"].is_null()
        });
    }
    let mut counts = steady.finish();
    storm(&fixture, 10, 1, 100);
    counts.insert("\"10.0\"".to_owned(), 100);
    let said = running.program.output();
    assert_eq!(said.matches("a sink fails").count(), said.matches("work again").count(), "{said}");
    assert!(running.stop().is_complete());
    judge::judge(&log).demand_counts(&counts);
    demand_sizes(&log, 100_000);
    assert!(
        usage::unfinished(disk.path())
            .iter()
            .all(|path| path.extension().is_some_and(|end| end == "tmp"))
    );
}

#[test]
fn a_listener_that_is_killed_on_a_full_disk_while_it_rotates_loses_and_doubles_nothing() {
    let fixture = fixture();
    let Some(disk) = Disk::mount(&fixture.path().join("disk"), "10m") else { return };
    let log = disk.path().join("apps.log");
    let arguments = ["--format", "json", "--file", log.to_str().expect("UTF-8")];
    let rotated = ["--max-size", "30000", "--max-total-size", "9000000", "--compress", "zstd"];
    let steady = Steady::start(&fixture, 2, 1, &["--pause", "20000"]);
    let hog = disk.path().join("hog");
    for _ in 0..5 {
        let running = fixture.listener().only_with(arguments).with(rotated).start();
        wait::until("a file is rotated", || {
            running.status().expect("a status")["sinks"][0]["rotations"].as_u64() > Some(0)
        });
        fill(&hog);
        wait::until("the drain pauses", || {
            running.status().expect("a status")["listener"]["paused"].is_string()
        });
        running.kill();
        let second = fixture.listener().only_with(arguments).with(rotated).start();
        fs::remove_file(&hog).expect("the hog");
        second.kill();
    }
    let running = fixture.listener().only_with(arguments).with(rotated).start();
    let counts = steady.finish();
    assert!(running.stop().is_complete());
    judge::judge(&log).demand_counts(&counts);
    demand_sizes(&log, 30_000);
    assert!(
        usage::unfinished(disk.path())
            .iter()
            .all(|path| path.extension().is_some_and(|end| end == "tmp"))
    );
}
