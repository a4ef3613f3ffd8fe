//! Whatever is asked for, `fleetlog logs` shows what an independent filter over the records finds:
//! random records, hostile ones among them, in files of both layouts, and random questions.

use std::fs;
use std::path::Path;

use fleetlog_tests::{Fixture, Random, binaries};
use serde_json::{Value, json};

use crate::place::{Packed, Said, bare, pack};

const LEVELS: [&str; 5] = ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"];
const WORKERS: [&str; 6] = ["worker 1", "worker 2", "web", "web.x*", "7", "größe?"];
const TARGETS: [&str; 6] = ["app", "app::job", "app::job::x", "apple", "db", "ap"];
const WORDS: [&str; 10] =
    ["done", "Done", "refused", "a\nb", "\u{1b}[2J", "id=7", "ünï", "\u{202e}x", "\t", "x.y"];

/// The seconds of a day at which the records begin.
const BEGIN: u64 = 36_000;

struct Record {
    /// Microseconds since [`BEGIN`].
    time: u64,
    level: usize,
    worker: &'static str,
    pid: u32,
    target: &'static str,
    message: String,
    number: u64,
}

impl Record {
    fn random(random: &mut Random, number: u64, time: u64) -> Self {
        let mut of = |words: &[&'static str]| words[random.index(words.len())];
        let (worker, target) = (of(&WORKERS), of(&TARGETS));
        let message = [of(&WORDS), of(&WORDS)].join(" ");
        let level = random.index(LEVELS.len());
        let pid = [7, 18, 4711][random.index(3)];
        Self { time, level, worker, pid, target, message, number }
    }

    fn timestamp(&self) -> String {
        stamp(self.time)
    }

    fn json(&self) -> String {
        json!({
            "timestamp": self.timestamp(), "level": LEVELS[self.level],
            "fields": {"message": self.message, "number": self.number},
            "target": self.target, "worker": self.worker, "pid": self.pid, "lane": 1,
            "seq": self.number + 1,
        })
        .to_string()
    }

    /// The line of text, whose escapes are written anew here.
    fn text(&self) -> String {
        let mut message = String::new();
        for c in self.message.chars() {
            match c {
                '\n' => message += "\\n",
                '\t' => message += "\\t",
                '\u{1b}' => message += "\\x1b",
                '\u{202e}' => message += "\\u{202e}",
                c => message.push(c),
            }
        }
        let Self { worker, pid, target, number, .. } = self;
        let (time, level) = (self.timestamp(), LEVELS[self.level]);
        format!("{time} {level:>5} {worker}[{pid}] {target}: {message} number={number}")
    }
}

fn stamp(time: u64) -> String {
    let (seconds, micros) = (BEGIN + time / 1_000_000, time % 1_000_000);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("2026-11-22T{hours:02}:{minutes:02}:{:02}.{micros:06}Z", seconds % 60)
}

/// A question, and what it means.
#[derive(Default)]
struct Question {
    arguments: Vec<String>,
    levels: Option<(usize, usize)>,
    workers: Vec<String>,
    targets: Vec<String>,
    grep: Option<(String, bool)>,
    since: Option<u64>,
    until: Option<u64>,
}

impl Question {
    fn random(random: &mut Random, span: u64) -> Self {
        let mut question = Self::default();
        let mut ask = |flag: &str, value: &str| {
            question.arguments.extend([flag.to_owned(), value.to_owned()]);
        };
        let mut wants = || random.below(3) == 0;
        let [level, worker, target, grep, since, until] = std::array::from_fn(|_| wants());
        let word = |index: usize, random: &mut Random| {
            let word = LEVELS[index];
            if random.below(2) == 0 { word.to_lowercase() } else { word.to_owned() }
        };
        if level {
            let (one, other) = (random.index(5), random.index(5));
            if random.below(2) == 0 {
                ask("-p", &word(one, random));
                question.levels = Some((0, one));
            } else {
                ask("-p", &format!("{}..{}", word(one, random), word(other, random)));
                question.levels = Some((one.min(other), one.max(other)));
            }
        }
        if worker {
            for _ in 0..1 + random.below(2) {
                let asked =
                    ["worker*", "w*1", "web", "?", "web.x*", "7", "18", "worker ?[7]", "*[18]"];
                let asked = asked[random.index(asked.len())];
                ask("-w", asked);
                question.workers.push(asked.to_owned());
            }
        }
        if target {
            for _ in 0..1 + random.below(2) {
                let asked = ["app", "app::job", "app::", "db", "x", "apple", ""];
                let asked = asked[random.index(asked.len())];
                ask("-t", asked);
                question.targets.push(asked.to_owned());
            }
        }
        if grep {
            let asked =
                ["done", "Done", "DONE", "refused", "id=7", "ünï", "number=1", "web", "seq"];
            let asked = asked[random.index(asked.len())];
            ask("-g", asked);
            let is_exact = asked.chars().any(char::is_uppercase);
            question.grep = Some((asked.to_owned(), is_exact));
        }
        if since {
            let time = random.below(span);
            ask("-S", &stamp(time));
            question.since = Some(time);
        }
        if until {
            let time = random.below(span);
            ask("-U", &stamp(time));
            question.until = Some(time);
        }
        question
    }

