//! The page: what a browser sees of the fleet, served by `fleetlog listen --web`.
//!
//! A request comes in by the `gate`, which bounds what a connection can cost, passes the `guard`
//! (Host, Origin, token, headers) and is answered by `routes`: the page itself out of `files`, its
//! `events` (the state of the fleet by `state`, the lines of a log by `tail`), or the `levels`.
//!
//! The server is a `process` of its own beside the listener, with the lowest claim on a processor
//! that there is. It is an ordinary client: it asks for the state over the run directory's socket,
//! and reads lines in the files. It shares nothing with the drain, so that no page can stall it and
//! no request can crash it; what it can't do in time it leaves out, with a mark. A thread would not
//! do: a process that closes any descriptor of a file loses its locks on it, and with them the
//! listener's claim on its logs.
//!
//! Whatever a log file's mode says, every user of the host can connect to a port. Therefore
//! everything but the page's own files wants the token, which only the listener's user can read.

mod events;
mod files;
mod gate;
mod guard;
mod levels;
mod line;
mod logs;
mod pace;
mod process;
mod routes;
mod shown;
mod state;
mod tail;
mod token;

use std::io::{self, IsTerminal as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore, watch};

use crate::options::Options;
use logs::Log;
use process::PageProcess;
use token::{Token, TokenFile};

/// How many pages may be open at once: each costs a thread that reads the log.
const PAGES_MAX: usize = 16;

/// How long the page of a dead listener may take to let go of its port.
const LETTING_GO: Duration = Duration::from_secs(1);

/// Why there is no page.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum WebError {
    /// The port is taken, or not ours to take.
    #[error("the page can't be served at {address}: {source}; {}", way_out(source))]
    Address {
        /// Where it was to be served.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Without a token everybody on the host could read the log.
    #[error("the page's token {path} can't be made: {source}")]
    Token {
        /// Its file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused a process or a descriptor.
    #[error("the page can't be served: {0}")]
    System(#[from] io::Error),
}

fleetlog_protocol::debug_as_display!(WebError);

fn way_out(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::AddrInUse => {
            "end who listens there (`ss -tlnp` names it), or say another port with --web"
        }
        io::ErrorKind::PermissionDenied => "say a port from 1024 with --web",
        io::ErrorKind::AddrNotAvailable => "say an address of this host with --web",
        _ => "say another one with --web",
    }
}

/// What every request can see.
#[derive(Debug)]
struct Shared {
    run_dir: PathBuf,
    token: Token,
    logs: Vec<Log>,
    /// A permit for each page that may be open.
    pages: Arc<Semaphore>,
    /// The state of the fleet, while somebody looks.
    state: watch::Sender<state::Told>,
    /// Somebody has begun to look at it.
    looked_at: Notify,
}

/// A page. It is served until this is dropped, or the listener dead.
#[derive(Debug)]
pub(crate) struct Page {
    _process: PageProcess,
    _token_file: TokenFile,
}

impl Page {
    /// Takes the port, puts the token into the run directory, which must be owned, and starts the
    /// process.
    pub(crate) fn serve(address: SocketAddr, options: &Options) -> Result<Self, WebError> {
        let listener = bind(address).map_err(|source| WebError::Address { address, source })?;
        let path = options.run_dir.join(token::FILE);
        let (token, token_file) =
            token::make(&path).map_err(|source| WebError::Token { path: path.clone(), source })?;
        announce(listener.local_addr()?, &token, &path);
        let process = PageProcess::start(listener, || Shared {
            run_dir: options.run_dir.clone(),
            token,
            logs: logs::of(&options.sinks),
            pages: Arc::new(Semaphore::new(PAGES_MAX)),
            state: watch::Sender::new(state::Told::default()),
            looked_at: Notify::new(),
        })?;
        Ok(Self { _process: process, _token_file: token_file })
    }
}

/// Takes the port. The page of a listener that was killed a moment ago may still have it.
fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let until = Instant::now() + LETTING_GO;
    loop {
        match TcpListener::bind(address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < until => {
                thread::sleep(Duration::from_millis(20));
            }
            bound => return bound,
        }
    }
}

/// Says where the page is. The token itself goes to a terminal only: a journal, and a file of
/// diagnostics, have more readers than the log.
fn announce(address: SocketAddr, token: &Token, path: &Path) {
    crate::diagnostic::info!(
        "the page is served at http://{address}/ and wants the token in {}",
        path.display()
    );
    if !address.ip().is_loopback() {
        crate::diagnostic::warn!(
            "the page is served beyond this host, and without TLS everybody on the way can read \
             the token and the log: prefer a tunnel (`ssh -L`) to 127.0.0.1"
        );
    }
    if io::stderr().is_terminal() && tracing::enabled!(tracing::Level::INFO) {
        let _ = writeln!(io::stderr(), "open http://{address}/#token={}", token.reveal());
    }
}
