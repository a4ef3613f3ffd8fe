//! The two threads: each waits for its clients, logs what they sent, and hands it to the drain.

use std::collections::HashMap;
use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use fleetlog_protocol::stamp::{self, Stamp};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::datagram::Datagrams;
use super::desk::Desk;
use super::outbox::Outbox;
use super::pressure::Patience;
use super::stream::{Arrival, Stream};
use crate::intake::Offence;

/// What one receive may bring at once: about the whole of a kernel socket buffer.
const BLOCK: usize = 256 << 10;

/// Bytes that one stream may bring before another one's turn comes.
const TURN: usize = 1 << 20;

/// Unfinished messages of all streams together, in bytes.
const UNFINISHED_MAX: usize = 64 << 20;

/// Datagrams that are received before the drain hears of them.
const DATAGRAMS_AT_ONCE: usize = 512;

/// More datagrams than the kernel's queue holds anywhere: those that were sent before a look.
const DATAGRAMS_OF_A_LOOK: usize = 1 << 16;

/// Streams that are looked at in one go.
const EVENTS: usize = 256;

/// How soon reports are tried again that found no room.
const REPORTS: Duration = Duration::from_millis(100);

const BELL: u64 = u64::MAX;
const SOCKET: u64 = u64::MAX - 1;

/// What the drain tells a foreign thread.
#[derive(Debug)]
pub(super) enum Word {
    /// A connection of the drain's turned out to be foreign.
    Arrived(Box<Arrival>),
    /// Look at everything that was sent until now, and tell.
    Look,
    /// Hear nobody any more; what was sent until now counts.
    End,
}

/// What both threads have.
#[derive(Debug)]
struct Post {
    epoll: Epoll,
    words: Receiver<Word>,
    outbox: Arc<Outbox>,
    desk: Desk,
}

impl Post {
    fn new(outbox: Arc<Outbox>, words: Receiver<Word>, desk: Desk) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&outbox.bell, EpollEvent::new(EpollFlags::EPOLLIN, BELL))?;
        Ok(Self { epoll, words, outbox, desk })
    }

    fn wait(&self, events: &mut [EpollEvent]) -> usize {
        let due = self.desk.due().map(|due| due.saturating_duration_since(Instant::now()));
        let reports = self.desk.owes_reports().then_some(REPORTS);
        let timeout = [due, reports].into_iter().flatten().min();
        let timeout = timeout.map_or(EpollTimeout::NONE, |timeout| {
            EpollTimeout::try_from(timeout + Duration::from_millis(1)).unwrap_or(EpollTimeout::MAX)
        });
        loop {
            match self.epoll.wait(events, timeout) {
                Err(Errno::EINTR) => {}
                found => return found.unwrap_or(0),
            }
        }
    }

    fn ready_now(&self, events: &mut [EpollEvent]) -> usize {
        loop {
            match self.epoll.wait(events, EpollTimeout::ZERO) {
                Err(Errno::EINTR) => {}
                found => return found.unwrap_or(0),
            }
        }
    }
}

/// The thread of stream connections.
#[derive(Debug)]
pub(super) struct Streams {
    post: Post,
    streams: HashMap<u64, Stream>,
    last_token: u64,
    block: Vec<u8>,
    patience: Patience,
    held: usize,
    /// The bell rang while room was awaited: the drain may have said something.
    rang: bool,
}

impl Streams {
    pub(super) fn new(outbox: Arc<Outbox>, words: Receiver<Word>, desk: Desk) -> io::Result<Self> {
        Ok(Self {
            post: Post::new(outbox, words, desk)?,
            streams: HashMap::new(),
            last_token: 0,
            block: vec![0; BLOCK],
            patience: Patience::default(),
            held: 0,
            rang: false,
        })
    }

    /// Serves until the drain says that it ends, or is gone.
    pub(super) fn run(mut self) {
        let mut events = vec![EpollEvent::empty(); EVENTS];
        loop {
            let count = match self.patience.left(self.post.desk.waiting(), Instant::now()) {
                _ if std::mem::take(&mut self.rang) => 0,
                Some(left) => {
                    self.wait_for_room(left);
                    0
                }
                None => self.post.wait(&mut events),
            };
            self.post.desk.begin();
            let mut look = None;
            if self.heed(&mut look) {
                self.farewell();
                return;
            }
            if look.is_some() {
                // What they say now was not there when the events were asked for.
                self.look_around();
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
        let bell =
            nix::poll::PollFd::new(self.post.outbox.bell.as_fd(), nix::poll::PollFlags::POLLIN);
        let timeout = nix::poll::PollTimeout::try_from(at_most + Duration::from_millis(1));
        let _ = nix::poll::poll(&mut [bell], timeout.unwrap_or(nix::poll::PollTimeout::MAX));
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
        let mut stream = Stream::new(arrival);
        let watched = self.post.epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, token));
        let used = stream.use_up(&mut self.post.desk);
        self.held += stream.held();
        let peer = stream.peer();
        self.streams.insert(token, stream);
        match (used, watched) {
            (Err(offence), _) => self.cut_off(token, offence),
            (Ok(()), Err(error)) => {
                tracing::warn!(pid = peer.pid, uid = peer.uid, %error, "a client can't be watched");
                self.close(token);
            }
            (Ok(()), Ok(())) => {}
        }
    }

