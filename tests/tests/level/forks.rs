//! P6 with the thread that wakes: forks at any moment of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fleetlog_protocol::client;
use fleetlog_protocol::message::{LevelChange, Reply, Request};
use fleetlog_tests::judge;

use crate::fixture;

/// Forks of the storm; `FLEETLOG_FORKS=10000` for a run by hand.
fn forks() -> u64 {
    let given = std::env::var("FLEETLOG_FORKS").ok().and_then(|forks| forks.parse().ok());
    given.unwrap_or(500)
}

#[test]
fn children_forked_while_the_level_is_changed_all_the_time_log_and_none_hangs() {
    let fixture = fixture();
    let listener = fixture.listener().start();
    let done = AtomicBool::new(false);
    let forks = forks();
    let (changes, said) = std::thread::scope(|scope| {
        let hammer = scope.spawn(|| {
            let mut changes = 0_usize;
            while !done.load(Ordering::Relaxed) {
                // Never less than what the storm logs, so that all of it must be there.
                let directives = ["debug", "trace", "info", "nobody=off,info"][changes % 4];
                let change = LevelChange {
                    directives: directives.to_owned(),
                    worker: changes.is_multiple_of(3).then(|| format!("child {}*", changes % 10)),
                    for_seconds: changes.is_multiple_of(2).then_some(1),
                };
                let request = Request::SetLevel(change);
                let run_dir = fixture.run_dir();
                let reply = client::request(&run_dir, request, Duration::from_secs(60), |_| ());
                assert!(matches!(reply, Ok(Reply::Levels(_))), "{reply:?}");
                changes += 1;
            }
            changes
        });
        let (text, folder) = (forks.to_string(), fixture.path().to_str().expect("UTF-8"));
        let arguments = ["forkstorm", "--forks", &text, "--folder", folder, "--with", "live"];
        let storm = fixture.workload(arguments.iter().chain(&["--until-hang", "true"]));
        let said = storm.succeed();
        done.store(true, Ordering::Relaxed);
        (hammer.join().expect("the hammer"), said)
    });
    eprintln!("{changes} changes: {said}");
    assert!(said.contains("hung=0 "), "a child hung: {said}");
    let receipt = listener.stop();
    assert!(receipt.is_complete(), "{receipt:?}");
    let mut counts = judge::returned_calls(fixture.path());
    for fork in 0..forks {
        counts.insert(format!("\"child{fork}\""), 10);
        counts.insert(format!("\"thread{fork}\""), 3);
    }
    judge::judge(&fixture.log()).demand_counts(&counts);
}
