//! The checkpoint of a run directory whose listener is gone, read and left as it is.
//!
//! For whoever wants to know whether files and checkpoint agree. It takes a copy of the bytes and
//! mends nothing: that is the next listener's.

use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use fleetlog_protocol::limits::LANES_MAX;
use nix::libc;

use super::layout::{self, Layout};
use super::{STATE, low_half};
use crate::disk::{Identity, Words};

/// No state is larger: the limits of its slots say so.
const BYTES_MAX: u64 = 1 << 30;

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
        let bytes = match bytes_of(&run_dir.join(STATE)) {
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
            if copy.load(layout::INTENT_OPEN) != layout::INTENDED {
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
            let pid = low_half(copy.load(at + 5));
            let lane = shown_lane(low_half(copy.load(at + layout::QUEUE_LANE)));
            let position = copy.load(at + layout::QUEUE_POSITION);
            (copy.load(at) != 0).then_some((pid, lane, position))
        });
        Self { files: files.collect(), positions: positions.collect() }
    }
}

/// The lane that the lines of a queue show: those that came over a connection show none, also
/// where the checkpoint tells one kind of them from another.
const fn shown_lane(lane: u32) -> u32 {
    if lane as usize > LANES_MAX { 0 } else { lane }
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

/// The folder may be anybody's: what stands there must neither hang nor flood whoever looks.
fn bytes_of(path: &Path) -> io::Result<Vec<u8>> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let found = file.metadata()?;
    if !found.is_file() || found.len() > BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no state of a listener"));
    }
    let mut bytes = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}
