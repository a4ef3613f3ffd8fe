//! The checkpoint: what makes a batch exactly-once.
//!
//! For each batch the drain (1) records its intent: for each file where the lines will begin and
//! how many bytes they are, for each queue the position behind the batch; (2) writes the lines and
//! notes that they are written; (3) stores the positions; (4) clears the intent. A listener that
//! starts after a kill finds one of these:
//!
//! ```text
//!   no intent open                 nothing was under way
//!   intent noted as written        store the positions, clear, whatever somebody did to the files
//!   intent open, all bytes there   the write was done: store the positions, clear
//!   intent open, bytes missing     the write was not done: cut every file of the batch back to
//!                                  where it began, clear; the queues send the batch again
//!   intent open, a part of the     the same: better twice in a pipe than never
//!   batch went into a pipe
//! ```
//!
//! A queue is anything with an identity and a position, the last sequence number in the files; a
//! lane has a tail as well, the bytes of it that are in the files. The state lives in one mapped file of the run directory and holds no
//! record; it grows by being replaced as a whole. It covers the death of processes, not the loss
//! of the machine.

mod committed;
mod layout;
mod memory;
mod reading;
mod recovery;

use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};

use fleetlog_protocol::message::{QueueId, bounded_name};

use crate::disk::{Identity, SharedDisk, Words};
use layout::Layout;

pub(crate) use committed::{Committed, Length};
pub(crate) use memory::Memory;
pub(crate) use reading::Said;
pub(crate) use recovery::Recovery;

#[cfg(test)]
mod tests;

const STATE: &str = "state";
const STATE_NEXT: &str = "state.next";
const STATE_DAMAGED: &str = "state.damaged";

/// A queue's place in the checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct QueueSlot(usize);

/// A file's place in the checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FileSlot(usize);

/// What is kept of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QueueState {
    pub(crate) id: QueueId,
    /// The last sequence number in the files.
    pub(crate) position: u64,
    /// Records in the files.
    pub(crate) written: u64,
    pub(crate) pid: u32,
    pub(crate) uid: u32,
    /// When the process started, in the kernel's ticks; 0 = unknown.
    pub(crate) start_time: u64,
    /// Bytes of the lane that are in the files; 0 for a socket's queue.
    pub(crate) tail: u64,
    /// The lane, from 1; 0 = a socket's queue.
    pub(crate) lane: u32,
    pub(crate) name: String,
}

/// Where a batch's bytes go in one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) file: FileSlot,
    pub(crate) offset: u64,
    pub(crate) len: u64,
}

/// What a batch does to one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Advance {
    pub(crate) queue: QueueSlot,
    pub(crate) position: u64,
    pub(crate) written: u64,
    pub(crate) tail: u64,
    /// The queue ends with this batch and is forgotten.
    pub(crate) ends: bool,
}

/// The checkpoint of a run directory. Only the owner of the run directory opens it.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    disk: SharedDisk,
    run_dir: PathBuf,
    memory: Box<dyn Words>,
    layout: Layout,
    /// No queue slot before this one is free.
    first_free: Cell<usize>,
    /// Paths of files that the last listener had open.
    left_open: Vec<PathBuf>,
}

