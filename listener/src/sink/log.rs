//! A log: its current file, its archives, and what moves one to the other.
//!
//! A rotation never happens inside of a batch, so that it never has to be undone together with
//! one. It has two named steps behind which a kill may strike, and either is told from the names
//! that it leaves:
//!
//! ```text
//!   Whole     apps.log                           nothing to do
//!     | link
//!   Linked    apps.log = apps.<time>.log         one file of two names: a start takes the
//!     | create, rename over apps.log             second one away again
//!   Turned    apps.log, apps.<time>.log          done
//! ```
//!
//! `apps.log` is there at every instant, so that whoever follows it, or a link to it, never meets
//! nothing. Where a file system has no second names the file is renamed first, and a start makes
//! the missing one.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::archive::ArchiveKey;
use crate::checkpoint::Checkpoint;
use crate::disk::{Access, Disk, Meta, SharedDisk};
use crate::faults::{self, Point};
use crate::options::{Compression, Keeping, SinkOptions, Sync};

use super::archives::{Archives, gone};
use super::file::LogFile;
use super::period::{Calendar, Window};

/// What the name of the next current file ends with until it takes the place of the old one.
const NEXT: &str = ".fleetlog-next";

/// How long a rotation that is not permitted is left alone. The log grows meanwhile: a folder that
/// can't be written to must not cost a line.
const REFUSED_PAUSE: Duration = Duration::from_secs(60);

/// How often another archive's name is tried, where somebody else took it.
const NAMES_TRIED: usize = 100;

/// How a log's files are kept: the options, and what is made of them once.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) keeping: Keeping,
    pub(super) access: Access,
    calendar: Option<Calendar>,
    /// A file that is let go of is made durable first.
    syncs: bool,
    file_size_max: u64,
    pub(super) total_size_max: u64,
}

impl Rules {
    pub(super) fn new(options: &SinkOptions, sync: Sync) -> Self {
        let keeping = options.keeping.clone();
        Self {
            calendar: keeping.rotation.map(|period| Calendar::new(period, keeping.timezone)),
            access: Access { mode: options.file_mode, owner: None, group: options.file_group },
            syncs: sync != Sync::Never,
            file_size_max: keeping.file_size_max(),
            total_size_max: keeping.total_size_max(),
            keeping,
        }
    }
}

/// How far a rotation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// None is under way.
    Whole,
    /// The file has its archive's name; what comes next failed and is tried again. It had so many
    /// names before.
    Linked { key: ArchiveKey, names: u64 },
}

/// One log.
#[derive(Debug)]
pub(super) struct Log {
    disk: SharedDisk,
    rules: Rules,
    /// The path as it was configured; links on the way are followed anew when it is reopened.
    named: PathBuf,
    pub(super) file: LogFile,
    /// `None` for what is no regular file and is never rotated.
    pub(super) archives: Option<Archives>,
    /// The period in which the file was begun; `None` = the clock does not rotate it.
    window: Option<Window>,
    turn: Turn,
    /// The folder must be looked into anew.
    is_stale: bool,
    /// When old files that could not be removed are looked for again, and whether that was said.
    aside_until: Option<u64>,
    aside_is_said: bool,
    /// The next line belongs into another file.
    wants_turn: bool,
    /// When a rotation that was not permitted is tried again.
    refused_until: Option<u64>,
}

impl Log {
    /// Opens a log and finishes what a killed listener left of it.
    pub(super) fn open(
        disk: SharedDisk,
        path: &Path,
        rules: &Rules,
        checkpoint: &mut Checkpoint,
    ) -> io::Result<Self> {
        let named = path.to_owned();
        let path = resolved(&*disk, path)?;
        let next = next_path(&path);
        match gone(disk.unlink(&next)) {
            Err(error) if !is_refusal(&error) => return Err(error),
            _ => {}
        }
        let (file, found) = LogFile::open(&*disk, &path, rules.access, checkpoint)?;
        let archives = match found.is_file {
            true => Some(Archives::load(&*disk, &path, found.identity)?),
            false => None,
        };
        let mut log = Self {
            disk,
            rules: rules.clone(),
            named,
            file,
            archives,
            window: None,
            turn: Turn::Whole,
            is_stale: false,
            aside_until: None,
            aside_is_said: false,
            wants_turn: false,
            refused_until: None,
        };
        log.begin_window(&found);
        Ok(log)
    }

    /// Takes back what a killed listener left half done for a log that may never be opened again.
    pub(super) fn tidy(disk: &dyn Disk, path: &Path) -> io::Result<()> {
        gone(disk.unlink(&next_path(path)))?;
        let current = disk.metadata(path).map_or((0, 0), |found| found.identity);
        Archives::load(disk, path, current).map(drop)
    }

