//! What a page is told.

use fleetlog_tests::{Fixture, binaries};
use serde_json::json;

use crate::{Site, record, text};

#[test]
fn a_page_is_told_the_state_once_and_again() {
    let site = Site::new();
    site.log(&[record("warn", "hello")]);
    let mut page = site.events("");
    let hello = page.next_of("hello");
    assert_eq!(hello["logs"].as_array().map(Vec::len), Some(1), "{hello}");
    for _ in 0..3 {
        let state = page.next_of("state");
        assert_eq!(state["listener"]["pid"], site.listener.program.pid());
        assert!(state["totals"]["written"].as_u64() >= Some(1), "{state}");
        assert!(!state.to_string().contains(&site.token), "the token is no part of the state");
    }
}

#[test]
fn a_page_sees_what_was_logged_before_it_came_and_what_is_logged_after() {
    let site = Site::new();
    site.log(&[record("info", "before")]);
    let mut page = site.events("");
    let row = page.row(|row| text(row) == "before");
    assert_eq!((&row["level"], &row["target"]), (&json!("INFO"), &json!("shop::cart")), "{row}");
    site.log(&[record("error", "after")]);
    assert_eq!(page.row(|row| text(row) == "after")["level"], "ERROR");
}

#[test]
fn a_page_that_comes_before_the_first_record_sees_it() {
    let site = Site::new();
    let mut page = site.events("");
    page.next_of("state");
    site.log(&[record("info", "the first")]);
    page.row(|row| text(row) == "the first");
}

#[test]
fn each_filter_leaves_out_what_it_does_not_fit() {
    let site = Site::new();
    let last = json!({ "level": "error", "message": "last", "target": "shop::cart" });
    let other = json!({ "level": "error", "message": "last", "target": "bank" });
    site.log(&[record("info", "quiet 7"), record("warn", "loud 8"), other, last]);
    for (query, expected) in [
        ("", vec!["quiet 7", "loud 8", "last", "last"]),
        ("level=warn", vec!["loud 8", "last", "last"]),
        ("target=shop", vec!["quiet 7", "loud 8", "last"]),
        ("text=%5Ba-z%5D%2B+%5B0-9%5D", vec!["quiet 7", "loud 8"]),
        ("text=LAST", vec![]),
        ("level=warn&target=shop&text=l", vec!["loud 8", "last"]),
        ("worker=nobody", vec![]),
    ] {
        let mut page = site.events(query);
        // What follows the lines says that there are no more.
        let mut seen = Vec::new();
        for _ in 0..2 {
            loop {
                let (name, value) = page.next().expect("an event");
                if name == "state" {
                    break;
                }
                if name == "rows" {
                    seen.extend(
                        value.as_array().expect("rows").iter().map(|row| text(row).to_owned()),
                    );
                }
            }
        }
        assert_eq!(seen, expected, "{query}");
    }
}

#[test]
fn a_filter_finds_lines_that_are_long_past_and_shows_the_newest_of_many() {
    let site = Site::new();
    site.log(&[record("error", "long ago")]);
    let many: Vec<_> = (0..5000).map(|n| record("info", &format!("later {n}"))).collect();
    site.log(&many);
    site.events("level=error").row(|row| text(row) == "long ago");
    let mut rows = Vec::new();
    site.events("level=info").row(|row| {
        rows.push(text(row).to_owned());
        text(row) == "later 4999"
    });
    assert_eq!((rows.len(), &*rows[0]), (1000, "later 4000"));
}

#[test]
fn hostile_text_comes_escaped_and_forges_no_event() {
    let site = Site::new();
    let evil =
        "\u{1b}[2J\r\n\n\nevent: state\ndata: {}\n\n\u{202e}\u{2028}\u{feff}\u{61c}<script>\0";
    site.log(&[record("info", evil), record("info", "x".repeat(60_000).as_str())]);
    site.log(&[record("info", "the end")]);
    let mut page = site.events("");
    let mut rows = Vec::new();
    page.row(|row| {
        rows.push(row.clone());
        text(row) == "the end"
    });
    assert_eq!(rows.len(), 3, "{rows:?}");
    let shown = text(&rows[0]);
    assert!(shown.contains("\\x1b[2J") && shown.contains("<script>"), "{shown}");
    assert!(
        !shown.chars().any(|c| c.is_control() || "\u{202e}\u{feff}\u{61c}".contains(c)),
        "{shown:?}"
    );
    let long = &rows[1];
    assert_eq!(text(long).len() as u64 + long["left_out"].as_u64().expect("a count"), 60_000);
}

#[test]
fn a_listener_without_a_file_says_so() {
    let fixture = Fixture::new(binaries!());
    let listener = fixture.listener().only_with(["--file", "-", "--web", "0"]).start();
    let site = Site::around(fixture, listener);
    let mut page = site.events("");
    let row = page.row(|row| row["mark"].is_string());
    assert!(row["mark"].as_str().is_some_and(|mark| mark.contains("writes no file")), "{row}");
    page.next_of("state");
}

#[test]
fn the_file_of_each_worker_can_be_chosen_and_no_other() {
    let fixture = Fixture::new(binaries!());
    let template = fixture.path().join("of-{worker}.log");
    let template = template.to_str().expect("UTF-8").to_owned();
    std::fs::write(fixture.path().join("secret"), "a secret\n").expect("a file");
    let listener = fixture.listener().only_with(["--file", &template, "--web", "0"]).start();
    let site = Site::around(fixture, listener);
    for name in ["one", "two"] {
        let pipe =
            site.fixture.command_with_input(["pipe", "--name", name], &format!("of {name}\n"));
        pipe.succeed();
    }
    site.sync();
    let logs = site.events("").next_of("hello")["logs"].clone();
    let files: Vec<_> =
        logs.as_array().expect("logs").iter().map(|log| log["file"].clone()).collect();
    assert_eq!(files, ["of-one.log", "of-two.log"]);
    for name in ["one", "two"] {
        let mut page = site.events(&format!("log=0&file=of-{name}.log"));
        let row = page.row(|row| row["worker"].is_string());
        assert_eq!(text(&row), format!("of {name}"));
    }
    for name in ["secret", "..%2Fsecret", "of-one.log%2F..%2Fsecret", "%2Fetc%2Fpasswd"] {
        let row = site.events(&format!("log=0&file={name}")).row(|row| row["mark"].is_string());
        assert!(row["mark"].as_str().is_some_and(|mark| mark.contains("no such file")), "{row}");
    }
}
