//! A row of a table: what was measured in each round, and how it is told.

use std::fmt;

use crate::completeness::Verdict;
use crate::trial::Course;

/// A setting, and what it showed round by round beside the course of the trial.
#[derive(Debug)]
pub(super) struct Row<S, M = ()> {
    pub(super) setting: S,
    rounds: Vec<(Course, M)>,
}

impl<S, M> Row<S, M> {
    pub(super) const fn new(setting: S) -> Self {
        Self { setting, rounds: Vec::new() }
    }

    pub(super) fn add(&mut self, course: Course, measured: M) {
        self.rounds.push((course, measured));
    }

    pub(super) fn measured(&self) -> impl Iterator<Item = &M> {
        self.rounds.iter().map(|(_, measured)| measured)
    }

    pub(super) fn spread(&self, figure: impl Fn(&Course, &M) -> f64) -> Spread {
        Spread::of(self.rounds.iter().map(|(course, measured)| figure(course, measured)))
    }

    /// Compares with another row within each round: what disturbed a round disturbed its rows
    /// alike. Without the other row there is nothing to tell.
    pub(super) fn against(
        &self,
        other: Option<&Self>,
        figure: impl Fn(&Course, &M) -> f64,
    ) -> Spread {
        let others = other.into_iter().flat_map(|other| &other.rounds);
        let pairs = self.rounds.iter().zip(others);
        Spread::of(pairs.map(|((course, measured), (other_course, other))| {
            figure(course, measured) / figure(other_course, other)
        }))
    }

    /// The verdict over all rounds.
    pub(super) fn verdict(&self) -> RowVerdict {
        let mut sum: Option<Verdict> = None;
        for verdict in self.rounds.iter().filter_map(|(course, _)| course.verdict) {
            sum.get_or_insert_default().add(verdict);
        }
        RowVerdict(sum)
    }

    pub(super) fn foreign(&self) -> impl Iterator<Item = f64> {
        self.rounds.iter().map(|(course, _)| course.foreign)
    }
}

/// What arrived in all rounds of a row; `None` where nothing is written.
#[derive(Debug)]
pub(super) struct RowVerdict(pub(super) Option<Verdict>);

impl fmt::Display for RowVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(verdict) => verdict.fmt(f),
            None => f.write_str("no output"),
        }
    }
}

/// The median of some figures, the least and the most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    pub(crate) fn of(figures: impl Iterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.collect();
        figures.sort_by(f64::total_cmp);
        let at = |index: usize| figures.get(index).copied().unwrap_or(f64::NAN);
        let last = figures.len().saturating_sub(1);
        let median = f64::midpoint(at(last / 2), at(last.div_ceil(2)));
        Self { median, least: at(0), most: at(last) }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.median.is_nan() {
            return f.write_str("-");
        }
        let digits = f.precision().unwrap_or(2);
        write!(f, "{:.digits$} ({:.digits$} to {:.digits$})", self.median, self.least, self.most)
    }
}

/// Writes a table's title and its first two lines.
pub(super) fn heading(f: &mut fmt::Formatter<'_>, title: &str, columns: &[&str]) -> fmt::Result {
    writeln!(f, "### {title}\n\n| {} |\n|{}", columns.join(" | "), "---|".repeat(columns.len()))
}

pub(super) fn share(part: u64, whole: u64) -> String {
    match part {
        0 => "none".to_owned(),
        part => format!("{:.2} %", 100.0 * part as f64 / whole.max(1) as f64),
    }
}
