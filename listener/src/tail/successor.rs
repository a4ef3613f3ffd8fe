//! Which file comes behind the one that was read to its end, and whether any was removed between.
//!
//! Keys of archives grow, and the oldest archives are removed first. So nothing was passed over if
//! the file that was read is still among the archives, or if the one that was known to come next
//! is there. A file is known again by its inode while it is not packed, and by its whole text
//! when it is; what merely comes next in the order of names may be the one behind a file that was
//! removed.

use std::io;
use std::os::unix::fs::MetadataExt as _;

use super::text::Text;
use crate::archive::{ArchiveKey, Snapshot};
use crate::disk::Identity;

/// A file of a log, as it may be known later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Archive(ArchiveKey),
    Current(Identity),
}

/// What is known of the file that was read.
pub(super) struct Own<'t> {
    pub(super) text: &'t Text,
    /// Its key, if it was an archive when it was opened.
    pub(super) key: Option<ArchiveKey>,
    /// The newest archive that is older.
    pub(super) after: Option<ArchiveKey>,
    /// The file that came next when it was opened.
    pub(super) next: Option<Known>,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Successor {
    /// The number of the chapter.
    pub(super) number: usize,
    /// The archive that is behind the reader then.
    pub(super) behind: Option<ArchiveKey>,
    /// Files may have been removed that nobody has read.
    pub(super) is_behind_gap: bool,
}

impl Own<'_> {
    /// Looks for what comes next; `None` = nothing yet, the file may still grow. The log's path has
    /// been seen to name another file, or none.
    pub(super) fn successor(&self, snapshot: &Snapshot) -> io::Result<Option<Successor>> {
        let identity = self.text.identity();
        let found = self.find(snapshot, identity);
        let behind = found.or(self.key).or(self.after);
        let comes_next = |of: Option<ArchiveKey>| of.is_none() || of > behind;
        let number = snapshot.chapters.iter().position(|chapter| comes_next(chapter.key));
        let Some(number) = number else { return Ok(None) };
        let next = &snapshot.chapters[number];
        let next_identity = next.plain_identity();
        if next.is_current() && next_identity == identity {
            return Ok(None);
        }
        let is_there = |key| snapshot.chapters.iter().any(|other| other.key == Some(key));
        let is_as_known = match self.next {
            Some(Known::Archive(key)) => is_there(key),
            Some(Known::Current(known)) => next_identity == Some(known),
            None => false,
        };
        let is_moved = match self.text.plain() {
            Some(file) => found.is_none() && file.metadata()?.nlink() > 0,
            None => false,
        };
        // Whoever moved it away may come before the listener, which appends to it until it opens
        // the new one: that has happened when there is something in there.
        if is_moved && next.is_current() && next.bytes() == 0 {
            return Ok(None);
        }
        let is_behind_gap = found.is_none() && !is_as_known && !is_moved;
        Ok(Some(Successor { number, behind, is_behind_gap }))
    }

    /// The key that the file has now; `None` = it is no archive, or none any more.
    fn find(&self, snapshot: &Snapshot, identity: Option<Identity>) -> Option<ArchiveKey> {
        let mut archives = snapshot.chapters.iter().rev().filter(|chapter| !chapter.is_current());
        if identity.is_some()
            && let Some(own) = archives.find(|chapter| chapter.plain_identity() == identity)
        {
            return own.key;
        }
        let is_there = |key: &ArchiveKey| snapshot.chapters.iter().any(|one| one.key == Some(*key));
        if let Some(key) = self.key.filter(is_there) {
            return Some(key);
        }
        // An archive may have got another key than the one it had for the moment of a rotation
        // that was taken back.
        let mut newer = snapshot.chapters.iter().filter(|chapter| chapter.key > self.after);
        let first = newer.next()?;
        // A packed copy that can't be read is not the one that was read, as far as one can tell.
        let opened = first.open().ok().flatten()?;
        first.key.filter(|_| self.text.is_text_of(opened).unwrap_or(false))
    }
}
