//! Storms: many workers, many records, one file.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use fleetlog_tests::{Fixture, judge};

use crate::fixture;

/// A number that `FLEETLOG_STORM_SCALE` enlarges for runs by hand.
fn scaled(number: u64) -> u64 {
    let scale = std::env::var("FLEETLOG_STORM_SCALE").ok().and_then(|scale| scale.parse().ok());
    number * scale.unwrap_or(1)
}

fn storm(arguments: &[&str], sources: usize, records: u64) {
    let fixture = fixture();
    let listener = fixture.listener().start();
    let records_text = records.to_string();
    let all = ["storm", "--records", &records_text];
    fixture.workload(all.iter().chain(arguments)).succeed();
    let receipt = listener.stop();
    assert!(receipt.is_complete(), "{receipt:?}");
    assert_eq!((receipt.died, receipt.offences), (0, 0), "{receipt:?}");
    judge::judge(&fixture.log()).demand_exact(sources, records);
}

#[test]
fn eight_workers_log_a_hundred_thousand_records_each() {
    storm(&["--workers", "8"], 8, scaled(100_000));
}

/// With `FLEETLOG_STORM_SCALE=8` these are 64 workers with 1,600 records each.
#[test]
fn workers_log_records_of_64_kb_and_none_is_torn() {
    let workers = scaled(8);
    storm(
        &["--workers", &workers.to_string(), "--ballast", "65536"],
        usize::try_from(workers).expect("a number"),
        scaled(200),
    );
}

#[test]
fn two_hundred_workers_log_at_once() {
    storm(&["--workers", "200"], 200, scaled(100));
}

#[test]
fn eight_threads_of_each_worker_log_through_one_queue() {
    storm(&["--workers", "4", "--threads", "8"], 32, scaled(2000));
}

#[test]
fn records_larger_than_the_window_allows_are_cut_and_none_is_lost() {
    // A window of the default size takes records of up to 1 MiB.
    storm(&["--workers", "2", "--ballast", "900000"], 2, 20);
}

fn config(fixture: &Fixture, files: &[(&str, &str)]) -> String {
    let path = fixture.path().join("fleetlog.toml");
    let text: String = files
        .iter()
        .map(|(name, format)| {
            let file = fixture.path().join(name);
            format!("[[file]]\npath = '{}'\nformat = '''{format}'''\n", file.display())
        })
        .collect();
    fs::write(&path, text).expect("a configuration");
    path.to_str().expect("UTF-8").to_owned()
}

/// The lines of a file in which nothing drives a terminal or ends a line but newlines.
fn clean_lines(path: &Path) -> Vec<String> {
    let text = String::from_utf8(fs::read(path).expect("a log")).expect("UTF-8");
    let is_dangerous = |letter: char| {
        (letter.is_control() && letter != '\n')
            || matches!(letter, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if let Some(at) = text.find(is_dangerous) {
        let letter = text[at..].chars().next();
        panic!("{}: {letter:?} at {at}", path.display());
    }
    assert!(text.ends_with('\n'), "the last line of {} is torn", path.display());
    text.lines().map(str::to_owned).collect()
}

#[test]
fn hostile_text_is_one_clean_line_a_record_in_every_format() {
    const RECORDS: usize = 50;
    let fixture = fixture();
    let everything = "{time} {worker} {level} {target} {spans} {message} {fields} \
                      {field.text:>200} {field.bytes}";
    let files = [
        ("apps.log", "json"),
        ("text.log", "text"),
        ("template.log", everything),
        ("of-{worker}.log", "json"),
    ];
    let config = config(&fixture, &files);
    let listener = fixture.listener().only_with(["--config", &config]).start();
    let records = RECORDS.to_string();
    fixture.workload(["hostile", "--workers", "3", "--records", &records]).succeed();
    let receipt = listener.stop();
    assert!(receipt.is_complete(), "{receipt:?}");

    // The parent's lines tell how its three workers ended.
    let expected = 3 * RECORDS + 3;
    judge::judge(&fixture.log()).demand_exact(3, RECORDS as u64);
    for name in ["apps.log", "text.log", "template.log"] {
        let lines = clean_lines(&fixture.path().join(name));
        assert_eq!(lines.len(), expected, "{name}");
    }
    // JSON gives the text back as it was.
    let evil = "\u{1b}[31m\0\r\n\t\u{7f}\u{85}\u{9b}31m\u{2028}\u{2029}\u{202e}\u{2066}\"\\'{}";
    let line = judge::lines(&fixture.log()).into_iter().find(|line| line.level == "INFO");
    let line = line.expect("a line");
    assert_eq!(line.fields["text"], evil);
    assert_eq!(line.target, "evil\r\n\u{1b}target");
    assert!(line.worker.starts_with("../") && line.worker.contains(evil), "{:?}", line.worker);
    let names: Vec<String> = fs::read_dir(fixture.path())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .filter(|name| name.starts_with("of-"))
        .collect();
    assert_eq!(names.len(), 4, "one for each worker, one for the parent: {names:?}");
    for name in &names {
        assert!(!name.contains(char::is_control), "{name:?}");
        clean_lines(&fixture.path().join(name));
    }
}

#[test]
fn two_files_and_one_for_each_worker_are_all_exact() {
    let fixture = fixture();
    let files = [("apps.log", "json"), ("again.log", "json"), ("{worker}.log", "json")];
    let config = config(&fixture, &files);
    let listener = fixture.listener().only_with(["--config", &config]).start();
    fixture.workload(["storm", "--workers", "6", "--records", "2000"]).succeed();
    let receipt = listener.stop();
    assert!(receipt.is_complete(), "{receipt:?}");
    judge::judge(&fixture.log()).demand_exact(6, 2000);
    let read = |name: &str| fs::read(fixture.path().join(name)).expect("a log");
    assert!(read("apps.log") == read("again.log"), "the two files differ");
    for worker in 0..6 {
        let verdict = judge::judge(&fixture.path().join(format!("worker {worker}.log")));
        verdict.demand_counts(&HashMap::from([(format!("\"{worker}.0\""), 2000)]));
    }
}
