//! `fleetlog logs`: what is asked for is shown, in order, and no more is read than that takes.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::place::{Packed, Place, lines};

fn three_files(format: &str) -> (Place, Vec<String>) {
    let place = Place::with(format);
    let all = place.lines();
    place.archive(100, 10, Packed::Gzip);
    place.archive(100, 11, Packed::Zstd);
    (place, all)
}

/// A line of a time of its own.
fn line(time: &str, level: &str, worker: &str, pid: u32, target: &str, message: &str) -> String {
    format!("2026-11-22T{time}.000000Z {level:>5} {worker}[{pid}] {target}: {message}")
}

#[test]
fn all_files_are_read_in_order_and_the_last_lines_from_the_end() {
    for format in ["json", "text"] {
        let (place, all) = three_files(format);
        assert_eq!(place.run(["logs", "-o", "raw"]).ends(0).lines(), all);
        for count in [0, 1, 10, 202, 203, 350, 402, 1000] {
            let said = place.run(["logs", "-o", "raw", "-n", &count.to_string()]).ends(0);
            assert_eq!(said.lines(), all[all.len().saturating_sub(count)..], "{count}");
        }
        let reversed: Vec<&String> = all.iter().rev().collect();
        assert_eq!(place.run(["logs", "-o", "raw", "-r"]).ends(0).lines(), reversed);
        assert_eq!(place.run(["logs", "-o", "raw", "-r", "-n", "3"]).lines(), reversed[..3]);
    }
}

#[test]
fn json_is_shown_as_text_and_each_layout_as_asked() {
    let (place, all) = three_files("json");
    let said = place.run(["logs"]).ends(0);
    let first: Value = serde_json::from_str(&all[0]).unwrap();
    let text = |key: &str| first[key].as_str().unwrap().to_owned();
    let head = format!("{}  INFO {}[{}] ", text("timestamp"), text("worker"), first["pid"]);
    assert!(said.lines()[0].starts_with(&head), "{}", said.lines()[0]);
    assert_eq!(place.run(["logs", "-o", "json"]).ends(0).lines(), all);
    let said = place.run(["logs", "-o", "cat", "-w", "worker 1", "-n", "1"]).ends(0);
    assert_eq!(said.stdout, "finished working on item 199 source=\"1.0\" n=199\n");
    let (place, all) = three_files("text");
    assert_eq!(place.run(["logs"]).ends(0).lines(), all);
    for line in place.run(["logs", "-o", "json"]).ends(0).lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(line["pid"].is_u64() && line["fields"]["message"].is_string(), "{line}");
    }
}

#[test]
fn levels_workers_targets_and_patterns_choose() {
    let place = Place::with("text");
    let all = [
        line("10:00:00", "ERROR", "web 1", 7, "app::http", "Refused id=1"),
        line("10:00:01", "WARN", "web 2", 8, "app::http::pool", "slow id=2"),
        line("10:00:02", "INFO", "batch", 9, "application", "done id=1"),
        line("10:00:03", "DEBUG", "web 1", 7, "app", "refused again"),
        line("10:00:04", "TRACE", "7", 10, "app::http", "bytes"),
    ];
    crate::place::write(&place.log(), &all);
    for (arguments, shown) in [
        (&["-p", "warn"][..], &[0, 1][..]),
        (&["-p", "warning..info"], &[1, 2]),
        (&["-p", "err"], &[0]),
        (&["-w", "web 1"], &[0, 3]),
        (&["-w", "web*"], &[0, 1, 3]),
        (&["-w", "web*[8]"], &[1]),
        (&["-w", "8", "-w", "batch"], &[1, 2]),
        (&["-w", "7"], &[0, 3, 4]),
        (&["-t", "app"], &[0, 1, 3, 4]),
        (&["-t", "app::http"], &[0, 1, 4]),
        (&["-t", "application", "-t", "app::http::pool"], &[1, 2]),
        (&["-g", "refused"], &[0, 3]),
        (&["-g", "Refused"], &[0]),
        (&["-g", "id=[12]$"], &[0, 1, 2]),
        (&["-g", "id=1", "-p", "info", "-t", "app"], &[0]),
        (&["-S", "2026-11-22 10:00:02"], &[2, 3, 4]),
        (&["-U", "2026-11-22T10:00:02Z"], &[0, 1, 2]),
        (&["-S", "2026-11-22 10:00:01", "-U", "@1795341603", "--utc"], &[1, 2, 3]),
        (&["-S", "2026-11-22 10:00:01", "-n", "2"], &[3, 4]),
        (&["-w", "nobody"], &[]),
    ] {
        let mut command = vec!["logs", "-o", "raw"];
        command.extend(arguments);
        let said = place.run(command).ends(0);
        let expected: Vec<&str> = shown.iter().map(|at| all[*at].as_str()).collect();
        assert_eq!(said.lines(), expected, "{arguments:?}");
    }
    for arguments in [["-p", "loud"], ["-S", "soon"], ["-g", "("], ["-o", "xml"]] {
        let mut command = vec!["logs"];
        command.extend(arguments);
        let said = place.run(command).ends(2);
        assert!(said.stderr.starts_with("fleetlog: "), "{said:#?}");
    }
}

