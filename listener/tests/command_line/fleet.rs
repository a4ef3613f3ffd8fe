//! The commands that meet a living listener.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::place::{Place, Run, feed};

/// A listener in the foreground, and the run directory and file it owns.
struct Fleet {
    place: Place,
    listener: Child,
}

impl Fleet {
    fn start(arguments: &[&str]) -> Self {
        let place = Place::new();
        let log = place.path("apps.log");
        let mut command = place.command(&["listen", "--file", log.to_str().unwrap()]);
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let listener = command.spawn().unwrap();
        let fleet = Self { place, listener };
        fleet.await_listener();
        fleet
    }

    fn await_listener(&self) {
        for _ in 0..1000 {
            if self.place.run(&["status"]).code == Some(0) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("no listener answers in {}", self.place.folder.path().display());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.place.path("apps.log")).unwrap()
    }

    fn end(mut self) -> Run {
        let stopped = self.place.run(&["stop"]).ends(0);
        let status = self.listener.wait().unwrap();
        assert_eq!(status.code(), Some(0), "{}", stopped.story());
        stopped
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let _ = self.listener.kill();
        let _ = self.listener.wait();
    }
}

#[test]
fn the_lines_of_a_pipe_stand_in_the_file_and_in_the_receipt() {
    let fleet = Fleet::start(&[]);
    let mut pipe = fleet.place.command(&["pipe", "--name", "job 1", "--level", "warn"]);
    feed(&mut pipe, b"one\n\x1b[31m\xfftwo\r\n\nlast").ends(0).prints_nothing().says_nothing();
    let log = fleet.log();
    let lines: Vec<_> = log.lines().collect();
    assert_eq!(lines.len(), 4, "{log}");
    assert!(lines[0].contains("WARN job 1[") && lines[0].ends_with("one"), "{log}");
    assert!(lines[1].contains("\u{fffd}two") && !log.contains('\u{1b}'), "{log:?}");
    assert!(lines[3].ends_with("last"), "{log}");
    fleet.place.run(&["status"]).ends(0).prints("0 connected, 1 seen").prints("4 records");
    fleet.place.run(&["sync"]).ends(0).prints("Durable: 4 records written");
    fleet.end().prints("Nothing was lost.").says_nothing();
}

#[test]
fn a_pipe_that_comes_before_its_listener_is_written_by_it() {
    let place = Place::new();
    let mut pipe = place.command(&["pipe", "--name", "early"]);
    pipe.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut early = pipe.spawn().unwrap();
    early.stdin.take().unwrap().write_all(b"before\n").unwrap();
    let log = place.path("apps.log");
    let mut listen = place.command(&["listen", "--exit-with-last-worker", "--file"]);
    let run = Run::of(listen.arg(&log));
    run.ends(0).says("Nothing was lost.");
    assert_eq!(early.wait().unwrap().code(), Some(0));
    assert!(fs::read_to_string(&log).unwrap().ends_with("before\n"));
}

#[test]
fn the_status_shows_a_worker_while_it_lives() {
    let fleet = Fleet::start(&[]);
    let mut pipe = fleet.place.command(&["pipe", "--name", "job\u{1b}[2J"]);
    let mut pipe = pipe.stdin(Stdio::piped()).spawn().unwrap();
    let mut input = pipe.stdin.take().unwrap();
    input.write_all(b"one\n").unwrap();
    let row = format!("job\\u{{1b}}[2J  {}", pipe.id());
    let shown = (0..1000).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        fleet.place.run(&["status"]).ends(0).stdout.contains(&row)
    });
    assert!(shown, "{}", fleet.place.run(&["status"]).story());
    drop(input);
    assert_eq!(pipe.wait().unwrap().code(), Some(0));
    fleet.end();
}

#[test]
fn a_second_listener_is_refused_with_three_and_the_first_ones_pid() {
    let fleet = Fleet::start(&[]);
    let pid = fleet.listener.id().to_string();
    fleet.place.run(&["listen", "--file", "/dev/null"]).ends(3).says(&pid);
    fleet.end();
}

#[test]
fn the_receipt_and_the_status_are_json_when_asked() {
    let mut fleet = Fleet::start(&["-q"]);
    feed(&mut fleet.place.command(&["pipe", "--name", "job"]), b"one\ntwo\n").ends(0);
    let status = fleet.place.run(&["status", "--json"]).ends(0);
    let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(status["totals"]["written"], 2);
    let receipt = fleet.place.run(&["stop", "--json"]).ends(0).says_nothing();
    let receipt: serde_json::Value = serde_json::from_str(&receipt.stdout).unwrap();
    assert_eq!(receipt["complete"], true);
    assert_eq!(receipt["accounts"][0]["written"], 2);
    assert_eq!(fleet.listener.wait().unwrap().code(), Some(0));
    let mut said = String::new();
    fleet.listener.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "", "a quiet listener says nothing");
}

#[test]
fn the_listeners_diagnostics_go_to_the_folder_and_not_into_the_log() {
    let place = Place::new();
    let folder = place.path("diagnostics");
    let fleet = Fleet::start(&["-q", "--diagnostics-dir", folder.to_str().unwrap()]);
    feed(&mut fleet.place.command(&["pipe"]), b"one\n").ends(0);
    assert_eq!(fleet.log().lines().count(), 1);
    fleet.end();
    let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    let name = files[0].file_name().into_string().unwrap();
    assert!(name.starts_with("fleetlog-listener-diagnostics."), "{name}");
    assert!(!fs::read_to_string(files[0].path()).unwrap().is_empty());
}

#[test]
fn the_demo_proves_its_file_and_keeps_it() {
    let place = Place::new();
    let run = place.run(&["demo"]).ends(0).says_nothing();
    let run = run.prints("Proved: 100 records of 10 workers").prints("worker 9");
    let file = run.stdout.lines().find_map(|line| line.trim().strip_prefix("file ")).unwrap();
    let file = Path::new(file.trim());
    assert_eq!(fs::read_to_string(file).unwrap().lines().count(), 100);
    let left: Vec<_> = fs::read_dir(file.parent().unwrap()).unwrap().collect();
    assert_eq!(left.len(), 1, "only the file is kept: {left:?}");
}

#[test]
fn the_demo_appends_to_a_file_of_the_users_and_leaves_nothing_else() {
    let place = Place::new();
    let file = place.file("mine.log", "an old line\n");
    let path = file.to_str().unwrap();
    let line =
        ["demo", "--workers", "3", "--items", "200", "--format", "{message}", "--file", path];
    place.run(&line).ends(0).prints("Proved: 600 records of 3 workers");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("an old line\n"));
    assert_eq!(text.lines().count(), 601);
    assert_eq!(fs::read_dir(place.folder.path()).unwrap().count(), 1);
}
