//! Filter directives in the manner of `RUST_LOG`: what a sink wants, and what a worker is told to
//! log while it lives. Both sides read them here, so that one text means one thing.

use std::cmp::Reverse;
use std::fmt;
use std::str::FromStr;

use crate::Level;

/// Filter directives: `warn,app=debug,app::job=off`.
///
/// A directive is a level for everything (`info`), a level for a target (`app=debug`), or a
/// target alone, of which everything is wanted (`app`). A level is one of `off`, `error`,
/// `warn`, `info`, `debug`, `trace` in upper or lower case, or 0 to 5. A target stands for
/// itself and all that lies below it, `app` for `app`, `app::job` and `app.job` (as loggers of other
/// languages are named) but not for `apple`; the
/// longest that fits decides, and the last of two for the same target. What no directive fits is
/// not wanted.
///
/// ```
/// use fleetlog_protocol::directives::Directives;
/// use fleetlog_protocol::Level;
/// let directives: Directives = "warn,app=debug,app::job=off".parse().unwrap();
/// assert!(directives.allows(Level::Warn, "hyper"));
/// assert!(directives.allows(Level::Debug, "app::web"));
/// assert!(!directives.allows(Level::Error, "app::job"));
/// assert_eq!(directives.to_string(), "warn,app=debug,app::job=off");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directives {
    /// For targets that no directive names, if there is a bare level; the inner `None` is off.
    default: Option<Option<Level>>,
    /// The longest target first, so that the first that fits decides.
    targets: Vec<(String, Option<Level>)>,
}

impl Directives {
    /// Everything is wanted.
    #[must_use]
    pub const fn all() -> Self {
        Self { default: Some(Some(Level::Trace)), targets: Vec::new() }
    }

    /// Whether a record of this level and target is wanted.
    #[must_use]
    pub fn allows(&self, level: Level, target: &str) -> bool {
        self.decision(level, target).unwrap_or(false)
    }

    /// Whether a record of this level and target is wanted, or `None` where no directive says
    /// anything about its target: what was said before then still holds.
    ///
    /// ```
    /// use fleetlog_protocol::{Level, directives::Directives};
    /// let directives: Directives = "app=debug".parse().unwrap();
    /// assert_eq!(directives.decision(Level::Trace, "app::web"), Some(false));
    /// assert_eq!(directives.decision(Level::Error, "hyper"), None);
    /// ```
    #[must_use]
    pub fn decision(&self, level: Level, target: &str) -> Option<bool> {
        let named = self.targets.iter().find(|(prefix, _)| lies_below(target, prefix));
        let limit = named.map(|(_, limit)| *limit).or(self.default)?;
        Some(limit.is_some_and(|limit| level <= limit))
    }

    /// Whether a bare level is among them, so that they decide for every target.
    #[must_use]
    pub const fn decide_everything(&self) -> bool {
        self.default.is_some()
    }

    /// The least severe level that is wanted of any target; `None` if nothing is.
    ///
    /// ```
    /// use fleetlog_protocol::directives::Directives;
    /// use fleetlog_protocol::Level;
    /// assert_eq!("warn,app=debug".parse::<Directives>().unwrap().max_level(), Some(Level::Debug));
    /// assert_eq!("off".parse::<Directives>().unwrap().max_level(), None);
    /// ```
    #[must_use]
    pub fn max_level(&self) -> Option<Level> {
        self.targets.iter().map(|(_, limit)| *limit).fold(self.default.flatten(), Ord::max)
    }
}

/// Everything: a filter that nobody asked for must not hide a record.
impl Default for Directives {
    fn default() -> Self {
        Self::all()
    }
}

fn lies_below(target: &str, prefix: &str) -> bool {
    target.strip_prefix(prefix).is_some_and(|rest| {
        let is_below = rest.starts_with("::") || rest.starts_with('.');
        rest.is_empty() || is_below || prefix.is_empty() || prefix.ends_with("::")
    })
}

/// The directives in an order of their own, which reads back as the same directives.
impl fmt::Display for Directives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        if let Some(limit) = self.default {
            f.write_str(word(limit))?;
            separator = ",";
        }
        // The shortest first reads better, and the order says nothing.
        for (target, limit) in self.targets.iter().rev() {
            write!(f, "{separator}{target}={}", word(*limit))?;
            separator = ",";
        }
        Ok(())
    }
}

/// Every level word, by the number that also stands for it.
const WORDS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

const fn word(limit: Option<Level>) -> &'static str {
    match limit {
        None => WORDS[0],
        Some(level) => WORDS[level as usize],
    }
}

/// The limit that a word or number names; the inner `None` is off.
fn limit(text: &str) -> Option<Option<Level>> {
    if text.eq_ignore_ascii_case("off") || text == "0" {
        return Some(None);
    }
    let number = text.parse().ok().filter(|_| text.len() == 1).and_then(Level::from_byte);
    number.or_else(|| text.parse().ok()).map(Some)
}

impl FromStr for Directives {
    type Err = DirectiveError;

    fn from_str(text: &str) -> Result<Self, DirectiveError> {
        let mut directives = Self { default: None, targets: Vec::new() };
        let mut any = false;
        // A comma too many is no mistake worth a refusal.
        for directive in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let fail = |problem| DirectiveError { directive: directive.to_owned(), problem };
            let (target, limit) = parse(directive).map_err(fail)?;
            match target {
                None => directives.default = Some(limit),
                Some(target) => {
                    directives.targets.retain(|(known, _)| known != target);
                    directives.targets.push((target.to_owned(), limit));
                }
            }
            any = true;
        }
        if !any {
            let problem = DirectiveProblem::Empty;
            return Err(DirectiveError { directive: text.to_owned(), problem });
        }
        directives.targets.sort_by(|(left, _), (right, _)| {
            Reverse(left.len()).cmp(&Reverse(right.len())).then_with(|| right.cmp(left))
        });
        Ok(directives)
    }
}

