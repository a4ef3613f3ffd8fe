//! A log that is written, rotated, packed, cut and removed by hand, and followers who must know it.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;

use super::*;
use crate::archive::{ArchiveKey, ArchiveNames};
use crate::checkpoint::{Checkpoint, Extent};
use crate::disk::System;
use crate::options::Compression;

/// A log in a folder of its own, with what it was ever given.
struct Log {
    folder: tempfile::TempDir,
    written: Vec<String>,
    rotations: i64,
}

impl Log {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, written: Vec::new(), rotations: 0 }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("apps.log")
    }

    fn put(&self, text: &str) {
        let file = OpenOptions::new().create(true).append(true).open(self.path());
        file.unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Writes some lines, of which no two are alike.
    fn write(&mut self, count: usize) {
        for _ in 0..count {
            let line = format!("line {}", self.written.len());
            self.put(&format!("{line}\n"));
            self.written.push(line);
        }
    }

    fn archive(&self, rotation: i64, form: Compression) -> PathBuf {
        let key = ArchiveKey { second: 1_795_341_600 + rotation, number: 0 };
        ArchiveNames::of(&self.path()).path(key, form)
    }

    /// As the listener does: a second name, and a new file over the old one.
    fn rotate(&mut self) {
        if fs::metadata(self.path()).is_ok_and(|found| found.len() > 0) {
            fs::hard_link(self.path(), self.archive(self.rotations, Compression::None)).unwrap();
            let next = self.folder.path().join("apps.log.fleetlog-next");
            File::create(&next).unwrap();
            fs::rename(next, self.path()).unwrap();
            self.rotations += 1;
        }
    }

    fn pack(&self, rotation: i64, form: Compression) {
        let plain = self.archive(rotation, Compression::None);
        let Ok(bytes) = fs::read(&plain) else { return };
        let bytes = match form {
            Compression::None => return,
            Compression::Gzip => {
                let mut encoder =
                    flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(&bytes).unwrap();
                encoder.finish().unwrap()
            }
            Compression::Zstd => zstd::encode_all(&bytes[..], 1).unwrap(),
        };
        fs::write(self.archive(rotation, form), bytes).unwrap();
        fs::remove_file(plain).unwrap();
    }

    fn remove(&self, rotation: i64) {
        for form in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let _ = fs::remove_file(self.archive(rotation, form));
        }
    }

    fn tail(&self, start: Start) -> Tail {
        Tail::open(&self.path(), None, start).unwrap()
    }
}

/// What a follower gives until it is idle.
fn read(tail: &mut Tail) -> (Vec<String>, Vec<Mark>) {
    let (mut lines, mut marks, mut line) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        match tail.next(&mut line).unwrap() {
            Step::Line => lines.push(String::from_utf8(line.clone()).unwrap()),
            Step::Mark(mark) => marks.push(mark),
            Step::Idle => return (lines, marks),
        }
    }
}

#[track_caller]
fn expect(tail: &mut Tail, lines: &[String]) {
    let (found, marks) = read(tail);
    assert_eq!(found, lines);
    assert_eq!(marks, []);
}

#[test]
fn lines_come_as_they_are_ended_and_across_rotations() {
    let mut log = Log::new();
    let mut tail = log.tail(Start::Oldest);
    expect(&mut tail, &[]);
    log.write(3);
    expect(&mut tail, &log.written);
    log.put("half");
    expect(&mut tail, &[]);
    log.put(" a line\nand");
    expect(&mut tail, &["half a line".to_owned()]);
    log.put(" more\n");
    expect(&mut tail, &["and more".to_owned()]);
    let before = log.written.len();
    log.write(2);
    log.rotate();
    log.write(2);
    log.rotate();
    log.write(2);
    expect(&mut tail, &log.written[before..]);
    log.rotate();
    expect(&mut tail, &[]);
    log.write(1);
    expect(&mut tail, &log.written[before + 6..]);
}

#[test]
fn the_end_of_a_file_that_was_rotated_without_a_newline_is_a_line() {
    let mut log = Log::new();
    log.write(1);
    log.put("torn");
    log.rotate();
    log.put("next\n");
    let torn = ["line 0", "torn", "next"].map(str::to_owned);
    expect(&mut log.tail(Start::Oldest), &torn);
}

