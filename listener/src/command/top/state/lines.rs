//! The last lines of the chosen worker.

use std::collections::VecDeque;

use fleetlog_protocol::Level;

use crate::command::top::follow::Followed;

/// As many lines as somebody scrolls back.
pub(in crate::command::top) const KEPT: usize = 1_000;

/// A line, safe to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::command::top) enum Line {
    Record {
        /// The time of day as it stands in the log.
        time: String,
        level: Level,
        text: String,
    },
    /// Something that is no record of a known layout.
    Raw(String),
    /// Something that must be known about the lines around it.
    Mark(String),
}

/// What a follower hands over.
#[derive(Clone, Debug)]
pub(in crate::command::top) struct Batch {
    /// Whose lines these are; the choice may have changed since.
    pub(in crate::command::top) followed: Followed,
    pub(in crate::command::top) lines: Vec<Line>,
}

/// The lines that are kept.
#[derive(Debug, Default)]
pub(in crate::command::top) struct Lines {
    followed: Option<Followed>,
    lines: VecDeque<Line>,
    /// How many lines the pane is scrolled back; 0 = the newest are shown.
    back: usize,
}

impl Lines {
    /// Takes lines; those of another worker than before make way for them. `is_held` keeps what is
    /// on the screen there.
    pub(in crate::command::top) fn add(&mut self, batch: Batch, is_held: bool) {
        if self.followed.as_ref() != Some(&batch.followed) {
            *self = Self { followed: Some(batch.followed), ..Self::default() };
        }
        // Who reads old lines wants to keep them before the eyes.
        if is_held || self.back > 0 {
            self.back += batch.lines.len();
        }
        self.lines.extend(batch.lines);
        let too_many = self.lines.len().saturating_sub(KEPT);
        self.lines.drain(..too_many);
        self.back = self.back.min(self.lines.len());
    }

    /// Whether these are the lines that are wanted now.
    pub(in crate::command::top) fn are_of(&self, followed: &Followed) -> bool {
        self.followed.as_ref() == Some(followed)
    }

    /// Scrolls by so many lines, back if it is negative.
    pub(in crate::command::top) fn scroll(&mut self, by: isize) {
        self.back = self.back.saturating_add_signed(by.saturating_neg()).min(self.lines.len());
    }

    /// Shows the newest lines again.
    pub(in crate::command::top) fn show_newest(&mut self) {
        self.back = 0;
    }

    /// How many lines newer than those on the screen are there.
    pub(in crate::command::top) fn newer(&self) -> usize {
        self.back
    }

    /// The lines for a pane of so many rows, the oldest first.
    pub(in crate::command::top) fn shown(&mut self, rows: usize) -> impl Iterator<Item = &Line> {
        self.back = self.back.min(self.lines.len().saturating_sub(rows));
        let end = self.lines.len() - self.back;
        self.lines.range(end.saturating_sub(rows)..end)
    }
}
