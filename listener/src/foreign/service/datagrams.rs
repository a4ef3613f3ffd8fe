//! The thread of datagrams.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};

use fleetlog_protocol::stamp;
use nix::sys::epoll::{EpollEvent, EpollFlags};

use super::{Post, Word};
use crate::foreign::datagram::Datagrams;
use crate::foreign::desk::Desk;
use crate::foreign::outbox::Outbox;

/// Datagrams that are received before the drain hears of them.
const DATAGRAMS_AT_ONCE: usize = 512;

/// More datagrams than the kernel's queue holds anywhere: those that were sent before a look.
const DATAGRAMS_OF_A_LOOK: usize = 1 << 16;

/// What an epoll says of the socket.
const SOCKET: u64 = u64::MAX - 1;

/// The thread of datagrams.
#[derive(Debug)]
pub(in crate::foreign) struct DatagramThread {
    post: Post,
    datagrams: Datagrams,
}

impl DatagramThread {
    pub(in crate::foreign) fn new(
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
    pub(in crate::foreign) fn run(mut self) {
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