#[test]
fn a_file_that_is_packed_while_it_is_read_is_read_once() {
    for form in [Compression::Gzip, Compression::Zstd] {
        let mut log = Log::new();
        log.write(10);
        let mut tail = log.tail(Start::Oldest);
        let mut line = Vec::new();
        assert_eq!(tail.next(&mut line).unwrap(), Step::Line);
        log.write(5);
        for rotation in 0..4 {
            log.rotate();
            log.pack(rotation, form);
            log.write(5);
        }
        expect(&mut tail, &log.written[1..]);
    }
}

#[test]
fn a_rotation_that_is_taken_back_gives_nothing_twice() {
    let mut log = Log::new();
    log.write(3);
    let linked = log.archive(0, Compression::None);
    fs::hard_link(log.path(), &linked).unwrap();
    let mut early = log.tail(Start::Oldest);
    expect(&mut early, &log.written);
    // The listener was killed there; the next one takes the name away.
    fs::remove_file(linked).unwrap();
    log.write(2);
    expect(&mut early, &log.written[3..]);
    log.rotations = 7;
    log.rotate();
    log.pack(7, Compression::Gzip);
    log.write(1);
    expect(&mut early, &log.written[5..]);
}

#[test]
fn a_file_that_is_moved_by_somebody_else_is_read_until_the_new_one_is_written() {
    let mut log = Log::new();
    log.write(2);
    let mut tail = log.tail(Start::Oldest);
    expect(&mut tail, &log.written);
    let moved = log.folder.path().join("apps.log.1");
    fs::rename(log.path(), &moved).unwrap();
    expect(&mut tail, &[]);
    // As logrotate makes it, before the listener opens it.
    File::create(log.path()).unwrap();
    expect(&mut tail, &[]);
    OpenOptions::new().append(true).open(&moved).unwrap().write_all(b"late\n").unwrap();
    log.put("new\n");
    expect(&mut tail, &["late".to_owned(), "new".to_owned()]);
}

#[test]
fn files_that_were_removed_before_they_were_read_are_a_mark_and_others_are_none() {
    let mut log = Log::new();
    log.write(2);
    let mut tail = log.tail(Start::Oldest);
    expect(&mut tail, &log.written);
    for rotation in 0..3 {
        log.rotate();
        log.write(1);
        // What was read may go.
        log.remove(rotation - 1);
        let read = usize::try_from(rotation).unwrap() + 2;
        expect(&mut tail, &log.written[read..]);
    }
    for _ in 0..3 {
        log.rotate();
        log.write(1);
    }
    log.remove(3);
    log.remove(4);
    let (lines, marks) = read(&mut tail);
    assert_eq!(lines, log.written[6..], "the held file was read to its end, and the last one");
    assert_eq!(marks, [Mark::Removed { log: log.path() }]);
}

#[test]
fn a_slow_reader_of_old_files_is_told_when_the_next_ones_are_gone() {
    let mut log = Log::new();
    for _ in 0..5 {
        log.write(1);
        log.rotate();
    }
    log.write(1);
    let mut tail = log.tail(Start::Oldest);
    let mut line = Vec::new();
    assert_eq!(tail.next(&mut line).unwrap(), Step::Line);
    log.remove(0);
    log.remove(1);
    log.remove(2);
    let (lines, marks) = read(&mut tail);
    assert_eq!(lines, log.written[3..]);
    assert_eq!(marks.len(), 1);
    // The reader's own file alone is no loss.
    let mut tail = log.tail(Start::Oldest);
    assert_eq!(tail.next(&mut line).unwrap(), Step::Line);
    log.remove(3);
    expect(&mut tail, &log.written[4..]);
}

#[test]
fn a_file_that_somebody_cuts_is_read_from_its_beginning_and_said() {
    let mut log = Log::new();
    log.write(5);
    let mut tail = log.tail(Start::Oldest);
    expect(&mut tail, &log.written);
    File::options().write(true).open(log.path()).unwrap().set_len(0).unwrap();
    log.put("short\n");
    let (lines, marks) = read(&mut tail);
    assert_eq!((lines, marks), (vec!["short".to_owned()], vec![Mark::Cut { log: log.path() }]));
    // Cut, and longer than before when somebody looks.
    fs::write(log.path(), "another\nand another one\n").unwrap();
    let (lines, marks) = read(&mut tail);
    assert_eq!(lines, ["another", "and another one"]);
    assert_eq!(marks, [Mark::Cut { log: log.path() }]);
}

