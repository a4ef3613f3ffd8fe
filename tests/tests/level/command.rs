//! `fleetlog level` as a person or a program uses it.

use std::fs;

use fleetlog_protocol::level_control::{LEVEL, WorkerPattern};
use fleetlog_tests::{judge, wait};

use crate::{Fleet, await_level, fixture};

#[test]
fn mistakes_are_named_before_a_listener_is_asked_and_a_missing_listener_after() {
    let fixture = fixture();
    for (arguments, expected) in [
        (&["level"][..], "--show"),
        (&["level", "inof"], "did you mean `info`?"),
        (&["level", "app[span]=debug"], "span or field"),
        (&["level", "debug", "--for", "5"], "its unit is missing"),
        (&["level", "debug", "--for", "10ms"], "at least 1s"),
        (&["level", "debug", "--worker", ""], "empty"),
        (&["level", "debug", "--show"], "cannot be used with"),
        (&["level", "--reset", "--for", "5m"], "cannot be used with"),
    ] {
        let mut refused = fixture.command(arguments);
        assert_eq!(refused.code(), 2, "{arguments:?}: {}", refused.output());
        assert!(refused.output().contains(expected), "{arguments:?}: {}", refused.output());
    }
    for arguments in [&["level", "debug"][..], &["level", "--show"], &["level", "--reset"]] {
        let mut nobody = fixture.command(arguments);
        assert_eq!(nobody.code(), 3, "{}", nobody.output());
        assert!(nobody.output().contains("no listener lives"), "{}", nobody.output());
    }
}

#[test]
fn it_is_told_what_is_in_force_how_many_heed_it_and_who_can_not() {
    let fixture = fixture();
    let listener = fixture.listener().start();
    let fleet = Fleet::start(&fixture, 1, 3);
    let stream = std::os::unix::net::UnixStream::connect(fixture.run_dir().join("socket"));
    let mut stream = stream.expect("the listener");
    std::io::Write::write_all(&mut stream, b"{\"msg\":\"from elsewhere\"}\n").expect("sent");
    wait::until("all are known", || {
        let status = listener.status().expect("a status");
        status["workers"].as_array().is_some_and(|workers| workers.len() == 3)
    });
    let said = fixture.command(["level", "app=debug", "-w", "worker 3", "--for", "5m"]).succeed();
    assert!(said.contains("app=debug for worker 3, until ") && said.contains("(in 5m)"), "{said}");
    assert!(said.contains("1 of 3 connected workers heeds it."), "{said}");
    let said = fixture.command(["level", "app=trace"]).succeed();
    // A silent worker may have begun to log by the first change.
    let heed = ["2 of 3", "3 of 4"].map(|count| format!("{count} connected workers heed it."));
    assert!(heed.iter().any(|told| said.contains(told.as_str())), "{said}");
    assert!(said.contains("1 foreign client (json 1)"), "{said}");
    assert_eq!(fixture.command(["-q", "level", "warn"]).succeed(), "");

    let shown = fixture.command(["level", "--show"]).succeed();
    assert!(shown.contains("worker 3") && shown.contains("warn"), "{shown}");
    assert!(!shown.contains("trace"), "a later one takes the place of the former: {shown}");
    let json = fixture.command(["level", "--show", "--json"]).succeed();
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["levels"].as_array().expect("levels").len(), 2);
    assert_eq!(json["levels"][1]["worker"], serde_json::Value::Null);

    let mut unknown = fixture.command(["level", "--reset", "-w", "worker 9"]);
    assert_eq!(unknown.code(), 1);
    assert!(unknown.output().contains("--show"), "{}", unknown.output());
    fixture.command(["level", "--reset"]).succeed();
    await_level(&fixture, 1..4, "info");
    fleet.end();
    let said = listener.program.output();
    assert!(said.contains("the level is changed"), "who changed what is told: {said}");
    drop(stream);
    assert!(listener.stop().is_complete());
    assert!(judge::lines(&fixture.log()).len() > 1);
}

#[test]
fn no_more_changes_than_there_may_be_and_a_garbled_file_is_replaced() {
    let fixture = fixture();
    let listener = fixture.listener().start();
    for number in 0..fleetlog_protocol::limits::LEVEL_CHANGES_MAX {
        let worker = format!("worker {number}");
        assert!(WorkerPattern::parse(&worker).fits(&worker, 1));
        fixture.command(["level", "debug", "-w", &worker]).succeed();
    }
    let mut one_more = fixture.command(["level", "debug"]);
    assert_eq!(one_more.code(), 1);
    assert!(one_more.output().contains("64 changes"), "{}", one_more.output());
    assert!(listener.stop().is_complete());

    fs::write(fixture.run_dir().join(LEVEL), "garbage").expect("a file");
    let listener = fixture.listener().start();
    assert!(listener.program.output().contains("is forgotten"), "{}", listener.program.output());
    assert!(fixture.command(["level", "--show"]).succeed().contains("No change"));
    let fleet = Fleet::start(&fixture, 0, 1);
    fixture.command(["level", "debug"]).succeed();
    await_level(&fixture, [0], "debug");
    fleet.end();
    assert!(listener.stop().is_complete());
}
