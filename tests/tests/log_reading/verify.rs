//! `fleetlog verify`: each damage is found and named, and nothing else is.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use fleetlog_tests::{Fixture, Steady, binaries, wait};
use serde_json::Value;

use crate::place::{Packed, Place, Said, bare, lines, write};

/// Verifies with a code, and returns the findings as `kind file:line` and the whole document.
#[track_caller]
fn verify(place: &Place, code: i32) -> (Vec<String>, Value) {
    let said = place.run(["verify", "--json"]).ends(code);
    let document: Value = serde_json::from_str(&said.stdout).expect("JSON");
    assert!(said.stderr.is_empty(), "{said:#?}");
    let findings = document["findings"].as_array().expect("findings").iter().map(|finding| {
        let file = Path::new(finding["file"].as_str().expect("a file"));
        let file = file.file_name().expect("a name").to_str().expect("UTF-8");
        let line = &finding["line"];
        format!("{} {file}:{line}", finding["kind"].as_str().expect("a kind"))
    });
    (findings.collect(), document)
}

/// A log of three files: one packed with gzip, one with zstd, and the current one.
fn three_files() -> Place {
    let place = Place::with("json");
    place.archive(50, 10, Packed::Gzip);
    place.archive(50, 11, Packed::Zstd);
    place
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<String>)) {
    let mut all = lines(path);
    change(&mut all);
    write(path, &all);
}

#[test]
fn a_log_that_is_whole_has_no_finding_in_any_layout() {
    for format in ["json", "text", "{time} {worker} {message}"] {
        let place = Place::with(format);
        place.archive(100, 10, Packed::Gzip);
        place.archive(100, 11, Packed::Zstd);
        place.archive(100, 12, Packed::Not);
        let (findings, document) = verify(&place, 0);
        assert!(findings.is_empty() && document["whole"] == true, "{document:#}");
        // 400 records, and two that tell how the workers ended.
        assert_eq!(document["totals"]["lines"], 402, "{document:#}");
        assert_eq!(document["files"].as_array().map(Vec::len), Some(4));
        let layout = if format.starts_with('{') { "unknown" } else { format };
        assert!(document["files"].as_array().unwrap().iter().all(|file| file["layout"] == layout));
        let can_see_all = document["notes"].as_array().is_some_and(Vec::is_empty);
        assert_eq!(can_see_all, format == "json", "{document:#}");
        let text = place.run(["verify"]).ends(0).stdout;
        assert!(text.contains("Everything holds: 402 lines in 4 files."), "{text}");
    }
}

#[test]
fn a_flipped_byte_in_an_old_file_is_found() {
    for (name, at) in [("10-00-00Z.log.gz", 1), ("10-00-00Z.log.gz", 2), ("11-00-00Z.log.zst", 2)] {
        let place = three_files();
        let name = format!("apps.2026-11-22T{name}");
        let path = place.fixture.path().join(&name);
        let mut bytes = fs::read(&path).unwrap();
        let at = bytes.len() * at / 3;
        bytes[at] ^= 0x10;
        fs::write(&path, bytes).unwrap();
        let (findings, document) = verify(&place, 1);
        let kinds: Vec<_> = findings.iter().filter(|finding| !finding.contains(&name)).collect();
        assert!(kinds.is_empty(), "only the damaged file is named: {document:#}");
        assert!(findings.iter().any(|finding| finding.starts_with("archive")), "{document:#}");
    }
}

#[test]
fn a_cut_old_file_and_one_with_something_behind_it_are_found() {
    for more in [-1, 1] {
        let place = three_files();
        let path = place.fixture.path().join("apps.2026-11-22T10-00-00Z.log.gz");
        let mut bytes = fs::read(&path).unwrap();
        if more > 0 {
            bytes.push(b'x');
        } else {
            bytes.pop();
        }
        fs::write(&path, bytes).unwrap();
        let (findings, document) = verify(&place, 1);
        assert_eq!(findings, ["archive apps.2026-11-22T10-00-00Z.log.gz:51"], "{document:#}");
    }
}