    /// Standard output, which is written to and nothing else.
    pub(super) fn of_stream(disk: SharedDisk, file: LogFile, rules: &Rules) -> Self {
        Self {
            disk,
            rules: rules.clone(),
            named: PathBuf::new(),
            file,
            archives: None,
            window: None,
            turn: Turn::Whole,
            is_stale: false,
            aside_until: None,
            aside_is_said: false,
            wants_turn: false,
            refused_until: None,
        }
    }

    /// What was written before the period began belongs into the archive of an earlier one.
    fn begin_window(&mut self, found: &Meta) {
        let calendar = self.rules.calendar.as_ref().filter(|_| found.is_file);
        let begun = if found.len > 0 { found.modified } else { self.disk.now() };
        self.window = calendar.map(|calendar| calendar.window(begun));
    }

    /// Whether a line of so many bytes, logged at `time`, may still go into this file. If not, the
    /// log wants a [`turn`](Self::turn).
    #[inline]
    pub(super) fn has_room(&mut self, before: usize, line: usize, time: u64) -> bool {
        let len = self.file.begin() + before as u64;
        if self.archives.is_none() {
            return true;
        }
        if len == 0 {
            // The first line of a file begins its period.
            if let Some(calendar) = &self.rules.calendar {
                self.window = Some(calendar.window(time));
            }
            return true;
        }
        let is_over = self.window.is_some_and(|window| time >= window.end);
        if len + line as u64 <= self.rules.file_size_max && !is_over {
            return true;
        }
        if self.is_refused() {
            return true;
        }
        self.wants_turn = true;
        false
    }

    pub(super) const fn wants_turn(&self) -> bool {
        self.wants_turn
    }

    /// The period is over, whether somebody logs or not.
    pub(super) fn look_at_clock(&mut self, now: u64) {
        let Some(window) = self.window else { return };
        let Some(calendar) = &self.rules.calendar else { return };
        if now < window.start || self.file.len() == 0 {
            // The clock was set back, or nothing is there that could belong to an earlier period.
            self.window = Some(calendar.window(now));
        } else if now >= window.end && self.refused_until.is_none_or(|until| now >= until) {
            self.wants_turn = true;
        }
    }

    /// When the clock has something to do for this log, in nanoseconds since the Unix epoch.
    pub(super) fn due(&self) -> Option<u64> {
        let turn = self
            .window
            .filter(|_| self.file.len() > 0)
            .map(|window| window.end.max(self.refused_until.unwrap_or(0)));
        let oldest = self.archives.as_ref().and_then(Archives::oldest);
        let expiry = oldest.zip(self.rules.keeping.max_age).map(|(key, age)| expires(key, age));
        let expiry = expiry.map(|at| at.max(self.refused_until.unwrap_or(0)));
        turn.into_iter().chain(expiry).chain(self.aside_until).min()
    }

