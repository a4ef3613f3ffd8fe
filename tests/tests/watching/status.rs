//! The status: what it says of the present.

use fleetlog_tests::wait;
use serde_json::Value;

use crate::fixture;

fn worker(status: &Value) -> Option<&Value> {
    status["workers"].as_array()?.iter().find(|worker| worker["written"].as_u64() > Some(0))
}

#[test]
fn rates_history_age_and_what_waits_are_told_of_a_worker_at_work() {
    let fixture = fixture();
    let listener = fixture.listener().with(["--sync", "1s", "--rotation", "hourly"]).start();
    let mut chorus =
        fixture.workload(["chorus", "--workers", "1", "--records", "1000000", "--pause", "1000"]);
    let mut seen = Value::Null;
    wait::until("a whole second was counted", || {
        assert!(chorus.is_running());
        seen = listener.status().expect("a status");
        worker(&seen).is_some_and(|worker| worker["records_per_second"].as_f64() > Some(10.0))
    });
    let worker = worker(&seen).expect("a worker").clone();
    let history = worker["history"].as_array().expect("a history");
    assert_eq!(history.len(), 32, "{worker}");
    assert!(history.iter().any(|count| count.as_u64() > Some(10)), "{worker}");
    for key in ["bytes", "bytes_per_second", "alive_seconds"] {
        assert!(worker[key].as_f64() > Some(0.0), "{key}: {worker}");
    }
    for key in ["queued_bytes", "lag_seconds"] {
        assert!(worker[key].is_number(), "{key}: {worker}");
    }
    assert_eq!(worker["transport"], "lanes");
    let sink = &seen["sinks"][0];
    assert_eq!((&sink["sync"], &sink["rotation"]), (&"1s".into(), &"hourly".into()), "{sink}");
    for key in ["size", "size_max", "disk_free_bytes", "disk_total_bytes"] {
        assert!(sink[key].as_u64() > Some(0), "{key}: {sink}");
    }
    assert!(seen["drain"]["write_seconds"]["count"].as_u64() > Some(0), "{seen}");
    assert!(seen["drain"]["lag_seconds"]["count"].as_u64() > Some(0), "{seen}");
    let levels = &seen["totals"]["levels"];
    assert!(levels["info"].as_u64() > Some(0), "{levels}");
}

#[test]
fn what_waits_while_nothing_can_be_written_is_told_with_its_age() {
    let fixture = fixture();
    let disk = fixture.path().join("disk");
    let Some(disk) = fleetlog_tests::Disk::mount(&disk, "64k") else { return };
    let log = disk.path().join("apps.log");
    let bounds = ["--max-size", "1G", "--max-total-size", "2G"];
    let arguments = ["--file", log.to_str().expect("UTF-8")];
    let listener = fixture.listener().only_with(arguments).with(bounds).start();
    let mut chorus =
        fixture.workload(["chorus", "--workers", "1", "--records", "4000", "--pause", "100"]);
    wait::until("the status tells what waits, and for how long", || {
        let status = listener.status().expect("a status");
        let Some(worker) = worker(&status) else { return false };
        let waits = worker["queued_bytes"].as_u64() > Some(10_000);
        let ages = worker["lag_seconds"].as_f64() > Some(0.2);
        status["listener"]["paused"].is_string() && waits && ages
    });
    let paused = listener.status().expect("a status");
    assert!(paused["sinks"][0]["error"].is_string(), "{paused}");
    assert!(paused["sinks"][0]["disk_free_bytes"].as_u64() < Some(65_536), "{paused}");
    disk.grow("16m");
    chorus.wait();
    assert!(listener.stop().is_complete());
}