#[test]
fn a_removed_line_is_found_and_its_record_is_named() {
    let place = three_files();
    let removed = place.lines()[50].clone();
    edit(&place.log(), |lines| drop(lines.remove(50)));
    let (findings, document) = verify(&place, 1);
    let [finding] = &findings[..] else { panic!("{document:#}") };
    assert!(finding.starts_with("missing apps.log:"), "{finding}");
    let record: Value = serde_json::from_str(&removed).unwrap();
    let detail = document["findings"][0]["detail"].as_str().unwrap();
    let named = format!(
        "the record {} of {}[{}], lane {} is missing before it",
        record["seq"],
        record["worker"].as_str().unwrap(),
        record["pid"],
        record["lane"]
    );
    assert_eq!(detail, named);
    let text = place.run(["verify"]).ends(1).stdout;
    assert!(text.contains(&named) && text.contains("Damage: 1 finding"), "{text}");
}

#[test]
fn a_line_removed_at_the_end_of_an_old_file_is_found_in_the_next_one() {
    let place = Place::with("json");
    let old = place.archive(100, 10, Packed::Not);
    edit(&old, |lines| drop(lines.pop()));
    let (findings, document) = verify(&place, 1);
    assert_eq!(findings.len(), 1, "{document:#}");
    assert!(findings[0].starts_with("missing apps.log:"), "{document:#}");
}

#[test]
fn a_doubled_line_is_found_wherever_the_second_one_stands() {
    for (from, to) in [(50, 51), (50, 120), (0, 1)] {
        let place = Place::with("json");
        place.archive(100, 10, Packed::Not);
        edit(&place.log(), |lines| lines.insert(to, lines[from].clone()));
        let (findings, document) = verify(&place, 1);
        assert_eq!(findings, [format!("doubled apps.log:{}", to + 1)], "{document:#}");
    }
}

#[test]
fn lines_that_changed_places_are_found() {
    let place = Place::with("json");
    let seq = |line: &String| {
        let line: Value = serde_json::from_str(line).unwrap();
        (line["pid"].clone(), line["seq"].as_u64().unwrap())
    };
    let lines = place.lines();
    let (pid, number) = seq(&lines[150]);
    let next = (151..lines.len()).find(|at| seq(&lines[*at]) == (pid.clone(), number + 1)).unwrap();
    edit(&place.log(), |lines| lines.swap(150, next));
    let (findings, document) = verify(&place, 1);
    assert_eq!(
        findings,
        ["missing apps.log:151".to_owned(), format!("order apps.log:{}", next + 1),],
        "{document:#}"
    );
}

#[test]
fn a_cut_last_line_is_found_in_every_layout_and_in_old_files_too() {
    for format in ["json", "text", "{time} {worker} {message}"] {
        let place = Place::with(format);
        let old = place.archive(100, 10, Packed::Not);
        for (path, findings) in [
            (place.log(), vec!["cut apps.log:302"]),
            (old, vec!["cut apps.2026-11-22T10-00-00Z.log:100", "cut apps.log:302"]),
        ] {
            let bytes = fs::read(&path).unwrap();
            fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
            let (found, document) = verify(&place, 1);
            let found: Vec<_> = found.iter().filter(|found| found.starts_with("cut")).collect();
            assert_eq!(found, findings.iter().collect::<Vec<_>>(), "{document:#}");
        }
    }
}

#[test]
fn a_foreign_line_and_control_characters_are_found() {
    for (format, layout) in [("json", "layout"), ("text", "layout"), ("{message}", "")] {
        let place = Place::with(format);
        edit(&place.log(), |lines| lines.insert(7, "panic: somebody else's words".to_owned()));
        let (findings, document) = verify(&place, i32::from(!layout.is_empty()));
        let expected =
            if layout.is_empty() { vec![] } else { vec![format!("{layout} apps.log:8")] };
        assert_eq!(findings, expected, "{document:#}");
        edit(&place.log(), |lines| lines[7] = "\u{1b}[2J".to_owned());
        let (findings, document) = verify(&place, 1);
        assert_eq!(findings, ["bytes apps.log:8"], "{document:#}");
        let mut bytes = fs::read(place.log()).unwrap();
        let at = bytes.iter().position(|byte| *byte == 0x1b).unwrap();
        bytes[at] = 0xff;
        fs::write(place.log(), bytes).unwrap();
        assert_eq!(verify(&place, 1).0, ["bytes apps.log:8"]);
    }
}

