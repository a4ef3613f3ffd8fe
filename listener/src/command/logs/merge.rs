//! Several logs as one, by the time of their lines. Equal lines of two logs stay two lines.

use super::cursor::{Cursor, Found, Reading, Way};

/// Cursors, and the next line of each.
pub(super) struct Merge {
    way: Way,
    cursors: Vec<(Cursor, Option<Found>)>,
}

impl Merge {
    pub(super) fn new(cursors: Vec<Cursor>, way: Way, reading: &mut Reading<'_>) -> Self {
        let first = |mut cursor: Cursor| {
            let found = cursor.next(reading);
            (cursor, found)
        };
        Self { way, cursors: cursors.into_iter().map(first).collect() }
    }

    /// The next line of all.
    pub(super) fn next(&mut self, reading: &mut Reading<'_>) -> Option<Found> {
        let times = self.cursors.iter().enumerate();
        let times = times.filter_map(|(at, (_, found))| Some((found.as_ref()?.time, at)));
        let (_, at) = match self.way {
            Way::Forward => times.min(),
            Way::Backward => times.max(),
        }?;
        let (cursor, found) = &mut self.cursors[at];
        std::mem::replace(found, cursor.next(reading))
    }
}
