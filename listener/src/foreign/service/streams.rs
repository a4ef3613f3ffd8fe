//! The thread of stream connections.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use fleetlog_protocol::stamp::{self, Stamp};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{EpollEvent, EpollFlags};

use super::{Post, Word};
use crate::foreign::desk::Desk;
use crate::foreign::outbox::Outbox;
use crate::foreign::pressure::Patience;
use crate::foreign::stream::{Arrival, Stream, Turn};
use crate::intake::Offence;

/// What one receive may bring at once: about the whole of a kernel socket buffer.
const BLOCK: usize = 256 << 10;

/// Bytes that one stream may bring before another one's turn comes.
const TURN: usize = 1 << 20;

/// Unfinished messages of all streams together, in bytes.
const UNFINISHED_MAX: usize = 64 << 20;

/// Streams that are looked at in one go.
const EVENTS: usize = 256;

/// The thread of stream connections.
#[derive(Debug)]
pub(in crate::foreign) struct Streams {
    post: Post,
    streams: BTreeMap<u64, Stream>,
    last_token: u64,
    block: Vec<u8>,
    patience: Patience,
    /// Streams that hold messages for which there was no room.
    paused: Vec<u64>,
    /// Streams that came with bytes. Their turn comes behind those that were there: a client that
    /// connects anew has said something on its old connection before.
    arrived: Vec<u64>,
    held: usize,
    /// The bell rang while room was awaited: the drain may have said something.
    rang: bool,
    /// Everybody was shut. What does not end now was not sent in whole, and its sender's call fails.
    is_ending: bool,
}

impl Streams {
    pub(in crate::foreign) fn new(
        outbox: Arc<Outbox>,
        words: Receiver<Word>,
        desk: Desk,
    ) -> io::Result<Self> {
        Ok(Self {
            post: Post::new(outbox, words, desk)?,
            streams: BTreeMap::new(),
            last_token: 0,
            block: vec![0; BLOCK],
            patience: Patience::default(),
            paused: Vec::new(),
            arrived: Vec::new(),
            held: 0,
            rang: false,
            is_ending: false,
        })
    }

    /// Serves until the drain says that it ends, or is gone.
    pub(in crate::foreign) fn run(mut self) {
        let mut events = vec![EpollEvent::empty(); EVENTS];
        loop {
            let count = match self.patience.left(self.post.desk.waiting(), Instant::now()) {
                _ if std::mem::take(&mut self.rang) => 0,
                Some(left) => {
                    self.wait_for_room(left);
                    0
                }
                None if !self.paused.is_empty() => self.post.ready_now(&mut events),
                None => self.post.wait(&mut events),
            };
            self.post.desk.begin();
            let mut look = None;
            let before = self.last_token;
            if self.heed(&mut look) {
                self.farewell();
                return;
            }
            if look.is_some() {
                // What they say now was not there when the events were asked for.
                self.look_around();
            } else if self.last_token > before {
                // What others said before these came stands before what these say.
                let count = self.post.ready_now(&mut events);
                self.serve(&events[..count]);
            } else {
                self.serve(&events[..count]);
            }
            self.post.desk.tend();
            match look {
                Some(began) => self.post.desk.looked(began),
                None => self.post.desk.hand_over(),
            }
        }
    }

    /// Waits until the drain has taken something, or says something.
    fn wait_for_room(&mut self, at_most: Duration) {
        self.post.desk.hand_over();
        self.post.desk.want_room();
        if self.patience.left(self.post.desk.waiting(), Instant::now()).is_none() {
            // The drain took it before it could know that somebody waits.
            return;
        }
        let bell = PollFd::new(self.post.outbox.bell.as_fd(), PollFlags::POLLIN);
        let timeout = PollTimeout::try_from(at_most + Duration::from_millis(1));
        let _ = poll(&mut [bell], timeout.unwrap_or(PollTimeout::MAX));
    }

    /// Hears what the drain says; returns whether it is the end. `look` becomes the time before
    /// which everything must be looked at, if it asks for that.
    fn heed(&mut self, look: &mut Option<Stamp>) -> bool {
        let _ = self.post.outbox.bell.read();
        loop {
            match self.post.words.try_recv() {
                Ok(Word::Arrived(arrival)) => self.welcome(*arrival),
                Ok(Word::Look) => *look = Some(stamp::now()),
                Ok(Word::End) | Err(TryRecvError::Disconnected) => return true,
                Err(TryRecvError::Empty) => return false,
            }
        }
    }

