//! Which lines are shown.

use fleetlog_protocol::Level;
use jiff::{SignedDuration, Timestamp};
use regex::bytes::{Regex, RegexBuilder};

use crate::reading::{Converter, Head, Layout};

/// How far apart the time of a line and the order of lines may be: a line carries the time at
/// which it was logged, and is written a moment later.
pub(crate) const SLACK: SignedDuration = SignedDuration::from_mins(1);

/// What a line must be to be shown; empty = nothing is asked.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    pub(crate) since: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
    pub(crate) levels: Option<Levels>,
    pub(crate) workers: Vec<Worker>,
    pub(crate) targets: Vec<String>,
    pub(crate) grep: Option<Grep>,
}

impl Filter {
    /// Whether what is asked can be told by a line's head only.
    pub(crate) const fn needs_head(&self) -> bool {
        self.since.is_some()
            || self.until.is_some()
            || self.levels.is_some()
            || !self.workers.is_empty()
            || !self.targets.is_empty()
    }

    /// Whether a line is shown.
    pub(crate) fn allows(
        &self,
        line: &[u8],
        found: Option<&(Layout, Head<'_>)>,
        converter: &mut Converter,
    ) -> bool {
        match found {
            Some((_, head)) if !self.allows_head(head) => return false,
            None if self.needs_head() => return false,
            _ => {}
        }
        let layout = found.map_or(Layout::Unknown, |(layout, _)| *layout);
        self.grep.as_ref().is_none_or(|grep| grep.fits(line, layout, converter))
    }

    fn allows_head(&self, head: &Head<'_>) -> bool {
        self.since.is_none_or(|since| head.time >= since)
            && self.until.is_none_or(|until| head.time <= until)
            && self.levels.is_none_or(|levels| levels.contain(head.level))
            && (self.workers.is_empty()
                || self.workers.iter().any(|worker| worker.fits(&head.worker, head.pid)))
            && (self.targets.is_empty()
                || self.targets.iter().any(|target| lies_below(&head.target, target)))
    }
}

/// As in a filter directive: `app` is `app` and `app::job` but not `apple`.
fn lies_below(target: &str, prefix: &str) -> bool {
    target.strip_prefix(prefix).is_some_and(|rest| {
        rest.is_empty() || rest.starts_with("::") || prefix.is_empty() || prefix.ends_with("::")
    })
}

/// A range of levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Levels {
    most_severe: Level,
    least_severe: Level,
}

impl Levels {
    /// Reads `warn`, which is `warn` and all that is more severe, or a range `warn..error`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let level = |word: &str| {
            let alias = match word.to_ascii_lowercase().as_str() {
                "err" => "error".to_owned(),
                "warning" => "warn".to_owned(),
                other => other.to_owned(),
            };
            let expected = "expected error, warn, info, debug or trace, or a range warn..error";
            alias.parse::<Level>().map_err(|_| format!("{word:?} is no level: {expected}"))
        };
        let (one, other) = match text.split_once("..") {
            Some((one, other)) => (level(one)?, level(other)?),
            None => (Level::Error, level(text)?),
        };
        Ok(Self { most_severe: one.min(other), least_severe: one.max(other) })
    }

    fn contain(self, level: Level) -> bool {
        (self.most_severe..=self.least_severe).contains(&level)
    }
}

/// A worker, by name or pid.
#[derive(Clone, Debug)]
pub(crate) struct Worker {
    text: String,
    name: Option<Regex>,
    pid: Option<u32>,
}

impl Worker {
    /// Reads a name with or without `*` and `?`, a pid, or `name[pid]`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let with_pid = text.strip_suffix(']').and_then(|text| text.rsplit_once('['));
        let (name, pid) = match with_pid {
            Some((name, pid)) if is_number(pid) => (Some(name), pid.parse().ok()),
            _ if is_number(text) => (None, text.parse().ok()),
            _ => (Some(text), None),
        };
        let name = name.map(|name| {
            let pattern = regex::escape(name).replace("\\*", ".*").replace("\\?", ".");
            Regex::new(&format!("^(?s:{pattern})$")).map_err(|error| error.to_string())
        });
        Ok(Self { text: text.to_owned(), name: name.transpose()?, pid })
    }

    fn fits(&self, worker: &str, pid: u32) -> bool {
        let fits = match (&self.name, self.pid) {
            (Some(name), Some(own)) => pid == own && name.is_match(worker.as_bytes()),
            (Some(name), None) => name.is_match(worker.as_bytes()),
            (None, own) => own == Some(pid),
        };
        fits || self.text == worker
    }
}

/// A regular expression that a line's text must fit, in whatever layout it is stored.
#[derive(Debug)]
pub(crate) struct Grep {
    regex: Regex,
    /// It is a word that stands in both layouts alike, so that lines of JSON without it need not
    /// be turned into text.
    is_word: bool,
}

