//! Seats: how many connections there are, of each user and in all.
//!
//! A connection holds its seat until it is closed, by whichever thread: a client that connects,
//! logs and leaves again and again is never refused for connections that are over.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fleetlog_protocol::limits::{CONNECTIONS_MAX, CONNECTIONS_PER_UID_MAX};

#[derive(Debug, Default)]
struct Taken {
    of_uid: HashMap<u32, usize>,
    all: usize,
}

/// All seats.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seats(Arc<Mutex<Taken>>);

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
    pub(crate) fn take(&self, uid: u32) -> Result<Seat, NoSeat> {
        let mut taken = self.lock();
        if taken.all >= CONNECTIONS_MAX {
            return Err(NoSeat::ForAnybody);
        }
        let of_uid = taken.of_uid.entry(uid).or_default();
        if *of_uid >= CONNECTIONS_PER_UID_MAX {
            return Err(NoSeat::ForThisUser);
        }
        *of_uid += 1;
        taken.all += 1;
        Ok(Seat { uid, seats: self.clone() })
    }

    /// Nothing is done in steps under the lock that a panic could leave half done.
    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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

    #[test]
    fn a_seat_is_free_again_when_its_connection_is_closed() {
        let seats = Seats::default();
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
        let seats = Seats::default();
        let held: Vec<_> = (0..).map_while(|number| seats.take(number).ok()).collect();
        assert_eq!(held.len(), CONNECTIONS_MAX);
        assert_eq!(seats.take(u32::MAX).unwrap_err(), NoSeat::ForAnybody);
    }
}
