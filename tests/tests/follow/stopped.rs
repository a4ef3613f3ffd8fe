//! Followers that do not read cost nobody anything, and find what they missed.

use std::fs;

use fleetlog_tests::{chapters, judge, wait};
use nix::sys::signal::Signal;

use crate::{Follower, bytes, demand_same, fixture, listener, log, number};

/// Resident memory of a process, in bytes.
fn memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024
}

fn is_stopped(follower: &Follower) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", follower.pid())).unwrap_or_default();
    stat.contains(") T ")
}

fn lengths(followers: &[Follower]) -> Vec<u64> {
    followers.iter().map(|one| fs::metadata(&one.output).expect("the output").len()).collect()
}

fn storm(fixture: &fleetlog_tests::Fixture, first: u64, records: u64) {
    let [first, records] = [first, records].map(|number| number.to_string());
    let arguments = ["storm", "--first", &first, "--workers", "4", "--records", &records];
    fixture.workload(arguments).succeed();
}

#[test]
fn fifty_stopped_followers_hold_nobody_up_and_each_catches_up() {
    let fixture = fixture();
    let count = number("FLEETLOG_FOLLOWERS", 50);
    let records = 10_000 * number("FLEETLOG_STORM_SCALE", 1);
    let running = listener(&fixture, &["--max-size", "1000000", "--compress", "zstd"]).start();
    storm(&fixture, 0, 100);
    let before = bytes(&log(&fixture)).len() as u64;
    let mut followers: Vec<Follower> = (0..count)
        .map(|number| Follower::start(&fixture, &format!("slow{number}"), &["-f", "-S", "@0"]))
        .collect();
    for follower in &mut followers {
        follower.wait_for(before);
        follower.signal(Signal::SIGSTOP);
    }
    wait::until("all are stopped", || followers.iter().all(is_stopped));
    let stopped = lengths(&followers);
    storm(&fixture, 10, records);
    // It ended: nobody was held up. What the followers have not read is nobody's memory.
    let listeners = memory(running.program.pid());
    let most = followers.iter().map(|follower| memory(follower.pid())).max().unwrap_or(0);
    let lengths_now = lengths(&followers);
    assert_eq!(lengths_now, stopped, "a stopped follower has read nothing");
    assert!(running.stop().is_complete());
    let all = bytes(&log(&fixture));
    eprintln!(
        "{} bytes in {} files passed {count} stopped followers: the listener has {listeners} bytes, \
         a follower {most} at most",
        all.len(),
        chapters::of(&log(&fixture)).len(),
    );
    assert!(listeners < 200 << 20, "{listeners}");
    assert!(most < 64 << 20, "{most}");
    for follower in &followers {
        follower.signal(Signal::SIGCONT);
    }
    for mut follower in followers {
        follower.wait_for(all.len() as u64);
        demand_same(&follower.output(), &all, &follower.output.display().to_string());
        let most = memory(follower.pid());
        assert!(most < 64 << 20, "{most} bytes once it has caught up");
        let said = follower.end();
        assert!(!said.contains("missing"), "{said}");
    }
}

#[test]
fn what_was_removed_while_a_follower_was_stopped_is_said_and_nothing_comes_twice() {
    let fixture = fixture();
    let running =
        listener(&fixture, &["--max-size", "200000", "--max-files", "2", "--compress", "gzip"])
            .start();
    storm(&fixture, 0, 10);
    let first = bytes(&log(&fixture)).len() as u64;
    let mut follower = Follower::start(&fixture, "stopped", &["-f", "-S", "@0"]);
    follower.wait_for(first);
    // It may have read these lines before it began to follow the file that it then holds.
    storm(&fixture, 4, 10);
    let before = bytes(&log(&fixture)).len() as u64;
    follower.wait_for(before);
    follower.signal(Signal::SIGSTOP);
    storm(&fixture, 10, 3000);
    assert!(running.stop().is_complete());
    let left = bytes(&log(&fixture));
    follower.signal(Signal::SIGCONT);
    wait::until("the follower has caught up", || {
        follower.demand_alive();
        follower.output().ends_with(&left)
    });
    let output = follower.output();
    assert!((output.len() as u64) > before + left.len() as u64, "the file it held is read, too");
    let path = follower.output.clone();
    let said = follower.end();
    assert_eq!(said.matches("records may be missing here").count(), 1, "{said}");
    let verdict = judge::judge(&path);
    for (source, numbers) in &verdict.sources {
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{source} comes twice");
    }
}

/// In the usual case nothing is said: old files go when they were read long ago.
#[test]
fn a_follower_that_keeps_up_is_told_of_no_loss_when_old_files_go() {
    let fixture = fixture();
    let running =
        listener(&fixture, &["--max-size", "100000", "--max-files", "1", "--compress", "zstd"])
            .start();
    let mut follower = Follower::start(&fixture, "quick", &["-f", "-S", "@0"]);
    let mut read = 0;
    for round in 0..12 {
        // Less than a file at a time, so that it has read each before the next is rotated.
        storm(&fixture, 10 * round, 60);
        let written = running.status().expect("a status")["sinks"][0]["bytes"].as_u64();
        read = written.expect("a number");
        follower.wait_for(read);
    }
    assert!(running.stop().is_complete());
    let rotated = chapters::archives(&log(&fixture)).len();
    assert_eq!(rotated, 1, "all others were removed");
    let path = follower.output.clone();
    assert!(follower.output().len() as u64 >= read);
    let said = follower.end();
    assert!(!said.contains("missing"), "{said}");
    let verdict = judge::judge(&path);
    assert!(verdict.faults.is_empty(), "{:?}", verdict.faults);
    assert_eq!(verdict.sources.values().map(Vec::len).sum::<usize>(), 12 * 4 * 60);
}
