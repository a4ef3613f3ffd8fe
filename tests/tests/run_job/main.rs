//! `fleetlog run`: a job's lines, its process tree, its signals and its end.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fleetlog_tests::fixture::Binaries;
use fleetlog_tests::judge::{self, Line};
use fleetlog_tests::{Fixture, Program, binaries, wait};
use nix::sys::signal::Signal;
use serde_json::Value;

mod ends;
mod homes;
mod lines;
mod tree;

const BINARIES: Binaries = binaries!();

fn fixture() -> Fixture {
    Fixture::new(BINARIES)
}

/// Runs a shell script as a job whose log is the fixture's.
fn run(fixture: &Fixture, script: &str) -> Program {
    run_with(fixture, &[], script)
}

/// As [`run`], with more flags.
fn run_with(fixture: &Fixture, flags: &[&str], script: &str) -> Program {
    let log = fixture.log().into_os_string().into_string().expect("UTF-8");
    let mut arguments = vec!["run", "--file", &log, "--format", "json"];
    arguments.extend_from_slice(flags);
    arguments.extend_from_slice(&["--", "/bin/sh", "-c", script]);
    fixture.command(arguments)
}

/// The lines of one of the job's streams.
fn printed<'l>(lines: &'l [Line], stream: &str) -> Vec<&'l str> {
    let of_stream = lines.iter().filter(|line| line.target == "job" && line.seq > 0);
    of_stream.filter(|line| line.fields["stream"] == stream).map(message).collect()
}

fn message(line: &Line) -> &str {
    line.fields["message"].as_str().expect("text")
}

/// The record of the job's end.
fn end(lines: &[Line]) -> &Line {
    let mut ends = lines.iter().filter(|line| message(line) == "job ended");
    let end = ends.next().unwrap_or_else(|| panic!("no end in {lines:?}"));
    assert!(ends.next().is_none(), "one end only");
    end
}

/// Demands that nothing was lost and that nobody is taken for dead.
fn demand_no_notice(lines: &[Line]) {
    let notices: Vec<_> = lines.iter().filter(|line| line.seq == 0).collect();
    assert!(notices.is_empty(), "{notices:?}");
}
