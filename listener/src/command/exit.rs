//! How a command ends: the exit codes, and the message of a failure.

use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use fleetlog_protocol::client::ClientError;

use super::table::{count, escape, span};
use crate::config::ConfigError;

/// The exit codes that scripts rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Code {
    /// Done.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// No listener lives in the run directory, or another one owns it.
    Listener = 3,
    /// The time was over.
    TimedOut = 4,
    /// The listener ended, and left something behind that it names.
    LeftBehind = 5,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

/// Why a command failed, as a person reads it: `what: why; way out`.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) code: Code,
    message: String,
}

impl Failure {
    /// A failure with its whole message.
    pub(super) fn new(code: Code, message: impl fmt::Display) -> Self {
        Self { code, message: message.to_string() }
    }

    /// A plain failure: what was tried and why it did not work.
    pub(super) fn failed(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self::new(Code::Failed, format_args!("{what}: {why}"))
    }

    /// A wrong command line.
    pub(super) fn usage(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self::new(Code::Usage, format_args!("{what}: {why}"))
    }

    /// A request to the listener that has no answer; `written` is how far it came.
    pub(super) fn request(what: &str, error: &ClientError, written: u64) -> Self {
        match error {
            ClientError::NoListener(run_dir) => {
                let run_dir = run_dir.display();
                Self::new(
                    Code::Listener,
                    format_args!(
                        "{what}: no listener lives in the run directory {run_dir}; start one with \
                         `fleetlog listen --run-dir {run_dir}`, or name another --run-dir"
                    ),
                )
            }
            ClientError::TimedOut(timeout) => Self::new(
                Code::TimedOut,
                format_args!(
                    "{what}: the listener did not finish within {}, it has written {} records \
                     since it was asked and goes on; wait longer with --timeout",
                    span(*timeout),
                    count(written)
                ),
            ),
            error => Self::failed(what, error),
        }
    }

    /// An answer that belongs to another request.
    pub(super) fn unexpected_answer(what: &str) -> Self {
        Self::failed(
            what,
            "the listener gave an answer to another question; is it of the same version?",
        )
    }

    /// Each line of the message, safe for a terminal.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> + '_ {
        self.message.lines().map(escape)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(Code::Usage, error)
    }
}

/// The longest a command waits, where a flag gives it none.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
