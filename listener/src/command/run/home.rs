//! Where the records of a job go: a listener that lives already, or one in this process.
//!
//! Which run directory it is:
//!
//! - No file is asked for: the usual one, whose listener writes them. Where none lives, one in
//!   this process writes to standard output.
//! - A file is asked for, and a run directory: that one. A listener that lives there is joined,
//!   and its files are used.
//! - A file is asked for and no run directory: one that belongs to this file. So the next run
//!   finishes what a killed one began, and a run that begins before the last one has ended joins
//!   it.
//!
//! A listener that was joined may end before the job does. After a while, how long depends on
//! whose it may have been, this process takes its place; until then records wait in the queue.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fleetlog_protocol::message::{Receipt, Request};
use fleetlog_protocol::{client, run_dir};

use super::super::exit::Failure;
use super::super::screen::Screen;
use super::super::table::escape;
use super::failure;
use crate::config::Settings;
use crate::drain::DrainError;
use crate::listener::{ListenError, Listener, RunningListener};
use crate::options::{Options, SinkTarget};

/// A listener that does not answer within this lives nevertheless: it is busy.
const ANSWER: Duration = Duration::from_secs(2);

/// A supervisor has restarted a fleet's listener long before.
const RESTART: Duration = Duration::from_secs(3);

/// Nobody else may come for hours who would compress what a job left.
const PACKING_GRACE: Duration = Duration::from_secs(600);

/// Between two attempts to take the place of a listener.
const RETRY: Duration = Duration::from_secs(1);

/// A job's listener.
#[derive(Debug)]
pub(super) struct Home {
    options: Options,
    listener: Option<RunningListener>,
    /// How long a listener may be away before this process takes its place.
    patience: Duration,
    away_since: Option<Instant>,
    tried_at: Option<Instant>,
    told: bool,
    /// Nobody reads the lines any more; a new listener would fare no better.
    is_hopeless: bool,
}

impl Home {
    /// Finds a listener or becomes one. `timeout` is the longest wait for one that was joined.
    pub(super) fn settle(
        settings: Settings,
        timeout: Duration,
        screen: &mut Screen,
    ) -> Result<Self, Failure> {
        let is_named = settings.run_dir.is_some();
        let mut options = settings.into_options().map_err(|error| Failure::usage("run", error))?;
        options.exit_with_last_worker = false;
        options.packing_grace = PACKING_GRACE;
        options.run_dir = std::path::absolute(&options.run_dir)
            .map_err(|error| Failure::failed("the run directory has no absolute path", error))?;
        let file = options.sinks.iter().find_map(|sink| match &sink.target {
            SinkTarget::File(path) => Some(path.clone()),
            SinkTarget::Stdout => None,
        });
        let patience = match &file {
            None => timeout,
            Some(_) if is_named => RESTART,
            Some(file) => {
                options.run_dir = own_run_dir(&options.run_dir, file)?;
                Duration::ZERO
            }
        };
        let mut home = Self {
            options,
            listener: None,
            patience,
            away_since: None,
            tried_at: None,
            told: false,
            is_hopeless: false,
        };
        let is_joined = home.listener_lives()? || home.listen()?;
        if is_joined && is_named && file.is_some() {
            screen.note(format_args!(
                "fleetlog: a listener lives in {}: the log is in its files, and --file is not used",
                escape(&home.run_dir().to_string_lossy())
            ));
        }
        Ok(home)
    }

    pub(super) fn run_dir(&self) -> &Path {
        &self.options.run_dir
    }

    pub(super) fn socket(&self) -> Result<PathBuf, Failure> {
        run_dir::socket_path(self.run_dir()).map_err(|error| Failure::failed("run", error))
    }

    /// Whether nobody will ever write what is logged from now on.
    pub(super) const fn is_hopeless(&self) -> bool {
        self.is_hopeless
    }

