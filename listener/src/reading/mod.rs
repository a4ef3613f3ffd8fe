//! Reading: what the lines of a log say, whatever their layout.
//!
//! It is the way back of `format`. JSON lines give back what was logged; lines of text give back
//! their head, and what stands behind it as it stands, because text does not tell the end of a
//! message from a field. Lines of a template are nobody's but their reader's.
//!
//! Nothing here trusts a line: a foreign one is told from a record and never taken for half of
//! one, and no line makes a reader panic.

mod convert;
mod json;
mod pretty;
mod template;
#[cfg(test)]
mod tests;
mod text;

use std::borrow::Cow;

use fleetlog_protocol::Level;
use jiff::Timestamp;

pub(crate) use convert::Converter;
pub(crate) use json::{Explained, JsonLine, Repeats, losses_of};
pub(crate) use pretty::put_pretty;
pub(crate) use template::Template;
pub(crate) use text::TextLine;

/// How many of a file's first lines are looked at to know its layout.
pub(crate) const SAMPLE: usize = 16;

/// The layout of a line, as it can be told from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Layout {
    /// The layout `text`.
    Text,
    /// The layout `json`.
    Json,
    /// A template, or a foreign line.
    #[default]
    Unknown,
}

impl Layout {
    /// The layout of most of these lines; one damaged line at the beginning of a file does not
    /// change what the others are.
    pub(crate) fn of<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let (mut text, mut json, mut others) = (0, 0, 0);
        for line in lines {
            match Head::of(line) {
                Some((Self::Json, _)) => json += 1,
                Some((Self::Text, _)) => text += 1,
                // What begins as JSON and can't be read is damaged JSON before it is a template.
                _ if line.starts_with(b"{\"timestamp\":") => json += 1,
                _ => others += 1,
            }
        }
        if json > text && json >= others {
            Self::Json
        } else if text > 0 && text >= others {
            Self::Text
        } else {
            Self::Unknown
        }
    }

    /// Its name in a configuration.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Unknown => "unknown",
        }
    }
}

/// What both layouts tell of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head<'a> {
    pub(crate) time: Timestamp,
    pub(crate) level: Level,
    pub(crate) worker: Cow<'a, str>,
    pub(crate) pid: u32,
    pub(crate) target: Cow<'a, str>,
}

impl<'a> Head<'a> {
    /// The head of a line, and its layout; `None` = it is of neither.
    pub(crate) fn of(line: &'a [u8]) -> Option<(Layout, Self)> {
        if line.first() == Some(&b'{') {
            return Some((Layout::Json, JsonLine::parse(line).ok()?.head()?));
        }
        Some((Layout::Text, TextLine::parse(line)?.head))
    }
}
