//! What living workers log, changed from outside.
//!
//! The state stands in the run directory, so that it needs no listener and outlives each: the file
//! [`LEVEL`] holds the changes that are in force, and the file [`CONTROL`] is a page with one word,
//! on which every worker's watcher sleeps. A listener changes the level by replacing the one file,
//! bumping the word of the other, and waking. What ends by itself is ended by each worker alone, by
//! the deadline in the file.
//!
//! ```text
//!  listener                            run directory        worker
//!  write `level` beside, rename  ────▶ level                sleep on the word while it is g
//!  bump the word                 ────▶ control  g -> g+1    look: read g, read `level`, apply
//!  wake all                                      ────────▶  sleep on the word while it is g
//! ```
//!
//! A worker reads the word before it reads the file, so that a change behind its look wakes it
//! again. It trusts files of root, of its own user and of the run directory's owner, which nobody
//! else can write. No byte of a page is read through its mapping: truncating one harms nobody.

mod changes;
pub mod clock;
mod page;
mod pattern;

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{FallocateFlags, fallocate};
use nix::libc;
use nix::unistd::geteuid;

pub use changes::{Change, Changes, TooManyChanges};
use page::{PAGE_BYTES, Page};
pub use pattern::WorkerPattern;

use crate::decode::DecodeError;

/// The name of the file with the changes that are in force.
pub const LEVEL: &str = "level";

/// The name of the file with the page that workers sleep on.
pub const CONTROL: &str = "control";

/// How often somebody looks whether there is a page to sleep on.
const LOOK_FOR_PAGE: Duration = Duration::from_millis(500);

/// The environment variable that says whether a worker's level can be changed while it lives:
/// `on` or `off`.
pub const VARIABLE: &str = "FLEETLOG_LIVE_LEVEL";

/// The changes can't be read or written.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum LevelControlError {
    /// Somebody may have planted the file.
    #[error(
        "{path} belongs to uid {owner} with mode {mode:04o}, so that others than root, this user \
         and the run directory's owner could have written it: remove it"
    )]
    Untrusted {
        /// The file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Its permission bits.
        mode: u32,
    },
    /// The bytes are no changes.
    #[error("{path} can't be read: {source}. Setting a level anew replaces it")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with them.
        source: DecodeError,
    },
    /// The system refused.
    #[error("{what} {path}: {source}")]
    System {
        /// What was attempted.
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

crate::debug_as_display!(LevelControlError);

fn system(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LevelControlError + use<> {
    let path = path.to_owned();
    move |source| LevelControlError::System { what, path, source }
}

/// Reads the changes that are in force in a run directory, among them those whose time is over and
/// that no listener has removed yet. Where there is no file there is no change.
///
/// # Errors
/// Any [`LevelControlError`].
pub fn read(run_dir: &Path) -> Result<Changes, LevelControlError> {
    let path = run_dir.join(LEVEL);
    let Some(file) = open_trusted(run_dir, &path)? else { return Ok(Changes::default()) };
    let mut bytes = Vec::new();
    // One byte more than there may be shows that there are too many.
    let most = changes::CHANGES_BYTES_MAX as u64 + 1;
    file.take(most).read_to_end(&mut bytes).map_err(system("can't read", &path))?;
    Changes::decode(&bytes).map_err(|source| LevelControlError::Malformed { path, source })
}

/// Opens a file that root, this user or the run directory's owner wrote; `None` = there is none.
fn open_trusted(run_dir: &Path, path: &Path) -> Result<Option<File>, LevelControlError> {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(system("can't open", path)(error)),
    };
    let metadata = file.metadata().map_err(system("can't look at", path))?;
    let folder = fs::metadata(run_dir).map_err(system("can't look at", run_dir))?;
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    let is_known = [0, geteuid().as_raw(), folder.uid()].contains(&owner);
    if !metadata.is_file() || !is_known || mode & 0o022 != 0 || folder.mode() & 0o022 != 0 {
        return Err(LevelControlError::Untrusted { path: path.to_owned(), owner, mode });
    }
    Ok(Some(file))
}

/// The listener's end: it writes the changes and wakes the workers.
#[derive(Debug)]
pub struct LevelControl {
    run_dir: PathBuf,
    mode: u32,
    file: File,
    page: Page,
}

impl LevelControl {
    /// Takes over the page of a run directory, or makes one, with its space allocated. Called by
    /// whoever holds the run directory's lock. `mode` is what the files are readable for.
    ///
    /// # Errors
    /// Any [`LevelControlError`].
    pub fn claim(run_dir: &Path, mode: u32) -> Result<Self, LevelControlError> {
        let path = run_dir.join(CONTROL);
        // Workers that sleep on a former listener's page go on sleeping on it.
        let file = match reopen(&path) {
            Some(file) => file,
            None => make(&path).map_err(system("can't make", &path))?,
        };
        file.set_permissions(Permissions::from_mode(mode))
            .map_err(system("can't set the mode of", &path))?;
        let page = Page::map(&file).map_err(system("can't map", &path))?;
        Ok(Self { run_dir: run_dir.to_owned(), mode, file, page })
    }

    /// Puts the changes in force: from here on workers take them in, within moments.
    ///
    /// # Errors
    /// Any [`LevelControlError`]; then the former ones are in force still.
    pub fn put_in_force(&mut self, changes: &Changes) -> Result<(), LevelControlError> {
        let control = self.run_dir.join(CONTROL);
        let is_there = File::open(&control).is_ok_and(|file| self.page.is_of(&file));
        if !is_there || page::generation(&self.file).is_none() {
            // Somebody removed or cut the page: workers look for another one.
            *self = Self::claim(&self.run_dir, self.mode)?;
        }
        let path = self.run_dir.join(LEVEL);
        let mut bytes = Vec::new();
        changes.encode(&mut bytes);
        replace(&path, self.mode, &bytes).map_err(system("can't write", &path))?;
        page::bump(&self.file).map_err(system("can't write", &control))?;
        self.page.wake();
        Ok(())
    }
}

/// The page of a former listener of this user, if it is whole.
fn reopen(path: &Path) -> Option<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
        .ok()?;
    let found = file.metadata().ok()?;
    let is_ours = found.is_file() && found.uid() == geteuid().as_raw() && found.nlink() == 1;
    (is_ours && found.mode() & 0o022 == 0 && found.len() == PAGE_BYTES as u64).then_some(file)
}

