//! Which workers are looked for: a part of the name, a pattern, or a pid.

use regex::{Regex, RegexBuilder};

use crate::command::status::answer::Worker;

/// What was typed, and what it means.
#[derive(Clone, Debug, Default)]
pub(super) struct Search {
    text: String,
    name: Option<Regex>,
    pid: Option<u32>,
}

/// Nobody types more; what is pasted by mistake must not become a pattern that takes its time.
const LONGEST: usize = 200;

impl Search {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Takes another character.
    pub(super) fn push(&mut self, c: char) {
        if self.text.chars().count() < LONGEST {
            self.set(format!("{}{c}", self.text));
        }
    }

    /// Takes the last character back.
    pub(super) fn pop(&mut self) {
        let mut text = std::mem::take(&mut self.text);
        text.pop();
        self.set(text);
    }

    /// Looks for all.
    pub(super) fn clear(&mut self) {
        self.set(String::new());
    }

    /// Reads a part of a name in any case, a whole name with `*` and `?`, a pid, or `name[pid]`.
    fn set(&mut self, text: String) {
        let with_pid = text.strip_suffix(']').and_then(|text| text.rsplit_once('['));
        let with_pid = with_pid.and_then(|(name, pid)| Some((name, pid.parse().ok()?)));
        let (name, pid) = match with_pid {
            Some((name, pid)) => (name, Some(pid)),
            None => (&*text, None),
        };
        let is_whole = pid.is_some() || name.contains(['*', '?']);
        let pattern = regex::escape(name).replace("\\*", ".*").replace("\\?", ".");
        let pattern = if is_whole { format!("^(?s:{pattern})$") } else { pattern };
        // Everything that has a meaning is escaped, so that this never fails.
        let name = RegexBuilder::new(&pattern).case_insensitive(true).build().ok();
        let name = name.filter(|_| !text.is_empty());
        let pid = pid.or_else(|| text.parse().ok());
        *self = Self { text, name, pid };
    }

    pub(super) fn fits(&self, worker: &Worker) -> bool {
        let Some(name) = &self.name else { return true };
        let name = name.is_match(&worker.name);
        match self.pid {
            Some(pid) if self.text.ends_with(']') => name && worker.pid == pid,
            Some(pid) => name || worker.pid == pid,
            None => name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_found_by_parts_patterns_and_pids() {
        let worker = Worker { name: "Worker 3 (a+b)".to_owned(), pid: 1234, ..Worker::default() };
        for (text, expected) in [
            ("", true),
            ("work", true),
            ("a+b", true),
            ("W*", true),
            ("*b)", true),
            ("ork*", false),
            ("1234", true),
            ("123", false),
            ("3", true),
            ("worker 3 (a+b)[1234]", true),
            ("w*[1234]", true),
            ("w*[1]", false),
            ("work[1234]", false),
            ("(", true),
            ("[", false),
            ("x", false),
        ] {
            let mut search = Search::default();
            text.chars().for_each(|c| search.push(c));
            assert_eq!(search.fits(&worker), expected, "{text:?}");
            text.chars().for_each(|_| search.pop());
            assert!(search.fits(&worker) && search.text().is_empty());
        }
    }
}
