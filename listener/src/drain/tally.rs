//! Tallies: what the drain counts of each worker and of all, beside the account that must balance.
#![deny(clippy::arithmetic_side_effects, reason = "these numbers come from anybody")]

use fleetlog_protocol::Level;
use fleetlog_protocol::stamp::Stamp;

use crate::format::{Format, Formatter, Line};
use crate::meter::{Pace, Seconds};

/// What an error's text shows, and how long each part may be.
const LAST_ERROR: &str = "{message:.240} {fields:.160}";

/// What is counted of one queue.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    /// The bytes of its records, as they came.
    pub(crate) bytes: u64,
    pub(crate) errors: u64,
    pub(crate) warnings: u64,
    pub(crate) last_error: Option<Box<LastError>>,
    records: Pace,
    bytes_pace: Pace,
}

/// What a worker said of its last error.
#[derive(Clone, Debug, Default)]
pub(crate) struct LastError {
    pub(crate) message: String,
    pub(crate) stamp: Stamp,
}

/// What was counted in each of the last seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LastSeconds {
    pub(crate) records: Seconds,
    pub(crate) bytes: Seconds,
}

impl Tally {
    /// The tally of a queue of which an earlier listener wrote so many records.
    pub(crate) const fn starting_at(written: u64) -> Self {
        Self {
            bytes: 0,
            errors: 0,
            warnings: 0,
            last_error: None,
            records: Pace::starting_at(written),
            bytes_pace: Pace::starting_at(0),
        }
    }

    /// Notes a record of the levels that somebody may have to look at.
    #[cold]
    pub(super) fn note_urgent(&mut self, line: &Line<'_>, stamp: Stamp, texts: &mut ErrorTexts) {
        if line.record.level == Level::Warn {
            self.warnings = self.warnings.saturating_add(1);
            return;
        }
        self.errors = self.errors.saturating_add(1);
        let last = self.last_error.get_or_insert_default();
        last.stamp = stamp;
        texts.write(line, &mut last.message);
    }

    /// Closes a second, at whose end so many records were written.
    pub(super) fn close(&mut self, second: u64, written: u64) {
        self.records.close(second, written);
        self.bytes_pace.close(second, self.bytes);
    }

    /// Adds what was counted in the seconds before `now`.
    pub(super) fn add_to(&self, now: u64, seconds: &mut LastSeconds) {
        self.records.add_to(now, &mut seconds.records);
        self.bytes_pace.add_to(now, &mut seconds.bytes);
    }
}

/// Writes the texts of last errors.
#[derive(Debug)]
pub(super) struct ErrorTexts {
    formatter: Formatter,
    line: Vec<u8>,
}

impl ErrorTexts {
    pub(super) fn new() -> Self {
        // A template of our own has no mistake; without it the text would be the whole line.
        let format = Format::template(LAST_ERROR).unwrap_or_default();
        Self { formatter: Formatter::new(&format), line: Vec::new() }
    }

    fn write(&mut self, line: &Line<'_>, text: &mut String) {
        self.line.clear();
        self.formatter.write(line, &mut self.line);
        text.clear();
        text.push_str(String::from_utf8_lossy(&self.line).trim_end());
    }
}

/// The second of a stamp.
pub(super) const fn second(stamp: Stamp) -> u64 {
    stamp / 1_000_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_of_an_errors_text_has_no_mistake() {
        Format::template(LAST_ERROR).unwrap();
    }
}
