//! Kills at the steps of rotation and packing, at random moments of packing, and of listener and
//! workers together.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fleetlog_tests::{Program, Random, Steady, chapters, judge, usage, wait};
use nix::sys::signal::Signal;

use crate::{demand_sizes, demand_tidy, fixture, listener, log, logs, number, scattered, storm};

const LIMIT: u64 = 60_000;
const ROTATED: [&str; 4] = ["--max-size", "60000", "--compress", "gzip"];

/// Archives that are there packed and unpacked.
fn doubled(log: &Path) -> Vec<PathBuf> {
    let archives = chapters::archives(log);
    let is_packed = |path: &PathBuf| {
        let packed = PathBuf::from(format!("{}.gz", path.display()));
        archives.contains(&packed)
    };
    archives.iter().filter(|path| is_packed(path)).cloned().collect()
}

/// Lets listener after listener die at a point of the life of a file.
fn die_at(point: &str) {
    let fixture = fixture();
    let fleet = Steady::start(&fixture, 2, 2, &["--pause", "10000"]);
    for count in [1, 1, 2, 3, 1, 5] {
        let fault = format!("{point}:{count}");
        let mut dying = listener(&fixture, &ROTATED).dying_at(&fault).launch();
        let code = dying.program.code();
        assert_eq!(code, 128 + Signal::SIGKILL as i32, "{fault}: {}", dying.program.output());
    }
    let last = listener(&fixture, &ROTATED).start();
    let counts = fleet.finish();
    wait::until("every archive is packed and none is there twice", || {
        let archives = chapters::archives(&log(&fixture));
        archives.iter().all(|path| path.extension().is_some_and(|end| end == "gz"))
    });
    assert!(last.stop().is_complete());
    judge::judge(&log(&fixture)).demand_counts(&counts);
    assert!(demand_sizes(&log(&fixture), LIMIT) >= 6);
    demand_tidy(&fixture);
}

#[test]
fn a_listener_killed_when_the_file_has_its_archives_name_loses_and_doubles_nothing() {
    die_at("after-link");
}

#[test]
fn a_listener_killed_when_the_next_file_is_made_loses_and_doubles_nothing() {
    die_at("after-next");
}

#[test]
fn a_listener_killed_when_the_next_file_has_its_name_loses_and_doubles_nothing() {
    die_at("after-turn");
}

#[test]
fn a_listener_killed_when_a_packed_copy_has_its_name_loses_and_doubles_nothing() {
    die_at("after-packed");
}

#[test]
fn a_listener_killed_when_the_unpacked_file_is_gone_loses_and_doubles_nothing() {
    die_at("after-settled");
}

#[test]
fn a_listener_killed_in_mid_compression_leaves_whole_archives_and_the_next_one_tidies_up() {
    let fixture = fixture();
    let arguments = ["--max-size", "2000000", "--compress", "gzip"];
    let fleet = Steady::start(&fixture, 4, 1, &["--pause", "5000", "--ballast", "300"]);
    let kills = number("FLEETLOG_KILLS", 10).div_ceil(2);
    let mut random = Random::seeded();
    for _ in 0..kills {
        let running = listener(&fixture, &arguments).start();
        wait::until("a copy is being packed", || !usage::unfinished(&logs(&fixture)).is_empty());
        std::thread::sleep(Duration::from_micros(random.below(5000)));
        running.kill();
        // One that does not pack by itself, so that whatever is unfinished is what was left.
        let tidying = listener(&fixture, &["--max-size", "2000000"]).start();
        wait::until("an archive is there once", || doubled(&log(&fixture)).is_empty());
        let left = usage::unfinished(&logs(&fixture));
        assert!(left.iter().all(|path| !path.to_string_lossy().ends_with(".tmp")), "{left:?}");
        tidying.kill();
    }
    let last = listener(&fixture, &arguments).start();
    let counts = fleet.finish();
    wait::until("every archive is packed", || {
        let archives = chapters::archives(&log(&fixture));
        archives.iter().all(|path| path.extension().is_some_and(|end| end == "gz"))
    });
    assert!(last.stop().is_complete());
    judge::judge(&log(&fixture)).demand_counts(&counts);
    let archives = demand_sizes(&log(&fixture), 2_000_000);
    demand_tidy(&fixture);
    eprintln!("{kills} kills, {archives} archives");
}

