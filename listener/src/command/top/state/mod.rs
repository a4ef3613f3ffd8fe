//! What is shown: the last answer, the order and choice of workers, what is typed and open.
//!
//! It is pure: answers and keys go in, the views read it. The chosen worker is kept by who it is,
//! not by where it stands, so that neither another order nor a listener that begins anew moves
//! the choice to somebody else.

pub(super) mod lines;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use super::follow::Followed;
use super::search::Search;
use super::sort::Sort;
use super::source::Trouble;
use crate::command::status::answer::{Fleet, Worker};
use lines::{Batch, Lines};

/// Who a worker is, for as long as it lives. One that goes two ways has a row for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) name: String,
    pub(super) pid: u32,
    transport: String,
}

impl Identity {
    fn of(worker: &Worker) -> Self {
        let (name, transport) = (worker.name.clone(), worker.transport.clone());
        Self { name, pid: worker.pid, transport }
    }

    fn is(&self, worker: &Worker) -> bool {
        self.pid == worker.pid && self.name == worker.name
    }
}

/// The state of the view.
#[derive(Debug, Default)]
pub(super) struct Model {
    /// The last answer that could be read.
    pub(super) fleet: Option<Fleet>,
    /// Why there is no newer one, and since when.
    trouble: Option<(Trouble, Instant)>,
    /// The last look at the clock.
    now: Option<Instant>,
    pub(super) sort: Sort,
    pub(super) search: Search,
    pub(super) is_typing: bool,
    pub(super) only_problems: bool,
    /// The picture stands still; what is answered meanwhile is let go.
    pub(super) is_paused: bool,
    pub(super) shows_help: bool,
    pub(super) shows_details: bool,
    /// The workers of the answer that are shown, in their order.
    rows: Vec<usize>,
    chosen: Option<Identity>,
    /// Where the choice stands, or stood last.
    cursor: usize,
    /// The first row on the screen, and how many there are.
    first: usize,
    page: usize,
    pub(super) lines: Lines,
}

impl Model {
    /// Takes an answer, or the reason why there is none.
    pub(super) fn answer(&mut self, answer: Result<Fleet, Trouble>, now: Instant) {
        self.now = Some(now);
        match answer {
            // Whoever holds the picture still wants to know nevertheless that nobody is there.
            Ok(_) if self.is_paused && self.fleet.is_some() => self.trouble = None,
            Ok(fleet) => {
                self.fleet = Some(fleet);
                self.trouble = None;
                self.arrange();
            }
            Err(trouble) => {
                let since = self.trouble.as_ref().map_or(now, |(_, since)| *since);
                self.trouble = Some((trouble, since));
            }
        }
    }

    /// Why there is no answer, and for how long.
    pub(super) fn trouble(&self) -> Option<(&Trouble, Duration)> {
        let (trouble, since) = self.trouble.as_ref()?;
        Some((trouble, self.now.map_or(Duration::ZERO, |now| now.duration_since(*since))))
    }

    /// Finds out which workers are shown, in which order. To be called when an answer, the order
    /// or what is looked for has changed.
    pub(super) fn arrange(&mut self) {
        let Some(fleet) = &self.fleet else { return };
        let is_shown = |worker: &Worker| {
            self.search.fits(worker) && (!self.only_problems || worker.has_problem())
        };
        let workers = &fleet.workers;
        self.rows = (0..workers.len()).filter(|index| is_shown(&workers[*index])).collect();
        self.rows.sort_by(|one, other| self.sort.compare(&workers[*one], &workers[*other]));
        if let Some(at) = self.place_of_choice() {
            self.cursor = at;
        }
        self.cursor = self.cursor.min(self.rows.len().saturating_sub(1));
    }

    fn place_of_choice(&self) -> Option<usize> {
        let chosen = self.chosen.as_ref()?;
        let rows = self.rows().enumerate().filter(|(_, worker)| chosen.is(worker));
        // Of rows that nothing tells apart the nearest one, or nobody could step past them.
        let distance = |at: usize, worker: &Worker| {
            (worker.transport != chosen.transport, at.abs_diff(self.cursor))
        };
        rows.min_by_key(|(at, worker)| distance(*at, worker)).map(|(at, _)| at)
    }

    /// The workers that are shown.
    pub(super) fn rows(&self) -> impl ExactSizeIterator<Item = &Worker> + Clone {
        let workers = self.fleet.as_ref().map_or(&[][..], |fleet| &fleet.workers);
        self.rows.iter().map(move |index| &workers[*index])
    }

    /// The row of the choice.
    pub(super) fn cursor(&self) -> usize {
        self.cursor
    }

    /// The worker of the details: the one that was chosen, else the one under the cursor.
    pub(super) fn chosen(&self) -> Option<&Worker> {
        let there = self.fleet.as_ref()?.workers.iter();
        match &self.chosen {
            Some(chosen) if self.shows_details => there
                .filter(|worker| chosen.is(worker))
                .min_by_key(|worker| worker.transport != chosen.transport),
            _ => self.rows().nth(self.cursor),
        }
    }

    /// Who the details are about, whether it is there or not.
    pub(super) fn chosen_identity(&self) -> Option<&Identity> {
        self.chosen.as_ref()
    }

    /// Moves the choice by so many rows.
    pub(super) fn step(&mut self, by: isize) {
        let last = self.rows.len().saturating_sub(1);
        self.choose(self.cursor.saturating_add_signed(by).min(last));
    }

    /// Moves the choice by a screen.
    pub(super) fn step_page(&mut self, pages: isize) {
        let page = isize::try_from(self.page.max(1)).unwrap_or(isize::MAX);
        self.step(pages.saturating_mul(page));
    }

    /// Chooses a row.
    pub(super) fn choose(&mut self, row: usize) {
        self.cursor = row.min(self.rows.len().saturating_sub(1));
        let there = self.rows().nth(self.cursor).map(Identity::of);
        if there.is_some() {
            self.chosen = there;
        }
    }

    /// Makes the rows fit a screen with room for so many, with the choice among them; returns the
    /// first one.
    pub(super) fn scroll(&mut self, page: usize) -> usize {
        self.page = page.max(1);
        let page = self.page;
        let first = self.first.min(self.cursor).max((self.cursor + 1).saturating_sub(page));
        self.first = first.min(self.rows.len().saturating_sub(page));
        self.first
    }

    /// Takes lines, if they are still of the worker whose lines are wanted.
    pub(super) fn take_lines(&mut self, batch: Batch) {
        if self.followed().as_ref() == Some(&batch.followed) {
            self.lines.add(batch, self.is_paused);
        }
    }

    /// Whose lines are to be read, and where.
    pub(super) fn followed(&self) -> Option<Followed> {
        let (fleet, chosen) = (self.fleet.as_ref()?, self.chosen.as_ref()?);
        self.shows_details.then(|| Followed::of(fleet, &chosen.name, chosen.pid))
    }
}