#[test]
fn an_end_that_is_written_anew_is_said_where_no_checkpoint_can_be_read() {
    let mut log = Log::new();
    log.write(300);
    let mut tail = log.tail(Start::Oldest);
    log.write(1);
    expect(&mut tail, &log.written);
    log.write(1);
    expect(&mut tail, &log.written[301..]);
    let file = File::options().write(true).open(log.path()).unwrap();
    file.set_len(file.metadata().unwrap().len() - 9).unwrap();
    log.put("other lines\nof another order\n");
    let (lines, marks) = read(&mut tail);
    assert_eq!(marks, [Mark::Rewritten { log: log.path() }]);
    assert_eq!(lines.last().unwrap(), "of another order");
    log.put("and so on\n");
    expect(&mut tail, &["and so on".to_owned()]);
    // Taken back to the end of a line, which is then the place.
    file.set_len(file.metadata().unwrap().len() - 10).unwrap();
    log.put("or not so\n");
    expect(&mut tail, &[]);
    log.put("once\n");
    let (lines, marks) = read(&mut tail);
    assert_eq!((lines, marks.len()), (vec!["once".to_owned()], 1));
    log.put("and said once\n");
    expect(&mut tail, &["and said once".to_owned()]);
}

#[test]
fn what_is_not_committed_is_not_given() {
    let mut log = Log::new();
    log.write(2);
    let run_dir = tempfile::tempdir().unwrap();
    let disk = std::sync::Arc::new(System);
    let (mut checkpoint, _) = Checkpoint::open(disk, run_dir.path()).unwrap();
    let found = fs::metadata(log.path()).unwrap();
    use std::os::unix::fs::MetadataExt as _;
    let slot = checkpoint.add_file(&log.path(), (found.dev(), found.ino())).unwrap();
    let mut tail = Tail::open(&log.path(), Some(run_dir.path()), Start::Oldest).unwrap();
    expect(&mut tail, &log.written);
    let intend = |checkpoint: &Checkpoint| {
        let offset = fs::metadata(log.path()).unwrap().len();
        checkpoint.open_intent(&[Extent { file: slot, offset, len: 20 }], &[], false);
        offset
    };
    let offset = intend(&checkpoint);
    log.put("taken back\nand hal");
    expect(&mut tail, &[]);
    assert!(tail.follow.is_pending());
    let mut late = Tail::open(&log.path(), Some(run_dir.path()), Start::End).unwrap();
    expect(&mut late, &[]);
    // As recovery does.
    File::options().write(true).open(log.path()).unwrap().set_len(offset).unwrap();
    checkpoint.clear_intent();
    expect(&mut tail, &[]);
    intend(&checkpoint);
    log.put("other\n");
    expect(&mut tail, &[]);
    checkpoint.note_written();
    expect(&mut tail, &["other".to_owned()]);
    checkpoint.clear_intent();
    expect(&mut late, &["other".to_owned()]);
    // The intent of another file says nothing about this one.
    let other = log.folder.path().join("other");
    fs::write(&other, "").unwrap();
    let found = fs::metadata(&other).unwrap();
    let slot = checkpoint.add_file(&other, (found.dev(), found.ino())).unwrap();
    checkpoint.open_intent(&[Extent { file: slot, offset: 0, len: 20 }], &[], false);
    log.put("mine\n");
    expect(&mut tail, &["mine".to_owned()]);
    assert!(!tail.follow.is_pending());
}

#[test]
fn the_last_lines_are_found_across_files() {
    let mut log = Log::new();
    log.write(4);
    log.rotate();
    log.pack(0, Compression::Zstd);
    log.write(3);
    log.rotate();
    log.write(2);
    for count in [0, 1, 2, 3, 5, 8, 9, 20] {
        let mut tail = log.tail(Start::Last(count));
        expect(&mut tail, &log.written[9_usize.saturating_sub(count)..]);
    }
    let mut tail = log.tail(Start::End);
    expect(&mut tail, &[]);
    log.write(1);
    expect(&mut tail, &log.written[9..]);
}

