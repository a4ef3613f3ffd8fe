//! Place: where in time a foreign record belongs.
//!
//! A worker stamps its records in the call. A foreign record has the time that its client claims,
//! if it claims one, and the kernel's word on when its bytes were sent: for a datagram the very
//! moment, for a stream the span between two reads. A claim that agrees with the kernel's word
//! puts the record into its exact place; any other is the client's story, which the record tells
//! in a field, while its place is that of its arrival.

use fleetlog_protocol::stamp::{self, Stamp};

use super::entry::Claim;

/// A claim that is coarser than this says nothing of a record's place among others, in nanoseconds.
const FINE: u64 = 1_000_000;

/// How far a claim may lie outside of the kernel's word, in nanoseconds: a call takes its time
/// before it sends, and a coarse clock lags.
const TOLERANCE: i128 = 1_000_000_000;

/// When the bytes of a message were sent: not before the one, not after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) after: Stamp,
    pub(super) until: Stamp,
}

/// Where a record belongs, and whether its client claims another time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) stamp: Stamp,
    pub(super) differs: bool,
}

impl Window {
    /// The place of a record within the window. `clock` maps stamps to the wall clock of the claim.
    pub(super) fn place(self, claim: Option<Claim>, clock: Clock) -> Place {
        let Some(claim) = claim else { return Place { stamp: self.until, differs: false } };
        let (after, until) = (i128::from(self.after), i128::from(self.until));
        let begin = i128::from(claim.time) - i128::from(clock.offset);
        let end = begin + i128::from(claim.precision);
        if end + TOLERANCE < after || begin > until + TOLERANCE {
            return Place { stamp: self.until, differs: true };
        }
        if claim.precision > FINE {
            return Place { stamp: self.until, differs: false };
        }
        let stamp = begin.clamp(after.min(until), until);
        Place { stamp: Stamp::try_from(stamp).unwrap_or(self.until), differs: false }
    }
}

/// The wall clock's distance to the stamps, measured now and then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    offset: u64,
}

impl Clock {
    pub(super) fn measure() -> Self {
        Self { offset: stamp::wall_now().wrapping_sub(stamp::now()) }
    }

    /// The stamp of a reading of the wall clock, not later than `now`.
    pub(super) fn stamp(self, wall: u64, now: Stamp) -> Stamp {
        wall.checked_sub(self.offset).map_or(now, |stamp| stamp.min(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const CLOCK: Clock = Clock { offset: 1000 * SECOND };
    const WINDOW: Window = Window { after: 100 * SECOND, until: 105 * SECOND };

    fn place(time: u64, precision: u64) -> (u64, bool) {
        let Place { stamp, differs } = WINDOW.place(Some(Claim { time, precision }), CLOCK);
        (stamp, differs)
    }

    #[test]
    fn a_fine_claim_within_the_window_is_the_place() {
        assert_eq!(place(1102 * SECOND + 7, 1), (102 * SECOND + 7, false));
        assert_eq!(place(1102 * SECOND, 1_000_000), (102 * SECOND, false));
    }

    #[test]
    fn a_claim_a_little_outside_is_moved_to_the_edge() {
        assert_eq!(place(1100 * SECOND - 5, 1), (100 * SECOND, false));
        assert_eq!(place(1105 * SECOND + 5, 1), (105 * SECOND, false));
    }

    #[test]
    fn a_claim_far_outside_differs_and_the_place_is_the_arrival() {
        assert_eq!(place(0, 1), (105 * SECOND, true));
        assert_eq!(place(1098 * SECOND, 1), (105 * SECOND, true));
        assert_eq!(place(1107 * SECOND, 1), (105 * SECOND, true));
        assert_eq!(place(u64::MAX, u64::MAX), (105 * SECOND, true));
    }

    #[test]
    fn a_coarse_claim_is_no_place() {
        assert_eq!(place(1102 * SECOND, SECOND), (105 * SECOND, false));
        assert_eq!(place(1098 * SECOND, SECOND), (105 * SECOND, false), "it may have been 99.9 s");
        assert_eq!(place(1097 * SECOND, SECOND), (105 * SECOND, true));
    }

    #[test]
    fn without_a_claim_the_arrival_counts() {
        assert_eq!(WINDOW.place(None, CLOCK), Place { stamp: 105 * SECOND, differs: false });
    }
}
