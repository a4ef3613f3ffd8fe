//! The bell: the worker's connection, over which it tells the listener that its lanes have news.
//!
//! A connection and not a word in shared memory, because the listener waits for connections and
//! signals anyway, because the kernel tells either side when the other dies, and because bytes in
//! it can't be lost: a listener that sleeps in the kernel is woken, one that is busy finds them.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::LanesConfig;
use crate::frame::{self, Kind};
use crate::message::{Attach, RefusalReason};
use crate::segment::Segment;
use crate::socket_queue::LinkNumber;
use crate::socket_queue::link::{Broken, Heard, Link};

/// How soon a worker that was turned away comes again: for want of room, which may end, to the
/// same listener.
const RETRY_REFUSED: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Bell {
    socket: PathBuf,
    link_number: &'static LinkNumber,
    /// Preface and attach, which every connection begins with.
    greeting: Vec<u8>,
    link: Option<Link>,
    retry_at: Option<Instant>,
    /// Why the listener does not want these lanes.
    refused: Option<String>,
    /// The connection of the socket queue on which that was asked last.
    asked_on: Option<u64>,
    /// The listener has no room for the bell now. It reads the lanes all the same.
    is_turned_away: bool,
    is_unheard: bool,
}

impl Bell {
    pub(super) fn new(config: &LanesConfig, segment: &Segment) -> Self {
        let mut greeting = frame::PREFACE.to_vec();
        let mut body = Vec::new();
        Attach { pid: std::process::id(), segment: segment.name() }.encode(&mut body);
        frame::put(Kind::Attach, &body, &mut greeting);
        Self {
            socket: config.socket.clone(),
            link_number: config.link_number,
            greeting,
            link: None,
            retry_at: None,
            refused: None,
            asked_on: None,
            is_turned_away: false,
            is_unheard: false,
        }
    }

    /// Wakes the listener. Never waits. Returns whether one lives. `on_connect` is called where a
    /// new connection was tried: what closed the old one may have closed more.
    pub(super) fn ring(&mut self, on_connect: impl FnOnce()) -> bool {
        if self.link.is_some() && self.try_ring() {
            return true;
        }
        if self.retry_at.is_some_and(|at| Instant::now() < at) {
            return self.is_turned_away;
        }
        // A listener that comes back knows the segment from its scan, or hears of it now: either
        // way the greeting is as good as a ring.
        let is_connected = self.connect();
        on_connect();
        is_connected
    }

    fn try_ring(&mut self) -> bool {
        self.hear();
        let Some(link) = &self.link else { return false };
        let mut ring = Vec::with_capacity(frame::HEADER_LEN);
        frame::put(Kind::Ring, &[], &mut ring);
        match link.send(&ring) {
            // A part of a ring can't be finished without waiting, and needs not be: a buffer
            // that is full is full of rings.
            Ok(0) => true,
            Ok(sent) if sent == ring.len() => true,
            Ok(_) | Err(Broken) => {
                self.hear();
                self.hang_up();
                false
            }
        }
    }

    /// Without a pause after a failure: a ring that is swallowed is never made again, and a
    /// listener that started meanwhile would sleep on. Rings are rare where nobody listens.
    fn connect(&mut self) -> bool {
        let connected = Link::connect(&self.socket, self.link_number);
        let nobody_listens = connected.as_ref().is_err_and(|error| {
            matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
        });
        let greeted = connected
            .ok()
            .filter(|link| link.send(&self.greeting).is_ok_and(|sent| sent == self.greeting.len()));
        self.retry_at = None;
        self.link = greeted;
        self.is_turned_away = false;
        self.is_unheard = self.link.is_none() && !nobody_listens;
        self.link.is_some()
    }

    /// Whether the last ring found no way although a listener may live: its backlog is full, it has
    /// no seat for this worker, or this process has no descriptor left. A listener that starts later
    /// finds the segment by itself; this one would not.
    pub(super) const fn is_unheard(&self) -> bool {
        self.is_unheard || self.is_turned_away
    }

    /// Asks each listener once more whether it takes these lanes that one has refused, and hears
    /// the answer. `connection` counts those of the socket queue: a listener that refused says the
    /// same again, so that only one that has come since is asked. Never waits.
    pub(super) fn ask_again(&mut self, connection: u64) {
        let asked_on = self.asked_on.get_or_insert(connection.max(1));
        if connection > *asked_on {
            *asked_on = connection;
            self.retry_at = None;
            self.hang_up();
            self.connect();
        }
        self.hear();
    }

    fn hang_up(&mut self) {
        self.link = None;
    }

    /// Hears whether the listener refused, or is gone.
    fn hear(&mut self) {
        let Some(link) = &mut self.link else { return };
        let (mut refused, mut is_welcome) = (None, false);
        let broken = link
            .receive(|heard| match heard {
                Heard::Refused(reason, why) => refused = Some((reason, why)),
                Heard::Acked(_) => is_welcome = true,
            })
            .is_err();
        if is_welcome {
            self.refused = None;
            self.asked_on = None;
        }
        if let Some((reason, why)) = refused {
            if reason.is_temporary() {
                self.is_turned_away = true;
                if reason == RefusalReason::NoSeat {
                    // Of the lanes it thinks nothing bad.
                    self.refused = None;
                }
            } else {
                self.refused = Some(why);
            }
            self.hang_up();
            self.retry_at = Some(Instant::now() + RETRY_REFUSED);
        } else if broken {
            self.hang_up();
        }
    }

    /// Whether a listener lived when it was last heard of.
    pub(super) const fn is_answered(&self) -> bool {
        self.link.is_some() || self.is_turned_away
    }

    pub(super) fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }
}