#[test]
fn whoever_skips_to_the_end_is_told_how_much_was_passed_over() {
    let mut log = Log::new();
    log.write(4);
    let mut tail = log.tail(Start::Oldest);
    log.rotate();
    log.write(3);
    assert_eq!(tail.behind(), 7 * 7);
    assert_eq!(tail.skip_to_end().unwrap(), 7 * 7);
    expect(&mut tail, &[]);
    log.write(1);
    expect(&mut tail, &log.written[7..]);
}

#[test]
fn a_position_finds_its_file_whatever_became_of_it() {
    for (rotated, packed) in
        [(0, None), (1, None), (1, Some(Compression::Gzip)), (3, Some(Compression::Zstd))]
    {
        for read_before in [0, 1, 4, 150] {
            let mut log = Log::new();
            log.write(2);
            log.rotate();
            log.write(150);
            let mut tail = log.tail(Start::Oldest);
            let mut line = Vec::new();
            for _ in 0..read_before {
                assert_eq!(tail.next(&mut line).unwrap(), Step::Line);
            }
            let text = serde_json::to_string(&tail.position()).unwrap();
            drop(tail);
            for rotation in 0..rotated {
                log.rotate();
                if let Some(form) = packed {
                    log.pack(rotation, form);
                    log.pack(rotation + 1, form);
                }
                log.write(2);
            }
            let position: Position = serde_json::from_str(&text).unwrap();
            expect(&mut log.tail(Start::At(position)), &log.written[read_before..]);
        }
    }
}

#[test]
fn a_position_whose_file_is_gone_goes_on_with_the_next_one_and_says_so() {
    // The next one is longer, so that its length does not tell it from the one that is gone.
    for form in [Compression::None, Compression::Gzip] {
        let mut log = Log::new();
        log.write(3);
        let mut tail = log.tail(Start::Oldest);
        expect(&mut tail, &log.written);
        let position = tail.position();
        drop(tail);
        log.rotate();
        log.write(30);
        log.rotate();
        log.write(2);
        log.remove(0);
        log.pack(1, form);
        let (lines, marks) = read(&mut log.tail(Start::At(position)));
        assert_eq!(lines, log.written[3..]);
        assert_eq!(marks, [Mark::Removed { log: log.path() }]);
    }
}

/// Small, seeded, and printed when it fails.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

