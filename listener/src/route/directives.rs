//! Filter directives in the manner of `RUST_LOG`.

use std::cmp::Reverse;
use std::fmt;
use std::str::FromStr;

use fleetlog_protocol::Level;

use crate::format::nearest;

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
/// use fleetlog::route::Directives;
/// use fleetlog_protocol::Level;
/// let directives: Directives = "warn,app=debug,app::job=off".parse().unwrap();
/// assert!(directives.allows(Level::Warn, "hyper"));
/// assert!(directives.allows(Level::Debug, "app::web"));
/// assert!(!directives.allows(Level::Error, "app::job"));
/// assert_eq!(directives.to_string(), "warn,app=debug,app::job=off");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directives {
    /// For targets that no directive names; `None` is off.
    default: Option<Level>,
    /// The longest target first, so that the first that fits decides.
    targets: Vec<(String, Option<Level>)>,
}

impl Directives {
    /// Everything is wanted.
    #[must_use]
    pub const fn all() -> Self {
        Self { default: Some(Level::Trace), targets: Vec::new() }
    }

    /// Whether a record of this level and target is wanted.
    #[must_use]
    pub fn allows(&self, level: Level, target: &str) -> bool {
        self.targets
            .iter()
            .find(|(prefix, _)| lies_below(target, prefix))
            .map_or(self.default, |(_, limit)| *limit)
            .is_some_and(|limit| level <= limit)
    }

    /// The least severe level that is wanted of any target; `None` if nothing is.
    ///
    /// ```
    /// use fleetlog::route::Directives;
    /// use fleetlog_protocol::Level;
    /// assert_eq!("warn,app=debug".parse::<Directives>().unwrap().max_level(), Some(Level::Debug));
    /// assert_eq!("off".parse::<Directives>().unwrap().max_level(), None);
    /// ```
    #[must_use]
    pub fn max_level(&self) -> Option<Level> {
        self.targets.iter().map(|(_, limit)| *limit).fold(self.default, Ord::max)
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
        if self.default.is_some() || self.targets.is_empty() {
            f.write_str(word(self.default))?;
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
                None => directives.default = limit,
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
        return match WORDS.into_iter().find(|word| strsim::osa_distance(&lower, word) == 1) {
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
            nearest: nearest(level, &WORDS),
        }),
    }
}

/// A directive has a mistake. Whoever wrote it is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the filter directive {directive:?} {problem}")]
pub struct DirectiveError {
    /// The directive, without those around it.
    pub directive: String,
    /// The mistake.
    pub problem: DirectiveProblem,
}

