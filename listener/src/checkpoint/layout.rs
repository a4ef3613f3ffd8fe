//! Where the checkpoint's words are.
//!
//! | word | what |
//! |---|---|
//! | 0 | magic |
//! | 1 | version |
//! | 2, 3 | number of queue slots, of file slots |
//! | 4 | 0 = no intent, 1 = an intent is open, 2 = it is written |
//! | 5, 6 | extents and advances of the intent |
//! | 7 | lowest bit: a part of the batch goes where nobody can look later; above it: how many intents were opened |
//! | 8 .. | extents: file slot, offset, length |
//! | .. | advances: queue slot, position, records written, tail, 1 = ends |
//! | .. | queue slots: taken, identity (2), position, written, pid and uid, start time, tail, lane, name |
//! | .. | file slots: taken, device, inode, path |

use fleetlog_protocol::limits::NAME_MAX;

use crate::disk::Words;

const MAGIC: u64 = u64::from_le_bytes(*b"fleetlog");
const VERSION: u64 = 1;
const HEADER_WORDS: usize = 8;

pub(super) const INTENT_OPEN: usize = 4;
pub(super) const CLEAR: u64 = 0;
pub(super) const INTENDED: u64 = 1;
pub(super) const WRITTEN: u64 = 2;
pub(super) const INTENT_EXTENTS: usize = 5;
pub(super) const INTENT_ADVANCES: usize = 6;
pub(super) const INTENT_UNSEEN: usize = 7;
/// All words of an intent's head; that which opens it last.
pub(super) const INTENT: [usize; 4] = [INTENT_EXTENTS, INTENT_ADVANCES, INTENT_UNSEEN, INTENT_OPEN];

/// Whether a part of the batch goes where nobody can look later.
pub(super) const fn is_unseen(word: u64) -> bool {
    word & 1 != 0
}

/// How many intents were opened so far. Whoever reads the state from another process tells by it
/// that none was opened between two looks.
pub(super) const fn intents(word: u64) -> u64 {
    word >> 1
}

pub(super) const fn unseen_word(is_unseen: bool, intents: u64) -> u64 {
    intents << 1 | is_unseen as u64
}

pub(super) const EXTENT_WORDS: usize = 3;
pub(super) const ADVANCE_WORDS: usize = 5;
pub(super) const NAME_WORDS: usize = NAME_MAX.div_ceil(8);
pub(super) const QUEUE_WORDS: usize = QUEUE_NAME + 1 + NAME_WORDS;
pub(super) const QUEUE_POSITION: usize = 3;
pub(super) const QUEUE_WRITTEN: usize = 4;
pub(super) const QUEUE_TAIL: usize = 7;
pub(super) const QUEUE_LANE: usize = 8;
pub(super) const QUEUE_NAME: usize = 9;
pub(super) const FILE_WORDS: usize = 128;
/// The longest path of a log file, in bytes.
pub(super) const PATH_MAX: usize = (FILE_WORDS - 4) * 8;

/// More slots than this are never needed, and a file that claims them is damaged.
const SLOTS_MAX: usize = 1 << 20;

/// How many slots there are of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) queues: usize,
    pub(super) files: usize,
}

impl Layout {
    /// 82 KiB: fits beside everything else on the smallest run directories.
    pub(super) const SMALLEST: Self = Self { queues: 256, files: 16 };

    /// The layout of a state, if this version wrote it.
    pub(super) fn read(memory: &dyn Words) -> Option<Self> {
        if memory.len() < HEADER_WORDS || memory.load(0) != MAGIC || memory.load(1) != VERSION {
            return None;
        }
        let slots = |at| usize::try_from(memory.load(at)).ok().filter(|slots| *slots <= SLOTS_MAX);
        let layout = Self { queues: slots(2)?, files: slots(3)? };
        (layout.words() == memory.len()).then_some(layout)
    }

    pub(super) fn write(self, memory: &dyn Words) {
        memory.store(0, MAGIC);
        memory.store(1, VERSION);
        memory.store(2, self.queues as u64);
        memory.store(3, self.files as u64);
    }

    pub(super) const fn extents(self) -> usize {
        HEADER_WORDS
    }

    pub(super) const fn advances(self) -> usize {
        self.extents() + self.files * EXTENT_WORDS
    }

    pub(super) const fn queue(self, slot: usize) -> usize {
        self.advances() + self.queues * ADVANCE_WORDS + slot * QUEUE_WORDS
    }

    pub(super) const fn file(self, slot: usize) -> usize {
        self.queue(self.queues) + slot * FILE_WORDS
    }

    pub(super) const fn words(self) -> usize {
        self.file(self.files)
    }
}
