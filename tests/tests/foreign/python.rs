//! Python's own handlers in Python's own words: the cookbook's fleet, and records that are not
//! easy to send.

use std::collections::HashSet;

use fleetlog_protocol::limits::RECORD_MAX;
use fleetlog_tests::judge::{self, Line};
use fleetlog_tests::programs;
use serde_json::Value;

use crate::judgement::{self, counts, message};
use crate::{fixture, python_command, socket, stop};

#[test]
fn the_cookbooks_fleet_loses_nothing() {
    let Some(python) = programs::python(&[]) else { return };
    let fixture = fixture();
    let listener = fixture.listener().start();
    let mut command = python_command(&python, "cookbook.py");
    command.arg(socket(&fixture)).args(["10", "1000"]);
    fixture.start("cookbook", command).succeed();
    let receipt = stop(listener, &fixture);
    assert_eq!((receipt.written, receipt.workers), (11_000, 11), "{receipt:?}");
    let sources = (0..10).map(|number| number.to_string()).chain(["parent".to_owned()]);
    judgement::judge(&fixture.log()).demand_counts(&counts(sources, 1000));
    let mut pids = HashSet::new();
    for line in judge::lines(&fixture.log()).iter().filter(|line| line.seq > 0) {
        let level = match line.fields["logged_at"].as_u64() {
            Some(10) => "DEBUG",
            Some(20) => "INFO",
            Some(30) => "WARN",
            _ => "ERROR",
        };
        assert_eq!(line.level, level);
        assert!(["a.b.c", "d.e.f"].contains(&&*line.target), "{}", line.target);
        pids.insert(line.pid);
    }
    assert_eq!(pids.len(), 11);
}

#[test]
fn exceptions_extras_and_long_messages_arrive_with_all_that_belongs_to_them() {
    let Some(python) = programs::python(&[]) else { return };
    let fixture = fixture();
    let listener = fixture.listener().start();
    let mut command = python_command(&python, "records.py");
    command.arg(socket(&fixture));
    fixture.start("records", command).succeed();
    let receipt = stop(listener, &fixture);
    assert_eq!((receipt.written, receipt.truncated), (9, 1), "{receipt:?}");
    let lines: Vec<Line> =
        judge::lines(&fixture.log()).into_iter().filter(|line| line.seq > 0).collect();
    let text = |line: usize, name: &str| lines[line].fields[name].as_str().expect("a text");
    assert!(message(&lines[0]).contains("<unlocked _thread.lock"), "{:?}", lines[0]);
    let trace = text(0, "exc_text");
    assert!(trace.starts_with("Traceback (most recent call last):\n  File \""), "{trace}");
    assert!(trace.ends_with("ConnectionError: no route\nto the host"), "{trace}");
    let extra = &lines[1].fields;
    assert_eq!((&extra["request_id"], &extra["rows"]), (&Value::from("r-1"), &Value::from(17)));
    assert_eq!((&extra["ratio"], &extra["cached"]), (&Value::from(0.5), &Value::from(false)));
    assert_eq!(message(&lines[2]), format!("long {}", "x".repeat(900_000)));
    // It is cut, and what is beside it is not.
    let cut = message(&lines[3]).strip_prefix("longer ").expect("its begin");
    assert!((RECORD_MAX - 4096..RECORD_MAX).contains(&cut.len()), "{}", cut.len());
    assert!(cut.bytes().all(|byte| byte == b'y'));
    assert_eq!(lines[3].fields["rows"], 18);
    let raw = String::from_utf8(fleetlog_tests::chapters::read(&fixture.log())).expect("UTF-8");
    let longer = raw.lines().find(|line| line.contains("longer yyy")).expect("the line");
    let line: Value = serde_json::from_str(longer).expect("JSON");
    let original = line["truncated"].as_u64().or_else(|| line["original_len"].as_u64());
    assert!(
        original.is_some_and(|original| (3_000_000..3_010_000).contains(&original)),
        "{}",
        longer.replace("yyyy", "")
    );
    assert!(text(4, "stack_info").starts_with("Stack (most recent call last):"));
    assert_eq!(message(&lines[5]), "a dictionary has 3");
    assert_eq!(message(&lines[6]), "ümläut ☃ 🦀");
    assert_eq!(lines[7].level, "TRACE");
    assert_eq!((&*lines[8].level, text(8, "levelname")), ("ERROR", "CRITICAL"));
}

/// What the kernel takes at once, some 64 KB here, stays whole whoever else writes. Parts of longer
/// records of several processes mix on their one connection: then it is cut off and each of them
/// connects anew by itself, at the price of what was on its way.
#[test]
fn forks_that_share_their_parents_connection_keep_every_record_whole() {
    let Some(python) = programs::python(&[]) else { return };
    let fixture = fixture();
    let listener = fixture.listener().start();
    let mut command = python_command(&python, "pool.py");
    command.arg(socket(&fixture)).args(["4", "1000", "0"]);
    let pool = fixture.start("pool", command);
    let parent = pool.pid();
    pool.succeed();
    stop(listener, &fixture);
    judgement::judge(&fixture.log()).demand_counts(&counts(0..4, 1000));
    // The kernel names who connected; who logged is what the record says.
    let lines = judge::lines(&fixture.log());
    let numbered = lines.iter().filter(|line| message(line).starts_with("source="));
    let claimed: HashSet<_> = numbered
        .map(|line| (line.pid == parent, line.fields["claimed.pid"].as_u64().expect("a pid")))
        .collect();
    assert!(claimed.iter().all(|(is_parent, pid)| *is_parent && *pid != u64::from(parent)));
}
