//! The gate: what a connection may cost before and after it is answered.
//!
//! A connection is for one request. Until the first byte of the answer it has a short time and
//! little room; from then on it must read: a write that makes no progress ends it. Whoever
//! connects and asks nothing can't keep others out: when too many wait, the oldest makes way.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Sleep, sleep};

/// How long a request may take until it is answered, the time of the listener's own answer
/// included.
const REQUEST_TIME: Duration = Duration::from_secs(15);

/// The bytes of a request, head and body together.
const REQUEST_BYTES_MAX: usize = 32 << 10;

/// How long a write may wait for a peer that does not read.
const STALL_TIME: Duration = Duration::from_secs(30);

/// The connections that may wait for an answer.
const UNANSWERED_MAX: usize = 32;

/// All connections: each page is one, and the others are short.
const CONNECTIONS_MAX: usize = 64;

/// The pause while somebody makes way.
const MAKING_WAY: Duration = Duration::from_millis(1);

/// The pause after an accept that failed, as it does for want of descriptors.
const PAUSE: Duration = Duration::from_millis(200);

/// Accepts connections.
#[derive(Debug)]
pub(super) struct Gate {
    listener: TcpListener,
    places: Arc<Places>,
}

/// Who is there.
#[derive(Debug, Default)]
struct Places {
    unanswered: Mutex<VecDeque<Arc<Place>>>,
    all: AtomicUsize,
}

/// One connection's place among those that wait for an answer.
#[derive(Debug, Default)]
struct Place {
    must_go: AtomicBool,
    reader: Mutex<Option<Waker>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Places {
    /// Gives a new connection its place; `None` = there are too many.
    fn take(&self) -> Option<Arc<Place>> {
        if self.all.load(Ordering::Relaxed) >= CONNECTIONS_MAX {
            // Those that are answered have a right to stay, so it is one that is not, or nobody.
            self.send_away(&mut lock(&self.unanswered));
            return None;
        }
        self.all.fetch_add(1, Ordering::Relaxed);
        let place = Arc::new(Place::default());
        let mut unanswered = lock(&self.unanswered);
        if unanswered.len() >= UNANSWERED_MAX {
            self.send_away(&mut unanswered);
        }
        unanswered.push_back(Arc::clone(&place));
        Some(place)
    }

    fn send_away(&self, unanswered: &mut VecDeque<Arc<Place>>) {
        let Some(oldest) = unanswered.pop_front() else { return };
        oldest.must_go.store(true, Ordering::Relaxed);
        if let Some(reader) = lock(&oldest.reader).take() {
            reader.wake();
        }
    }

    fn is_answered(&self, place: &Arc<Place>) {
        lock(&self.unanswered).retain(|other| !Arc::ptr_eq(other, place));
    }
}

impl Gate {
    pub(super) fn new(listener: std::net::TcpListener) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::from_std(listener)?, places: Arc::default() })
    }

    /// Waits for a place: whoever was sent away has to be gone.
    async fn place(&self) -> Arc<Place> {
        loop {
            if let Some(place) = self.places.take() {
                return place;
            }
            sleep(MAKING_WAY).await;
        }
    }
}

impl axum::serve::Listener for Gate {
    type Io = Connection;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    let places = Arc::clone(&self.places);
                    return (Connection::new(stream, self.place().await, places), address);
                }
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    places: Arc<Places>,
    place: Arc<Place>,
    is_answered: bool,
    asked: usize,
    /// The end of the request's time, and later of a write's.
    deadline: Pin<Box<Sleep>>,
    is_stalled: bool,
}

impl Connection {
    fn new(stream: TcpStream, place: Arc<Place>, places: Arc<Places>) -> Self {
        let deadline = Box::pin(sleep(REQUEST_TIME));
        Self { stream, places, place, is_answered: false, asked: 0, deadline, is_stalled: false }
    }

    /// Whether a connection that waits for its answer may wait on.
    fn may_ask(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.is_answered {
            return Ok(());
        }
        *lock(&self.place.reader) = Some(context.waker().clone());
        if self.place.must_go.load(Ordering::Relaxed) || self.asked > REQUEST_BYTES_MAX {
            return Err(io::Error::from(io::ErrorKind::ConnectionAborted));
        }
        match self.deadline.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::Error::from(io::ErrorKind::TimedOut)),
            Poll::Pending => Ok(()),
        }
    }

    /// What a write came to; one that waits for too long has failed.
    fn after_write<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.is_stalled = false;
            return written;
        }
        if !self.is_stalled {
            self.is_stalled = true;
            self.deadline = Box::pin(sleep(STALL_TIME));
        }
        ready!(self.deadline.as_mut().poll(context));
        Poll::Ready(Err(io::Error::from(io::ErrorKind::TimedOut)))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.places.is_answered(&self.place);
        self.places.all.fetch_sub(1, Ordering::Relaxed);
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Err(error) = self.may_ask(context) {
            return Poll::Ready(Err(error));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.asked = self.asked.saturating_add(buffer.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if !self.is_answered {
            self.is_answered = true;
            self.places.is_answered(&self.place);
        }
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.after_write(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
