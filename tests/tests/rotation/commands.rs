//! The commands and the signals that mean the files.

use std::fs;

use fleetlog_tests::{Random, Steady, chapters, judge, wait};
use nix::sys::signal::Signal;

use crate::{demand_tidy, fixture, listener, log, logs, scattered, storm};

#[test]
fn rotate_and_reopen_say_what_they_did_and_find_no_listener() {
    let fixture = fixture();
    for command in ["rotate", "reopen"] {
        let mut nobody = fixture.command([command]);
        assert_eq!(nobody.code(), 3, "{}", nobody.output());
        assert!(nobody.output().contains("no listener"), "{}", nobody.output());
    }
    let running = listener(&fixture, &[]).start();
    let empty = fixture.command(["rotate"]).succeed();
    assert!(empty.contains('0') || empty.contains("no log"), "{empty}");
    assert!(chapters::archives(&log(&fixture)).is_empty(), "an empty file is no archive");
    storm(&fixture, 0, 1, 20);
    assert_eq!(fixture.command(["rotate"]).succeed(), "Rotated: 1 log.\n");
    assert_eq!(chapters::archives(&log(&fixture)).len(), 1);
    let said = fixture.command(["reopen"]).succeed();
    assert!(said.contains("0 logs opened anew") || said.contains("no log"), "{said}");
    assert_eq!(fixture.command(["-q", "rotate"]).succeed(), "");
    assert!(running.stop().is_complete());
    judge::judge(&log(&fixture)).demand_exact(1, 20);
}

#[test]
fn what_was_logged_before_rotate_is_in_the_archive_and_what_comes_later_is_not() {
    let fixture = fixture();
    let running = listener(&fixture, &[]).start();
    for round in 0..5 {
        storm(&fixture, round, 1, 200);
        fixture.command(["rotate"]).succeed();
    }
    assert!(running.stop().is_complete());
    let archives = chapters::archives(&log(&fixture));
    assert_eq!(archives.len(), 5);
    for (round, archive) in archives.iter().enumerate() {
        let verdict = judge::judge_scattered(std::slice::from_ref(archive));
        let own = format!("\"{round}.0\"");
        assert_eq!(verdict.sources.keys().collect::<Vec<_>>(), [&own]);
        verdict.demand_exact(1, 200);
    }
}

#[test]
fn hup_and_usr1_reopen_alrm_rotates_and_none_of_them_ends_the_listener() {
    let fixture = fixture();
    let mut running = listener(&fixture, &[]).start();
    for (round, signal) in (0..).zip([Signal::SIGHUP, Signal::SIGUSR1]) {
        storm(&fixture, round, 1, 20);
        fixture.command(["sync"]).succeed();
        running.program.signal(signal);
        storm(&fixture, 10 + round, 1, 20);
    }
    wait::until("both signals were heeded", || {
        running.program.output().matches("a signal asked to open").count() == 2
    });
    assert!(chapters::archives(&log(&fixture)).is_empty(), "nothing was rotated");
    running.program.signal(Signal::SIGALRM);
    wait::until("the file is rotated", || chapters::archives(&log(&fixture)).len() == 1);
    storm(&fixture, 2, 1, 20);
    assert!(running.program.is_running());
    assert!(running.stop().is_complete());
    assert_eq!(judge::judge(&log(&fixture)).records - 5, 100, "and one line of each parent");
}

#[test]
fn a_burst_of_all_signals_costs_no_record() {
    let fixture = fixture();
    let mut random = Random::seeded();
    let mut running = listener(&fixture, &["--max-size", "200000"]).start();
    let fleet = Steady::start(&fixture, 3, 1, &["--pause", "5000"]);
    let signals = [Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGALRM];
    for round in 0..400 {
        let signal = signals[usize::try_from(random.below(3)).expect("a number")];
        running.program.signal(signal);
        if round % 40 == 0 {
            let moved = logs(&fixture).join(format!("apps.log.moved-{round:04}"));
            // A moved file is begun anew by the listener in its own time.
            wait::until("the log is there", || fs::rename(log(&fixture), &moved).is_ok());
        }
    }
    assert!(running.program.is_running(), "{}", running.program.output());
    let counts = fleet.finish();
    assert!(running.stop().is_complete());
    judge::judge_scattered(&scattered(&fixture)).demand_counts(&counts);
    demand_tidy(&fixture);
}

#[test]
fn signals_at_the_start_of_a_listener_do_not_end_it_once_it_answers() {
    let fixture = fixture();
    for signal in [Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGALRM] {
        let mut running = listener(&fixture, &[]).launch();
        wait::until("the socket is there", || fixture.run_dir().join("socket").exists());
        running.program.signal(signal);
        wait::until("the listener answers", || running.status().is_some());
        assert!(running.program.is_running(), "{}", running.program.output());
        drop(running.stop());
    }
}
