use super::answer::Fleet;
use super::*;
use crate::command::table::width;

const ANSWER: &str = r#"{
    "listener": {"pid": 7, "uptime_seconds": 61.5, "run_dir": "/run/x", "version": "0.1.0"},
    "totals": {"workers": 3, "connected": 1, "died": 0, "written": 1000, "lines": 2000, "bytes": 4096, "dropped": {"full": 3},
               "missing": 0, "truncated": 0, "doubles": 1, "offences": 2, "levels": {"error": 4, "warn": 1},
               "records_per_second": 12.5, "bytes_per_second": 2048, "history": [0, 0, 1, 4]},
    "workers": [
        {"name": "evil\u001b[2J", "pid": 8, "uid": 1000, "connected": true,
         "transport": "socket", "fallback": "no room", "attempted": 1003, "written": 1000,
         "dropped": {"full": 3}, "missing": 2, "seconds_since_last": 2.25, "alive_seconds": 90.0, "errors": 4,
         "records_per_second": 12.5, "bytes_per_second": 2048, "history": [0, 1, 4], "queued_bytes": 1024, "lag_seconds": 1.5,
         "last_error": {"message": "no such\u001b[31m table", "seconds_ago": 3.0}},
        {"name": "東京 worker", "pid": 4194304, "uid": 1000, "connected": true, "transport": "lanes",
         "attempted": 123456789, "written": 123456789, "alive_seconds": 7300.0, "seconds_since_last": 0.1},
        {"name": "worker 2", "pid": 9, "uid": 0, "connected": false, "transport": "lanes", "written": 5}],
    "workers_left_out": 12,
    "sinks": [{"target": "/var/log/apps.log", "format": "text", "filter": "all", "lines": 2000,
               "bytes": 4096, "error": null, "size": 2048, "size_max": 1048576, "rotation": "hourly", "archives": 3,
               "total_bytes": 9000, "total_bytes_max": null, "sync": "1s", "seconds_since_sync": 0.5, "compression": "zstd",
               "disk_free_bytes": 1073741824, "disk_total_bytes": 107374182400}],
    "clients": {"connections": 1, "offences": {"garbage": 2}}
}"#;

fn plain(json: &str, columns: Option<usize>) -> String {
    let fleet = Fleet::parse(json).unwrap();
    anstream::adapter::strip_str(&text::of(&fleet, columns)).to_string()
}

