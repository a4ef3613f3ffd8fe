//! Pressure: what happens while the drain does not take what foreign clients log.
//!
//! A stream's client can be made to wait, by not reading what it sends, and is for as long as a
//! worker would: its stall budget, once in an outage. A datagram's client never waits, because
//! whoever calls `syslog(3)` would hang. Then records are left out and counted, WARN and ERROR last.

use std::time::{Duration, Instant};

use fleetlog_protocol::limits::{RECORD_MAX, RESERVED_SHARE, STALL_BUDGET_DEFAULT};

/// The bytes of records that wait for the drain, for each foreign thread.
pub(super) const ROOM: usize = 8 << 20;

/// Above this, streams are not read.
const PAUSE: usize = ROOM / 4;

/// Above this, one worker may have no more than its share of the room: who floods costs others
/// nothing.
const CROWDED: usize = ROOM / 2;
const SHARE: usize = ROOM / 4;

const _: () = assert!(SHARE > RECORD_MAX, "the longest record fits into one worker's share");
const _: () = assert!(
    PAUSE + 2 * RECORD_MAX <= CROWDED,
    "the record before a pause loses nobody a record, however long it is"
);

/// Below this, a worker that had to leave records out may log again: each time it does, the log
/// tells what is missing before it.
const RELIEF: usize = ROOM / 8;

/// Whether there is room for a record, where `waiting` bytes wait of which `own` are its worker's.
pub(super) const fn has_room(waiting: usize, own: usize, urgent: bool) -> bool {
    if urgent {
        return waiting < ROOM;
    }
    waiting < CROWDED || (waiting < ROOM - ROOM / RESERVED_SHARE && own < SHARE)
}

/// Whether a worker that left records out for want of room may log again.
pub(super) const fn is_relieved(waiting: usize) -> bool {
    waiting < RELIEF
}

/// How long streams have been waiting.
#[derive(Debug, Default)]
pub(super) struct Patience {
    since: Option<Instant>,
    is_spent: bool,
}

impl Patience {
    /// Whether streams would wait now; does not begin the wait.
    pub(super) const fn would_wait(&self, waiting: usize) -> bool {
        waiting >= PAUSE && !self.is_spent
    }

    /// How long streams are still to wait; `None` = they are read.
    pub(super) fn left(&mut self, waiting: usize, now: Instant) -> Option<Duration> {
        if waiting < PAUSE {
            *self = Self::default();
            return None;
        }
        if self.is_spent {
            return None;
        }
        let waited = now.saturating_duration_since(*self.since.get_or_insert(now));
        let left = STALL_BUDGET_DEFAULT.checked_sub(waited).filter(|left| !left.is_zero());
        self.is_spent = left.is_none();
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_wait_for_their_budget_once_in_an_outage() {
        let mut patience = Patience::default();
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs_f64(seconds);
        assert_eq!(patience.left(PAUSE - 1, start), None);
        assert_eq!(patience.left(PAUSE, start), Some(STALL_BUDGET_DEFAULT));
        assert!(patience.left(PAUSE, after(0.5)).is_some_and(|left| left < STALL_BUDGET_DEFAULT));
        assert_eq!(patience.left(PAUSE, after(1.5)), None, "the budget is spent");
        assert_eq!(patience.left(ROOM, after(9.0)), None, "and stays so in this outage");
        assert_eq!(patience.left(0, after(9.5)), None);
        assert_eq!(patience.left(PAUSE, after(10.0)), Some(STALL_BUDGET_DEFAULT));
    }

    #[test]
    fn who_floods_leaves_room_for_others_and_for_what_is_urgent() {
        assert!(has_room(0, 0, false));
        assert!(has_room(CROWDED - 1, CROWDED - 1, false), "alone it may have half of the room");
        assert!(!has_room(CROWDED, SHARE, false));
        assert!(has_room(CROWDED, SHARE - 1, false));
        assert!(has_room(CROWDED, SHARE, true));
        assert!(!has_room(ROOM - ROOM / RESERVED_SHARE, 0, false));
        assert!(has_room(ROOM - 1, ROOM - 1, true));
        assert!(!has_room(ROOM, 0, true));
    }
}
