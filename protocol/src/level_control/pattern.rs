//! Which workers somebody means.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// A choice of workers: a name with or without `*` and `?`, a pid, or `name[pid]`.
///
/// ```
/// use fleetlog_protocol::level_control::WorkerPattern;
/// let pattern = WorkerPattern::parse("worker *[1234]");
/// assert!(pattern.fits("worker 7", 1234));
/// assert!(!pattern.fits("worker 7", 1235));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerPattern {
    text: String,
    /// How much of the text is a name's pattern, if any of it is.
    name: Option<usize>,
    /// A number that is no pid fits no worker by its pid.
    pid: Option<Option<u32>>,
}

impl WorkerPattern {
    /// Reads a choice. Every text is one; what is no pattern is a name.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let with_pid = text.strip_suffix(']').and_then(|text| text.rsplit_once('['));
        let (name, pid) = match with_pid {
            Some((name, pid)) if is_number(pid) => (Some(name.len()), Some(pid.parse().ok())),
            _ if is_number(text) => (None, Some(text.parse().ok())),
            _ => (Some(text.len()), None),
        };
        Self { text: text.to_owned(), name, pid }
    }

    /// Whether a worker is among those that are meant.
    #[must_use]
    pub fn fits(&self, name: &str, pid: u32) -> bool {
        let by_name = self.name.is_none_or(|length| fits(&self.text[..length], name));
        let by_pid = self.pid.is_none_or(|own| own == Some(pid));
        // A name may itself look like a pattern or a number.
        (by_name && by_pid) || self.text == name
    }

    /// The text that it was read from.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for WorkerPattern {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self::parse(text))
    }
}

impl fmt::Display for WorkerPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether a name is of a pattern. It goes back to the last star only, so that no pattern and no
/// name take more time than the product of their lengths.
fn fits(pattern: &str, name: &str) -> bool {
    let (mut pattern, mut name) = (pattern.chars(), name.chars());
    let mut last_star = None;
    loop {
        let matched = match pattern.next() {
            Some('*') => {
                last_star = Some((pattern.clone(), name.clone()));
                true
            }
            Some('?') => name.next().is_some(),
            Some(wanted) => name.next() == Some(wanted),
            None if name.as_str().is_empty() => return true,
            None => false,
        };
        if !matched {
            // The star takes one character more.
            let Some((behind_star, mut untaken)) = last_star else { return false };
            if untaken.next().is_none() {
                return false;
            }
            (pattern, name) = (behind_star.clone(), untaken.clone());
            last_star = Some((behind_star, untaken));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn workers_are_names_globs_and_pids() {
        for (text, expected) in [
            ("worker 3", true),
            ("worker*", true),
            ("*3", true),
            ("*", true),
            ("w*r*3", true),
            ("worker ?", true),
            ("worker", false),
            ("worker 3?", false),
            ("1234", true),
            ("123", false),
            ("99999999999", false),
            ("worker 3[1234]", true),
            ("w*[1234]", true),
            ("worker 3[1]", false),
            ("worker.3", false),
            ("", false),
        ] {
            assert_eq!(WorkerPattern::parse(text).fits("worker 3", 1234), expected, "{text}");
        }
    }

    #[test]
    fn a_name_that_looks_like_a_pattern_is_found_by_itself() {
        for name in ["7", "a*b", "x[1]", "?"] {
            assert!(WorkerPattern::parse(name).fits(name, 99), "{name}");
        }
    }

    #[test]
    fn many_stars_take_no_time() {
        let pattern = WorkerPattern::parse(&"*a".repeat(120));
        assert!(!pattern.fits(&"a".repeat(119), 1));
        assert!(pattern.fits(&"a".repeat(120), 1));
    }

    /// The same by its definition, in exponential time.
    fn model(pattern: &[char], name: &[char]) -> bool {
        match (pattern, name) {
            ([], []) => true,
            (['*', rest @ ..], _) => {
                model(rest, name) || (!name.is_empty() && model(pattern, &name[1..]))
            }
            (['?', rest @ ..], [_, name @ ..]) => model(rest, name),
            ([wanted, rest @ ..], [found, name @ ..]) => wanted == found && model(rest, name),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn a_glob_fits_what_its_definition_says(
            pattern in "[abé*?]{0,8}", name in "[abé]{0,8}",
        ) {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(fits(&pattern, &name), model(&chars(&pattern), &chars(&name)));
        }
    }
}
