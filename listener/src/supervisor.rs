//! The service manager above this process: what it wants to hear, and the socket it may hand down.
//!
//! It hears `READY=1` when workers can attach, `STATUS=` whenever the drain pauses or goes on,
//! `STOPPING=1` at the end, and `WATCHDOG=1` from the drain's own thread: a watchdog that another
//! thread feeds would call a drain alive that hangs. Where nobody asks to hear anything, none of
//! this exists.
//!
//! Nothing here waits: a service manager that does not read costs a message and never a record.
//! The environment is read and left as it is, because taking variables away is only sound before
//! there are threads; what the process starts is kept from speaking in its name by its pid.

use std::ffi::OsStr;
use std::fmt::Display;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

/// Where the service manager listens.
const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";

/// The pid of the process that the service manager itself started.
const MAIN_PROCESS: &str = "SYSTEMD_EXEC_PID";

/// A message has room for 4,096 bytes, and a status line is for people.
const STATUS_MAX: usize = 500;

/// The service manager that hears how this process fares.
#[derive(Debug)]
pub(crate) struct Supervisor {
    socket: UnixDatagram,
    address: SocketAddr,
    watchdog: Option<Watchdog>,
    /// What a drain that is not paused says of itself.
    well: String,
    is_paused: bool,
    is_stopping: bool,
    /// A message that could not be sent is told once.
    complained: bool,
}

#[derive(Debug)]
struct Watchdog {
    /// Half of the time after which silence counts as death.
    interval: Duration,
    due: Instant,
}

impl Supervisor {
    /// The one of the environment, if it asks this process for messages.
    pub(crate) fn of_environment(run_dir: &Path) -> Option<Self> {
        let address = std::env::var_os(NOTIFY_SOCKET).filter(|path| !path.is_empty())?;
        if !is_main_process(std::env::var(MAIN_PROCESS).ok().as_deref()) {
            return None;
        }
        let opened = address_of(&address).and_then(|address| {
            let socket = UnixDatagram::unbound()?;
            socket.set_nonblocking(true)?;
            Ok((socket, address))
        });
        match opened {
            Ok((socket, address)) => Some(Self {
                socket,
                address,
                watchdog: watchdog(),
                well: format!("draining the fleet of {}", run_dir.display()),
                is_paused: false,
                is_stopping: false,
                complained: false,
            }),
            Err(error) => {
                crate::diagnostic::warn!(address = %address.display(), %error, "the service manager can't be told anything");
                None
            }
        }
    }

    /// Workers can attach.
    pub(crate) fn ready(&mut self) {
        let status = status_line(&self.well);
        self.send(&[NotifyState::Ready, NotifyState::Status(&status)]);
    }

    /// The drain has come around once more. `trouble` is why it is paused, if it is: a paused
    /// drain is alive, and its status says what keeps it.
    pub(crate) fn came_around(&mut self, trouble: Option<&dyn Display>) {
        if self.is_paused != trouble.is_some() && !self.is_stopping {
            self.is_paused = trouble.is_some();
            let status = match trouble {
                Some(why) => status_line(&format!("paused, because a sink fails: {why}")),
                None => status_line(&self.well),
            };
            self.send(&[NotifyState::Status(&status)]);
        }
        self.made_progress();
    }

    /// A sign of life where the drain is busy for longer than one round should take.
    pub(crate) fn made_progress(&mut self) {
        let now = Instant::now();
        let Some(watchdog) = self.watchdog.as_mut().filter(|watchdog| watchdog.due <= now) else {
            return;
        };
        watchdog.due = now + watchdog.interval;
        // What could not be sent is sent again while the other half of the time runs.
        let again = now + watchdog.interval / 4;
        if !self.send(&[NotifyState::Watchdog])
            && let Some(watchdog) = &mut self.watchdog
        {
            watchdog.due = again;
        }
    }

    /// When the drain must be awake at the latest.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.watchdog.as_ref().map(|watchdog| watchdog.due)
    }

    /// The end is certain; what is left is to write.
    pub(crate) fn stopping(&mut self) {
        if !std::mem::replace(&mut self.is_stopping, true) {
            let status = "writing what was logged before the end";
            self.send(&[NotifyState::Stopping, NotifyState::Status(status)]);
        }
    }

    fn send(&mut self, states: &[NotifyState<'_>]) -> bool {
        let text: String = states.iter().map(|state| format!("{state}\n")).collect();
        // By its address each time: a service manager that was restarted has a new socket there.
        let sent = self.socket.send_to_addr(text.as_bytes(), &self.address);
        if let Err(error) = &sent
            && !std::mem::replace(&mut self.complained, true)
        {
            crate::diagnostic::warn!(%error, "the service manager does not take a message");
        }
        sent.is_ok()
    }
}

/// Whether this process may speak for its unit. A service manager that says nothing of the main
/// process is believed: it, too, looks at who sends.
fn is_main_process(main: Option<&str>) -> bool {
    main.is_none_or(|pid| pid == std::process::id().to_string())
}

/// A path, or a name in the abstract namespace with an `@` in front.
fn address_of(text: &OsStr) -> io::Result<SocketAddr> {
    match text.as_bytes() {
        [b'/', ..] => SocketAddr::from_pathname(text),
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        _ => Err(io::Error::new(io::ErrorKind::Unsupported, "it is neither a path nor an @name")),
    }
}

fn watchdog() -> Option<Watchdog> {
    let interval = sd_notify::watchdog_enabled().map(|silence| silence / 2)?;
    // No time at all would be a drain that never sleeps; a service manager sends none.
    (!interval.is_zero()).then(|| Watchdog { interval, due: Instant::now() })
}

/// A message has a line for each statement: what stands in a path must not be one.
fn status_line(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain
        .scan(0, |bytes, c| {
            *bytes += c.len_utf8();
            (*bytes <= STATUS_MAX).then_some(c)
        })
        .collect()
}

/// The sockets that the service manager handed down to this process.
pub(crate) fn handed_down() -> io::Result<Vec<OwnedFd>> {
    sd_notify::listen_fds()?.map(duplicate).collect()
}

#[allow(unsafe_code, reason = "a descriptor that is told by its number has no safe form")]
fn duplicate(descriptor: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: `listen_fds` has just asked the kernel for this descriptor's flags, so that it is
    // open, and it is addressed to this process by its pid. Somebody else in this process may
    // have taken it too; it is borrowed for this one call and never closed by its number.
    let handed = unsafe { BorrowedFd::borrow_raw(descriptor) };
    handed.try_clone_to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_line_of_bounded_length() {
        let status = status_line(&format!("a\nREADY=1\r{}", "é".repeat(1000)));
        assert!(status.starts_with("a READY=1 é"), "{status}");
        assert!(status.len() <= STATUS_MAX && !status.contains('\n'), "{status}");
    }

    #[test]
    fn only_the_main_process_speaks() {
        assert!(is_main_process(None));
        assert!(is_main_process(Some(&std::process::id().to_string())));
        assert!(!is_main_process(Some("1")));
        assert!(!is_main_process(Some("")));
    }

    #[test]
    fn addresses_are_paths_or_abstract_names() {
        assert!(address_of(OsStr::new("/run/notify")).unwrap().as_pathname().is_some());
        let named = address_of(OsStr::new("@notify")).unwrap();
        assert_eq!(named.as_abstract_name(), Some(&b"notify"[..]));
        assert!(address_of(OsStr::new("vsock:2:1234")).is_err());
    }
}
