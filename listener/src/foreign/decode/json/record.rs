//! One record: which leaf of the line has which place of the entry, and which ones are fields.

use std::borrow::Cow;

use fleetlog_protocol::Level;
use fleetlog_protocol::limits::FIELD_COUNT_MAX;

use super::keys::{self, GELF, Known, Meaning, NAME_IS_LOGGER, Place};
use super::level::{self, Reading};
use super::spans::Spans;
use super::{flat, spans};
use crate::foreign::decode::time;
use crate::foreign::entry::{Claim, Entry};

/// Leaves that are kept while nobody has lost a place: fields, and one for each place.
const LEAVES_MAX: usize = FIELD_COUNT_MAX + Place::COUNT;

/// The rank of who only has a place if the line turns out to be of a certain logger: whoever else
/// wants the place is better.
const DOUBTFUL: u8 = u8::MAX;

/// A record that is being read.
pub(super) struct Record<'a> {
    entry: Entry<'a>,
    leaves: Vec<Leaf<'a>>,
    /// Who has which place.
    holders: [Option<Holder>; Place::COUNT],
    /// Whether the level says all that its key did.
    level_is_all: bool,
    /// Whether `name` is the logger's.
    name_is_logger: bool,
    is_gelf: bool,
}

/// A path and the text of its value.
struct Leaf<'a> {
    path: Cow<'a, str>,
    raw: &'a str,
}

/// The leaf that has a place, and how good its key is.
#[derive(Clone, Copy)]
struct Holder {
    leaf: usize,
    rank: u8,
}

impl Leaf<'_> {
    fn size(&self) -> usize {
        self.path.len() + self.raw.len()
    }
}

impl<'a> Record<'a> {
    pub(super) fn new() -> Self {
        Self {
            entry: Entry::new(Level::Info, ""),
            leaves: Vec::with_capacity(16),
            holders: [None; Place::COUNT],
            level_is_all: true,
            name_is_logger: false,
            is_gelf: false,
        }
    }

    /// Takes a leaf of the line. The walk over the leaves is never ended here.
    pub(super) fn leaf(&mut self, path: Cow<'a, str>, raw: &'a str) -> Option<()> {
        self.name_is_logger |= NAME_IS_LOGGER.contains(&&*path);
        self.is_gelf |= path == GELF;
        let known = keys::known(&path);
        self.take(known, Leaf { path, raw });
        Some(())
    }

    /// Takes a leaf of the event's own fields: a program that logs a `pid` or a `level` means
    /// something of its own by it.
    pub(super) fn event_leaf(&mut self, path: Cow<'a, str>, raw: &'a str) -> Option<()> {
        let known = if path == "message" { keys::known(&path) } else { None };
        self.take(known, Leaf { path, raw });
        Some(())
    }

    /// Takes the spans, and as leaves what only looked like spans.
    pub(super) fn spans(&mut self, spans: Spans<'a>) -> Option<()> {
        let spans::Context { spans, rest, missing } = spans.read();
        self.entry.spans = spans;
        self.entry.missing += missing;
        for (key, raw) in [("span", rest.innermost), ("spans", rest.all)] {
            if let Some(raw) = raw {
                flat::leaves(Cow::Borrowed(key), raw, 1, &mut |path, raw| self.leaf(path, raw))?;
            }
        }
        Some(())
    }