impl Checkpoint {
    /// Opens the checkpoint, mends what a killed listener left, and tells what that was.
    pub(crate) fn open(disk: SharedDisk, run_dir: &Path) -> io::Result<(Self, Recovery)> {
        let path = run_dir.join(STATE);
        let memory = match disk.open_state(&path) {
            Ok(memory) => memory,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok((Self::create(disk, run_dir)?, Recovery::Fresh));
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Self::replace_damaged(disk, run_dir, &path);
            }
            Err(error) => return Err(error),
        };
        let Some(layout) = Layout::read(&*memory) else {
            return Self::replace_damaged(disk, run_dir, &path);
        };
        let mut checkpoint = Self {
            disk,
            run_dir: run_dir.to_owned(),
            memory,
            layout,
            first_free: Cell::new(0),
            left_open: Vec::new(),
        };
        let recovery = checkpoint.recover();
        for file in 0..layout.files {
            if checkpoint.memory.load(layout.file(file)) != 0 {
                let path = checkpoint.path_of(FileSlot(file));
                checkpoint.left_open.push(path);
            }
            checkpoint.memory.store(layout.file(file), 0);
        }
        Ok((checkpoint, recovery))
    }

    /// A state that this version did not write is kept for whoever wants to look at it.
    fn replace_damaged(
        disk: SharedDisk,
        run_dir: &Path,
        path: &Path,
    ) -> io::Result<(Self, Recovery)> {
        disk.rename(path, &run_dir.join(STATE_DAMAGED))?;
        Ok((Self::create(disk, run_dir)?, Recovery::Damaged))
    }

    fn create(disk: SharedDisk, run_dir: &Path) -> io::Result<Self> {
        let layout = Layout::SMALLEST;
        let next = run_dir.join(STATE_NEXT);
        let memory = disk.create_state(&next, layout.words())?;
        layout.write(&*memory);
        disk.rename(&next, &run_dir.join(STATE))?;
        Ok(Self {
            disk,
            run_dir: run_dir.to_owned(),
            memory,
            layout,
            first_free: Cell::new(0),
            left_open: Vec::new(),
        })
    }

    /// The queues that are known.
    pub(crate) fn queues(&self) -> Vec<(QueueSlot, QueueState)> {
        (0..self.layout.queues)
            .filter(|slot| self.memory.load(self.layout.queue(*slot)) != 0)
            .map(|slot| (QueueSlot(slot), self.read_queue(slot)))
            .collect()
    }

    /// Takes a queue in, also while an intent is open: a paused drain still greets workers.
    pub(crate) fn add_queue(&mut self, state: &QueueState) -> io::Result<QueueSlot> {
        let free = (self.first_free.get()..self.layout.queues)
            .find(|slot| self.memory.load(self.layout.queue(*slot)) == 0);
        let slot = match free {
            Some(slot) => slot,
            None => {
                let slot = self.layout.queues;
                self.grow(Layout { queues: slot * 2, ..self.layout })?;
                slot
            }
        };
        self.first_free.set(slot + 1);
        self.write_queue(slot, state);
        Ok(QueueSlot(slot))
    }

    /// The worker has another name.
    pub(crate) fn rename_queue(&self, slot: QueueSlot, name: &str) {
        self.write_name(self.layout.queue(slot.0), name);
    }

    /// Takes a file in that batches will name.
    pub(crate) fn add_file(&mut self, path: &Path, identity: Identity) -> io::Result<FileSlot> {
        let bytes = path_bytes(path)?;
        let free =
            (0..self.layout.files).find(|slot| self.memory.load(self.layout.file(*slot)) == 0);
        let slot = match free {
            Some(slot) => slot,
            None => {
                let slot = self.layout.files;
                self.grow(Layout { files: slot * 2, ..self.layout })?;
                slot
            }
        };
        let at = self.layout.file(slot);
        self.change_file(FileSlot(slot), identity);
        self.store_bytes(at + 3, bytes);
        self.memory.store(at, 1);
        Ok(FileSlot(slot))
    }

    /// The file has another path from now on. Must not be called while an intent is open.
    pub(crate) fn change_path(&self, slot: FileSlot, path: &Path) -> io::Result<()> {
        self.store_bytes(self.layout.file(slot.0) + 3, path_bytes(path)?);
        Ok(())
    }

    /// The files that the last listener had open: what it began to do to them may be half done.
    pub(crate) fn take_left_open(&mut self) -> Vec<PathBuf> {
        std::mem::take(&mut self.left_open)
    }

    /// The path names another file from now on. Must not be called while an intent is open.
    pub(crate) fn change_file(&self, slot: FileSlot, identity: Identity) {
        let at = self.layout.file(slot.0);
        self.memory.store(at + 1, identity.0);
        self.memory.store(at + 2, identity.1);
    }

    /// Forgets a file. Must not be called while an intent is open.
    pub(crate) fn remove_file(&self, slot: FileSlot) {
        self.memory.store(self.layout.file(slot.0), 0);
    }

    /// Step 1: records what the batch is about to do. `unseen` = some of its bytes go where nobody
    /// can look later whether they arrived: a pipe, a terminal, a device.
    pub(crate) fn open_intent(&self, extents: &[Extent], advances: &[Advance], unseen: bool) {
        debug_assert!(extents.len() <= self.layout.files && advances.len() <= self.layout.queues);
        let mut at = self.layout.extents();
        for extent in extents {
            self.memory.store(at, extent.file.0 as u64);
            self.memory.store(at + 1, extent.offset);
            self.memory.store(at + 2, extent.len);
            at += layout::EXTENT_WORDS;
        }
        let mut at = self.layout.advances();
        for advance in advances {
            self.memory.store(at, advance.queue.0 as u64);
            self.memory.store(at + 1, advance.position);
            self.memory.store(at + 2, advance.written);
            self.memory.store(at + 3, advance.tail);
            self.memory.store(at + 4, u64::from(advance.ends));
            at += layout::ADVANCE_WORDS;
        }
        self.memory.store(layout::INTENT_EXTENTS, extents.len() as u64);
        self.memory.store(layout::INTENT_ADVANCES, advances.len() as u64);
        let count = layout::intents(self.memory.load(layout::INTENT_UNSEEN)).wrapping_add(1);
        self.memory.store(layout::INTENT_UNSEEN, layout::unseen_word(unseen, count));
        // Last: an intent that is open is complete.
        self.memory.store(layout::INTENT_OPEN, layout::INTENDED);
    }

    /// Behind step 2: every byte is where it belongs, whatever becomes of the files from now on.
    pub(crate) fn note_written(&self) {
        self.memory.store(layout::INTENT_OPEN, layout::WRITTEN);
    }

    /// Step 3: the bytes are written, the queues have moved.
    pub(crate) fn store_positions(&self, advances: &[Advance]) {
        for advance in advances {
            let at = self.layout.queue(advance.queue.0);
            self.memory.store(at + layout::QUEUE_POSITION, advance.position);
            self.memory.store(at + layout::QUEUE_WRITTEN, advance.written);
            self.memory.store(at + layout::QUEUE_TAIL, advance.tail);
            if advance.ends {
                self.first_free.set(self.first_free.get().min(advance.queue.0));
                self.memory.store(at, 0);
            }
        }
    }

    /// Step 4: the batch is history.
    pub(crate) fn clear_intent(&self) {
        self.memory.store(layout::INTENT_OPEN, layout::CLEAR);
    }

    /// Replaces the state by a larger one. A kill leaves the old one or the new one.
    fn grow(&mut self, layout: Layout) -> io::Result<()> {
        let next = self.run_dir.join(STATE_NEXT);
        let larger = Self {
            disk: SharedDisk::clone(&self.disk),
            run_dir: self.run_dir.clone(),
            memory: self.disk.create_state(&next, layout.words())?,
            layout,
            first_free: self.first_free.clone(),
            left_open: std::mem::take(&mut self.left_open),
        };
        layout.write(&*larger.memory);
        for slot in 0..self.layout.queues {
            if self.memory.load(self.layout.queue(slot)) != 0 {
                larger.write_queue(slot, &self.read_queue(slot));
            }
        }
        for slot in 0..self.layout.files {
            let (from, to) = (self.layout.file(slot), layout.file(slot));
            for word in 0..layout::FILE_WORDS {
                larger.memory.store(to + word, self.memory.load(from + word));
            }
        }
        let extents =
            self.intent_words(self.layout.extents(), layout::INTENT_EXTENTS, layout::EXTENT_WORDS);
        larger.store_words(layout.extents(), &extents);
        let advances = self.intent_words(
            self.layout.advances(),
            layout::INTENT_ADVANCES,
            layout::ADVANCE_WORDS,
        );
        larger.store_words(layout.advances(), &advances);
        for word in layout::INTENT {
            larger.memory.store(word, self.memory.load(word));
        }
        self.disk.rename(&next, &self.run_dir.join(STATE))?;
        *self = larger;
        Ok(())
    }

    /// The words of an intent's list: `count` holds the number of its entries.
    fn intent_words(&self, at: usize, count: usize, words: usize) -> Vec<u64> {
        let entries = usize::try_from(self.memory.load(count)).unwrap_or(0);
        let most =
            if words == layout::EXTENT_WORDS { self.layout.files } else { self.layout.queues };
        (0..entries.min(most) * words).map(|word| self.memory.load(at + word)).collect()
    }

    fn store_words(&self, at: usize, words: &[u64]) {
        for (word, value) in words.iter().enumerate() {
            self.memory.store(at + word, *value);
        }
    }

    fn read_queue(&self, slot: usize) -> QueueState {
        let at = self.layout.queue(slot);
        let word = |offset| self.memory.load(at + offset);
        let owner = word(5);
        QueueState {
            id: QueueId(u128::from(word(1)) | u128::from(word(2)) << 64),
            position: word(layout::QUEUE_POSITION),
            written: word(layout::QUEUE_WRITTEN),
            pid: low_half(owner),
            uid: low_half(owner >> 32),
            start_time: word(6),
            tail: word(layout::QUEUE_TAIL),
            lane: low_half(word(layout::QUEUE_LANE)),
            name: String::from_utf8_lossy(
                &self.load_bytes(at + layout::QUEUE_NAME, layout::NAME_WORDS),
            )
            .into_owned(),
        }
    }

    fn write_queue(&self, slot: usize, state: &QueueState) {
        let at = self.layout.queue(slot);
        self.memory.store(at + 1, low_word(state.id.0));
        self.memory.store(at + 2, low_word(state.id.0 >> 64));
        self.memory.store(at + layout::QUEUE_POSITION, state.position);
        self.memory.store(at + layout::QUEUE_WRITTEN, state.written);
        self.memory.store(at + 5, u64::from(state.pid) | u64::from(state.uid) << 32);
        self.memory.store(at + 6, state.start_time);
        self.memory.store(at + layout::QUEUE_TAIL, state.tail);
        self.memory.store(at + layout::QUEUE_LANE, u64::from(state.lane));
        self.write_name(at, &state.name);
        // Last: a slot that is taken is complete.
        self.memory.store(at, 1);
    }

    fn write_name(&self, queue: usize, name: &str) {
        self.store_bytes(queue + layout::QUEUE_NAME, bounded_name(name).as_bytes());
    }

    /// Bytes behind a word with their length.
    fn store_bytes(&self, at: usize, bytes: &[u8]) {
        for (index, chunk) in bytes.chunks(8).enumerate() {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.memory.store(at + 1 + index, u64::from_le_bytes(word));
        }
        self.memory.store(at, bytes.len() as u64);
    }

    fn load_bytes(&self, at: usize, words: usize) -> Vec<u8> {
        let length = usize::try_from(self.memory.load(at)).unwrap_or(0).min(words * 8);
        let mut bytes: Vec<u8> =
            (0..words).flat_map(|word| self.memory.load(at + 1 + word).to_le_bytes()).collect();
        bytes.truncate(length);
        bytes
    }
}

fn path_bytes(path: &Path) -> io::Result<&[u8]> {
    let bytes = path.as_os_str().as_encoded_bytes();
    if bytes.len() > layout::PATH_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidFilename,
            format!("the path has {} bytes, the limit is {}", bytes.len(), layout::PATH_MAX),
        ));
    }
    Ok(bytes)
}

const fn low_word(value: u128) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = value.to_le_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

const fn low_half(value: u64) -> u32 {
    let [a, b, c, d, ..] = value.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}