    /// Looks whether the listener is there, and takes its place when it has been away for too
    /// long. Returns whether it just did.
    pub(super) fn watch(&mut self, is_connected: bool, screen: &mut Screen) -> bool {
        if is_connected || self.is_hopeless {
            self.away_since = None;
            return false;
        }
        let now = Instant::now();
        let since = *self.away_since.get_or_insert(now);
        let tried_lately = self.tried_at.is_some_and(|at| now < at + RETRY);
        // Nobody else restarts a listener that lived in this process.
        let patience = if self.listener.is_some() { Duration::ZERO } else { self.patience };
        if now.duration_since(since) < patience || tried_lately {
            return false;
        }
        self.tried_at = Some(now);
        let old = self.listener.take();
        match self.start() {
            Ok(new) => {
                // A new one could only start because the old one has ended.
                let ended = old.map(RunningListener::wait);
                self.listener = Some(new);
                if let Some(Err(error)) = ended {
                    self.is_hopeless =
                        matches!(error, ListenError::Drain(DrainError::OutputClosed(_)));
                    screen.failure(&failure(&error));
                }
                true
            }
            Err(error) => {
                self.listener = old;
                if !error.is_already_owned() && !std::mem::replace(&mut self.told, true) {
                    screen.failure(&failure(&error));
                }
                false
            }
        }
    }

    /// Ends the listener of this process, once it has written everything.
    pub(super) fn close(self) -> Option<Result<Receipt, ListenError>> {
        let ended = self.listener.map(RunningListener::stop);
        if self.is_hopeless { None } else { ended }
    }

    fn listener_lives(&self) -> Result<bool, Failure> {
        if !self.run_dir().exists() {
            return Ok(false);
        }
        run_dir::check_trust(self.run_dir()).map_err(|error| Failure::failed("run", error))?;
        match client::request(self.run_dir(), Request::Status, ANSWER, |_| ()) {
            Ok(_) => Ok(true),
            Err(error) if error.is_no_listener() => Ok(false),
            Err(error) if error.is_timed_out() => Ok(true),
            Err(client::ClientError::Ended) => Ok(false),
            Err(error) => Err(Failure::failed("run", error)),
        }
    }

    /// Becomes the listener; returns whether another one was faster.
    fn listen(&mut self) -> Result<bool, Failure> {
        match self.start() {
            Ok(listener) => {
                self.listener = Some(listener);
                Ok(false)
            }
            Err(error) if error.is_already_owned() => Ok(true),
            Err(error) => Err(failure(&error)),
        }
    }

    fn start(&self) -> Result<RunningListener, ListenError> {
        Listener::builder().options(self.options.clone()).start()
    }
}

/// The run directory that belongs to a log file, below the default one.
fn own_run_dir(default: &Path, file: &Path) -> Result<PathBuf, Failure> {
    let refused = |error: &dyn std::fmt::Display| {
        Failure::failed(
            format_args!("the run directory {} can't be made", default.display()),
            format_args!("{error}; name another one with --run-dir"),
        )
    };
    if let Some(parent) = default.parent() {
        fs::create_dir_all(parent).map_err(|error| refused(&error))?;
    }
    match DirBuilder::new().mode(0o700).create(default) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(refused(&error)),
        _ => {}
    }
    run_dir::check_trust(default).map_err(|error| Failure::failed("run", error))?;
    let file = real(file).map_err(|error| Failure::failed(file.display(), error))?;
    Ok(default.join(format!("run-{:016x}", hash(file.as_os_str()))))
}

/// The path without links in its folders, as far as they exist, so that one file has one name.
fn real(file: &Path) -> io::Result<PathBuf> {
    if let Ok(file) = file.canonicalize() {
        return Ok(file);
    }
    let whole = std::path::absolute(file)?;
    let mut there = whole.parent();
    while let Some(folder) = there {
        if let (Ok(folder), Ok(rest)) = (folder.canonicalize(), whole.strip_prefix(folder)) {
            return Ok(folder.join(rest));
        }
        there = folder.parent();
    }
    Ok(whole)
}

/// FNV-1a: the same in each version of this program, which the standard library's is not.
fn hash(text: &OsStr) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    text.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(hash(OsStr::new("")), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash(OsStr::new("foobar")), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn a_file_has_one_name_whichever_way_leads_to_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let there = folder.path().canonicalize().expect("its path").join("there");
        fs::create_dir(&there).expect("a folder");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&there, &link).expect("a link");
        for rest in ["a.log", "not/yet/a.log"] {
            assert_eq!(real(&link.join(rest)).expect("a path"), there.join(rest));
        }
    }
}
