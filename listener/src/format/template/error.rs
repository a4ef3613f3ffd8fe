//! What can be wrong with a template.

use std::fmt;

use super::pad::WIDTH_MAX;
use super::parse::KNOWN;

/// A template has a mistake. Whoever wrote it is at fault.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}, at character {position} of the template {template:?}")]
pub struct TemplateError {
    /// The template.
    pub template: String,
    /// The character at which the mistake stands, counted from 1.
    pub position: usize,
    /// The mistake.
    pub problem: TemplateProblem,
}

fleetlog_protocol::debug_as_display!(TemplateError);

/// The mistake in a template.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TemplateProblem {
    /// There is no such placeholder.
    Unknown {
        /// The name in the braces.
        name: String,
        /// The known one that looks most like it, if any does.
        nearest: Option<&'static str>,
    },
    /// A `{` has no `}`.
    Unclosed,
    /// A `}` has no `{`.
    Unopened,
    /// `{field.}` has no name behind the point.
    Unnamed,
    /// What stands behind the colon is neither alignment nor width nor precision.
    Alignment {
        /// What stands there.
        found: String,
    },
    /// What stands behind the colon of `{time:…}` is no `strftime` format.
    Time {
        /// What stands there.
        found: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl fmt::Display for TemplateProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name, nearest } => {
                write!(f, "there is no placeholder {{{}}}", name.escape_debug())?;
                if let Some(nearest) = nearest {
                    write!(f, ", did you mean {{{nearest}}}? (")?;
                } else {
                    f.write_str(" (")?;
                }
                write!(f, "known are {})", KNOWN.join(", "))
            }
            Self::Unclosed => f.write_str("a `{` without its `}` (a brace itself is `{{`)"),
            Self::Unopened => f.write_str("a `}` without its `{` (a brace itself is `}}`)"),
            Self::Unnamed => f.write_str("{field.} lacks the field's name: expected {field.NAME}"),
            Self::Alignment { found } => write!(
                f,
                "`{}` is no alignment: expected fill, `<`, `^` or `>`, width and precision, such \
                 as `<10` or `.>8.20`, at most {WIDTH_MAX}",
                found.escape_debug()
            ),
            Self::Time { found, reason } => {
                write!(f, "`{}` is no time format: {reason}", found.escape_debug())
            }
        }
    }
}
