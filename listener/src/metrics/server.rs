//! The server: HTTP/1.1 as far as a scrape needs it, one answer for each connection.
//!
//! Everything is bounded: connections, the bytes of a request, and the time that one may take. The
//! status is asked for at most a few times a second, whoever asks how often.

use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use fleetlog_protocol::client;
use fleetlog_protocol::message::{Reply, Request};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::Address;
use super::door::{Door, PATIENCE, Place, Stream};
use super::exposition::{self, Format};
use super::families::{Families, Status};
use super::workers::sums;

/// Scrapes at the same time.
const CONNECTIONS_MAX: usize = 8;

/// The longest request.
const REQUEST_MAX: usize = 8 << 10;

/// How long a listener may take for its status.
const STATUS_PATIENCE: Duration = Duration::from_secs(3);

/// How old a status may be.
const FRESH: Duration = Duration::from_millis(250);

/// How often it is looked whether somebody else can be served.
const GLANCE_MS: u8 = 20;

/// How long the system is left alone that has no descriptor or no thread for a connection.
const PAUSE: Duration = Duration::from_millis(100);

/// The server can't start.
#[derive(thiserror::Error)]
#[error(
    "metrics can't be served on {address}: {source}; give another address with --metrics, or leave \
     it out"
)]
pub struct StartError {
    address: Address,
    source: io::Error,
}

fleetlog_protocol::debug_as_display!(StartError);

/// The thread that serves. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    /// Its other end is heard by the thread.
    _lifeline: UnixStream,
    /// The socket's file.
    _place: Option<Place>,
}

/// What the connections share.
#[derive(Debug)]
struct Service {
    run_dir: PathBuf,
    live: AtomicUsize,
    last: Mutex<Last>,
}

/// The last status, so that nobody who asks again and again costs the drain more than one of them.
#[derive(Debug, Default)]
struct Last {
    texts: Option<(Instant, [String; 2])>,
}

/// What is answered.
struct Answer {
    status: &'static str,
    content_type: &'static str,
    body: String,
}

impl Server {
    /// Serves the metrics of the listener in a run directory.
    pub(crate) fn start(address: &Address, run_dir: &Path) -> Result<Self, StartError> {
        let fail = |source| StartError { address: address.clone(), source };
        let (door, place) = Door::open(address).map_err(fail)?;
        if !address.is_local() {
            crate::diagnostic::warn!(%address, "metrics are served to other hosts, unencrypted");
        }
        if let Some(address) = door.tcp_address() {
            crate::diagnostic::info!("metrics are served on http://{address}/metrics");
        } else {
            crate::diagnostic::info!(%address, "metrics are served");
        }
        let (lifeline, heard) = UnixStream::pair().map_err(fail)?;
        let service = Arc::new(Service {
            run_dir: run_dir.to_owned(),
            live: AtomicUsize::new(0),
            last: Mutex::default(),
        });
        thread::Builder::new()
            .name("fleetlog-metrics".to_owned())
            .spawn(move || serve(&door, &heard, &service))
            .map_err(fail)?;
        Ok(Self { _lifeline: lifeline, _place: place })
    }
}

