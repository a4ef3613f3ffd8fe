//! Seats: how many connections there are, of each user and in all; and the room in which clients
//! wait for one.
//!
//! A connection holds its seat until it is closed, by whichever thread: a client that connects,
//! logs and leaves again and again is never refused for connections that are over. A client for
//! which there is no seat waits, connected and unread: what it sends waits in the kernel. Nobody
//! overtakes a client of the same user, and no user fills the room alone.
//!
//! There are never so many seats and places that the listener had no descriptor left for its own
//! work: for the files, and for the segments of workers.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fleetlog_protocol::limits::{CONNECTIONS_MAX, CONNECTIONS_PER_UID_MAX};
use nix::sys::resource::{Resource, getrlimit};

use super::Token;

/// Places of clients that wait for a seat: as many as a kernel's backlog holds, so that a round that
/// accepts all of it has a place for each.
const WAITING_MAX: usize = 4096;

/// Descriptors that are kept for everything but connections.
const RESERVE: usize = 512;

/// What no single user gets: one part in this many.
const SHARE_OF_OTHERS: usize = 4;

/// How many connections there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) seats: usize,
    pub(crate) seats_of_uid: usize,
    places: usize,
    places_of_uid: usize,
}

impl Limits {
    /// What this process has descriptors for.
    pub(crate) fn of_process() -> Self {
        let soft = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
        Self::of(usize::try_from(soft).unwrap_or(usize::MAX))
    }

    fn of(descriptors: usize) -> Self {
        let usable = descriptors - RESERVE.min(descriptors / 2);
        let seats = CONNECTIONS_MAX.min(usable - usable / SHARE_OF_OTHERS);
        let places = WAITING_MAX.min(usable - seats);
        Self {
            seats,
            seats_of_uid: CONNECTIONS_PER_UID_MAX.min(seats - seats / SHARE_OF_OTHERS),
            places,
            places_of_uid: places - places / SHARE_OF_OTHERS,
        }
    }
}

#[derive(Debug, Default)]
struct Taken {
    of_uid: HashMap<u32, usize>,
    all: usize,
}

/// All seats.
#[derive(Clone, Debug)]
pub(crate) struct Seats {
    limits: Limits,
    taken: Arc<Mutex<Taken>>,
}

/// One of them, free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    uid: u32,
    seats: Seats,
}

/// Why there is no seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoSeat {
    ForThisUser,
    ForAnybody,
}

impl Seats {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, taken: Arc::default() }
    }

    pub(crate) fn take(&self, uid: u32) -> Result<Seat, NoSeat> {
        let mut taken = self.lock();
        if taken.all >= self.limits.seats {
            return Err(NoSeat::ForAnybody);
        }
        let of_uid = taken.of_uid.entry(uid).or_default();
        if *of_uid >= self.limits.seats_of_uid {
            return Err(NoSeat::ForThisUser);
        }
        *of_uid += 1;
        taken.all += 1;
        Ok(Seat { uid, seats: self.clone() })
    }

    /// Nothing is done in steps under the lock that a panic could leave half done.
    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Clients that wait for a seat, in the order of their arrival for each user.
#[derive(Debug)]
pub(super) struct WaitingRoom {
    limits: Limits,
    of_uid: BTreeMap<u32, VecDeque<Token>>,
    all: usize,
}

impl WaitingRoom {
    pub(super) const fn new(limits: Limits) -> Self {
        Self { limits, of_uid: BTreeMap::new(), all: 0 }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.all == 0
    }

    /// Whether somebody of this user waits.
    pub(super) fn has(&self, uid: u32) -> bool {
        self.of_uid.contains_key(&uid)
    }

    pub(super) fn has_place(&self, uid: u32) -> bool {
        let of_uid = self.of_uid.get(&uid).map_or(0, VecDeque::len);
        self.all < self.limits.places && of_uid < self.limits.places_of_uid
    }