#[test]
fn an_old_file_that_is_there_twice_is_read_once_and_what_is_being_packed_is_not_read() {
    let place = Place::with("json");
    let old = place.archive(100, 10, Packed::Not);
    let copy = fs::read(&old).unwrap();
    let packed = crate::place::pack(&old, Packed::Gzip);
    fs::write(&old, copy).unwrap();
    fs::write(format!("{}.tmp", packed.display()), "half").unwrap();
    let (_, document) = verify(&place, 0);
    assert_eq!(document["totals"]["lines"], 402, "{document:#}");
    assert_eq!(place.run(["logs"]).ends(0).lines().len(), 402);
}

#[test]
fn old_files_that_retention_removed_are_not_missed() {
    let place = three_files();
    fs::remove_file(place.fixture.path().join("apps.2026-11-22T10-00-00Z.log.gz")).unwrap();
    let (findings, document) = verify(&place, 0);
    assert!(findings.is_empty(), "{document:#}");
    assert!(document["notes"].to_string().contains("did not begin in these files"), "{document:#}");
    // But one from the middle is.
    let place = three_files();
    fs::remove_file(place.fixture.path().join("apps.2026-11-22T11-00-00Z.log.zst")).unwrap();
    let (findings, document) = verify(&place, 1);
    assert!(
        findings.iter().all(|finding| finding.starts_with("missing apps.log:")),
        "{document:#}"
    );
}

#[test]
fn records_that_a_worker_dropped_and_the_log_tells_of_are_not_missed() {
    let fixture = Fixture::new(binaries!());
    let listener = fixture.listener().start();
    // More than a listener takes: lanes are full again and again while it writes.
    fixture.workload(["storm", "--workers", "4", "--records", "40000", "--stall", "0"]).succeed();
    let receipt = listener.stop();
    assert!(receipt.dropped.total() > 0, "nothing was dropped: {receipt:?}");
    let place = Place { fixture };
    let (findings, document) = verify(&place, 0);
    assert!(findings.is_empty(), "{document:#}");
    // Without the line that tells of it the gap is damage.
    edit(&place.log(), |lines| lines.retain(|line| !line.contains("dropped records here")));
    let (findings, document) = verify(&place, 1);
    assert!(!findings.is_empty(), "{document:#}");
    assert!(findings.iter().all(|finding| finding.starts_with("missing")), "{document:#}");
}

#[test]
fn what_a_filter_leaves_out_is_not_missed_when_verify_knows_of_it() {
    let place = Place::with("json");
    edit(&place.log(), |lines| {
        let mut number = 0;
        lines.retain(|_| {
            number += 1;
            number % 3 > 0
        });
    });
    verify(&place, 1);
    let said = place.run(["verify", "--filter", "warn"]).ends(0);
    assert!(said.stdout.contains("a filter leaves records out"), "{said:#?}");
}

#[test]
fn a_live_log_under_load_that_is_rotated_and_compressed_has_no_finding() {
    let fixture = Fixture::new(binaries!());
    let arguments = ["--max-size", "1M", "--max-files", "30", "--compress", "gzip"];
    let listener = fixture.listener().with(arguments).start();
    let steady = Steady::start(&fixture, 4, 2, &[]);
    // Under this load a file may go before its turn to be packed comes: either is what is wanted.
    let old = || fs::read_dir(fixture.path()).unwrap().flatten().count();
    wait::until("files are rotated", || old() >= 8);
    for round in 0..8 {
        let mut command = bare(&fixture);
        command.args(["verify", "--json"]);
        let said = Said::of(command).ends(0);
        let document: Value = serde_json::from_str(&said.stdout).expect("JSON");
        assert!(document["findings"].as_array().unwrap().is_empty(), "{round}: {document:#}");
        assert!(document["totals"]["lines"].as_u64() > Some(0), "{round}: {document:#}");
        let mut command = bare(&fixture);
        command.args(["logs", "-n", "20", "-o", "json"]);
        let said = Said::of(command).ends(0);
        assert_eq!(said.lines().len(), 20, "{round}: {said:#?}");
    }
    let _ = steady.finish();
    listener.stop();
    verify(&Place { fixture }, 0);
}

