//! Intake: accept, identify, receive; and look at the lanes of the workers that were accepted.
//! Whoever does not speak fleetlog's own protocol is handed over to the threads of
//! [`crate::foreign`], whose records come back through their inlet.
//!
//! Everything happens in the drain's thread and nothing waits for a client. A drain asks for all
//! bytes that were sent before its cut-off: new connections are accepted first, then every
//! connection that has bytes is read until it is empty, or as far as a kernel buffer can have
//! held. Memory is bounded: by the number of connections, by the handshake's limit for those
//! that have not said who they are, and in sum for those that hold unfinished frames.

mod buffer;
mod callsites;
mod connection;
mod door;
mod feed;
pub(crate) mod peer;
pub(crate) mod seats;
pub(crate) mod segments;
mod waiting;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fleetlog_protocol::frame::Kind;
use fleetlog_protocol::limits::HANDSHAKE_MAX;
use interprocess::os::unix::uds_local_socket::Listener as Socket;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll, ppoll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use fleetlog_protocol::callsite::Callsite;
use fleetlog_protocol::stamp::{self, Stamp};

use crate::foreign::{Access, ForeignNumber, Inlet};
use crate::sink::SinkMask;
use crate::wake::Wake;
use buffer::Shared;
pub(crate) use callsites::Callsites;
pub(crate) use connection::{Connection, Introduction, Offence, Role, WorkerLink};
use door::{HOLDING, Refused, SEATING};
pub(crate) use feed::Feed;
use seats::{Limits, Seats, WaitingRoom};
use segments::{LaneIndex, Segments};
pub(crate) use waiting::Waiting;

/// Unfinished frames of all connections together, in bytes.
const UNFINISHED_MAX: usize = 64 << 20;

/// Who has not said who it is by then never will.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How often those who have not said who they are are looked at.
const STRANGERS_CHECK: Duration = Duration::from_secs(1);

/// How long a drain that was woken up lets records gather before it takes them. Meanwhile nobody
/// sleeps in the kernel whom a worker's send would have to wake: that was a good part of the cost
/// of a call, and made the slowest ones of a burst four times as slow.
const GATHERING: Duration = Duration::from_micros(200);

const TOKEN_SOCKET: u64 = u64::MAX;
const TOKEN_WAKE: u64 = u64::MAX - 1;

/// A connection's number while it lives.
pub(crate) type Token = usize;

/// Where a queue's records come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    Connection(Token),
    Lane(LaneIndex),
    Foreign(ForeignNumber),
}

/// One queue's end in the intake.
#[derive(Debug)]
pub(crate) struct Speaker<'a> {
    pub(crate) feed: &'a mut Feed,
    pub(crate) callsites: &'a Callsites,
    pub(crate) name: &'a Arc<str>,
    /// Its place among the listener's queues.
    pub(crate) queue: usize,
    /// The lane, from 1; 0 = the socket.
    pub(crate) lane: u16,
}

/// Why the intake woke up.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Woken {
    /// A signal or another thread wants something.
    pub(crate) by_wake: bool,
}

#[derive(Debug)]
pub(crate) struct Intake {
    epoll: Epoll,
    connections: Vec<Option<Connection>>,
    free: Vec<Token>,
    live: usize,
    seats: Seats,
    /// Connections that wait for a seat, and when somebody is looked for next who gives one up.
    room: WaitingRoom,
    seating_at: Instant,
    /// A connection for which there was not even a place to wait a moment ago, and since when there
    /// was none for its user.
    held_back: Option<Connection>,
    crowded: HashMap<u32, Instant>,
    /// Connections that have not said who they are, and when they are looked at next.
    strangers: HashSet<Token>,
    strangers_check: Instant,
    events: Vec<EpollEvent>,
    shared: Shared,
    /// What a kernel buffer can hold of one connection.
    receive_limit: usize,
    accept_again: Option<Instant>,
    /// Whoever connected before this time was accepted.
    accepted_until: Stamp,
    /// Connections that were handed over and are still open.
    foreign: usize,
    access: Access,
    pub(crate) inlet: Inlet,
    pub(crate) segments: Segments,
}

