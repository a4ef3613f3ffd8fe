//! The checkpoint of a run directory whose listener is gone, read and left as it is.
//!
//! For whoever wants to know whether files and checkpoint agree. It takes a copy of the bytes and
//! mends nothing: that is the next listener's.

use std::io;
use std::path::Path;

use super::layout::{self, Layout};
use super::{STATE, low_half};
use crate::disk::{Identity, Words};

/// What a checkpoint says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// The files that its listener wrote to, and where in them an unfinished batch begins.
    pub(crate) files: Vec<(Identity, Option<u64>)>,
    /// The last number of each queue that is in the files: pid, lane, number.
    pub(crate) positions: Vec<(u32, u32, u64)>,
}

impl Said {
    /// Reads the checkpoint; `None` = there is none, or none of this version.
    pub(crate) fn read(run_dir: &Path) -> io::Result<Option<Self>> {
        let bytes = match std::fs::read(run_dir.join(STATE)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let (words, _) = bytes.as_chunks::<8>();
        let copy = Copy(words.iter().map(|word| u64::from_ne_bytes(*word)).collect());
        Ok(Layout::read(&copy).map(|layout| Self::of(&copy, layout)))
    }

    fn of(copy: &Copy, layout: Layout) -> Self {
        let begins = |slot: usize| {
            if copy.load(layout::INTENT_OPEN) == 0 {
                return None;
            }
            let count = usize::try_from(copy.load(layout::INTENT_EXTENTS)).unwrap_or(0);
            let extents = (0..count.min(layout.files))
                .map(|index| layout.extents() + index * layout::EXTENT_WORDS);
            let mut own = extents.filter(|at| copy.load(*at) == slot as u64);
            own.next().map(|at| copy.load(at + 1))
        };
        let files = (0..layout.files).filter_map(|slot| {
            let at = layout.file(slot);
            let identity = (copy.load(at + 1), copy.load(at + 2));
            (copy.load(at) != 0).then(|| (identity, begins(slot)))
        });
        let positions = (0..layout.queues).filter_map(|slot| {
            let at = layout.queue(slot);
            let (pid, lane) = (low_half(copy.load(at + 5)), copy.load(at + layout::QUEUE_LANE));
            let position = copy.load(at + layout::QUEUE_POSITION);
            (copy.load(at) != 0).then(|| (pid, low_half(lane), position))
        });
        Self { files: files.collect(), positions: positions.collect() }
    }
}

/// The words as they were.
#[derive(Debug)]
struct Copy(Vec<u64>);

impl Words for Copy {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn load(&self, at: usize) -> u64 {
        self.0.get(at).copied().unwrap_or(0)
    }

    /// Nothing that reads stores.
    fn store(&self, _: usize, _: u64) {}
}