#[test]
fn the_numbers_of_the_answer_stand_in_the_tables() {
    let text = plain(ANSWER, None);
    for part in [
        "pid 7, up 1m 1s",
        "1 connected, 3 seen",
        "/run/x",
        "13 records/s, 2.0 KiB/s  ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▃█",
        "1.0 KiB, the oldest for 1.5s",
        "4 errors, 1 warning",
        "3 dropped (full 3)",
        "2 offences (garbage 2)",
        "  └ lost: full 3, 2 missing\n",
        "1 worker over the socket: no room",
        "12 more workers had no room",
        "123,456,789",
        "2h 1m",
        "2.0 KiB/1.0 MiB  hourly        4  zstd    8.7 KiB  1s, 500ms ago",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(text.contains("evil\\u{1b}[2J        8"), "{text}");
    let gone = text.lines().find(|line| line.starts_with("worker 2")).unwrap();
    assert!(gone.contains("gone"), "{gone}");
}

#[test]
fn nothing_of_the_answer_drives_the_terminal() {
    for columns in [None, Some(80)] {
        let text = plain(ANSWER, columns);
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(text.contains("  └ 3s ago: no such\\u{1b}[31m table"), "{text}");
    }
}

#[test]
fn on_a_terminal_the_less_important_columns_make_way_in_a_fixed_order() {
    let headline = |columns| {
        let text = plain(ANSWER, columns);
        text.lines().find(|line| line.starts_with("WORKER")).unwrap().to_owned()
    };
    let names = |line: String| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let all = names(headline(None));
    assert_eq!(names(headline(Some(200))), all);
    let wide = names(headline(Some(120)));
    for name in ["PID", "VIA", "ALIVE", "REC/S", "HISTORY", "QUEUED", "LAG", "WRITTEN", "LOST"] {
        assert!(wide.contains(&name.to_owned()), "{wide:?} without {name}");
    }
    let usual = names(headline(Some(80)));
    for name in ["WORKER", "PID", "REC/S", "HISTORY", "LAG", "WRITTEN", "LOST"] {
        assert!(usual.contains(&name.to_owned()), "{usual:?} without {name}");
    }
    for columns in 50..250 {
        let shown = names(headline(Some(columns)));
        let wider = names(headline(Some(columns + 1)));
        assert!(shown.iter().all(|name| wider.contains(name)), "{columns}: {shown:?} {wider:?}");
    }
}

#[test]
fn no_line_of_the_tables_is_wider_than_the_terminal() {
    for columns in 60..200 {
        let text = plain(ANSWER, Some(columns));
        let widest = text.lines().max_by_key(|line| width(line)).unwrap();
        assert!(width(widest) <= columns, "{columns}: {widest}");
    }
}

#[test]
fn a_fleet_without_workers_or_with_a_full_disk_says_so() {
    let mut answer: serde_json::Value = serde_json::from_str(ANSWER).unwrap();
    answer["workers"] = serde_json::json!([]);
    answer["listener"]["paused"] = "no room".into();
    let text = plain(&answer.to_string(), None);
    assert!(text.contains("No worker is there.") && text.contains("paused         no room"));
    assert!(text.contains("waiting        nothing"), "{text}");
}

#[test]
fn json_for_programs_is_the_same_value_and_safe_on_a_terminal() {
    let hostile = "{\"name\":\"a\u{9b}31m\u{202e}\u{7f}é\"}";
    let safe = terminal_safe(hostile);
    assert!(!safe.chars().any(is_unsafe), "{safe:?}");
    let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(value(&safe), value(hostile));
}

/// The answer, with something lost so many seconds ago.
fn lost_before(seconds: u32) -> String {
    let losses = format!(
        r#""losses": {{
            "full": {{"records": 3, "times": 1, "first": "2026-11-22T10:00:00.000000Z", "seconds_since_last": {seconds}}},
            "cut_off": {{"records": null, "times": 2, "first": "2026-11-22T09:00:00.000000Z", "seconds_since_last": 90000}}}},
           "missing""#
    );
    ANSWER.replacen("\"missing\"", &losses, 2).replace("\"missing\": 2", "\"missing\": 0")
}

#[test]
fn a_loss_is_told_with_its_times_and_one_of_unknown_number_as_such() {
    let text = plain(&lost_before(300), None);
    let lost = text.lines().find(|line| line.starts_with("lost")).unwrap();
    assert!(lost.contains("3 dropped (full 3)"), "{lost}");
    assert!(lost.contains("2 times of unknown number (cut off 2)"), "{lost}");
    assert!(lost.ends_with("; last 5m ago, first 2026-11-22T09:00:00.000000Z"), "{lost}");
    assert!(text.contains("  └ lost: full 3, cut off 2 times; last 5m ago"), "{text}");
}

#[test]
fn a_loss_is_no_alarm_any_more_after_an_hour() {
    let styled = |seconds: u32| {
        let fleet = Fleet::parse(&lost_before(seconds)).unwrap();
        let text = text::of(&fleet, None);
        let told = text.lines().filter(|line| line.contains("full 3") && line.contains("last "));
        let alarms: Vec<bool> =
            told.map(|line| line.contains(&crate::command::screen::WARNING.to_string())).collect();
        assert_eq!(alarms.len(), 2, "in the facts and below the worker: {text}");
        alarms
    };
    assert_eq!(styled(3599), [true, true]);
    assert_eq!(styled(3601), [false, false]);
}
