//! Deduplication: equal records share a line, and no number is merged away.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use fleetlog_tests::{chapters, wait};
use serde_json::Value;

use crate::fixture;

/// Long enough that nothing but pressure, or somebody who wants the files, ends the waiting.
const LONG: &str = "10m";

fn lines(log: &Path) -> Vec<Value> {
    let bytes: Vec<u8> = chapters::of(log).iter().flat_map(|file| chapters::read(file)).collect();
    let text = String::from_utf8(bytes).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
}

fn number(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or_else(|| panic!("no {key} in {value}"))
}

/// Whether a line is a worker's of the chorus; the parent tells how each of them ended.
fn is_the_chorus(line: &Value) -> bool {
    line["target"] == "workload::chorus"
}

/// Every record by pid and lane, those that share a line included; panics at a double.
fn numbers(lines: &[Value]) -> BTreeMap<(u64, u64), BTreeSet<u64>> {
    let mut all: BTreeMap<(u64, u64), BTreeSet<u64>> = BTreeMap::new();
    let mut add = |pid, lane, seq| {
        let is_new = all.entry((pid, lane)).or_default().insert(seq);
        assert!(is_new, "the record {seq} of {pid} in lane {lane} stands twice");
    };
    for line in lines.iter().filter(|line| number(line, "seq") > 0 && is_the_chorus(line)) {
        add(number(line, "pid"), number(line, "lane"), number(line, "seq"));
        let mut count = 0;
        for lane in line["repeats"]["by"].as_array().into_iter().flatten() {
            for seq in lane["seq"].as_array().expect("numbers") {
                add(number(lane, "pid"), number(lane, "lane"), seq.as_u64().expect("a number"));
                count += 1;
            }
        }
        assert_eq!(count, line["repeats"]["count"].as_u64().unwrap_or(0), "{line}");
    }
    all
}

/// Every record of every worker, once, and none that is missing.
fn demand_all(lines: &[Value], workers: usize, records: u64) {
    let all = numbers(lines);
    assert_eq!(all.len(), workers, "{:?}", all.keys());
    for (lane, numbers) in &all {
        let expected: BTreeSet<u64> = (1..=records).collect();
        assert_eq!(*numbers, expected, "of {lane:?}");
    }
}

#[test]
fn equal_records_of_many_workers_are_one_line_that_names_each_record() {
    let fixture = fixture();
    let listener = fixture.listener().with(["--dedup", LONG]).start();
    fixture.workload(["chorus", "--workers", "8", "--records", "64"]).succeed();
    let receipt = listener.stop();
    assert!(receipt.is_complete(), "{receipt:?}");
    assert_eq!(receipt.written, 8 * 64 + 8, "each record counts, whether it has a line or not");
    let lines = lines(&fixture.log());
    demand_all(&lines, 8, 64);
    let shared = lines.iter().filter(|line| line.get("repeats").is_some()).count();
    assert!(shared > 0 && lines.len() < 8 * 64, "{} lines, {shared} of them shared", lines.len());
    for line in &lines {
        let own = line["fields"]["message"].as_str().is_some_and(|text| text.starts_with("on my"));
        assert!(!own || line.get("repeats").is_none(), "a number was merged away: {line}");
    }
    assert!(receipt.lines >= lines.len() as u64);
    let verified = fixture.command(["verify", "--file", fixture.log().to_str().expect("UTF-8")]);
    verified.succeed();
}

#[test]
fn a_line_of_text_tells_the_count_and_the_workers() {
    let fixture = fixture();
    let log = fixture.path().join("apps.txt");
    let log = log.to_str().expect("UTF-8");
    // What comes in one write waits together, however slow the machine is.
    let listener = fixture.listener().only_with(["--file", log, "--dedup", "3s"]).start();
    for worker in ["a", "b"] {
        let input = "the same\nthe same\nits own\n".replace("its", worker);
        fixture.command_with_input(["pipe", "--name", worker], &input).succeed();
    }
    let receipt = listener.stop();
    assert_eq!((receipt.written, receipt.dropped.total()), (6, 0));
    let text = fs::read_to_string(log).expect("a log");
    let (mut times, mut shared) = (0, 0);
    for line in text.lines().filter(|line| line.contains("the same")) {
        let Some((_, said)) = line.split_once("the same (") else {
            times += 1;
            continue;
        };
        let (count, workers) = said.split_once(" times, by ").expect("a count");
        times += count.parse::<u64>().expect("a number");
        shared += 1;
        assert!(workers.ends_with("])"), "{line}");
    }
    assert_eq!(times, 4, "{text}");
    assert!(shared > 0, "{text}");
    assert_eq!(text.matches(" own").count(), 2, "{text}");
}

#[test]
fn nothing_that_waits_is_lost_or_doubled_when_the_listener_is_killed_again_and_again() {
    let fixture = fixture();
    let (workers, records) = (6, 4000);
    let start = || {
        let rotated = ["--dedup", "200ms", "--max-size", "100000", "--max-total-size", "1G"];
        fixture.listener().with(rotated).start()
    };
    let mut listener = start();
    let (many, each) = (workers.to_string(), records.to_string());
    let mut chorus =
        fixture.workload(["chorus", "--workers", &many, "--records", &each, "--pause", "300"]);
    let mut kills = 0;
    while chorus.is_running() && kills < 12 {
        let before = fs::metadata(fixture.log()).map_or(0, |found| found.len());
        wait::until("the listener writes", || {
            let len = fs::metadata(fixture.log()).map_or(0, |found| found.len());
            len != before || !chorus.is_running()
        });
        listener.kill();
        kills += 1;
        listener = start();
    }
    assert!(kills >= 3, "the chorus ended after {kills} kills");
    chorus.succeed();
    let receipt = listener.stop();
    assert!(receipt.is_complete(), "{receipt:?}");
    let lines = lines(&fixture.log());
    demand_all(&lines, workers, records);
    assert!(lines.iter().any(|line| line.get("repeats").is_some()), "nothing was merged");
    fixture.command(["verify", "--file", fixture.log().to_str().expect("UTF-8")]).succeed();
}

#[test]
fn without_being_asked_for_nothing_is_merged() {
    let fixture = fixture();
    let listener = fixture.listener().start();
    fixture.workload(["chorus", "--workers", "4", "--records", "32"]).succeed();
    let receipt = listener.stop();
    assert_eq!((receipt.written, receipt.lines), (132, 132));
    assert!(lines(&fixture.log()).iter().all(|line| line.get("repeats").is_none()));
}

#[test]
fn a_file_for_each_worker_has_all_records_of_its_worker() {
    let fixture = fixture();
    let template = fixture.path().join("of-{worker}.log");
    let arguments = ["--file", template.to_str().expect("UTF-8"), "--format", "json"];
    let listener = fixture.listener().only_with(arguments).with(["--dedup", LONG]).start();
    fixture.workload(["chorus", "--workers", "3", "--records", "64"]).succeed();
    assert!(listener.stop().is_complete());
    for worker in 0..3 {
        let lines = lines(&fixture.path().join(format!("of-worker {worker}.log")));
        demand_all(&lines, 1, 64);
        let name = format!("worker {worker}");
        assert!(lines.iter().all(|line| line["worker"] == name.as_str()));
        assert!(lines.iter().any(|line| line.get("repeats").is_some()), "its own equal records");
    }
}
