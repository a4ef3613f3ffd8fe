//! Where lines go: standard output, or a pager as long as a person looks.
//!
//! A reader that closes its end has what it wanted: the command stops reading at once, also while
//! it finds nothing to write.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, ChildStdin, Command, Stdio};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::command::exit::Failure;

/// How journalctl calls `less`: quit if one screen is enough, pass colors on, leave what was
/// shown, cut long lines, tell more, and quit on an interrupt.
const LESS: &str = "FRSXMK";

/// Lines between two looks whether anybody still reads.
const LOOKS: u32 = 1024;

/// Where lines go.
pub(super) struct Output {
    writer: BufWriter<Way>,
    pager: Option<Child>,
    is_closed: bool,
    broken: Option<io::Error>,
}

/// Looks whether anybody still reads. It keeps a pager from seeing the end: it must go before
/// [`Output::finish`].
#[derive(Debug)]
pub(super) struct Watch {
    way: OwnedFd,
    looks: u32,
}

impl Watch {
    /// Whether the reader is gone. Asked for each line that was looked at, shown or not.
    pub(super) fn is_closed(&mut self) -> bool {
        self.looks = self.looks.wrapping_add(1);
        if !self.looks.is_multiple_of(LOOKS) {
            return false;
        }
        let mut polled = [PollFd::new(self.way.as_fd(), PollFlags::empty())];
        let _ = poll(&mut polled, PollTimeout::ZERO);
        polled[0].revents().is_some_and(|events| events.contains(PollFlags::POLLERR))
    }
}

enum Way {
    Stdout(File),
    Pager(ChildStdin),
}

impl Output {
    /// Opens the pager where one is wanted and there, else standard output.
    pub(super) fn open(wants_pager: bool) -> io::Result<Self> {
        let mut pager =
            if wants_pager && io::stdout().is_terminal() { start_pager() } else { None };
        let way = match pager.as_mut().and_then(|pager| pager.stdin.take()) {
            Some(input) => Way::Pager(input),
            // A descriptor of its own: the library's would flush at every line.
            None => Way::Stdout(io::stdout().as_fd().try_clone_to_owned()?.into()),
        };
        let writer = BufWriter::with_capacity(64 << 10, way);
        Ok(Self { writer, pager, is_closed: false, broken: None })
    }

    /// Writes a line; false = nobody reads any more.
    pub(super) fn write(&mut self, line: &[u8]) -> bool {
        if let Err(error) = self.writer.write_all(line) {
            self.fail(error);
        }
        self.is_wanted()
    }

    /// Whether somebody still reads, as far as writing has shown.
    pub(super) const fn is_wanted(&self) -> bool {
        !self.is_closed && self.broken.is_none()
    }

    /// What tells while nothing is written; `None` = the system has no descriptor left.
    pub(super) fn watch(&self) -> Option<Watch> {
        let way = self.writer.get_ref().as_fd().try_clone_to_owned().ok()?;
        Some(Watch { way, looks: 0 })
    }

    fn fail(&mut self, error: io::Error) {
        if error.kind() == io::ErrorKind::BrokenPipe {
            self.is_closed = true;
        } else {
            self.broken = Some(error);
        }
    }

    /// Writes what is left and waits for the person at the pager.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        if self.is_wanted()
            && let Err(error) = self.writer.flush()
        {
            self.fail(error);
        }
        // What a closed pipe did not take must not be tried again.
        drop(self.writer.into_parts().0);
        if let Some(mut pager) = self.pager {
            let _ = pager.wait();
        }
        match self.broken {
            Some(error) => Err(Failure::failed("standard output can't be written", error)),
            None => Ok(()),
        }
    }
}

impl AsFd for Way {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Stdout(file) => file.as_fd(),
            Self::Pager(input) => input.as_fd(),
        }
    }
}

impl Write for Way {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(file) => file.write(bytes),
            Self::Pager(input) => input.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(file) => file.flush(),
            Self::Pager(input) => input.flush(),
        }
    }
}

/// Starts the pager that the environment names, else `less`; `None` = none is wanted or there.
fn start_pager() -> Option<Child> {
    let named = ["FLEETLOG_PAGER", "PAGER"].into_iter().find_map(|name| std::env::var(name).ok());
    let command = named.as_deref().unwrap_or("less").trim();
    if command.is_empty() || command == "cat" {
        return None;
    }
    // A shell would start before it finds that there is no pager.
    let mut words = command.split_whitespace();
    let mut pager = Command::new(words.next()?);
    pager.args(words).stdin(Stdio::piped());
    if std::env::var_os("LESS").is_none() {
        pager.env("LESS", LESS);
    }
    pager.spawn().ok()
}
