//! Several logs: each is rotated for itself, and each record stands in each of them once.

use std::collections::HashMap;
use std::fs;

use fleetlog_protocol::stamp;
use fleetlog_tests::raw::{self, Raw};
use fleetlog_tests::{Steady, chapters, judge, wait};

use crate::{demand_sizes, fixture, logs};

#[test]
fn the_files_of_workers_are_rotated_each_for_itself() {
    let fixture = fixture();
    let template = logs(&fixture).join("of {worker}.log");
    let arguments = ["--format", "json", "--file", template.to_str().expect("UTF-8")];
    let more = ["--max-size", "50000", "--compress", "gzip"];
    let running = fixture.listener().only_with(arguments).with(more).start();
    for (first, records) in [("0", "50"), ("1", "1000"), ("2", "3000")] {
        let storm = ["storm", "--first", first, "--workers", "1", "--records", records];
        fixture.workload(storm).succeed();
    }
    assert!(running.stop().is_complete());
    let mut archives = Vec::new();
    for (worker, records) in [(0, 50), (1, 1000), (2, 3000)] {
        let log = logs(&fixture).join(format!("of worker {worker}.log"));
        let verdict = judge::judge(&log);
        verdict.demand_counts(&HashMap::from([(format!("\"{worker}.0\""), records)]));
        archives.push(demand_sizes(&log, 50_000));
    }
    assert!(archives[0] == 0 && archives[1] > 1 && archives[2] > 2 * archives[1], "{archives:?}");
}

#[test]
fn a_log_that_is_rotated_and_one_that_is_not_both_have_each_record_once() {
    let fixture = fixture();
    let config = fixture.path().join("fleetlog.toml");
    let folder = logs(&fixture);
    let folder = folder.to_str().expect("UTF-8");
    let text = format!(
        "[[file]]\npath = '{folder}/small.log'\nformat = 'json'\nmax-size = '30K'\n\
         compress = 'gzip'\n\
         [[file]]\npath = '{folder}/whole.log'\nformat = 'json'\n\
         [[file]]\npath = '{folder}/other.log'\nformat = 'text'\nmax-size = '50K'\n"
    );
    fs::write(&config, text.replace("max-size", "max_size")).expect("a configuration");
    let arguments = ["--config", config.to_str().expect("UTF-8")];
    let fleet = Steady::start(&fixture, 2, 2, &["--pause", "10000"]);
    for fault in ["after-link:3", "after-next:2", "in-write:9", "after-turn:4", "after-write:30"] {
        let mut dying = fixture.listener().only_with(arguments).dying_at(fault).launch();
        assert_eq!(dying.program.code(), 137, "{fault}: {}", dying.program.output());
    }
    let running = fixture.listener().only_with(arguments).start();
    let small = logs(&fixture).join("small.log");
    wait::until("files are rotated", || chapters::archives(&small).len() > 5);
    let counts = fleet.finish();
    assert!(running.stop().is_complete());
    judge::judge(&small).demand_counts(&counts);
    judge::judge(&logs(&fixture).join("whole.log")).demand_counts(&counts);
    judge::judge_text(&logs(&fixture).join("other.log")).demand_counts(&counts);
    demand_sizes(&small, 30_720);
    demand_sizes(&logs(&fixture).join("other.log"), 51_200);
    assert!(chapters::archives(&logs(&fixture).join("whole.log")).is_empty());
}

/// P11: a worker chooses its name, and with it must not choose the fate of another one's files.
#[test]
fn a_worker_whose_name_looks_like_another_ones_archive_costs_that_one_nothing() {
    let fixture = fixture();
    let template = logs(&fixture).join("{worker}.log");
    let arguments = ["--format", "json", "--file", template.to_str().expect("UTF-8")];
    let running = fixture.listener().only_with(arguments).with(["--max-files", "2"]).start();
    let log = |name: &str, queue: u128, source: &str| {
        let mut raw = Raw::worker(&fixture.run_dir(), queue, name);
        raw.send(&raw::callsite(1, "raw", &[]));
        raw.send(&raw::record(1, stamp::now(), 1, source, 0));
        raw.await_ack(1);
        raw.send(&raw::goodbye(1));
    };
    log("victim", 1, "v1");
    fixture.command(["rotate"]).succeed();
    let victim = logs(&fixture).join("victim.log");
    let own = chapters::archives(&victim);
    assert_eq!(own.len(), 1);
    for number in 0..4 {
        log(&format!("victim.9999-01-0{}T00-00-00Z", number + 1), 10 + number, "enemy");
    }
    assert!(running.stop().is_complete());
    let running = fixture.listener().only_with(arguments).with(["--max-files", "2"]).start();
    log("victim", 2, "v2");
    fixture.command(["sync"]).succeed();
    assert!(own[0].exists(), "the victim's archive is gone for the sake of another worker's files");
    assert!(running.stop().is_complete());
}
