//! The listener's own diagnostics: to standard error and, when asked, to a daily file.
//!
//! They never enter the drained log: a logger that logs about itself loops. Each is written where
//! it is made, by whoever makes it: they are few, and the last one before a crash counts most.

use std::io;
use std::path::Path;

use anstream::{AutoStream, ColorChoice};
use tracing::level_filters::LevelFilter;
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};

use super::exit::Failure;
use super::flags::Common;

/// The daily files that are kept.
const FILES_KEPT: usize = 7;

/// The start of the files' names. The appender prunes by it, so that it must not be the start of
/// any other file's name.
const PREFIX: &str = "fleetlog-listener-diagnostics";

/// How the diagnostics are written.
#[derive(Debug)]
pub(super) struct Diagnostics<'a> {
    pub(super) common: &'a Common,
    /// The folder for the daily files, if they are wanted.
    pub(super) folder: Option<&'a Path>,
}

impl Diagnostics<'_> {
    /// Makes them the diagnostics of this process.
    pub(super) fn start(&self) -> Result<(), Failure> {
        let level = match (self.common.quiet, self.common.verbose) {
            (true, _) => LevelFilter::ERROR,
            (false, 0) => LevelFilter::INFO,
            (false, 1) => LevelFilter::DEBUG,
            (false, _) => LevelFilter::TRACE,
        };
        let colored = AutoStream::choice(&io::stderr()) != ColorChoice::Never;
        // A complaint about a closed standard error would go there too, and panic.
        let to_stderr = fmt::layer()
            .with_writer(io::stderr)
            .with_ansi(colored)
            .log_internal_errors(false)
            .with_filter(level);
        let to_file = match self.folder {
            Some(folder) => Some(
                fmt::layer()
                    .with_writer(appender(folder)?)
                    .with_ansi(false)
                    .log_internal_errors(false)
                    // Silence is for the terminal; whoever asks for a file wants to read it.
                    .with_filter(level.max(LevelFilter::INFO)),
            ),
            None => None,
        };
        let subscriber = tracing_subscriber::registry().with(to_stderr).with(to_file);
        tracing::subscriber::set_global_default(subscriber)
            .map_err(|error| Failure::failed("diagnostics can't be started", error))
    }
}

fn appender(folder: &Path) -> Result<RollingFileAppender, Failure> {
    let refused = |why: &dyn std::fmt::Display| {
        let what = format!("the diagnostics folder {} can't be used", folder.display());
        Failure::failed(what, format_args!("{why}; name another one with --diagnostics-dir"))
    };
    std::fs::create_dir_all(folder).map_err(|error| refused(&error))?;
    RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix(PREFIX)
        .filename_suffix("log")
        .max_log_files(FILES_KEPT)
        .build(folder)
        .map_err(|error| refused(&error))
}