    fn is_answered_by(&self, record: &Record) -> bool {
        self.levels.is_none_or(|(most, least)| (most..=least).contains(&record.level))
            && (self.workers.is_empty() || self.workers.iter().any(|asked| fits(asked, record)))
            && (self.targets.is_empty()
                || self.targets.iter().any(|asked| lies_below(record.target, asked)))
            && self.grep.as_ref().is_none_or(|(word, is_exact)| {
                let text = record.text();
                if *is_exact {
                    text.contains(word)
                } else {
                    text.to_lowercase().contains(&word.to_lowercase())
                }
            })
            && self.since.is_none_or(|since| record.time >= since)
            && self.until.is_none_or(|until| record.time <= until)
    }
}

fn fits(asked: &str, record: &Record) -> bool {
    if asked == record.worker {
        return true;
    }
    if !asked.is_empty() && asked.bytes().all(|byte| byte.is_ascii_digit()) {
        return asked == record.pid.to_string();
    }
    if let Some((name, pid)) = asked.strip_suffix(']').and_then(|asked| asked.split_once('[')) {
        return pid == record.pid.to_string() && glob(name, record.worker);
    }
    glob(asked, record.worker)
}

/// `*` is anything, `?` one character.
fn glob(pattern: &str, text: &str) -> bool {
    let mut rest = pattern.chars();
    match rest.next() {
        None => text.is_empty(),
        Some('*') => {
            let from = |at: usize| glob(rest.as_str(), &text[at..]);
            text.char_indices().map(|(at, _)| at).chain([text.len()]).any(from)
        }
        Some(wanted) => {
            let mut left = text.chars();
            left.next().is_some_and(|c| wanted == '?' || wanted == c)
                && glob(rest.as_str(), left.as_str())
        }
    }
}

/// A target and all below it; with `::` at its end all below it, without itself.
fn lies_below(target: &str, asked: &str) -> bool {
    let asked_parts: Vec<&str> = asked.split("::").collect();
    let parts: Vec<&str> = target.split("::").collect();
    match asked_parts.split_last() {
        Some((&"", [])) => true,
        Some((&"", above)) => parts.len() > above.len() && parts.starts_with(above),
        _ => parts.starts_with(&asked_parts),
    }
}

/// Writes records into a log of three files.
fn write(log: &Path, lines: &[String], random: &mut Random) {
    let (first, second) = (lines.len() / 3, 2 * lines.len() / 3);
    let join = |lines: &[String]| lines.iter().flat_map(|line| [line, "\n"]).collect::<String>();
    let packed = [Packed::Not, Packed::Gzip, Packed::Zstd];
    // Closed long after their last lines, so that their names tell nothing wrong.
    for (lines, hour) in [(&lines[..first], 12), (&lines[first..second], 13)] {
        let path = log.with_file_name(format!("apps.2026-11-22T{hour}-00-00Z.log"));
        fs::write(&path, join(lines)).expect("an old file");
        pack(&path, packed[random.index(3)]);
    }
    fs::write(log, join(&lines[second..])).expect("a log");
}

fn number(line: &str) -> u64 {
    if line.starts_with('{') {
        let line: Value = serde_json::from_str(line).expect("JSON");
        return line["fields"]["number"].as_u64().expect("a number");
    }
    line.rsplit_once("number=").and_then(|(_, number)| number.parse().ok()).expect("a number")
}

#[test]
fn random_questions_are_answered_as_an_independent_filter_answers_them() {
    let mut random = Random::seeded();
    for layout in ["json", "text"] {
        let fixture = Fixture::new(binaries!());
        let mut time = 0;
        let records: Vec<Record> = (0..600)
            .map(|number| {
                time += random.below(2_000_000);
                Record::random(&mut random, number, time)
            })
            .collect();
        let line = |record: &Record| if layout == "json" { record.json() } else { record.text() };
        write(&fixture.log(), &records.iter().map(line).collect::<Vec<_>>(), &mut random);
        let mut found = 0;
        for round in 0..60 {
            let question = Question::random(&mut random, time);
            let expected: Vec<u64> = records
                .iter()
                .filter(|record| question.is_answered_by(record))
                .map(|record| record.number)
                .collect();
            let mut command = bare(&fixture);
            command.args(["logs", "-o", "raw", "--file"]).arg(fixture.log());
            command.args(&question.arguments);
            let last = round % 3 == 0;
            if last {
                command.args(["-n", "7"]);
            }
            let said = Said::of(command).ends(0);
            let shown: Vec<u64> = said.lines().into_iter().map(number).collect();
            let wanted =
                if last { &expected[expected.len().saturating_sub(7)..] } else { &expected };
            assert!(shown == wanted, "{layout} {:?}: {shown:?} {wanted:?}", question.arguments);
            found += expected.len();
        }
        assert!(found > 300, "{found} answers prove nothing");
    }
}
