//! Revision: what is done to a record between the merge and the files. Secrets are hidden, equal
//! records meet, and what a worker's last error said is noted.

use std::time::{Duration, Instant};

use super::dedup::Dedup;
use super::tally::ErrorTexts;
use crate::options::Options;
use crate::redact::Redactor;

#[derive(Debug)]
pub(super) struct Revision {
    /// `None` = nothing is secret.
    pub(super) redactor: Option<Redactor>,
    /// `None` = each record has its own line.
    pub(super) dedup: Option<Dedup>,
    pub(super) error_texts: ErrorTexts,
    /// Somebody waits for the files.
    pub(super) is_hurried: bool,
}

impl Revision {
    pub(super) fn new(options: &Options) -> Self {
        let window = options.dedup.filter(|window| *window > Duration::ZERO);
        Self {
            redactor: Redactor::new(&options.redaction),
            dedup: window.map(Dedup::new),
            error_texts: ErrorTexts::new(),
            is_hurried: false,
        }
    }

    /// When what waits for an equal record must be written; `None` = nothing waits.
    pub(super) fn due(&self) -> Option<Instant> {
        self.dedup.as_ref().and_then(Dedup::due)
    }

    /// Whether more waits than may.
    pub(super) fn is_full(&self) -> bool {
        self.dedup.as_ref().is_some_and(Dedup::is_full)
    }
}
