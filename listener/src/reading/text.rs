//! Lines of text: `TIME LEVEL worker[pid] spans: target: event`, with a `*` in front of the level
//! where the listener itself says it.
//!
//! The head is told for certain up to the worker, unless a worker's own name has the look of
//! `name[7] `. Where spans end and the target begins is told by their looks: spans without fields
//! and a message with a colon in it can be mistaken for each other.

use std::borrow::Cow;

use fleetlog_protocol::Level;
use fleetlog_protocol::message::Loss;
use jiff::Timestamp;

use super::Head;
use crate::format::Origin;

/// A line of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TextLine<'a> {
    /// The time as it stands.
    pub(crate) timestamp: &'a str,
    pub(crate) origin: Origin,
    pub(crate) head: Head<'a>,
    /// The spans as they stand, the outermost first: `request{id=7}:query`.
    pub(crate) spans: &'a str,
    /// The message and the fields, as they stand.
    pub(crate) event: &'a str,
}

impl<'a> TextLine<'a> {
    /// Reads a line; `None` = it is none of this layout.
    pub(crate) fn parse(line: &'a [u8]) -> Option<Self> {
        // The time is the part that fails first and fastest.
        if line.get(10) != Some(&b'T') || !line.first()?.is_ascii_digit() {
            return None;
        }
        let text = std::str::from_utf8(line).ok()?;
        let (timestamp, rest) = text.split_once(' ')?;
        let time: Timestamp = timestamp.parse().ok()?;
        let (origin, level, rest) = match rest.strip_prefix('*') {
            Some(rest) => {
                let (level, rest) = rest.split_once(' ')?;
                let level = Level::ALL.into_iter().find(|known| known.as_str() == level)?;
                (Origin::Listener, level, rest)
            }
            None => {
                let (level, rest) = (rest.get(..5)?, rest.get(5..)?.strip_prefix(' ')?);
                let level = Level::ALL.into_iter().find(|known| format!("{known:>5}") == level)?;
                (Origin::Client, level, rest)
            }
        };
        let (worker, pid, rest) = split_worker(rest)?;
        let (spans, target, event) = split_target(rest)?;
        let head =
            Head { time, level, worker: Cow::Borrowed(worker), pid, target: Cow::Borrowed(target) };
        Some(Self { timestamp, origin, head, spans, event })
    }
}

impl TextLine<'_> {
    /// What a listener's own line says is lost: each reason with its number. The event is the
    /// message, which is one of a few, and then its fields.
    pub(crate) fn losses(&self) -> Vec<(Loss, u64)> {
        let told = Loss::ALL.into_iter().find_map(|loss| self.event.strip_prefix(loss.message()));
        let Some(fields) = told else { return Vec::new() };
        let numbers = fields.split_whitespace().filter_map(|field| {
            let (name, number) = field.split_once('=')?;
            let loss = Loss::ALL.into_iter().find(|loss| loss.as_str() == name)?;
            Some((loss, number.parse().ok()?))
        });
        numbers.collect()
    }
}

/// Splits `worker 3[1234] rest` at the first `[digits] `.
fn split_worker(text: &str) -> Option<(&str, u32, &str)> {
    text.match_indices('[').find_map(|(at, _)| {
        let (pid, rest) = text[at + 1..].split_once("] ")?;
        let is_pid = !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit());
        Some((&text[..at], pid.parse().ok().filter(|_| is_pid)?, rest))
    })
}

/// Splits `spans: target: event`, the spans being optional.
fn split_target(text: &str) -> Option<(&str, &str, &str)> {
    let (first, rest) = split_at_colon(text)?;
    let looks_like_spans = first.contains('{') || first.contains(':') && !first.contains("::");
    if !first.contains("::") || looks_like_spans {
        let second = split_at_colon(rest);
        if let Some((second, behind)) = second
            && (looks_like_spans || (second.contains("::") && !second.contains(' ')))
        {
            return Some((first, second, behind));
        }
    }
    Some(("", first, rest))
}

/// Splits at the first `: ` that stands neither in braces nor in quotes. Where these do not end,
/// the first one at all counts: it is no text of ours.
fn split_at_colon(text: &str) -> Option<(&str, &str)> {
    let (mut depth, mut is_quoted, mut is_escaped) = (0_u32, false, false);
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            _ if std::mem::take(&mut is_escaped) => {}
            b'\\' if is_quoted => is_escaped = true,
            b'"' if depth > 0 => is_quoted = !is_quoted,
            _ if is_quoted => {}
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b':' if depth == 0 && bytes.get(at + 1) == Some(&b' ') => {
                return Some((&text[..at], &text[at + 2..]));
            }
            _ => {}
        }
    }
    text.split_once(": ")
}