    pub(super) fn enter(&mut self, uid: u32, token: Token) {
        self.of_uid.entry(uid).or_default().push_back(token);
        self.all += 1;
    }

    pub(super) fn users(&self) -> Vec<u32> {
        self.of_uid.keys().copied().collect()
    }

    /// Who is the next of a user.
    pub(super) fn next(&self, uid: u32) -> Option<Token> {
        self.of_uid.get(&uid)?.front().copied()
    }

    pub(super) fn leave(&mut self, uid: u32, token: Token) {
        let Some(waiting) = self.of_uid.get_mut(&uid) else { return };
        // The next one is the usual one.
        let Some(place) = waiting.iter().position(|other| *other == token) else { return };
        waiting.remove(place);
        self.all -= 1;
        if waiting.is_empty() {
            self.of_uid.remove(&uid);
        }
    }

    /// Everybody, who waits no longer.
    pub(super) fn empty(&mut self) -> Vec<Token> {
        self.all = 0;
        std::mem::take(&mut self.of_uid).into_values().flatten().collect()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        taken.all -= 1;
        if let Some(of_uid) = taken.of_uid.get_mut(&self.uid) {
            *of_uid -= 1;
            if *of_uid == 0 {
                taken.of_uid.remove(&self.uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLENTY: usize = 1 << 20;

    #[test]
    fn descriptors_are_left_for_the_work_however_few_there_are() {
        for descriptors in [0, 1, 3, 16, 64, 256, 1024, 4096, 10_000, PLENTY, usize::MAX] {
            let limits = Limits::of(descriptors);
            let all = limits.seats + limits.places;
            assert!(all <= descriptors.div_ceil(2).max(descriptors.saturating_sub(RESERVE)));
            assert!(limits.seats_of_uid <= limits.seats && limits.places_of_uid <= limits.places);
            assert!(descriptors < 16 || limits.seats_of_uid < limits.seats, "{limits:?}");
        }
        let plenty = Limits::of(PLENTY);
        assert_eq!((plenty.seats, plenty.seats_of_uid), (CONNECTIONS_MAX, CONNECTIONS_PER_UID_MAX));
    }

    #[test]
    fn no_user_fills_the_waiting_room_and_the_first_to_come_is_the_next() {
        let mut room = WaitingRoom::new(Limits::of(PLENTY));
        let mut token = 0;
        while room.has_place(7) {
            room.enter(7, token);
            token += 1;
        }
        assert_eq!(token, WAITING_MAX - WAITING_MAX / SHARE_OF_OTHERS);
        assert!(room.has_place(8) && room.has(7) && !room.has(8));
        assert_eq!(room.next(7), Some(0));
        room.leave(7, 0);
        room.leave(7, 0);
        assert_eq!(room.next(7), Some(1));
        assert!(room.has_place(7));
        assert_eq!(room.empty().len(), token - 1);
        assert!(room.is_empty() && room.users().is_empty());
    }

    #[test]
    fn a_seat_is_free_again_when_its_connection_is_closed() {
        let seats = Seats::new(Limits::of(PLENTY));
        let mut held: Vec<_> =
            (0..CONNECTIONS_PER_UID_MAX).map(|_| seats.take(7).unwrap()).collect();
        assert_eq!(seats.take(7).unwrap_err(), NoSeat::ForThisUser);
        let other = seats.take(8).unwrap();
        held.pop();
        held.push(seats.take(7).unwrap());
        drop((held, other));
        assert!(seats.lock().of_uid.is_empty() && seats.lock().all == 0);
    }

    #[test]
    fn many_users_together_have_a_limit_too() {
        let seats = Seats::new(Limits::of(PLENTY));
        let held: Vec<_> = (0..).map_while(|number| seats.take(number).ok()).collect();
        assert_eq!(held.len(), CONNECTIONS_MAX);
        assert_eq!(seats.take(u32::MAX).unwrap_err(), NoSeat::ForAnybody);
    }
}