#[test]
fn whatever_happens_in_whatever_order_each_line_comes_once() {
    for seed in 1..=150_u64 {
        let mut random = Random(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        let mut log = Log::new();
        let (mut held, mut fresh) = (log.tail(Start::Oldest), log.tail(Start::Oldest));
        let (mut held_lines, mut fresh_lines) = (Vec::new(), Vec::new());
        let mut line = Vec::new();
        let mut linked = None;
        for _ in 0..120 {
            match random.below(9) {
                0..=2 => log.write(usize::try_from(random.below(90)).unwrap()),
                3 => {
                    if let Some(linked) = linked.take() {
                        fs::remove_file(linked).unwrap();
                    }
                    log.rotate();
                }
                4 => {
                    let form =
                        [Compression::Gzip, Compression::Zstd][usize::from(random.below(2) == 0)];
                    let rotation = i64::try_from(random.below(20)).unwrap().min(log.rotations - 1);
                    log.pack(rotation, form);
                }
                5 if linked.is_none() && log.path().exists() => {
                    // A listener that was killed in the middle of a rotation.
                    let name = log.archive(log.rotations, Compression::None);
                    fs::hard_link(log.path(), &name).unwrap();
                    linked = Some(name);
                }
                6 => {
                    for _ in 0..random.below(100) {
                        if held.next(&mut line).unwrap() == Step::Line {
                            held_lines.push(String::from_utf8(line.clone()).unwrap());
                        }
                    }
                }
                7 => {
                    for _ in 0..random.below(100) {
                        if fresh.next(&mut line).unwrap() == Step::Line {
                            fresh_lines.push(String::from_utf8(line.clone()).unwrap());
                        }
                    }
                }
                _ => {
                    let text = serde_json::to_string(&fresh.position()).unwrap();
                    fresh = log.tail(Start::At(serde_json::from_str(&text).unwrap()));
                }
            }
        }
        for (tail, lines) in [(&mut held, &mut held_lines), (&mut fresh, &mut fresh_lines)] {
            let (more, marks) = read(tail);
            lines.extend(more);
            assert_eq!(marks, [], "seed {seed}");
            assert!(*lines == log.written, "seed {seed}: {} of {}", lines.len(), log.written.len());
        }
    }
}

#[test]
fn several_logs_are_merged_by_time_and_each_keeps_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let at = |second: u32, text: &str| {
        format!("2026-11-22T10:00:{second:02}.000000Z  INFO w[1] app: {text}\n")
    };
    fs::write(path("a.log"), [at(1, "a"), at(4, "a"), at(5, "a")].concat()).unwrap();
    fs::write(path("b.log"), [at(2, "b"), at(3, "b"), at(6, "b")].concat()).unwrap();
    let logs = [path("a.log"), path("b.log")];
    let mut tails = Tails::new(None, true);
    for log in &logs {
        tails.add(log, Start::Oldest).unwrap();
    }
    let mut line = Vec::new();
    let mut seconds = Vec::new();
    while tails.next(&mut line).unwrap() == Step::Line {
        seconds.push(String::from_utf8_lossy(&line[17..19]).into_owned());
        if seconds.len() == 3 {
            break;
        }
    }
    let mut again = Tails::new(None, false);
    for (log, position) in tails.positions() {
        again.add(&log, Start::At(position)).unwrap();
    }
    while again.next(&mut line).unwrap() == Step::Line {
        seconds.push(String::from_utf8_lossy(&line[17..19]).into_owned());
    }
    assert_eq!(seconds, ["01", "02", "03", "04", "05", "06"]);
    let mut last = Tails::new(None, false);
    last.add_last(&logs, 3, None, &mut |line: &[u8]| {
        crate::reading::Head::of(line).map(|(_, head)| head.time)
    })
    .unwrap();
    let mut seconds = Vec::new();
    while last.next(&mut line).unwrap() == Step::Line {
        seconds.push(String::from_utf8_lossy(&line[17..19]).into_owned());
    }
    assert_eq!(seconds, ["04", "05", "06"]);
}

#[test]
fn a_log_that_never_comes_to_its_end_does_not_keep_another_from_being_read() {
    let (mut busy, mut quiet) = (Log::new(), Log::new());
    busy.write(5000);
    quiet.put("");
    let mut tails = Tails::new(None, false);
    for log in [&busy, &quiet] {
        tails.add(&log.path(), Start::Oldest).unwrap();
    }
    let mut line = Vec::new();
    assert!(matches!(tails.next(&mut line).unwrap(), Step::Line));
    quiet.put("here I am\n");
    quiet.written.push("here I am".to_owned());
    let found = (0..2500).any(|_| {
        assert!(matches!(tails.next(&mut line).unwrap(), Step::Line));
        line == b"here I am"
    });
    assert!(found, "the busy log is not at its end yet");
}

#[test]
fn a_link_that_is_made_to_point_elsewhere_is_followed() {
    let (mut old, mut new) = (Log::new(), Log::new());
    old.write(2);
    new.write(3);
    let link = old.folder.path().join("link.log");
    std::os::unix::fs::symlink(old.path(), &link).unwrap();
    let mut tails = Tails::new(None, false);
    tails.add(&link, Start::Oldest).unwrap();
    let mut line = Vec::new();
    let mut lines = 0;
    while matches!(tails.next(&mut line).unwrap(), Step::Line) {
        lines += 1;
    }
    assert_eq!(lines, 2);
    let next = old.folder.path().join("next");
    std::os::unix::fs::symlink(new.path(), &next).unwrap();
    fs::rename(next, &link).unwrap();
    tails.wait(std::time::Duration::ZERO, &[]);
    let mut steps = 0;
    while lines < 5 {
        steps += 1;
        assert!(steps < 100, "{lines} lines");
        match tails.next(&mut line).unwrap() {
            Step::Line => lines += 1,
            Step::Mark(_) => {}
            Step::Idle => tails.wait(std::time::Duration::from_millis(10), &[]),
        }
    }
}