#[test]
fn a_line_that_is_being_written_is_waited_for() {
    let place = Place::with("json");
    let mut lines = place.lines();
    let last = lines.pop().unwrap();
    write(&place.log(), &lines);
    let mut log = fs::OpenOptions::new().append(true).open(place.log()).unwrap();
    log.write_all(&last.as_bytes()[..20]).unwrap();
    let mut command = place.command(["verify"]);
    let child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(60));
    log.write_all(&last.as_bytes()[20..40]).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(60));
    log.write_all(format!("{}\n", &last[40..]).as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("Everything holds"), "{text}");
}

#[test]
fn a_file_of_each_worker_is_verified_by_the_path_of_its_configuration() {
    let fixture = Fixture::new(binaries!());
    let path = fixture.path().join("of-{worker}.log").into_os_string().into_string().unwrap();
    let listener = fixture.listener().only_with(["--file", &path, "--format", "json"]).start();
    fixture.workload(["storm", "--workers", "3", "--records", "100"]).succeed();
    listener.stop();
    let run = |arguments: &[&str]| {
        let mut command = bare(&fixture);
        command.args(arguments);
        Said::of(command)
    };
    let said = run(&["verify", "--file", &path]).ends(0);
    assert!(said.stdout.contains("303 lines in 4 files"), "{said:#?}");
    edit(&fixture.path().join("of-worker 1.log"), |lines| drop(lines.remove(40)));
    let said = run(&["verify", "--file", &path]).ends(1);
    assert!(said.stdout.contains("of-worker 1.log:41"), "{said:#?}");
    // Merged by time, each line once.
    let said = run(&["logs", "--file", &path]).ends(0);
    let times: Vec<&str> = said.lines().iter().map(|line| &line[..27]).collect();
    assert_eq!(times.len(), 302);
    assert!(times.is_sorted());
}

#[test]
fn without_a_log_both_commands_say_what_to_name() {
    let fixture = Fixture::new(binaries!());
    for command in ["verify", "logs"] {
        let run = |arguments: &[&str]| {
            let mut all = bare(&fixture);
            all.arg(command).args(arguments);
            Said::of(all)
        };
        let said = run(&[]).ends(2);
        assert!(said.stderr.contains("--file") && said.stderr.contains("--run-dir"), "{said:#?}");
        let said = run(&["--file", "/nowhere/apps.log"]).ends(1);
        assert!(said.stderr.contains("/nowhere/apps.log: no such file"), "{said:#?}");
    }
}

#[test]
fn a_log_that_lacks_what_the_checkpoint_says_it_has_is_found() {
    let fixture = Fixture::new(binaries!());
    let listener = fixture.listener().start();
    let steady = Steady::start(&fixture, 1, 1, &[]);
    wait::until("records are in the file", || lines_of(&fixture) > 200);
    listener.kill();
    let place = Place { fixture };
    // Whatever moment the listener was killed at, this is no damage.
    let (findings, document) = verify(&place, 0);
    assert!(findings.is_empty(), "{document:#}");
    let copy = fs::read(place.log()).unwrap();
    let end = copy.iter().rposition(|byte| *byte == b'\n').unwrap();
    let whole = copy[..end].split(|byte| *byte == b'\n').count();
    edit_bytes(&place.log(), whole - 100);
    let (findings, document) = verify(&place, 1);
    assert_eq!(findings, ["checkpoint apps.log:null"], "{document:#}");
    fs::OpenOptions::new().write(true).open(place.log()).unwrap().write_all(&copy).unwrap();
    verify(&place, 0);
    let listener = place.fixture.listener().start();
    let _ = steady.finish();
    listener.stop();
    verify(&place, 0);
}

fn lines_of(fixture: &Fixture) -> usize {
    fs::read(fixture.log()).map_or(0, |text| text.iter().filter(|byte| **byte == b'\n').count())
}

/// Cuts a file behind some lines, in place.
fn edit_bytes(path: &Path, count: usize) {
    let text = fs::read(path).unwrap();
    let ends = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let (end, _) = ends.take(count).last().unwrap();
    let log = fs::OpenOptions::new().write(true).open(path).unwrap();
    log.set_len(end as u64 + 1).unwrap();
}