#[test]
fn old_files_that_were_closed_before_the_wanted_time_are_not_opened() {
    let place = Place::with("text");
    let day = |hour: u32| line(&format!("{hour:02}:30:00"), "INFO", "w", 1, "app", "x");
    crate::place::write(&place.log(), &[day(9), day(10), day(11)]);
    let old = place.archive(1, 10, Packed::Gzip);
    place.archive(1, 11, Packed::Not);
    // Whoever opened it would stumble.
    fs::write(&old, "no archive").unwrap();
    let said = place.run(["logs", "-S", "2026-11-22 10:15:00Z"]).ends(0);
    assert_eq!(said.lines(), [day(10), day(11)]);
    let said = place.run(["logs", "-S", "2026-11-22 10:15:00Z", "-n", "9"]).ends(0);
    assert_eq!(said.lines(), [day(10), day(11)]);
    // A minute of slack: what was logged before it was closed may be asked for.
    place.run(["logs", "-S", "2026-11-22 10:00:30Z"]).ends(1);
}

#[test]
fn two_logs_are_one_by_the_time_of_their_lines_and_equal_lines_stay_two() {
    let place = Place::with("text");
    let other = place.fixture.path().join("other.log");
    let at = |second: u32| line(&format!("10:00:{second:02}"), "INFO", "w", 1, "app", "x");
    crate::place::write(&place.log(), &[at(0), at(2), at(4)]);
    crate::place::write(&other, &[at(1), at(2), at(5)]);
    let other = other.to_str().unwrap();
    let expected = [at(0), at(1), at(2), at(2), at(4), at(5)];
    assert_eq!(place.run(["logs", "--file", other]).ends(0).lines(), expected);
    assert_eq!(place.run(["logs", "--file", other, "-n", "4"]).ends(0).lines(), expected[2..]);
}

#[test]
fn the_lines_before_the_damage_and_all_other_files_are_shown() {
    for packed in [Packed::Gzip, Packed::Zstd] {
        let place = Place::with("json");
        let all = place.lines();
        let old = place.archive(100, 10, packed);
        let bytes = fs::read(&old).unwrap();
        fs::write(&old, &bytes[..bytes.len() - 3]).unwrap();
        for way in [&["logs", "-o", "raw"][..], &["logs", "-o", "raw", "-n", "1000"]] {
            let said = place.run(way.iter().copied()).ends(1);
            let shown = said.lines();
            assert!(
                shown.len() >= 302
                    && shown.ends_with(&all[100..].iter().map(String::as_str).collect::<Vec<_>>())
            );
            let old = old.to_str().unwrap();
            assert!(said.stderr.contains(old) && said.stderr.contains("behind byte"), "{said:#?}");
            assert_eq!(said.stderr.lines().count(), 1, "{said:#?}");
        }
    }
}