    /// The entry; `None` where one of its strings is none.
    pub(super) fn finish(mut self) -> Option<Entry<'a>> {
        if !self.name_is_logger && self.withdraw_doubtful(Place::Target) {
            self.entry.target = Cow::Borrowed("");
        }
        if !self.is_gelf && self.withdraw_doubtful(Place::Level) {
            (self.entry.level, self.level_is_all) = (Level::Info, true);
        }
        if self.holder(Place::Line).is_none()
            && let Some((file, line)) = self.entry.file.as_ref().and_then(file_and_line)
        {
            (self.entry.file, self.entry.line) = (Some(file), Some(line));
        }
        let Self { mut entry, leaves, holders, .. } = self;
        let holds = |at| holders.iter().flatten().any(|holder| holder.leaf == at);
        let kept_level =
            holders[Place::Level as usize].filter(|_| !self.level_is_all).map(|holder| holder.leaf);
        // A field that is called so already must not be mistaken for it.
        let is_level_free = kept_level.is_none()
            || !leaves.iter().enumerate().any(|(at, leaf)| leaf.path == "level" && !holds(at));
        entry.fields.reserve(leaves.len().min(FIELD_COUNT_MAX));
        for (at, leaf) in leaves.into_iter().enumerate() {
            let is_kept_level = kept_level == Some(at);
            if !is_kept_level && holds(at) {
                continue;
            }
            if entry.fields.len() >= FIELD_COUNT_MAX {
                entry.missing += leaf.size();
                continue;
            }
            let value = flat::value(leaf.raw)?;
            let is_renamed = is_kept_level && is_level_free;
            entry.field(if is_renamed { Cow::Borrowed("level") } else { leaf.path }, value);
        }
        Some(entry)
    }

    fn holder(&self, place: Place) -> Option<Holder> {
        self.holders[place as usize]
    }

    fn withdraw_doubtful(&mut self, place: Place) -> bool {
        self.holders[place as usize].take_if(|holder| holder.rank == DOUBTFUL).is_some()
    }

    fn take(&mut self, known: Option<Known>, leaf: Leaf<'a>) {
        let Some((place, rank)) = known.and_then(|known| self.fill(known, leaf.raw)) else {
            if self.leaves.len() < LEAVES_MAX {
                self.leaves.push(leaf);
            } else {
                self.entry.missing += leaf.size();
            }
            return;
        };
        // Who loses the place becomes a field, if there is still room for one.
        let at = match self.holder(place) {
            Some(before) if self.leaves.len() >= LEAVES_MAX => {
                let lost = std::mem::replace(&mut self.leaves[before.leaf], leaf);
                self.entry.missing += lost.size();
                before.leaf
            }
            _ => {
                self.leaves.push(leaf);
                self.leaves.len() - 1
            }
        };
        self.holders[place as usize] = Some(Holder { leaf: at, rank });
    }

    /// Fills a place of the entry, if the value makes sense there and nobody better has it.
    fn fill(&mut self, known: Known, raw: &'a str) -> Option<(Place, u8)> {
        let place = known.meaning.place();
        let best = self.holder(place).map_or(DOUBTFUL, |holder| holder.rank);
        if known.rank > best {
            return None;
        }
        let mut rank = known.rank;
        match known.meaning {
            Meaning::Level => {
                let (reading, is_doubtful) = self.level(raw)?;
                if is_doubtful && best < DOUBTFUL {
                    return None;
                }
                rank = if is_doubtful { DOUBTFUL } else { rank };
                (self.entry.level, self.level_is_all) = (reading.level, reading.is_all);
            }
            Meaning::LevelNumber(scheme) => {
                let reading = scheme.level(raw.parse().ok()?)?;
                (self.entry.level, self.level_is_all) = (reading.level, reading.is_all);
            }
            Meaning::Message => self.entry.message = flat::text(raw)?,
            Meaning::Target => self.entry.target = flat::text(raw)?,
            Meaning::Name => {
                self.entry.target = flat::text(raw)?;
                rank = DOUBTFUL;
            }
            Meaning::Time => self.entry.time = Some(claim(raw)?),
            Meaning::File => self.entry.file = Some(flat::text(raw)?),
            Meaning::Location => {
                let text = flat::text(raw)?;
                file_and_line(&text)?;
                self.entry.file = Some(text);
            }
            Meaning::Line => self.entry.line = Some(line(raw)?),
            Meaning::Module => self.entry.module = Some(flat::text(raw)?),
            Meaning::Pid => self.entry.pid = Some(raw.parse().ok()?),
            Meaning::Host => self.entry.host = Some(flat::text(raw)?),
        }
        Some((place, rank))
    }

    /// Reads a level whose key doesn't tell its scheme, and whether it is one only in GELF.
    fn level(&mut self, raw: &str) -> Option<(Reading, bool)> {
        if let Some(text) = flat::text(raw) {
            return Some((level::word(&text)?, false));
        }
        let number = raw.parse().ok()?;
        match level::BUNYAN.level(number) {
            Some(reading) => {
                self.name_is_logger = true;
                Some((reading, false))
            }
            None => Some((level::SYSLOG.level(number)?, true)),
        }
    }
}

fn claim(raw: &str) -> Option<Claim> {
    let text = flat::text(raw).unwrap_or(Cow::Borrowed(raw));
    time::rfc3339(&text).or_else(|| time::unix(&text))
}

/// A line's number, which Google's loggers write as a string.
fn line(raw: &str) -> Option<u32> {
    let text = flat::text(raw).unwrap_or(Cow::Borrowed(raw));
    if text.starts_with('+') { None } else { text.parse().ok() }
}

/// The two parts of `file.go:12`.
fn file_and_line<'a>(text: &Cow<'a, str>) -> Option<(Cow<'a, str>, u32)> {
    let (file, digits) = text.rsplit_once(':')?;
    if file.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let line = digits.parse().ok()?;
    let file = match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[..file.len()]),
        Cow::Owned(_) => Cow::Owned(file.to_owned()),
    };
    Some((file, line))
}