    /// Makes the current file an archive and begins another one. Returns whether there was
    /// anything to archive. Where the folder does not permit it, the log grows on and says so.
    pub(super) fn turn(&mut self, checkpoint: &Checkpoint) -> io::Result<bool> {
        match self.try_turn(checkpoint) {
            Ok(turned) => {
                self.wants_turn = false;
                self.refused_until = None;
                Ok(turned)
            }
            Err(error) if is_refusal(&error) => {
                self.note_refusal(&error);
                self.wants_turn = false;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// A folder that can't be written to must not cost a line: the log grows on.
    pub(super) fn note_refusal(&mut self, error: &io::Error) {
        if self.refused_until.is_none() {
            let path = self.file.path().display();
            crate::diagnostic::error!(
                %path, %error,
                "the log can't be rotated and grows on; tried again each minute"
            );
        }
        self.refused_until = Some(self.disk.now().saturating_add(refused_pause()));
    }

    /// An old file that can't be removed stays, and the others go.
    pub(super) fn note_aside(&mut self, path: &Path, error: &io::Error) {
        if !std::mem::replace(&mut self.aside_is_said, true) {
            let path = path.display();
            crate::diagnostic::error!(%path, %error, "an old file can't be removed; tried again each minute");
        }
        self.aside_until.get_or_insert(self.disk.now().saturating_add(refused_pause()));
    }

    /// Looks into the folder anew when old files that could not be removed are due.
    pub(super) fn look_at_aside(&mut self) {
        if self.aside_until.is_some_and(|until| until <= self.disk.now()) {
            self.aside_until = None;
            self.is_stale = true;
        }
    }

    pub(super) fn is_refused(&self) -> bool {
        self.refused_until.is_some_and(|until| self.disk.now() < until)
    }

    fn try_turn(&mut self, checkpoint: &Checkpoint) -> io::Result<bool> {
        self.refresh()?;
        // Somebody may have cut it since its last batch.
        self.file.look()?;
        if self.archives.is_none() || self.file.len() == 0 {
            self.begin_now();
            return Ok(false);
        }
        if self.rules.syncs {
            // Its file is let go of here, and nobody else will sync it.
            self.file.sync(&*self.disk)?;
        }
        if let Some(archives) = &mut self.archives {
            archives.prune(&*self.disk)?;
        }
        match self.turn {
            Turn::Whole => {
                let names = self.file.names()?;
                match self.name_archive()? {
                    Some(key) => self.turn = Turn::Linked { key, names },
                    None => return self.follow_moved(checkpoint),
                }
            }
            // A rotation that goes on after a failure: the file may have been moved since.
            Turn::Linked { key, .. } if self.is_moved()? && !self.is_renamed(key)? => {
                self.undo_link(key)?;
                return self.follow_moved(checkpoint);
            }
            Turn::Linked { .. } => {}
        }
        let (Turn::Linked { key, names }, Some(archives)) = (self.turn, &self.archives) else {
            return Ok(false);
        };
        if !self.is_ours(&archives.path(key, Compression::None))? {
            // In the instant before the link somebody put another file there, and it is theirs.
            self.undo_link(key)?;
            return self.follow_moved(checkpoint);
        }
        faults::reach(Point::AfterLink);
        let next = next_path(self.file.path());
        gone(self.disk.unlink(&next))?;
        let file = self.disk.create(&next, self.rules.access)?;
        super::file::claim(&*file)?;
        let found = file.metadata()?;
        faults::reach(Point::AfterNext);
        self.disk.rename(&next, self.file.path())?;
        let (len, old, left) = (self.file.len(), self.file.identity(), self.file.names());
        self.file.replace(file, found, checkpoint);
        self.turn = Turn::Whole;
        if let Some(archives) = &mut self.archives {
            let has_another = left.is_ok_and(|left| left > names);
            let is_theirs = has_another
                && archives.is_moved(&*self.disk, self.file.path(), old).unwrap_or(false);
            if is_theirs {
                // In the instant before the rename somebody moved the file away: it is theirs, and
                // must not be here a second time.
                gone(self.disk.unlink(&archives.path(key, Compression::None)))?;
            } else {
                archives.add(key, len);
            }
        }
        faults::reach(Point::AfterTurn);
        self.begin_now();
        Ok(true)
    }

    fn begin_now(&mut self) {
        let now = self.disk.now();
        self.window = self.rules.calendar.as_ref().map(|calendar| calendar.window(now));
    }

    /// Gives the file at the log's path its archive's name as a second one. `None` = the path names
    /// another file, or nothing.
    fn name_archive(&self) -> io::Result<Option<ArchiveKey>> {
        let Some(archives) = &self.archives else { return Ok(None) };
        let path = self.file.path();
        if !self.is_ours(path)? {
            return Ok(None);
        }
        let mut last = archives.last_key();
        for _ in 0..NAMES_TRIED {
            let key = ArchiveKey::next(self.disk.now(), last);
            let archive = archives.path(key, Compression::None);
            last = Some(key);
            let named = match self.disk.link(path, &archive) {
                Err(error) if has_no_links(&error) => self.disk.rename_new(path, &archive),
                named => named,
            };
            match named {
                Ok(()) => return Ok(Some(key)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                // Moved in the instant since it was looked at.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::new(io::ErrorKind::AlreadyExists, "every name for the archive is taken"))
    }

    /// Takes the archive's name away again, from a file that keeps another one, or gives the old
    /// name back.
    fn undo_link(&mut self, key: ArchiveKey) -> io::Result<()> {
        let Some(archives) = &self.archives else { return Ok(()) };
        let archive = archives.path(key, Compression::None);
        match self.disk.metadata(&archive) {
            Ok(found) if found.links > 1 => gone(self.disk.unlink(&archive))?,
            Ok(_) => self.disk.rename_new(&archive, self.file.path())?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        self.turn = Turn::Whole;
        Ok(())
    }

    /// Somebody moved the file away before it could be rotated, and takes care of it now.
    fn follow_moved(&mut self, checkpoint: &Checkpoint) -> io::Result<bool> {
        let before = self.file.identity();
        self.reopen(checkpoint)?;
        if self.file.identity() == before {
            let why = "the file system does not know a file by its second name";
            return Err(io::Error::other(why));
        }
        Ok(false)
    }

    /// Whether the archive's name is the only one that the file has: there are no second names here.
    fn is_renamed(&self, key: ArchiveKey) -> io::Result<bool> {
        let Some(archives) = &self.archives else { return Ok(false) };
        let found = self.disk.metadata(&archives.path(key, Compression::None))?;
        Ok(found.links == 1 && found.identity == self.file.identity())
    }

    fn is_ours(&self, path: &Path) -> io::Result<bool> {
        match self.disk.metadata(path) {
            Ok(found) => Ok(found.identity == self.file.identity()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether the path names another file than the one that is written to, or none.
    pub(super) fn is_moved(&self) -> io::Result<bool> {
        Ok(self.archives.is_some()
            && (!self.is_ours(self.file.path())?
                || resolved(&*self.disk, &self.named)? != self.file.path()))
    }

    /// Goes on with the file that the path names now, or with a new one. No batch may be under way.
    pub(super) fn reopen(&mut self, checkpoint: &Checkpoint) -> io::Result<()> {
        if self.archives.is_none() {
            return Ok(());
        }
        if let (Turn::Linked { key, .. }, Some(archives)) = (self.turn, &self.archives) {
            // Whoever moved the file takes care of it, and it must not be here a second time. Where
            // the archive's name is its only one, it is the archive.
            let archive = archives.path(key, Compression::None);
            if self.disk.metadata(&archive).is_ok_and(|found| found.links > 1) {
                gone(self.disk.unlink(&archive))?;
            }
            self.turn = Turn::Whole;
        }
        if self.rules.syncs {
            let _ = self.file.sync(&*self.disk);
        }
        let path = resolved(&*self.disk, &self.named)?;
        let found = self.file.reopen(&*self.disk, path, self.rules.access, checkpoint)?;
        self.begin_window(&found);
        self.wants_turn = false;
        self.refused_until = None;
        // In another folder of the same name there are other archives.
        self.is_stale = true;
        self.refresh()
    }

    /// Looks into the folder anew, if the file was opened anew.
    pub(super) fn refresh(&mut self) -> io::Result<()> {
        if self.is_stale && self.archives.is_some() {
            let (path, identity) = (self.file.path(), self.file.identity());
            self.archives = Some(Archives::load(&*self.disk, path, identity)?);
        }
        self.is_stale = false;
        Ok(())
    }

    /// As [`reopen`](Self::reopen), with the batch that has not been written.
    pub(super) fn reopen_with_batch(&mut self, checkpoint: &Checkpoint) -> io::Result<()> {
        let batch = std::mem::take(&mut self.file.batch);
        let reopened = self.reopen(checkpoint);
        self.file.batch = batch;
        reopened
    }

    pub(super) fn disk(&self) -> SharedDisk {
        SharedDisk::clone(&self.disk)
    }

    pub(super) const fn rules(&self) -> &Rules {
        &self.rules
    }

    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.file.sync(&*self.disk)
    }
}

fn refused_pause() -> u64 {
    u64::try_from(REFUSED_PAUSE.as_nanos()).unwrap_or(u64::MAX)
}

/// When an archive is too old, in nanoseconds since the Unix epoch.
pub(super) fn expires(key: ArchiveKey, age: Duration) -> u64 {
    let closed = u64::try_from(key.second).unwrap_or(0).saturating_mul(1_000_000_000);
    closed.saturating_add(u64::try_from(age.as_nanos()).unwrap_or(u64::MAX))
}

fn next_path(log: &Path) -> PathBuf {
    let mut path = log.as_os_str().to_owned();
    path.push(NEXT);
    path.into()
}

/// The file behind a log that is a symbolic link: archives lie beside the file, not the link.
fn resolved(disk: &dyn Disk, path: &Path) -> io::Result<PathBuf> {
    let mut path = std::path::absolute(path)?;
    if disk.metadata(&path).is_ok_and(|found| !found.is_file) {
        // Such as /dev/stdout, whose link leads to no path.
        return Ok(path);
    }
    for _ in 0..40 {
        let Ok(text) = disk.read_link(&path) else { return Ok(path) };
        path = super::file::folder_of(&path).join(text);
    }
    Err(io::Error::other("too many symbolic links lead from one to the next"))
}

/// Whether trying again soon is in vain, and the file itself can still be written: the folder is not
/// ours or can only be read, the log is mounted alone, or there is no room in a name for the time.
pub(super) fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied
            | io::ErrorKind::CrossesDevices
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::ResourceBusy
            | io::ErrorKind::InvalidFilename
    )
}

/// Whether a file system, or its administrator, does not let a file have two names.
fn has_no_links(error: &io::Error) -> bool {
    use nix::errno::Errno;
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EPERM | Errno::EOPNOTSUPP | Errno::EMLINK | Errno::ENOSYS))
}