/// Bytes that a process has read so far.
fn bytes_read(pid: u32) -> u64 {
    let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    let read = io.lines().find_map(|line| line.strip_prefix("rchar: "));
    read.and_then(|bytes| bytes.parse().ok()).unwrap_or(0)
}

/// A log of at least so many bytes.
fn big(format: &str, bytes: u64) -> Place {
    let place = Place::with(format);
    let text = fs::read(place.log()).unwrap();
    let mut log = OpenOptions::new().append(true).open(place.log()).unwrap();
    while log.metadata().unwrap().len() < bytes {
        log.write_all(&text).unwrap();
    }
    place
}

#[test]
fn the_last_lines_of_a_big_log_cost_nothing_of_its_length() {
    const SIZE: u64 = 200 << 20;
    let place = big("text", SIZE);
    let mut command = place.command(["logs", "-n", "10", "-o", "raw"]);
    // The output waits in a pipe that is too small for nothing: the process ends, and is waited
    // for by us, so that its account can be read before.
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut shown = String::new();
    std::io::Read::read_to_string(&mut child.stdout.take().unwrap(), &mut shown).unwrap();
    let read = bytes_read(child.id());
    assert!(child.wait().unwrap().success());
    let all = lines(&place.log());
    assert_eq!(shown.lines().collect::<Vec<_>>(), all[all.len() - 10..]);
    assert!(read < 4 << 20, "{read} bytes were read");
}

#[test]
fn a_reader_that_leaves_ends_the_reading_at_once() {
    const SIZE: u64 = 200 << 20;
    let place = big("json", SIZE);
    for arguments in [&["logs"][..], &["logs", "-o", "raw"], &["logs", "-g", "item 0\\b"]] {
        let mut command = place.command(arguments.iter().copied());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut reader = BufReader::with_capacity(1024, child.stdout.take().unwrap());
        let mut first = String::new();
        reader.read_line(&mut first).unwrap();
        assert!(first.contains("item 0"), "{first}");
        drop(reader);
        // It is not waited for yet: its account is there until then.
        let deadline = Instant::now() + fleetlog_tests::wait::GENEROUS;
        let mut read = 0;
        while is_running(child.id()) && Instant::now() < deadline {
            read = bytes_read(child.id()).max(read);
            std::thread::sleep(Duration::from_millis(1));
        }
        read = bytes_read(child.id()).max(read);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        assert!(read < SIZE / 4, "{read} bytes were read for {arguments:?}");
    }
}

#[test]
fn a_reader_that_leaves_while_nothing_is_found_ends_the_reading_too() {
    const SIZE: u64 = 200 << 20;
    let place = big("json", SIZE);
    let mut command = place.command(["logs", "-g", "nothing like it"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut read = 0;
    while is_running(child.id()) {
        read = bytes_read(child.id()).max(read);
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(child.wait().unwrap().success());
    assert!(read < SIZE / 4, "{read} bytes were read");
}

/// Whether a child that nobody has waited for still runs.
fn is_running(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[test]
fn a_full_disk_below_the_output_is_a_failure() {
    let place = Place::with("json");
    let mut command = place.command(["logs"]);
    command.stdout(File::options().write(true).open("/dev/full").unwrap());
    let output = command.stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("can't be written"), "{output:?}");
}

#[test]
fn foreign_lines_are_shown_and_can_not_drive_a_terminal() {
    let place = Place::with("text");
    let mut text = fs::read(place.log()).unwrap();
    let before = text.iter().filter(|byte| **byte == b'\n').count();
    text.extend_from_slice(b"panic \x1b[2J \xff\n");
    fs::write(place.log(), text).unwrap();
    let said = place.run(["logs"]).ends(0);
    assert_eq!(said.lines().len(), before + 1);
    assert_eq!(said.lines().last(), Some(&"panic \\u{1b}[2J \u{fffd}"));
    let said = place.run(["logs", "-p", "trace"]).ends(0);
    assert_eq!(said.lines().len(), before);
    assert!(said.stderr.contains("1 line of no known layout left out"), "{said:#?}");
}
