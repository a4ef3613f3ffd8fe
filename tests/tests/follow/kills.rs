//! Rotation, compression, a listener that is killed again and again, at times in the middle of a
//! write, and a follower that is killed itself: EXACT.

use std::time::Duration;

use fleetlog_tests::{Random, Steady, chapters, judge, wait};
use nix::sys::signal::Signal;

use crate::{Follower, bytes, demand_same, fixture, listener, log, number};

#[test]
fn a_follower_and_one_that_is_killed_have_each_line_once_whatever_happens() {
    let fixture = fixture();
    let mut random = Random::seeded();
    let rotations = number("FLEETLOG_ROTATIONS", 50);
    let kills = number("FLEETLOG_KILLS", 20);
    let cursor = fixture.path().join("cursor");
    let cursor = cursor.to_str().expect("UTF-8");
    let resumed = ["-f", "--cursor-file", cursor];
    let steady = Follower::start(&fixture, "steady", &["-f", "-S", "@0"]);
    let mut killed = Follower::start(&fixture, "killed", &resumed);
    let fleet = Steady::start(&fixture, 4, 1, &["--pause", "10000"]);
    let archives = || chapters::archives(&log(&fixture)).len() as u64;
    let mut listener_kills = 0;
    for kill in 0..kills {
        let compression = ["gzip", "zstd", "none"][usize::try_from(kill % 3).expect("small")];
        let arguments = ["--max-size", "50000", "--compress", compression];
        match kill % 4 {
            // In the middle of a write, so that the next listener takes a part of a batch back.
            0 => {
                let fault = format!("in-write:{}", 1 + random.below(40));
                let mut dying = listener(&fixture, &arguments).dying_at(&fault).launch();
                assert_eq!(dying.program.code(), 128 + Signal::SIGKILL as i32);
                listener_kills += 1;
            }
            1 => {
                let running = listener(&fixture, &arguments).start();
                std::thread::sleep(Duration::from_micros(random.below(300_000)));
                running.kill();
                listener_kills += 1;
            }
            _ => {
                let running = listener(&fixture, &arguments).start();
                let before = archives();
                wait::until("files are rotated", || {
                    archives() >= before + rotations.div_ceil(kills)
                });
                assert!(running.stop().is_complete());
            }
        }
        std::thread::sleep(Duration::from_micros(random.below(50_000)));
        killed.kill();
        killed = Follower::start(&fixture, "killed", &resumed);
    }
    let last = listener(&fixture, &["--max-size", "50000", "--compress", "zstd"]).start();
    wait::until("files are rotated", || archives() >= rotations);
    let counts = fleet.finish();
    assert!(last.stop().is_complete());
    let all = bytes(&log(&fixture));
    judge::judge(&log(&fixture)).demand_counts(&counts);
    for mut follower in [steady, killed] {
        follower.wait_for(all.len() as u64);
        let output = follower.output.clone();
        demand_same(&follower.output(), &all, &output.display().to_string());
        let said = follower.end();
        assert!(!said.contains("missing"), "{said}");
        judge::judge(&output).demand_counts(&counts);
    }
    let archives = archives();
    eprintln!(
        "{archives} archives, {listener_kills} kills of the listener, {kills} of the follower, {} \
         bytes",
        all.len()
    );
    assert!(archives >= rotations && listener_kills * 4 >= kills);
}

/// Killed while it catches up, when it writes most: between what it wrote and the place that it noted.
#[test]
fn a_follower_that_is_killed_in_mid_write_has_each_line_once() {
    let fixture = fixture();
    let mut random = Random::seeded();
    let mut lines = 0..200_000;
    let ballast = "x".repeat(150);
    let mut write = |count: usize, name: &str| {
        let text: String = (&mut lines)
            .take(count)
            .map(|n| format!("2026-11-22T10:00:00.000000Z  INFO w[1] app: {ballast} n={n}\n"))
            .collect();
        let path = log(&fixture).with_file_name(name);
        std::fs::write(&path, text).expect("a file");
    };
    write(70_000, "apps.2026-11-22T10-00-00Z.log");
    write(70_000, "apps.2026-11-22T11-00-00Z.log");
    write(60_000, "apps.log");
    let all = bytes(&log(&fixture));
    let (mut kills, mut taken_back, mut round) = (0, 0, 0);
    // Until one was killed between what it wrote and what it noted, which is a matter of luck.
    wait::until("a follower is killed in a write", || {
        round += 1;
        let name = format!("killed{round}");
        let cursor = fixture.path().join(format!("cursor{round}"));
        let arguments = ["-f", "--cursor-file", cursor.to_str().expect("UTF-8")];
        let length = |follower: &Follower| {
            std::fs::metadata(&follower.output).map_or(0, |found| found.len())
        };
        loop {
            let mut follower = Follower::start(&fixture, &name, &arguments);
            let before = length(&follower);
            wait::until("it writes", || {
                follower.demand_alive();
                length(&follower) != before
            });
            std::thread::sleep(Duration::from_micros(random.below(1500)));
            if length(&follower) < all.len() as u64 {
                follower.kill();
                kills += 1;
                continue;
            }
            follower.wait_for(all.len() as u64);
            demand_same(&follower.output(), &all, "the output");
            taken_back += follower.end().matches("are written again").count();
            return kills >= 5 && taken_back >= 1;
        }
    });
    eprintln!("{kills} kills, {taken_back} times something was taken back");
}

/// A pipe can't be taken back: its reader may get the lines of the last batch again, and misses none.
#[test]
fn a_follower_that_ends_in_an_orderly_way_gives_a_pipe_each_line_once() {
    use std::io::Read as _;
    use std::process::{Command, Stdio};
    let fixture = fixture();
    let cursor = fixture.path().join("cursor");
    let fleet = Steady::start(&fixture, 2, 1, &["--pause", "5000"]);
    let running = listener(&fixture, &["--max-size", "50000", "--compress", "gzip"]).start();
    let mut received = Vec::new();
    let mut run = |ends: &dyn Fn()| {
        let mut command = Command::new(fleetlog_tests::binaries!().fleetlog);
        command.args(["logs", "-o", "raw", "-f", "--cursor-file"]).arg(&cursor);
        command.arg("--file").arg(log(&fixture)).env("FLEETLOG_RUN_DIR", fixture.run_dir());
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("a follower");
        let mut output = child.stdout.take().expect("a pipe");
        let reader = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            output.read_to_end(&mut bytes).map(|_| bytes).expect("a pipe")
        });
        ends();
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
        nix::sys::signal::kill(pid, Signal::SIGTERM).expect("the follower is there");
        assert!(child.wait().expect("a child").success());
        received.extend(reader.join().expect("a reader"));
    };
    for _ in 0..5 {
        let before = std::fs::read(&cursor).ok();
        run(&|| {
            wait::until("another place is saved", || std::fs::read(&cursor).ok() != before);
        });
    }
    let counts = fleet.finish();
    assert!(running.stop().is_complete());
    let all = bytes(&log(&fixture));
    let mut command = Command::new(fleetlog_tests::binaries!().fleetlog);
    command.args(["logs", "-o", "raw", "--cursor-file"]).arg(&cursor);
    command.arg("--file").arg(log(&fixture)).env("FLEETLOG_RUN_DIR", fixture.run_dir());
    let rest = command.output().expect("the command");
    assert!(rest.status.success(), "{rest:?}");
    received.extend(rest.stdout);
    demand_same(&received, &all, "the pipes");
    judge::judge(&log(&fixture)).demand_counts(&counts);
}
