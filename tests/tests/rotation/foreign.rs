//! What others do to the files: copytruncate, mv, rm. The listener goes on in a file that has a
//! name, and counts what was taken from it.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use fleetlog_protocol::stamp;
use fleetlog_tests::raw::{self, Raw};
use fleetlog_tests::{ListenerUnderTest, Steady, chapters, judge, usage, wait};

use nix::sys::signal::Signal;

use crate::{fixture, listener, log, logs, scattered, storm};

fn identity(path: &Path) -> (u64, u64) {
    let found = fs::metadata(path).expect("a file");
    (found.dev(), found.ino())
}

/// Whether a listener has a file open, whatever it is called.
fn holds(listener: &ListenerUnderTest, file: (u64, u64)) -> bool {
    let descriptors = format!("/proc/{}/fd", listener.program.pid());
    let entries = fs::read_dir(descriptors).expect("the listener lives").flatten();
    let found = entries.filter_map(|entry| fs::metadata(entry.path()).ok());
    found.into_iter().any(|found| (found.dev(), found.ino()) == file)
}

fn await_new_file(listener: &ListenerUnderTest, log: &Path, old: (u64, u64)) {
    wait::until("the new file is there and the old one is let go", || {
        log.exists() && identity(log) != old && !holds(listener, old)
    });
}

#[test]
fn copytruncate_leaves_no_hole_and_is_counted() {
    let fixture = fixture();
    let running = listener(&fixture, &[]).start();
    let mut copies = Vec::new();
    for round in 0..3 {
        storm(&fixture, round, 2, 500);
        fixture.command(["sync"]).succeed();
        let copy = logs(&fixture).join(format!("copy.{round}"));
        fs::copy(log(&fixture), &copy).expect("a copy");
        File::options().write(true).open(log(&fixture)).expect("it").set_len(0).expect("a cut");
        copies.push(copy);
    }
    storm(&fixture, 10, 2, 500);
    fixture.command(["sync"]).succeed();
    let status = running.status().expect("a status");
    assert_eq!(status["sinks"][0]["truncations"], 3, "{status}");
    assert!(running.stop().is_complete());
    copies.push(log(&fixture));
    for file in &copies {
        assert!(!chapters::read(file).contains(&0), "{} has a hole", file.display());
    }
    // Workers of one number in two rounds log under one source: each count once for each.
    let verdict = judge::judge_scattered(&copies);
    let counts: HashMap<&str, usize> =
        verdict.sources.iter().map(|(source, numbers)| (source.as_str(), numbers.len())).collect();
    let expected = [("0.0", 1), ("1.0", 2), ("2.0", 2), ("3.0", 1), ("10.0", 1), ("11.0", 1)];
    for (source, times) in expected {
        assert_eq!(counts[format!("\"{source}\"").as_str()], 500 * times, "{source}");
    }
}

#[test]
fn copytruncate_under_load_leaves_whole_lines_and_no_hole() {
    let fixture = fixture();
    let running = listener(&fixture, &["--max-size", "2000000"]).start();
    let fleet = Steady::start(&fixture, 2, 1, &["--pause", "2000"]);
    for _ in 0..20 {
        wait::until("something is there", || {
            fs::metadata(log(&fixture)).expect("the log").len() > 10_000
        });
        File::options().write(true).open(log(&fixture)).expect("it").set_len(0).expect("a cut");
    }
    let _ = fleet.finish();
    assert!(running.stop().is_complete());
    for file in chapters::of(&log(&fixture)) {
        assert!(!chapters::read(&file).contains(&0), "{} has a hole", file.display());
    }
    let verdict = judge::judge(&log(&fixture));
    for (source, numbers) in &verdict.sources {
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{source}: doubled or swapped");
    }
}

/// The bytes that somebody took away are no bytes of an archive.
#[test]
fn a_rotation_behind_copytruncate_makes_no_empty_archive() {
    let fixture = fixture();
    let running = listener(&fixture, &[]).start();
    storm(&fixture, 0, 1, 500);
    fixture.command(["sync"]).succeed();
    File::options().write(true).open(log(&fixture)).expect("it").set_len(0).expect("a cut");
    fixture.command(["rotate"]).succeed();
    let status = running.status().expect("a status");
    assert_eq!(usage::bytes(&log(&fixture)), 0);
    assert_eq!(status["sinks"][0]["total_bytes"], 0, "{status}");
    assert!(chapters::archives(&log(&fixture)).is_empty(), "an empty file is no archive");
}

#[test]
fn a_file_that_somebody_moved_away_is_let_go_though_nobody_logs() {
    let fixture = fixture();
    let running = listener(&fixture, &[]).start();
    for round in 0..5 {
        storm(&fixture, round, 1, 100);
        fixture.command(["sync"]).succeed();
        let old = identity(&log(&fixture));
        let moved = logs(&fixture).join(format!("apps.log.{round}"));
        fs::rename(log(&fixture), &moved).expect("it is there");
        await_new_file(&running, &log(&fixture), old);
    }
    assert!(running.stop().is_complete());
    judge::judge_scattered(&scattered(&fixture)).demand_exact(5, 100);
}