    fn welcome(&mut self, arrival: Arrival) {
        self.last_token += 1;
        let token = self.last_token;
        let stream = Stream::new(arrival);
        let peer = stream.peer();
        let watched = self.post.epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, token));
        self.held += stream.held();
        self.streams.insert(token, stream);
        self.arrived.push(token);
        if let Err(error) = watched {
            crate::diagnostic::warn!(pid = peer.pid, uid = peer.uid, %error, "a client can't be watched");
            self.post.desk.offend(Offence::TooMany, peer);
            self.close(token);
        }
    }

    /// Serves everybody who has said something until now, each once, and waits for room in between.
    fn look_around(&mut self) {
        let mut events = vec![EpollEvent::empty(); self.streams.len() + 1];
        let count = self.post.ready_now(&mut events);
        let ready = events[..count].iter().map(EpollEvent::data);
        let paused = std::mem::take(&mut self.paused);
        let tokens = paused.into_iter().chain(ready).chain(std::mem::take(&mut self.arrived));
        for token in tokens.collect::<Vec<_>>() {
            while self.serve_one(token) == Turn::Paused {
                self.await_room();
            }
        }
        self.paused.clear();
    }

    /// Waits until there is room, as long as patience lasts. What the drain says meanwhile is heard
    /// behind it.
    fn await_room(&mut self) {
        while let Some(left) = self.patience.left(self.post.desk.waiting(), Instant::now()) {
            self.wait_for_room(left);
            self.rang |= self.post.outbox.bell.read().is_ok();
        }
    }

    /// Serves those that wait for room and those that have something to say, until there is none.
    fn serve(&mut self, events: &[EpollEvent]) {
        self.serve_those_that_were_there(events);
        for token in std::mem::take(&mut self.arrived) {
            if self.patience.would_wait(self.post.desk.waiting()) {
                // Of these nobody would tell again.
                self.paused.push(token);
            } else {
                self.serve_one(token);
            }
        }
    }

    fn serve_those_that_were_there(&mut self, events: &[EpollEvent]) {
        let paused = std::mem::take(&mut self.paused);
        for (at, token) in paused.iter().enumerate() {
            if self.patience.would_wait(self.post.desk.waiting()) {
                // Of these nobody would tell again.
                self.paused.extend_from_slice(&paused[at..]);
                return;
            }
            self.serve_one(*token);
        }
        for event in events {
            if self.patience.would_wait(self.post.desk.waiting()) {
                // The others are still ready when there is room again.
                return;
            }
            if !self.paused.contains(&event.data()) {
                self.serve_one(event.data());
            }
        }
    }

    /// Lets one stream have its turn.
    fn serve_one(&mut self, token: u64) -> Turn {
        let Some(stream) = self.streams.get_mut(&token) else { return Turn::Over };
        let before = stream.held();
        let patience = &self.patience;
        let pauses = |waiting| patience.would_wait(waiting);
        let received = stream.receive(TURN, &mut self.block, &mut self.post.desk, pauses);
        self.held = self.held.saturating_sub(before) + stream.held();
        let turn = match received {
            Ok(turn) => turn,
            Err(Offence::Torn) if self.is_ending => {
                // Its sender's call fails, so that it knows; whoever reads the log must know as well.
                let peer = stream.peer();
                self.post.desk.offend(Offence::Unfinished, peer);
                Turn::Over
            }
            Err(offence) => {
                self.cut_off(token, offence);
                return Turn::Over;
            }
        };
        match turn {
            Turn::Open => {}
            Turn::Paused => self.paused.push(token),
            Turn::Over => self.close(token),
        }
        while self.held > UNFINISHED_MAX
            && let Some(token) = self.hoarder()
        {
            self.cut_off(token, Offence::Hoarding);
        }
        turn
    }

    /// The stream that holds most, of the user whose streams hold most together: many small hoards
    /// are one large one.
    fn hoarder(&self) -> Option<u64> {
        let mut of_uid = HashMap::<u32, usize>::new();
        for stream in self.streams.values() {
            *of_uid.entry(stream.peer().uid).or_default() += stream.held();
        }
        let (uid, _) = of_uid.into_iter().max_by_key(|(_, held)| *held)?;
        let of_user = self.streams.iter().filter(|(_, stream)| stream.peer().uid == uid);
        let most = of_user.max_by_key(|(_, stream)| stream.held());
        most.filter(|(_, stream)| stream.held() > 0).map(|(token, _)| *token)
    }

    fn cut_off(&mut self, token: u64, offence: Offence) {
        if let Some(stream) = self.streams.get(&token) {
            stream.refuse(&offence);
            self.post.desk.offend(offence, stream.peer());
        }
        self.close(token);
    }

    fn close(&mut self, token: u64) {
        let Some(stream) = self.streams.remove(&token) else { return };
        let _ = self.post.epoll.delete(&stream);
        self.held = self.held.saturating_sub(stream.held());
        if let Some(worker) = stream.worker() {
            self.post.desk.unlink(worker);
        }
        self.post.desk.closed();
    }

    /// The end: what was sent until now is logged, and what is sent from now on fails, so that its
    /// sender knows.
    fn farewell(mut self) {
        self.is_ending = true;
        for stream in self.streams.values() {
            stream.shut();
        }
        for token in self.streams.keys().copied().collect::<Vec<_>>() {
            // It ends where its client was told that it can send no more.
            while self.serve_one(token) != Turn::Over {
                self.await_room();
            }
        }
        self.post.desk.report_all();
        self.post.desk.hand_over();
    }
}