    /// Serves everybody who has said something until now, each once, and waits for room in between.
    fn look_around(&mut self) {
        let mut events = vec![EpollEvent::empty(); self.streams.len() + 1];
        let count = self.post.ready_now(&mut events);
        for event in &events[..count] {
            self.await_room();
            self.serve_one(event.data());
        }
    }

    /// Waits until there is room, as long as patience lasts. What the drain says meanwhile is heard
    /// behind it.
    fn await_room(&mut self) {
        while let Some(left) = self.patience.left(self.post.desk.waiting(), Instant::now()) {
            self.wait_for_room(left);
            self.rang |= self.post.outbox.bell.read().is_ok();
        }
    }

    fn serve(&mut self, events: &[EpollEvent]) {
        for event in events {
            self.serve_one(event.data());
            if self.patience.left(self.post.desk.waiting(), Instant::now()).is_some() {
                // The others are still ready when there is room again.
                break;
            }
        }
    }

    fn serve_one(&mut self, token: u64) {
        let Some(stream) = self.streams.get_mut(&token) else { return };
        let before = stream.held();
        let received = stream.receive(TURN, &mut self.block, &mut self.post.desk);
        self.held = self.held.saturating_sub(before) + stream.held();
        match received {
            Ok(true) => {}
            Ok(false) => self.close(token),
            Err(offence) => self.cut_off(token, offence),
        }
        while self.held > UNFINISHED_MAX
            && let Some(token) = self.hoarder()
        {
            self.cut_off(token, Offence::Hoarding);
        }
    }

    /// The stream that holds most.
    fn hoarder(&self) -> Option<u64> {
        let most = self.streams.iter().max_by_key(|(_, stream)| stream.held());
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
        self.post.desk.closed(stream.peer().uid);
    }

    /// The end: what was sent until now is logged, and what is sent from now on fails, so that its
    /// sender knows.
    fn farewell(mut self) {
        for stream in self.streams.values() {
            stream.shut();
        }
        for token in self.streams.keys().copied().collect::<Vec<_>>() {
            loop {
                self.await_room();
                let Some(stream) = self.streams.get_mut(&token) else { break };
                match stream.receive(TURN, &mut self.block, &mut self.post.desk) {
                    Ok(true) => {}
                    // What does not end here was not sent in whole, and its sender's call fails.
                    Ok(false) | Err(Offence::Torn) => break,
                    Err(offence) => {
                        self.cut_off(token, offence);
                        break;
                    }
                }
            }
        }
        self.post.desk.report_all();
        self.post.desk.hand_over();
    }
}

/// The thread of datagrams.
#[derive(Debug)]
pub(super) struct DatagramThread {
    post: Post,
    datagrams: Datagrams,
}

impl DatagramThread {
    pub(super) fn new(
        outbox: Arc<Outbox>,
        words: Receiver<Word>,
        desk: Desk,
        datagrams: Datagrams,
    ) -> io::Result<Self> {
        let post = Post::new(outbox, words, desk)?;
        post.epoll.add(datagrams.socket(), EpollEvent::new(EpollFlags::EPOLLIN, SOCKET))?;
        Ok(Self { post, datagrams })
    }

    /// Serves until the drain says that it ends, or is gone.
    pub(super) fn run(mut self) {
        let mut events = [EpollEvent::empty(); 2];
        loop {
            self.post.wait(&mut events);
            self.post.desk.begin();
            let _ = self.post.outbox.bell.read();
            let (mut look, mut ends) = (None, false);
            while !ends {
                match self.post.words.try_recv() {
                    Ok(Word::Look) => look = Some(stamp::now()),
                    Ok(Word::Arrived(_)) => {}
                    Ok(Word::End) | Err(TryRecvError::Disconnected) => ends = true,
                    Err(TryRecvError::Empty) => break,
                }
            }
            if ends {
                self.datagrams.shut();
            }
            let at_once =
                if ends || look.is_some() { DATAGRAMS_OF_A_LOOK } else { DATAGRAMS_AT_ONCE };
            for _ in 0..at_once {
                if !self.datagrams.receive(&mut self.post.desk) {
                    break;
                }
            }
            if ends {
                self.post.desk.report_all();
                self.post.desk.hand_over();
                return;
            }
            self.post.desk.tend();
            match look {
                Some(began) => self.post.desk.looked(began),
                None => self.post.desk.hand_over(),
            }
        }
    }
}