/// Lets connections in until the lifeline is cut.
fn serve(door: &Door, lifeline: &UnixStream, service: &Arc<Service>) {
    loop {
        // While as many are served as may be, the others wait in the backlog.
        let is_busy = service.live.load(Ordering::Relaxed) >= CONNECTIONS_MAX;
        let timeout = if is_busy { PollTimeout::from(GLANCE_MS) } else { PollTimeout::NONE };
        let wanted = if is_busy { PollFlags::empty() } else { PollFlags::POLLIN };
        let mut polled =
            [PollFd::new(lifeline.as_fd(), PollFlags::POLLIN), PollFd::new(door.as_fd(), wanted)];
        if poll(&mut polled, timeout).is_err() {
            continue;
        }
        if polled[0].any().unwrap_or(true) {
            return;
        }
        if is_busy || !polled[1].any().unwrap_or(false) {
            continue;
        }
        match door.accept() {
            Ok(stream) => service.welcome(stream),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

/// A connection that is served; its end, however it comes, lets the next one in.
struct Seat(Arc<Service>);

impl Seat {
    fn take(service: &Arc<Service>) -> Self {
        service.live.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(service))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Service {
    /// Serves a connection in a thread of its own.
    fn welcome(self: &Arc<Self>, mut stream: Stream) {
        let seat = Seat::take(self);
        let serve = move || {
            // Whoever goes away in the middle has what it wanted.
            let _ = seat.0.serve(&mut stream);
        };
        // Without a thread the seat is free again, and the connection closed.
        let _ = thread::Builder::new().name("fleetlog-scrape".to_owned()).spawn(serve);
    }

    fn serve(&self, stream: &mut Stream) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let (answer, is_head) = match read_request(stream, deadline)? {
            Some(request) => (self.answer(&request), request.method == "HEAD"),
            None => (Answer::plain("400 Bad Request", "this is no request of HTTP/1.1\n"), false),
        };
        let Answer { status, content_type, body } = &answer;
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\
             Cache-Control: no-store\r\nConnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        if !is_head {
            stream.write_all(body.as_bytes())?;
        }
        stream.finish(deadline);
        Ok(())
    }

    fn answer(&self, request: &Wanted) -> Answer {
        if !matches!(request.method.as_str(), "GET" | "HEAD") {
            return Answer::plain("405 Method Not Allowed", "metrics are read with GET\n");
        }
        match request.path.split('?').next().unwrap_or_default() {
            "/metrics" => match self.text(request.format) {
                Ok(body) => {
                    Answer { status: "200 OK", content_type: request.format.content_type(), body }
                }
                Err(why) => Answer::plain("503 Service Unavailable", &format!("{why}\n")),
            },
            "/" => Answer::plain("200 OK", "fleetlog: the metrics are at /metrics\n"),
            _ => Answer::plain("404 Not Found", "the metrics are at /metrics\n"),
        }
    }

    fn text(&self, format: Format) -> Result<String, String> {
        // Whoever comes meanwhile gets the same answer.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let index = format as usize;
        if let Some((at, texts)) = &last.texts
            && at.elapsed() < FRESH
        {
            return Ok(texts[index].clone());
        }
        let asked = client::request(&self.run_dir, Request::Status, STATUS_PATIENCE, |_| ());
        let Reply::Status(json) = asked.map_err(|error| error.to_string())? else {
            return Err("the listener's answer is no status".to_owned());
        };
        let texts = [Format::OpenMetrics, Format::Prometheus].map(|format| {
            let status: Status = serde_json::from_str(&json).map_err(|error| error.to_string())?;
            let workers = sums(&status.workers, &status.ended);
            let families = Box::new(Families { status, workers });
            exposition::text(families, format).map_err(|error| error.to_string())
        });
        let [newer, older] = texts;
        let texts = [newer?, older?];
        let text = texts[index].clone();
        last.texts = Some((Instant::now(), texts));
        Ok(text)
    }
}

impl Answer {
    fn plain(status: &'static str, body: &str) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: body.to_owned() }
    }
}

/// What a request wants.
struct Wanted {
    method: String,
    path: String,
    format: Format,
}

/// Reads a request's head; `None` = it is none.
fn read_request(stream: &mut Stream, deadline: Instant) -> io::Result<Option<Wanted>> {
    let mut bytes = Vec::new();
    let mut block = [0; 2048];
    loop {
        if bytes.len() > REQUEST_MAX || Instant::now() >= deadline {
            return Ok(None);
        }
        stream.wait_at_most(deadline.saturating_duration_since(Instant::now()))?;
        let read = match stream.read(&mut block) {
            Ok(0) => return Ok(None),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        bytes.extend_from_slice(&block[..read]);
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(&bytes) {
            Ok(httparse::Status::Complete(_)) => {
                let accept = request
                    .headers
                    .iter()
                    .filter(|header| header.name.eq_ignore_ascii_case("accept"))
                    .map(|header| String::from_utf8_lossy(header.value))
                    .collect::<Vec<_>>()
                    .join(",");
                return Ok(Some(Wanted {
                    method: request.method.unwrap_or_default().to_owned(),
                    path: request.path.unwrap_or_default().to_owned(),
                    format: Format::accepted(&accept),
                }));
            }
            Ok(httparse::Status::Partial) => {}
            Err(_) => return Ok(None),
        }
    }
}