impl Grep {
    /// Reads a pattern. Without a capital letter it takes capitals for small letters.
    pub(crate) fn parse(pattern: &str) -> Result<Self, String> {
        let regex = RegexBuilder::new(pattern)
            .case_insensitive(!pattern.chars().any(char::is_uppercase))
            .build()
            .map_err(|error| error.to_string())?;
        let is_word =
            !pattern.is_empty() && pattern.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        Ok(Self { regex, is_word })
    }

    fn fits(&self, line: &[u8], layout: Layout, converter: &mut Converter) -> bool {
        if layout != Layout::Json {
            return self.regex.is_match(line);
        }
        if self.is_word && !self.regex.is_match(line) {
            return false;
        }
        let mut text = Vec::new();
        if converter.text_of_json(line, &mut text) {
            self.regex.is_match(&text)
        } else {
            self.regex.is_match(line)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] =
        b"2026-11-22T10:00:00.123456Z  WARN worker 3[1234] my_app::job: Finished item n=17";
    const JSON: &[u8] = br#"{"timestamp":"2026-11-22T10:00:00.123456Z","level":"WARN","fields":{"message":"Finished item","n":17},"target":"my_app::job","worker":"worker 3","pid":1234,"lane":1,"seq":7}"#;

    #[track_caller]
    fn check(filter: &Filter, expected: bool) {
        for line in [TEXT, JSON] {
            let found = Head::of(line);
            let allowed = filter.allows(line, found.as_ref(), &mut Converter::new());
            assert_eq!(allowed, expected, "{}", String::from_utf8_lossy(line));
        }
        let head = filter.needs_head();
        let allowed = filter.allows(b"foreign", None, &mut Converter::new());
        assert_eq!(allowed, !head && filter.grep.is_none());
    }

    #[test]
    fn levels_are_thresholds_or_ranges() {
        for (text, expected) in [
            ("warn", true),
            ("warning", true),
            ("WARN", true),
            ("info", true),
            ("trace", true),
            ("error", false),
            ("err", false),
            ("warn..error", true),
            ("error..info", true),
            ("debug..info", false),
        ] {
            let levels = Some(Levels::parse(text).unwrap());
            check(&Filter { levels, ..Filter::default() }, expected);
        }
        assert!(Levels::parse("loud").unwrap_err().contains("expected error, warn"));
    }

    #[test]
    fn workers_are_names_globs_and_pids() {
        for (text, expected) in [
            ("worker 3", true),
            ("worker*", true),
            ("*3", true),
            ("worker ?", true),
            ("worker", false),
            ("1234", true),
            ("123", false),
            ("worker 3[1234]", true),
            ("w*[1234]", true),
            ("worker 3[1]", false),
            ("worker.3", false),
        ] {
            let workers = vec![Worker::parse(text).unwrap()];
            check(&Filter { workers, ..Filter::default() }, expected);
        }
        let workers = vec![Worker::parse("x").unwrap(), Worker::parse("worker 3").unwrap()];
        check(&Filter { workers, ..Filter::default() }, true);
    }

    #[test]
    fn targets_are_prefixes_of_whole_words() {
        for (target, expected) in [
            ("my_app", true),
            ("my_app::job", true),
            ("my_app::", true),
            ("my", false),
            ("job", false),
        ] {
            let targets = vec![target.to_owned()];
            check(&Filter { targets, ..Filter::default() }, expected);
        }
    }

    #[test]
    fn a_pattern_fits_the_text_of_a_line_whatever_its_layout() {
        for (pattern, expected) in [
            ("finished", true),
            ("Finished", true),
            ("FINISHED", false),
            ("item n=17", true),
            ("^2026.*warn", true),
            ("\"seq\":", false),
            ("job: f", true),
            ("seq", false),
        ] {
            let grep = Some(Grep::parse(pattern).unwrap());
            check(&Filter { grep, ..Filter::default() }, expected);
        }
        assert!(Grep::parse("(").is_err());
    }

    #[test]
    fn times_bound_on_both_sides_and_include_the_bounds() {
        let time = |text: &str| Some(text.parse::<Timestamp>().unwrap());
        for (since, until, expected) in [
            ("2026-11-22T10:00:00.123456Z", "2026-11-22T10:00:00.123456Z", true),
            ("2026-11-22T10:00:01Z", "2026-11-22T11:00:00Z", false),
            ("2026-11-22T09:00:00Z", "2026-11-22T10:00:00Z", false),
        ] {
            let filter = Filter { since: time(since), until: time(until), ..Filter::default() };
            check(&filter, expected);
        }
    }
}
