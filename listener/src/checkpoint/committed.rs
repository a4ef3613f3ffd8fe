//! How far a file is committed, seen from another process.
//!
//! A listener that is killed in the middle of a batch leaves a part of it in its files, which the
//! next listener cuts back and writes anew, perhaps in another order. Whoever follows a file
//! must not read that part. This is the reader's side of the intent; it stores nothing, locks
//! nothing, and the listener does nothing for it.
//!
//! # Why a length that is told here is never taken back
//! At any moment the committed bytes of a file are those before the offset of the open intent, if
//! there is one that names the file and is not noted as written; else all bytes of the file.
//! Committed bytes stay: recovery cuts a file back to the offset of an open intent, and no
//! further. So the question is only what was true at one moment, while three things are read one
//! after the other: the state (A), the length of the file (S), the state again (B).
//!
//! - B has an open intent for the file: what stands before its offset was committed at B, whatever
//!   S is. The answer is the smaller one of both.
//! - Neither A nor B has an open intent for the file, and both have seen equally many intents
//!   opened: then no intent was opened between them, so that nothing was written to the file and
//!   nothing cut between them, or else the one batch that was under way is on other files. S was
//!   the length of the file at B, and all of it is committed.
//! - Otherwise batches go by faster than they can be looked at, or a listener has recovered: B
//!   becomes A, and it is tried again, a bounded number of times.
//!
//! S alone behind the state, or before it, would not do. Before: the bytes may be of a batch that
//! was cut back before the state was read. Behind: they may be of the next batch.
//!
//! The list of an intent is changed only while none is open, and the count goes up before the
//! next one opens. So a list that was read between two equal looks at count and word is whole. The
//! words are read from the page cache, which is the memory that the listener has mapped; fences
//! keep the reads in their order, as release stores do on its side. A state that grows is
//! another file under the same name: each look opens the name anew, and what it then reads was
//! the state at some moment since.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{Ordering, fence};

use nix::errno::Errno;
use nix::libc;

use super::STATE;
use super::layout::{self, Layout};
use crate::disk::{Identity, Words};

/// How often it is tried to see a file between two batches.
const LOOKS: usize = 32;

/// No log has more files in one batch, and a state that claims so is damaged.
const EXTENTS_MAX: usize = 4096;

/// The lengths of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Length {
    /// Bytes that are there for good.
    pub(crate) committed: u64,
    /// Bytes that are there.
    pub(crate) written: u64,
}

/// Tells how far files are committed by the listener of a run directory.
#[derive(Clone, Debug)]
pub(crate) struct Committed {
    state: Option<PathBuf>,
}

/// A look at the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    intents: u64,
    /// Where in the file the batch begins that is under way.
    begin: Option<u64>,
}

impl Committed {
    /// For the files of a run directory's listener. Without one every byte counts as committed.
    pub(crate) fn of(run_dir: Option<&Path>) -> Self {
        Self { state: run_dir.map(|run_dir| run_dir.join(STATE)) }
    }

    /// How long a file is; `None` = batches went by too fast to tell.
    pub(crate) fn length(&self, file: &File) -> io::Result<Option<Length>> {
        let found = file.metadata()?;
        let identity = (found.dev(), found.ino());
        let mut before = self.look(identity);
        for _ in 0..LOOKS {
            let written = file.metadata()?.len();
            let after = self.look(identity);
            let committed = match (before, after) {
                // There is no state that could be read: nobody says more than the file.
                (Err(Unread::Absent), Err(Unread::Absent)) => Some(written),
                (_, Ok(Look { begin: Some(begin), .. })) => Some(begin.min(written)),
                (Ok(before), Ok(after)) if before == after => Some(written),
                _ => None,
            };
            if let Some(committed) = committed {
                return Ok(Some(Length { committed, written }));
            }
            before = after;
        }
        Ok(None)
    }

    fn look(&self, identity: Identity) -> Result<Look, Unread> {
        let path = self.state.as_ref().ok_or(Unread::Absent)?;
        // The folder may be anybody's: what stands there must neither hang nor flood whoever looks.
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
        let state = OpenOptions::new().read(true).custom_flags(flags).open(path);
        let state = State(state.map_err(|error| {
            let is_short = matches!(
                error.raw_os_error().map(Errno::from_raw),
                Some(Errno::EMFILE | Errno::ENFILE)
            );
            // A lack of descriptors says nothing about the state.
            if is_short { Unread::Changing } else { Unread::Absent }
        })?);
        let layout = state.layout().ok_or(Unread::Absent)?;
        let head = state.head().ok_or(Unread::Absent)?;
        if head.word != layout::INTENDED {
            return Ok(Look { intents: head.intents, begin: None });
        }
        let begin = state.begin(layout, head, identity);
        match state.head() {
            Some(again) if again == head => Ok(Look { intents: head.intents, begin }),
            _ => Err(Unread::Changing),
        }
    }
}

/// Why a look told nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unread {
    /// There is no state, none of this version, or none that this user may read.
    Absent,
    /// It was changed meanwhile.
    Changing,
}

/// The head of an intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    word: u64,
    extents: u64,
    intents: u64,
}

struct State(File);

impl State {
    /// The words from `at` on; `None` = the file does not hold them.
    fn words<const N: usize>(&self, at: usize) -> Option<[u64; N]> {
        let mut words = [0; N];
        for (word, value) in words.iter_mut().zip(self.read(at, N)?) {
            *word = value;
        }
        Some(words)
    }

    fn read(&self, at: usize, count: usize) -> Option<Vec<u64>> {
        let mut bytes = vec![0; count * 8];
        self.0.read_exact_at(&mut bytes, at as u64 * 8).ok()?;
        // What is read next must not be older than this.
        fence(Ordering::SeqCst);
        let (words, _) = bytes.as_chunks::<8>();
        Some(words.iter().map(|word| u64::from_ne_bytes(*word)).collect())
    }

    fn layout(&self) -> Option<Layout> {
        let length = self.0.metadata().ok().filter(std::fs::Metadata::is_file)?.len();
        let words = self.words::<4>(0)?;
        Layout::read(&Beginning { words, length: usize::try_from(length / 8).ok()? })
    }

    fn head(&self) -> Option<Head> {
        let [word, extents, _, unseen] = self.words::<4>(layout::INTENT_OPEN)?;
        Some(Head { word, extents, intents: layout::intents(unseen) })
    }

    /// Where in a file the batch begins that is under way.
    fn begin(&self, layout: Layout, head: Head, identity: Identity) -> Option<u64> {
        let count = usize::try_from(head.extents).ok()?.min(layout.files).min(EXTENTS_MAX);
        let extents = self.read(layout.extents(), count * layout::EXTENT_WORDS)?;
        extents.chunks_exact(layout::EXTENT_WORDS).find_map(|extent| {
            let slot = usize::try_from(extent[0]).ok().filter(|slot| *slot < layout.files)?;
            let [_, device, inode] = self.words::<3>(layout.file(slot))?;
            ((device, inode) == identity).then_some(extent[1])
        })
    }
}

/// The first words of a state, for whoever wants to know its layout.
#[derive(Debug)]
struct Beginning {
    words: [u64; 4],
    length: usize,
}

impl Words for Beginning {
    fn len(&self) -> usize {
        self.length
    }

    fn load(&self, at: usize) -> u64 {
        self.words.get(at).copied().unwrap_or(0)
    }

    /// Nothing that reads stores.
    fn store(&self, _: usize, _: u64) {}
}