#[test]
fn a_file_that_somebody_moves_away_under_load_is_let_go_and_nothing_is_lost() {
    let fixture = fixture();
    let running = listener(&fixture, &["--max-size", "300000"]).start();
    let fleet = Steady::start(&fixture, 3, 1, &["--pause", "3000"]);
    for round in 0..10 {
        let moved = logs(&fixture).join(format!("apps.log.{round}"));
        fs::rename(log(&fixture), &moved).expect("it is there");
        await_new_file(&running, &log(&fixture), identity(&moved));
    }
    let counts = fleet.finish();
    assert!(running.stop().is_complete());
    judge::judge_scattered(&scattered(&fixture)).demand_counts(&counts);
}

#[test]
fn a_file_that_somebody_removed_is_begun_anew_and_nothing_logged_later_is_lost() {
    let fixture = fixture();
    let running = listener(&fixture, &[]).start();
    for round in 0..5 {
        storm(&fixture, round, 1, 100);
        fixture.command(["sync"]).succeed();
        let file = File::open(log(&fixture)).expect("it is there");
        let held = file.metadata().expect("its metadata");
        fs::remove_file(log(&fixture)).expect("it is there");
        // With every other round the next record is faster than anybody's notice.
        if round % 2 == 0 {
            await_new_file(&running, &log(&fixture), (held.dev(), held.ino()));
        }
        storm(&fixture, 10 + round, 1, 100);
        fixture.command(["sync"]).succeed();
        let verdict = judge::judge(&log(&fixture));
        assert_eq!(verdict.sources[&format!("\"{}.0\"", 10 + round)].len(), 100);
    }
    assert!(running.stop().is_complete());
}

/// The record and the notice of the removal arrive together, so that the one is written before the
/// other is looked at.
#[test]
fn a_record_that_comes_together_with_the_removal_of_its_file_is_not_lost() {
    let fixture = fixture();
    let running = listener(&fixture, &[]).start();
    let mut raw = Raw::worker(&fixture.run_dir(), 1, "raw");
    raw.send(&raw::callsite(1, "raw", &[]));
    raw.send(&raw::record(1, stamp::now(), 1, "raw", 0));
    raw.await_ack(1);
    for seq in 2..12 {
        running.program.signal(Signal::SIGSTOP);
        fs::remove_file(log(&fixture)).expect("it is there");
        raw.send(&raw::record(seq, stamp::now(), 1, "raw", seq - 1));
        running.program.signal(Signal::SIGCONT);
        raw.await_ack(seq);
        let verdict = judge::judge(&log(&fixture));
        assert_eq!(verdict.sources["\"raw\""], [seq - 1]);
    }
    drop(running);
}

/// Blue and green: the path is a link, and somebody lets it lead elsewhere.
#[test]
fn reopen_follows_a_link_that_leads_elsewhere_now() {
    let fixture = fixture();
    for name in ["blue.log", "green.log"] {
        fs::write(logs(&fixture).join(name), "").expect("a file");
    }
    std::os::unix::fs::symlink("blue.log", log(&fixture)).expect("a link");
    let running = listener(&fixture, &[]).start();
    storm(&fixture, 0, 1, 100);
    fixture.command(["sync"]).succeed();
    fs::remove_file(log(&fixture)).expect("the link");
    std::os::unix::fs::symlink("green.log", log(&fixture)).expect("a link");
    fixture.command(["reopen"]).succeed();
    storm(&fixture, 1, 1, 100);
    assert!(running.stop().is_complete());
    let sources = |name: &str| {
        let verdict = judge::judge_scattered(&[logs(&fixture).join(name)]);
        verdict.sources.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(sources("blue.log"), ["\"0.0\""]);
    assert_eq!(sources("green.log"), ["\"1.0\""]);
}

#[test]
fn a_folder_that_somebody_removed_is_made_anew_and_watched_again() {
    let fixture = fixture();
    let running = listener(&fixture, &[]).start();
    let fleet = Steady::start(&fixture, 2, 1, &["--pause", "300"]);
    for _ in 0..10 {
        wait::until("the log is there", || log(&fixture).exists());
        // In one step, so that nobody begins a file in a folder that is about to go.
        let away = fixture.path().join("away");
        fs::rename(logs(&fixture), &away).expect("the folder");
        fs::remove_dir_all(&away).expect("the folder");
    }
    let _ = fleet.finish();
    storm(&fixture, 10, 1, 100);
    fixture.command(["sync"]).succeed();
    assert_eq!(judge::judge(&log(&fixture)).sources["\"10.0\""].len(), 100);
    let moved = logs(&fixture).join("apps.log.1");
    fs::rename(log(&fixture), &moved).expect("it is there");
    await_new_file(&running, &log(&fixture), identity(&moved));
    assert!(running.stop().is_complete());
}

#[test]
fn a_folder_that_somebody_removes_file_by_file_under_load_is_made_anew_and_watched_again() {
    let fixture = fixture();
    let running = listener(&fixture, &[]).start();
    let fleet = Steady::start(&fixture, 2, 1, &["--pause", "300"]);
    for _ in 0..20 {
        wait::until("the log is there", || log(&fixture).exists());
        // The listener may begin a file in the folder at the moment at which it is to go.
        wait::until("the folder is gone", || fs::remove_dir_all(logs(&fixture)).is_ok());
    }
    let _ = fleet.finish();
    storm(&fixture, 10, 1, 100);
    fixture.command(["sync"]).succeed();
    assert_eq!(judge::judge(&log(&fixture)).sources["\"10.0\""].len(), 100);
    let moved = logs(&fixture).join("apps.log.1");
    fs::rename(log(&fixture), &moved).expect("it is there");
    await_new_file(&running, &log(&fixture), identity(&moved));
    assert!(running.stop().is_complete());
}
