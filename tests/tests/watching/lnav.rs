//! lnav reads both layouts by our format file, installed as the documentation says.

use std::fs;
use std::path::Path;
use std::process::Command;

use fleetlog_tests::{Fixture, programs};
use serde_json::Value;

use crate::{fixture, of_repository};

/// Runs lnav in a home of its own, and gives what a query finds as JSON.
fn query(lnav: &Path, home: &Path, query: &str, file: &Path) -> Vec<Value> {
    let output = Command::new(lnav)
        .args(["-n", "-c", &format!(";{query}"), "-c", ":write-json-to -"])
        .arg(file)
        .env("HOME", home)
        .env_remove("XDG_CONFIG_HOME")
        .env("TERM", "dumb")
        .output()
        .expect("lnav");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn install(lnav: &Path, home: &Path) {
    fs::create_dir(home).expect("a home");
    let format = of_repository("packaging/lnav/fleetlog.json");
    for arguments in [vec!["-i", format.to_str().expect("UTF-8")], vec!["-C"]] {
        let mut command = Command::new(lnav);
        command.args(&arguments).env("HOME", home).env_remove("XDG_CONFIG_HOME");
        let output = command.output().expect("lnav");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && !said.contains("error"), "{arguments:?}: {said}");
    }
}

fn log_in(fixture: &Fixture, format: &str) {
    let file = fixture.log().to_str().expect("UTF-8").to_owned();
    let listener = fixture.listener().only_with(["--file", &file, "--format", format]).start();
    fixture.workload(["chorus", "--workers", "2", "--records", "16", "--secret", "a\nb"]).succeed();
    fixture
        .command_with_input(["pipe", "--name", "web é[7]", "--level", "warn"], "x: y\n")
        .succeed();
    assert!(listener.stop().is_complete());
}

#[test]
fn every_line_of_both_layouts_is_a_record_with_its_worker_level_and_target() {
    let Some(lnav) = programs::find("lnav") else { return };
    for format in ["text", "json"] {
        let fixture = fixture();
        log_in(&fixture, format);
        let home = fixture.path().join("home");
        install(&lnav, &home);
        let all = format!(
            "SELECT log_level, worker, pid, target, log_body FROM fleetlog_{format} ORDER BY log_line"
        );
        let rows = query(&lnav, &home, &all, &fixture.log());
        let lines = fs::read_to_string(fixture.log()).expect("a log");
        assert_eq!(rows.len(), lines.lines().count(), "{format}: {rows:?}\n{lines}");
        assert_eq!(rows.len(), 35, "{format}");
        for level in ["info", "error", "warning"] {
            assert!(rows.iter().any(|row| row["log_level"] == level), "{format}: no {level}");
        }
        let own =
            |row: &&Value| row["worker"].as_str().is_some_and(|name| name.starts_with("worker"));
        let chorus: Vec<_> = rows.iter().filter(own).collect();
        assert_eq!(chorus.len(), 32);
        for row in chorus {
            assert_eq!(row["target"], "workload::chorus", "{format}: {row}");
            let body = row["log_body"].as_str().expect("a body");
            assert!(body.starts_with("all together") || body.starts_with("on my own"), "{row}");
        }
        let web: Vec<_> = rows.iter().filter(|row| row["worker"] == "web é[7]").collect();
        assert_eq!(web.len(), 1, "{format}: {rows:?}");
        assert!(web[0]["log_body"].as_str().is_some_and(|body| body.starts_with("x: y")));
    }
}
