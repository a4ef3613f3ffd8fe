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
const CROWDED: usize = ROOM / 2;

/// While it is crowded, one worker may have this much of the room: who floods costs others nothing.
const SHARE: usize = ROOM / 4;

const _: () = assert!(SHARE > RECORD_MAX, "the longest record fits into one worker's share");

/// Whether there is room for a record, where `waiting` bytes wait of which `own` are its worker's.
pub(super) const fn has_room(waiting: usize, own: usize, urgent: bool) -> bool {
    if urgent {
        return waiting < ROOM;
    }
    waiting < CROWDED || (waiting < ROOM - ROOM / RESERVED_SHARE && own < SHARE)
}

/// How long streams have been waiting.
#[derive(Debug, Default)]
pub(super) struct Patience {
    since: Option<Instant>,
    is_spent: bool,
}

impl Patience {
    /// How long streams are still to wait; `None` = they are read.
    pub(super) fn left(&mut self, waiting: usize, now: Instant) -> Option<Duration> {
        if waiting < CROWDED {
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
        assert_eq!(patience.left(CROWDED - 1, start), None);
        assert_eq!(patience.left(CROWDED, start), Some(STALL_BUDGET_DEFAULT));
        assert!(patience.left(CROWDED, after(0.5)).is_some_and(|left| left < STALL_BUDGET_DEFAULT));
        assert_eq!(patience.left(CROWDED, after(1.5)), None, "the budget is spent");
        assert_eq!(patience.left(ROOM, after(9.0)), None, "and stays so in this outage");
        assert_eq!(patience.left(0, after(9.5)), None);
        assert_eq!(patience.left(CROWDED, after(10.0)), Some(STALL_BUDGET_DEFAULT));
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