#[test]
fn listener_and_workers_killed_together_while_files_are_rotated_lose_and_double_nothing() {
    let fixture = fixture();
    let mut random = Random::seeded();
    let folder = fixture.path().to_str().expect("UTF-8").to_owned();
    let lone = |number: u64| {
        let number = number.to_string();
        fixture.workload(["lone", "--number", &number, "--folder", &folder, "--ballast", "200"])
    };
    let kill = |mut workers: Vec<Program>| {
        workers.iter().for_each(|worker| worker.signal(Signal::SIGKILL));
        workers.iter_mut().for_each(|worker| {
            worker.wait();
        });
    };
    for round in 0..number("FLEETLOG_KILLS", 10) {
        let workers = vec![lone(2 * round), lone(2 * round + 1)];
        let running = listener(&fixture, &ROTATED).start();
        std::thread::sleep(Duration::from_micros(random.below(100_000)));
        if random.below(2) == 0 {
            running.kill();
            kill(workers);
        } else {
            kill(workers);
            running.kill();
        }
    }
    let last = listener(&fixture, &ROTATED).start();
    wait::until("the segments of the dead are drained", || {
        std::fs::read_dir(fixture.run_dir().join("lanes")).expect("a folder").count() == 0
    });
    let receipt = last.stop();
    assert_eq!((receipt.dropped.total(), receipt.missing), (0, 0), "{receipt:?}");
    let returned: HashMap<String, u64> = judge::returned_calls(fixture.path());
    let verdict = judge::judge(&log(&fixture));
    verdict.demand_prefixes(&returned);
    for (source, numbers) in &verdict.sources {
        let returned = returned.get(source).copied().unwrap_or(0);
        assert!(numbers.len() as u64 <= returned + 1, "{source}: {} of {returned}", numbers.len());
    }
    // A notice of a death that finds no room makes its own: the bound holds for them, too.
    let archives = demand_sizes(&log(&fixture), LIMIT);
    demand_tidy(&fixture);
    eprintln!("{} records of {} threads in {archives} archives", verdict.records, returned.len());
    assert!(archives > 2);
}

/// No later rotation hides what the first one left.
#[test]
fn what_a_rotation_left_is_tidied_up_at_the_next_start_though_nobody_logs() {
    for point in ["after-link", "after-next", "after-turn"] {
        let fixture = fixture();
        let mut dying = listener(&fixture, &[]).dying_at(point).start();
        fixture.command_with_input(["pipe", "--name", "one"], &"line\n".repeat(5)).succeed();
        let mut rotate = fixture.command(["rotate"]);
        assert_eq!(dying.program.code(), 128 + Signal::SIGKILL as i32);
        assert_ne!(rotate.code(), 0);
        demand_tidy(&fixture);
        assert_eq!(judge::lines(&log(&fixture)).len(), 5, "{point}");
    }
}

/// Nobody logs under the name again, so that the next listener does not open the file for a record.
#[test]
fn what_a_rotation_left_of_the_file_of_a_worker_that_never_returns_is_tidied_up_too() {
    for point in ["after-link", "after-next"] {
        let fixture = fixture();
        let template = logs(&fixture).join("of {worker}.log");
        let arguments = ["--format", "json", "--file", template.to_str().expect("UTF-8")];
        let mut dying = fixture.listener().only_with(arguments).dying_at(point).start();
        fixture.command_with_input(["pipe", "--name", "one"], &"line\n".repeat(5)).succeed();
        let mut rotate = fixture.command(["rotate"]);
        assert_eq!(dying.program.code(), 128 + Signal::SIGKILL as i32);
        assert_ne!(rotate.code(), 0);
        let second = fixture.listener().only_with(arguments).start();
        storm(&fixture, 0, 1, 10);
        assert!(second.stop().is_complete());
        let left = usage::unfinished(&logs(&fixture));
        assert!(left.is_empty(), "{point}: left behind: {left:?}");
        let file = logs(&fixture).join("of one.log");
        assert_eq!(judge::lines(&file).len(), 5, "{point}: {:?}", chapters::of(&file));
    }
}

/// Whoever tidies up while no listener lives has moved the file in which a batch is half written.
#[test]
fn a_half_written_batch_is_taken_back_from_a_file_that_was_moved_meanwhile() {
    let fixture = fixture();
    let fleet = Steady::start(&fixture, 2, 1, &["--pause", "5000"]);
    for (round, point) in ["in-write:5", "after-write:5", "in-write:3"].iter().enumerate() {
        let mut dying = listener(&fixture, &ROTATED).dying_at(point).launch();
        assert_eq!(dying.program.code(), 128 + Signal::SIGKILL as i32);
        let moved = logs(&fixture).join(format!("apps.log.{round}"));
        std::fs::rename(log(&fixture), moved).expect("it is there");
    }
    let last = listener(&fixture, &ROTATED).start();
    let counts = fleet.finish();
    assert!(last.stop().is_complete());
    judge::judge_scattered(&scattered(&fixture)).demand_counts(&counts);
}