/// The mistake in a directive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
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
    #[error("filters by span or field, which a sink can't: expected LEVEL or TARGET=LEVEL")]
    Fields,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Directives {
        text.parse().unwrap()
    }

    fn problem(text: &str) -> DirectiveProblem {
        text.parse::<Directives>().unwrap_err().problem
    }

    #[test]
    fn a_bare_level_limits_every_target() {
        let directives = parse("info");
        assert!(directives.allows(Level::Info, "anything"));
        assert!(directives.allows(Level::Error, ""));
        assert!(!directives.allows(Level::Debug, "anything"));
    }

    #[test]
    fn the_longest_target_decides_wherever_it_stands() {
        for text in ["warn,app=debug,app::job=off", "app::job=off,app=debug,warn"] {
            let directives = parse(text);
            assert!(directives.allows(Level::Debug, "app"));
            assert!(directives.allows(Level::Debug, "app::web"));
            assert!(!directives.allows(Level::Error, "app::job"));
            assert!(!directives.allows(Level::Error, "app::job::inner"));
            assert!(directives.allows(Level::Debug, "app::jobs"));
            assert!(directives.allows(Level::Debug, "app.web"), "as Python names its loggers");
            assert!(!directives.allows(Level::Info, "apple"));
        }
    }

    #[test]
    fn what_no_directive_names_is_not_wanted() {
        assert!(!parse("app=trace").allows(Level::Error, "other"));
        assert!(parse("app").allows(Level::Trace, "app::deep::down"));
        assert!(!parse("app").allows(Level::Error, "other"));
    }

    #[test]
    fn the_last_of_two_directives_for_one_target_counts() {
        assert_eq!(parse("app=info,app=off"), parse("app=off"));
        assert_eq!(parse("info,debug"), parse("debug"));
    }

    #[test]
    fn everything_is_wanted_by_default() {
        assert_eq!(Directives::default(), parse("trace"));
        assert!(Directives::all().allows(Level::Trace, "x"));
    }

    #[test]
    fn levels_are_read_in_any_case_and_by_number() {
        assert_eq!(parse("WARN"), parse("warn"));
        assert_eq!(parse("3,app=5"), parse("info,app=trace"));
        assert_eq!(parse("0"), parse("off"));
        assert_eq!(parse(" info , app = debug ,"), parse("info,app=debug"));
    }

    #[test]
    fn the_largest_level_is_known() {
        assert_eq!(parse("off").max_level(), None);
        assert_eq!(parse("warn,app=off").max_level(), Some(Level::Warn));
        assert_eq!(parse("warn,app=trace").max_level(), Some(Level::Trace));
    }

    #[test]
    fn a_mistake_is_named_with_the_nearest_level() {
        assert_eq!(problem("inof"), DirectiveProblem::Misspelt { nearest: "info" });
        assert_eq!(problem("info,debgu"), DirectiveProblem::Misspelt { nearest: "debug" });
        assert_eq!(problem("=info"), DirectiveProblem::Target);
        assert_eq!(problem(" ,"), DirectiveProblem::Empty);
        assert_eq!(problem("app[{x}]=info"), DirectiveProblem::Fields);
        let error = "info,app=dbug".parse::<Directives>().unwrap_err().to_string();
        assert!(error.contains("\"app=dbug\""), "{error}");
        assert!(error.contains("did you mean `debug`?"), "{error}");
    }

    #[test]
    fn directives_agree_with_tracing_subscriber_on_whole_targets() {
        use tracing_subscriber::filter::Targets;
        let levels = [
            (Level::Error, tracing::Level::ERROR),
            (Level::Warn, tracing::Level::WARN),
            (Level::Info, tracing::Level::INFO),
            (Level::Debug, tracing::Level::DEBUG),
            (Level::Trace, tracing::Level::TRACE),
        ];
        for text in ["info", "app=debug", "app::job=off,warn", "off,x::y=trace,x=error", "app"] {
            let (ours, theirs) = (parse(text), text.parse::<Targets>().unwrap());
            for target in ["app", "app::job", "app::job::x", "x", "x::y", "x::y::z", "other"] {
                for (level, their_level) in &levels {
                    let expected = theirs.would_enable(target, their_level);
                    assert_eq!(ours.allows(*level, target), expected, "{text} {target} {level}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_with_its_words(text in "\\PC{0,40}|[a-f:=,]{0,30}") {
            if let Err(error) = text.parse::<Directives>() {
                prop_assert!(!error.to_string().is_empty());
            }
        }

        #[test]
        fn directives_read_back_what_they_print(
            parts in prop::collection::vec(
                (prop::option::of("[a-z_]{1,6}(::[a-z]{1,4}){0,2}"), 0..6_usize), 1..6,
            ),
            target in "[a-z_]{1,6}(::[a-z]{1,4}){0,2}",
        ) {
            let text: Vec<_> = parts
                .into_iter()
                .map(|(target, level)| match target {
                    None => WORDS[level].to_owned(),
                    Some(target) => format!("{target}={}", WORDS[level]),
                })
                .collect();
            let directives = parse(&text.join(","));
            prop_assert_eq!(&parse(&directives.to_string()), &directives);
            for level in Level::ALL {
                let allowed = directives.allows(level, &target);
                prop_assert!(!allowed || Some(level) <= directives.max_level());
            }
        }
    }
}
