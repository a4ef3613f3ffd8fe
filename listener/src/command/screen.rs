//! The command's two outputs.
//!
//! Results go to standard output, everything else to standard error. A reader that closes its
//! end early (`| head`) has what it wanted: the rest is swallowed, the command does its work to
//! the end and succeeds. Any other failure to write a result makes the command fail.

use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};

use super::exit::{Code, Failure};

pub(super) const BOLD: Style = Style::new().bold();
pub(super) const DIM: Style = Style::new().dimmed();
pub(super) const GOOD: Style = AnsiColor::Green.on_default().bold();
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(super) const WARNING: Style = AnsiColor::Yellow.on_default().bold();

/// Where a command writes.
#[derive(Debug, Default)]
pub(super) struct Screen {
    quiet: bool,
    /// A progress line stands on the terminal and must be wiped before anything else.
    progress: bool,
    /// Nobody reads standard output any more.
    closed: bool,
    broken: Option<io::Error>,
}

impl Screen {
    pub(super) fn new(quiet: bool) -> Self {
        Self { quiet, ..Self::default() }
    }

    /// Writes a line of the result.
    pub(super) fn line(&mut self, text: impl fmt::Display) {
        self.bytes(format!("{text}\n").as_bytes());
    }

    /// Writes a part of the result.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.wipe();
        if self.closed || self.broken.is_some() {
            return;
        }
        let mut out = AutoStream::auto(io::stdout()).lock();
        match out.write_all(bytes).and_then(|()| out.flush()) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.closed = true,
            Err(error) => self.broken = Some(error),
        }
    }

    /// Tells the person at the terminal something, unless they asked for silence.
    pub(super) fn note(&mut self, text: impl fmt::Display) {
        if !self.quiet {
            self.wipe();
            to_stderr(&format!("{text}\n"));
        }
    }

    /// Shows how far the command is, on a terminal only; the next output replaces it.
    pub(super) fn progress(&mut self, text: impl fmt::Display) {
        if !self.quiet && io::stderr().is_terminal() {
            self.progress = true;
            to_stderr(&format!("\r{DIM}{text}{DIM:#}\x1b[K"));
        }
    }

    fn wipe(&mut self) {
        if std::mem::take(&mut self.progress) {
            to_stderr("\r\x1b[K");
        }
    }

    /// Writes the messages of a failure.
    pub(super) fn failure(&mut self, failure: &Failure) {
        self.wipe();
        for line in failure.lines() {
            to_stderr(&format!("{BAD}fleetlog:{BAD:#} {line}\n"));
        }
    }

    /// The code with which the command ends, now that all is written.
    pub(super) fn finish(mut self, code: Code) -> Code {
        self.wipe();
        match self.broken.take() {
            Some(error) if code == Code::Done => {
                self.failure(&Failure::failed("standard output can't be written", error));
                Code::Failed
            }
            _ => code,
        }
    }
}

/// Whoever closed standard error does not want to know.
fn to_stderr(text: &str) {
    let mut err = AutoStream::auto(io::stderr()).lock();
    let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}