/// The level word that a lower-case text is one slip of the pen away from, if it is.
fn nearest(text: &str) -> Option<&'static str> {
    WORDS.into_iter().find(|word| is_one_slip(text.as_bytes(), word.as_bytes()))
}

/// Whether two different texts are the same but for a letter that is too many, missing or another
/// one, or for two neighbours that changed places.
fn is_one_slip(left: &[u8], right: &[u8]) -> bool {
    let same = left.iter().zip(right).take_while(|(left, right)| left == right).count();
    let (left, right) = (&left[same..], &right[same..]);
    let (Some((a, left_rest)), Some((b, right_rest))) = (left.split_first(), right.split_first())
    else {
        return left.len() + right.len() == 1;
    };
    let changed_places = match (left_rest.split_first(), right_rest.split_first()) {
        (Some((c, left)), Some((d, right))) => (a, c) == (d, b) && left == right,
        _ => false,
    };
    left_rest == right_rest || left_rest == right || left == right_rest || changed_places
}

/// A target, if the directive names one, and its limit.
type Parsed<'a> = (Option<&'a str>, Option<Level>);

fn parse(directive: &str) -> Result<Parsed<'_>, DirectiveProblem> {
    if directive.contains(['[', ']', '{', '}']) {
        return Err(DirectiveProblem::Fields);
    }
    let Some((target, level)) = directive.split_once('=') else {
        if let Some(limit) = limit(directive) {
            return Ok((None, limit));
        }
        // `inof` would be a target that nothing has, and the log would be empty without a word.
        let lower = directive.to_ascii_lowercase();
        return match nearest(&lower) {
            Some(nearest) => Err(DirectiveProblem::Misspelt { nearest }),
            None => Ok((Some(directive), Some(Level::Trace))),
        };
    };
    let (target, level) = (target.trim(), level.trim());
    if target.is_empty() {
        return Err(DirectiveProblem::Target);
    }
    match limit(level) {
        Some(limit) => Ok((Some(target), limit)),
        None => Err(DirectiveProblem::Level {
            found: level.to_owned(),
            nearest: nearest(&level.to_ascii_lowercase()),
        }),
    }
}

/// A directive has a mistake. Whoever wrote it is at fault.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("the filter directive {directive:?} {problem}")]
pub struct DirectiveError {
    /// The directive, without those around it.
    pub directive: String,
    /// The mistake.
    pub problem: DirectiveProblem,
}

crate::debug_as_display!(DirectiveError);

/// The mistake in a directive.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DirectiveProblem {
    /// There is nothing to read.
    #[error("is empty: expected a level such as `info`, or TARGET=LEVEL such as `app::job=debug`")]
    Empty,
    /// What stands behind the `=` is no level.
    #[error(
        "has no level behind its `=` but {found:?}: expected off, error, warn, info, debug or \
         trace{}",
        .nearest.map(|word| format!("; did you mean `{word}`?")).unwrap_or_default()
    )]
    Level {
        /// What stands there.
        found: String,
        /// The level that looks most like it, if any does.
        nearest: Option<&'static str>,
    },
    /// Nothing stands before the `=`.
    #[error("has no target before its `=`: expected TARGET=LEVEL such as `app::job=debug`")]
    Target,
    /// It is one letter away from a level.
    #[error(
        "looks like a misspelt level: did you mean `{nearest}`? (were it a target, expected \
         TARGET=LEVEL)"
    )]
    Misspelt {
        /// The level that it looks like.
        nearest: &'static str,
    },
    /// It filters by span or field.
    #[error(
        "filters by span or field, which neither a sink nor a living worker can: expected LEVEL \
         or TARGET=LEVEL"
    )]
    Fields,
}

crate::debug_as_display!(DirectiveProblem);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_level_decides_everything_and_a_target_only_what_lies_below_it() {
        let bare: Directives = "warn,app=off".parse().unwrap();
        assert!(bare.decide_everything());
        assert_eq!(bare.decision(Level::Error, "app::job"), Some(false));
        assert_eq!(bare.decision(Level::Warn, "hyper"), Some(true));
        let named: Directives = "app=debug".parse().unwrap();
        assert!(!named.decide_everything());
        assert_eq!(named.decision(Level::Debug, "app"), Some(true));
        assert_eq!(named.decision(Level::Error, "hyper"), None);
        assert!(!named.allows(Level::Error, "hyper"), "what a sink was not told to want");
    }

    #[test]
    fn off_for_everything_is_not_the_same_as_nothing_said() {
        let silent: Directives = "off,app=info".parse().unwrap();
        let named: Directives = "app=info".parse().unwrap();
        assert_ne!(silent, named);
        assert_eq!(silent.to_string(), "off,app=info");
        assert_eq!(named.to_string(), "app=info");
        assert_eq!("off".parse::<Directives>().unwrap().to_string(), "off");
    }

    #[test]
    fn one_slip_of_the_pen_is_one_slip() {
        for text in ["inof", "nfo", "innfo", "ingo", "info1", "inf"] {
            assert_eq!(nearest(text), Some("info"), "{text}");
        }
        for text in ["info", "in", "onif", "information", "", "app"] {
            assert_eq!(nearest(text), None, "{text}");
        }
    }
}