fn make(path: &Path) -> io::Result<File> {
    let beside = beside(path);
    let file = create(&beside)?;
    // A page without space would be a surprise for the first who needs it.
    fallocate(&file, FallocateFlags::empty(), 0, PAGE_BYTES as libc::off_t)
        .or_else(|_| file.set_len(PAGE_BYTES as u64).map_err(|_| nix::errno::Errno::ENOSPC))?;
    page::bump(&file)?;
    fs::rename(&beside, path)?;
    Ok(file)
}

/// Replaces a file as a whole. It need not outlive the host, so that it is not synced.
fn replace(path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
    let beside = beside(path);
    let mut file = create(&beside)?;
    file.write_all(bytes)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    fs::rename(&beside, path)
}

fn beside(path: &Path) -> PathBuf {
    path.with_extension("new")
}

fn create(path: &Path) -> io::Result<File> {
    // What a killed listener left.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(libc::O_CLOEXEC | libc::O_NOFOLLOW)
        .open(path)
}

/// A worker's end: it sleeps until there may be a change.
#[derive(Debug)]
pub struct Watch<'r> {
    run_dir: &'r Path,
    page: Option<Page>,
}

/// What the word was when somebody looked: as long as it is the same, nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    identity: (u64, u64),
    generation: u32,
}

impl<'r> Watch<'r> {
    /// Begins to watch a run directory, which need not be there yet.
    #[must_use]
    pub const fn new(run_dir: &'r Path) -> Self {
        Self { run_dir, page: None }
    }

    /// Reads the word; to be called before the changes are read. `None` = there is no page that can
    /// be slept on. Keeps no descriptor.
    pub fn look(&mut self) -> Option<Seen> {
        let found = open_trusted(self.run_dir, &self.run_dir.join(CONTROL)).ok().flatten();
        let Some(file) = found else {
            self.page = None;
            return None;
        };
        if !self.page.as_ref().is_some_and(|page| page.is_of(&file)) {
            self.page = Page::map(&file).ok();
        }
        let (metadata, generation) = (file.metadata().ok()?, page::generation(&file)?);
        self.page
            .is_some()
            .then_some(Seen { identity: (metadata.dev(), metadata.ino()), generation })
    }

    /// Sleeps until the word is another one than it was, at most a time, and without a page until
    /// it is time to look for one.
    pub fn wait(&self, seen: Option<Seen>, at_most: Duration) {
        match (&self.page, seen) {
            (Some(page), Some(seen)) => page.wait(seen.generation, at_most),
            _ => std::thread::sleep(at_most.min(LOOK_FOR_PAGE)),
        }
    }
}

#[cfg(test)]
mod tests;