impl Intake {
    /// Watches the socket and what wakes the drain.
    pub(crate) fn new(
        run_dir: &Path,
        socket: &Socket,
        wake: &Wake,
        access: Access,
        inlet: Inlet,
    ) -> io::Result<Self> {
        let limits = Limits::of_process();
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(socket.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, TOKEN_SOCKET))?;
        for wake in wake.descriptors() {
            epoll.add(wake, EpollEvent::new(EpollFlags::EPOLLIN, TOKEN_WAKE))?;
        }
        Ok(Self {
            epoll,
            connections: Vec::new(),
            free: Vec::new(),
            live: 0,
            seats: Seats::new(limits),
            room: WaitingRoom::new(limits),
            seating_at: Instant::now(),
            held_back: None,
            crowded: HashMap::new(),
            strangers: HashSet::new(),
            strangers_check: Instant::now(),
            events: Vec::new(),
            shared: Shared::new(),
            receive_limit: kernel_buffer(),
            accept_again: None,
            accepted_until: stamp::now(),
            foreign: 0,
            access,
            inlet,
            segments: Segments::new(run_dir)?,
        })
    }

    /// Also wakes when a descriptor is readable.
    pub(crate) fn wake_by(&self, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        self.epoll.add(descriptor, EpollEvent::new(EpollFlags::EPOLLIN, TOKEN_WAKE))?;
        Ok(())
    }

    /// Sleeps until somebody has something to say, or until `deadline`.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> io::Result<()> {
        let is_late = |token: &Token| {
            let connection = self.connections.get(*token).and_then(Option::as_ref);
            connection.is_some_and(|connection| !connection.is_silent())
        };
        let strangers = self.strangers.iter().any(is_late).then_some(self.strangers_check);
        let held_back = self.held_back.as_ref().map(|_| Instant::now() + HOLDING);
        let seating = (!self.room.is_empty()).then(|| Instant::now() + SEATING);
        let deadlines = [deadline, strangers, self.accept_again, held_back, seating];
        let until = deadlines.into_iter().flatten().min();
        let at_most = until.map(|until| {
            until.saturating_duration_since(Instant::now()) + Duration::from_millis(1)
        });
        if self.watch(at_most)? {
            std::thread::sleep(GATHERING);
        }
        Ok(())
    }

    /// Sleeps so long while lanes are looked at, unless somebody rings or says something.
    pub(crate) fn nap(&self, at_most: Duration) -> io::Result<()> {
        self.watch(Some(at_most)).map(|_| ())
    }

    /// Waits until somebody has something to say, and tells whether that is so. It takes no event: of
    /// a client that waits for a seat there is only one.
    fn watch(&self, at_most: Option<Duration>) -> io::Result<bool> {
        let mut watched = [PollFd::new(self.epoll.0.as_fd(), PollFlags::POLLIN)];
        match ppoll(&mut watched, at_most.map(Into::into), None) {
            Ok(count) => Ok(count > 0),
            Err(Errno::EINTR) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The stamp of a source's next record; `None` = it has none that is complete. `interested`
    /// tells which sinks want a callsite.
    #[inline]
    pub(crate) fn next_stamp(
        &mut self,
        source: Source,
        interested: impl Fn(&Callsite) -> SinkMask,
    ) -> Result<Option<Stamp>, Offence> {
        match source {
            Source::Connection(token) => match self.get(token) {
                Some(connection) => connection.next_stamp(interested),
                None => Ok(None),
            },
            Source::Lane(lane) => self.segments.next_stamp(lane, &mut self.shared),
            Source::Foreign(number) => match self.inlet.guest(number) {
                Some(guest) => guest.link.next_stamp(&mut guest.feed, false, interested),
                None => Ok(None),
            },
        }
    }

    /// What the merge needs of a source.
    #[inline]
    pub(crate) fn speaker(&mut self, source: Source) -> Option<Speaker<'_>> {
        match source {
            Source::Connection(token) => {
                let connection = self.connections.get_mut(token)?.as_mut()?;
                let Role::Worker(link) = &connection.role else { return None };
                Some(Speaker {
                    feed: &mut connection.feed,
                    callsites: &link.callsites,
                    name: &link.name,
                    queue: link.queue,
                    lane: 0,
                })
            }
            Source::Lane(lane) => {
                let (lane, callsites) = self.segments.speaker(lane)?;
                Some(Speaker {
                    lane: u16::try_from(lane.number + 1).unwrap_or(0),
                    feed: &mut lane.feed,
                    callsites,
                    name: &lane.name,
                    queue: lane.queue,
                })
            }
            Source::Foreign(number) => {
                let guest = self.inlet.guest(number)?;
                Some(Speaker {
                    feed: &mut guest.feed,
                    callsites: &guest.link.callsites,
                    name: &guest.link.name,
                    queue: guest.link.queue,
                    lane: 0,
                })
            }
        }
    }

    /// Gives a connection that is foreign to the thread of those.
    pub(crate) fn hand_over(&mut self, token: Token) {
        let Some(connection) = self.connections.get_mut(token).and_then(Option::take) else {
            return;
        };
        let _ = self.epoll.delete(&connection);
        self.strangers.remove(&token);
        self.free.push(token);
        self.live -= 1;
        self.foreign += 1;
        self.inlet.welcome(connection.into_arrival());
    }

    /// A connection that was handed over is closed.
    pub(crate) fn left(&mut self) {
        self.foreign = self.foreign.saturating_sub(1);
    }

    /// Takes in what a foreign worker sent.
    pub(crate) fn take_in(&mut self, number: ForeignNumber, bytes: &[u8]) {
        if let Some(guest) = self.inlet.guest(number) {
            guest.feed.take_in(bytes, &mut self.shared);
        }
    }

    /// Gives back the memory that a foreign worker does not need now.
    pub(crate) fn settle_guest(&mut self, number: ForeignNumber) {
        if let Some(guest) = self.inlet.guest(number) {
            guest.feed.buffer.settle(&mut self.shared);
        }
    }

    /// Gives back the memory that lanes do not need now.
    pub(crate) fn settle_lanes(&mut self, lanes: &[LaneIndex]) {
        for lane in lanes {
            self.segments.settle(*lane, &mut self.shared);
        }
    }

    /// Accepts and receives everything that was sent before the call. Returns the connections
    /// that have new bytes or ended, and offences of those that were refused at the door. While
    /// the drain is `paused`, workers keep their bytes and only the others are heard.
    pub(crate) fn collect(
        &mut self,
        socket: &Socket,
        paused: bool,
        ready: &mut Vec<Token>,
        refused: &mut Vec<Refused>,
    ) -> io::Result<Woken> {
        ready.clear();
        self.seat_those_who_wait();
        let mut count = self.ready_now()?;
        let knocks = self.events[..count].iter().any(|event| event.data() == TOKEN_SOCKET);
        if knocks || self.accept_again.is_some() || self.held_back.is_some() {
            // Of these there are no more events.
            self.hear_those_who_wait(count, ready);
            self.accept(socket, refused);
            // What the new ones have sent counts for this round.
            count = self.ready_now()?;
        }
        self.hear_those_who_wait(count, ready);
        let mut woken = Woken::default();
        for event in &self.events[..count] {
            let (token, flags) = (event.data(), event.events());
            match token {
                TOKEN_SOCKET => {}
                TOKEN_WAKE => woken.by_wake = true,
                token => {
                    let Ok(token) = usize::try_from(token) else { continue };
                    let Some(Some(connection)) = self.connections.get_mut(token) else { continue };
                    if connection.waits {
                        continue;
                    }
                    if flags.contains(EpollFlags::EPOLLOUT) && !connection.flush() {
                        let quiet = EpollFlags::EPOLLIN;
                        set_interest(&self.epoll, connection, token, quiet);
                    }
                    let waits =
                        paused && matches!(connection.role, Role::Worker(_) | Role::Bell(_));
                    if flags != EpollFlags::EPOLLOUT && !waits {
                        // While nothing is drained, a handshake is all there is room for.
                        let limit = if paused { HANDSHAKE_MAX + 1 } else { self.receive_limit };
                        connection.receive(limit, &mut self.shared);
                        ready.push(token);
                    }
                }
            }
        }
        Ok(woken)
    }

    /// Reads the greetings of bells among those who wait for a seat and have something to say.
    fn hear_those_who_wait(&mut self, count: usize, ready: &mut Vec<Token>) {
        if self.room.is_empty() {
            return;
        }
        for event in &self.events[..count] {
            let Ok(token) = usize::try_from(event.data()) else { continue };
            if let Some(Some(connection)) = self.connections.get_mut(token)
                && connection.waits
                && connection.begins_with(Kind::Attach)
            {
                connection.receive(HANDSHAKE_MAX + 1, &mut self.shared);
                ready.push(token);
            }
        }
    }

    /// Fills `events` with everything that is ready at this moment; returns how much.
    fn ready_now(&mut self) -> io::Result<usize> {
        self.events.resize(self.live + 3, EpollEvent::empty());
        loop {
            match self.epoll.wait(&mut self.events, EpollTimeout::ZERO) {
                Ok(count) => return Ok(count),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// The connection of a token.
    pub(crate) fn get(&mut self, token: Token) -> Option<&mut Connection> {
        self.connections.get_mut(token)?.as_mut()
    }

    /// How many connections there are.
    pub(crate) const fn len(&self) -> usize {
        self.live
    }

    /// Whether a connection waits for a seat.
    pub(crate) fn waits(&self, token: Token) -> bool {
        let connection = self.connections.get(token).and_then(Option::as_ref);
        connection.is_some_and(|connection| connection.waits)
    }

    /// Tells a connection something; what it does not read now is sent when it does.
    pub(crate) fn send(&mut self, token: Token, kind: Kind, body: &[u8]) {
        if let Some(connection) = self.connections.get_mut(token).and_then(Option::as_mut)
            && connection.send(kind, body)
        {
            let both = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT;
            set_interest(&self.epoll, connection, token, both);
        }
    }

    /// Tells a client why it is turned away.
    pub(crate) fn refuse(&mut self, token: Token, offence: &Offence) {
        self.send(token, Kind::Refused, &offence.refusal());
    }

    /// Tells a worker what is in the files.
    pub(crate) fn acknowledge(&mut self, token: Token, seq: u64) {
        if let Some(connection) = self.connections.get_mut(token).and_then(Option::as_mut)
            && connection.acknowledge(seq)
        {
            let both = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT;
            set_interest(&self.epoll, connection, token, both);
        }
    }

    /// Foreign connections whose end was not heard of.
    pub(crate) const fn foreign(&self) -> usize {
        self.foreign
    }

    /// Whether somebody has not said yet who it is.
    pub(crate) fn has_strangers(&self) -> bool {
        !self.strangers.is_empty()
    }

    /// Waits until a connection reads what was sent to it, at most until `deadline`.
    pub(crate) fn flush_until(&mut self, token: Token, deadline: Instant) {
        let Some(connection) = self.get(token) else { return };
        while connection.flush() && Instant::now() < deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            let _ = poll(&mut [PollFd::new(connection.as_fd(), PollFlags::POLLOUT)], timeout);
        }
    }

    /// The connection said who it is.
    pub(crate) fn introduced(&mut self, token: Token) {
        self.strangers.remove(&token);
        if let Some(connection) = self.get(token) {
            connection.forget_words();
        }
        self.settle(token);
    }

    /// Gives back the memory that a connection does not need now.
    pub(crate) fn settle(&mut self, token: Token) {
        if let Some(connection) = self.connections.get_mut(token).and_then(Option::as_mut) {
            connection.settle(&mut self.shared);
        }
    }

    /// Ends a connection.
    pub(crate) fn close(&mut self, token: Token) {
        let Some(connection) = self.connections.get_mut(token).and_then(Option::take) else {
            return;
        };
        if connection.waits {
            self.room.leave(connection.peer.uid, token);
        }
        let _ = self.epoll.delete(&connection);
        self.introduced(token);
        self.free.push(token);
        self.live -= 1;
    }

    /// Connections that began to say who they are and have not gone on although their time is over.
    /// Those that are silent may be a program's that has nothing to log yet.
    pub(crate) fn overdue(&mut self) -> Vec<Token> {
        if Instant::now() < self.strangers_check {
            return Vec::new();
        }
        self.strangers_check = Instant::now() + STRANGERS_CHECK;
        let late = |token: &Token| {
            let connection = self.connections.get(*token).and_then(Option::as_ref);
            connection.is_some_and(|found| {
                !found.is_silent() && found.since.elapsed() >= HANDSHAKE_TIMEOUT
            })
        };
        self.strangers.iter().copied().filter(late).collect()
    }

    /// The connection that holds most with unfinished frames, while all together hold too much.
    /// Whole frames don't count: they are drained with the next round.
    pub(crate) fn hoarder(&self) -> Option<Token> {
        let unused = |connection: &Option<Connection>| {
            let unfinished = connection.as_ref().filter(|connection| !connection.has_more());
            unfinished.map_or(0, Connection::unused)
        };
        let sum: usize = self.connections.iter().map(unused).sum();
        if sum <= UNFINISHED_MAX {
            return None;
        }
        (0..self.connections.len()).max_by_key(|token| unused(&self.connections[*token]))
    }
}

fn set_interest(epoll: &Epoll, connection: &Connection, token: Token, flags: EpollFlags) {
    let _ = epoll.modify(connection, &mut EpollEvent::new(flags, token as u64));
}

/// What one connection's kernel buffer can hold at most: twice the system's limit for a send
/// buffer, which the kernel doubles for its own bookkeeping.
fn kernel_buffer() -> usize {
    let limit = fs::read_to_string("/proc/sys/net/core/wmem_max")
        .ok()
        .and_then(|text| text.trim().parse::<usize>().ok());
    limit.unwrap_or(212_992).saturating_mul(2).max(1 << 20)
}
