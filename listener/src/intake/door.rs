//! The door: who is let in, who waits for a seat, who is refused, and the end, when it is shut.
//!
//! A worker's bell needs no seat to be heard: its greeting is read while it waits, its lanes are
//! taken in, and it is told that they are read without it.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::time::{Duration, Instant};

use interprocess::local_socket::traits::Listener as _;
use interprocess::os::unix::uds_local_socket::Listener as Socket;
use nix::sys::epoll::{EpollEvent, EpollFlags};
use nix::sys::socket::{Shutdown, shutdown};

use fleetlog_protocol::stamp;

use super::peer::{self, Peer};
use super::seats::{NoSeat, Seat};
use super::{Connection, HANDSHAKE_TIMEOUT, Intake, Offence, TOKEN_SOCKET, Token, set_interest};

/// A second after a failed accept (out of descriptors), connections may have gone.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Connections that one round accepts: as many as the kernel's backlog holds, so that everybody who
/// came before the round is in it, and a client that connects for ever can't keep a round from
/// ending.
const ACCEPTS_MAX: usize = 4096;

/// How long connections are held back for which there is neither a seat nor a place to wait for one,
/// and how often they are looked at meanwhile. Those of other users wait behind them.
const CROWDED_MAX: Duration = Duration::from_millis(250);
pub(super) const HOLDING: Duration = Duration::from_millis(1);

/// How often somebody is looked for who gives up a seat, while clients wait for one.
pub(super) const SEATING: Duration = Duration::from_millis(20);

/// Who was refused at the door, and why.
pub(crate) type Refused = (Offence, Peer);

impl Intake {
    /// Lets nobody connect any more, and nobody go on who has not said who it is. Whoever connected
    /// before is accepted, and what was sent before is received with the next round. A socket that
    /// `outlives` this listener is left as it is: who connects to it waits for the next one.
    pub(crate) fn shut(&mut self, socket: &Socket, outlives: bool, refused: &mut Vec<Refused>) {
        if !outlives {
            let _ = shutdown(socket.as_fd().as_raw_fd(), Shutdown::Read);
            self.accept_again = None;
            self.accept(socket, refused);
        }
        // What those who wait have sent counts; nobody comes whose seat it could be.
        for token in self.room.empty() {
            self.let_read(token);
        }
        if let Some(connection) = self.held_back.take() {
            self.let_in(connection);
        }
        let _ = self.epoll.delete(socket.as_fd());
        self.accept_again = None;
        for token in &self.strangers {
            if let Some(Some(connection)) = self.connections.get(*token) {
                connection.shut();
            }
        }
    }

    pub(super) fn accept(&mut self, socket: &Socket, refused: &mut Vec<Refused>) {
        if self.accept_again.is_some_and(|at| Instant::now() < at) {
            return;
        }
        if self.accept_again.take().is_some() {
            let _ =
                self.epoll.add(socket.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, TOKEN_SOCKET));
        }
        let after = std::mem::replace(&mut self.accepted_until, stamp::now());
        if let Some(connection) = self.held_back.take()
            && !self.admit(connection, refused)
        {
            return;
        }
        for _ in 0..ACCEPTS_MAX {
            match socket.accept() {
                Ok(stream) => {
                    if !self.admit(Connection::new(stream, after), refused) {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The other one is what a socket says that was shut.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::InvalidInput
                    ) =>
                {
                    return;
                }
                Err(error) => {
                    // Out of descriptors: those who wait stay in the backlog. Without the pause
                    // the socket would wake the drain again and again.
                    crate::diagnostic::warn!(%error, "can't accept a connection, trying again in a second");
                    let _ = self.epoll.delete(socket.as_fd());
                    self.accept_again = Some(Instant::now() + ACCEPT_PAUSE);
                    return;
                }
            }
        }
    }

    /// Gives a connection a seat, or lets it wait for one, or refuses it. Returns whether the next
    /// one may come: while there is no place to wait, the connection and those behind it are held
    /// back for a moment.
    fn admit(&mut self, mut connection: Connection, refused: &mut Vec<Refused>) -> bool {
        let peer = connection.peer;
        let uid = peer.uid;
        let offence = if self.access.allows(uid, || peer::groups(&connection)) {
            // Who waits already comes first.
            let seat = if self.room.has(uid) { None } else { self.seat(uid).ok() };
            if seat.is_some() || self.room.has_place(uid) {
                self.crowded.remove(&uid);
                connection.waits = seat.is_none();
                connection.seat = seat;
                self.let_in(connection);
                return true;
            }
            // Connections that are over may be so for a moment before they are closed.
            let now = Instant::now();
            let since = *self.crowded.entry(uid).or_insert(now);
            if now.saturating_duration_since(since) < CROWDED_MAX {
                self.held_back = Some(connection);
                return false;
            }
            Offence::TooManyOfUid(uid)
        } else {
            Offence::NotAllowed(uid)
        };
        connection.refuse(&offence);
        refused.push((offence, peer));
        true
    }

    /// Gives the seats that are free to those who wait for them.
    pub(super) fn seat_those_who_wait(&mut self) {
        if self.room.is_empty() {
            return;
        }
        let now = Instant::now();
        let looks = now >= self.seating_at;
        if looks {
            self.seating_at = now + SEATING;
        }
        for uid in self.room.users() {
            while let Some(token) = self.room.next(uid) {
                let seat = if looks { self.seat(uid).ok() } else { self.seats.take(uid).ok() };
                let Some(seat) = seat else { break };
                self.room.leave(uid, token);
                if let Some(connection) = self.get(token) {
                    connection.seat = Some(seat);
                }
                self.let_read(token);
            }
        }
    }

    /// A connection that waited is read from now on.
    fn let_read(&mut self, token: Token) {
        if let Some(connection) = self.connections.get_mut(token).and_then(Option::as_mut) {
            connection.waits = false;
            set_interest(&self.epoll, connection, token, EpollFlags::EPOLLIN);
        }
    }

    fn seat(&mut self, uid: u32) -> Result<Seat, NoSeat> {
        self.seats.take(uid).or_else(|none| {
            let of = match none {
                NoSeat::ForAnybody => None,
                NoSeat::ForThisUser => Some(uid),
            };
            if self.close_a_silent_one(of) { self.seats.take(uid) } else { Err(none) }
        })
    }

    fn let_in(&mut self, connection: Connection) {
        self.live += 1;
        let token = self.free.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        });
        let uid = connection.peer.uid;
        let waits = connection.waits;
        // Of one that waits a single word is of interest: whether it is a bell's.
        let once = if waits { EpollFlags::EPOLLONESHOT } else { EpollFlags::empty() };
        let event = EpollEvent::new(EpollFlags::EPOLLIN | once, token as u64);
        let watched = self.epoll.add(&connection, event);
        self.connections[token] = Some(connection);
        self.strangers.insert(token);
        if waits {
            self.room.enter(uid, token);
        }
        if watched.is_err() {
            self.close(token);
        }
    }

    /// Makes room by closing the connection that has been silent for longest, of this user or of
    /// anybody; tells whether there was one.
    fn close_a_silent_one(&mut self, uid: Option<u32>) -> bool {
        let silent = self.strangers.iter().filter_map(|token| {
            let connection = self.connections.get(*token)?.as_ref()?;
            let is_one = uid.is_none_or(|uid| connection.peer.uid == uid);
            (is_one
                && connection.seat.is_some()
                && connection.is_silent()
                && connection.since.elapsed() >= HANDSHAKE_TIMEOUT)
                .then_some((connection.since, *token))
        });
        let Some((_, token)) = silent.min() else { return false };
        self.close(token);
        true
    }
}
