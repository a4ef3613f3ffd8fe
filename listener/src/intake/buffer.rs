//! Read buffers: bytes of a connection that were received and not yet used.
//!
//! A connection has a buffer only while it has bytes; an idle one costs nothing.

/// What one receive may bring at once: about the whole of a kernel socket buffer.
const CHUNK: usize = 256 << 10;

/// Buffers that are kept for the next connection that has something to say.
const SPARE_MAX: usize = 16;

/// Bytes between a start and an end in memory that is initialised throughout.
#[derive(Debug, Default)]
pub(crate) struct ReadBuffer {
    memory: Vec<u8>,
    start: usize,
    end: usize,
}

impl ReadBuffer {
    /// The bytes that were not used yet.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.memory[self.start..self.end]
    }

    pub(crate) const fn len(&self) -> usize {
        self.end - self.start
    }

    pub(crate) fn consume(&mut self, len: usize) {
        self.start = (self.start + len).min(self.end);
    }

    /// Room for more bytes, at least a quarter of a chunk.
    pub(crate) fn room(&mut self, spare: &mut Spare) -> &mut [u8] {
        if self.memory.is_empty() {
            self.memory = spare.take();
        }
        if self.memory.len() - self.end < CHUNK / 4 {
            self.memory.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            if self.memory.len() - self.end < CHUNK / 4 {
                self.memory.resize(self.memory.len() + CHUNK, 0);
            }
        }
        &mut self.memory[self.end..]
    }

    pub(crate) const fn received(&mut self, len: usize) {
        self.end += len;
    }

    /// Gives the memory back if all bytes are used, and what is more than the rest needs.
    pub(crate) fn settle(&mut self, spare: &mut Spare) {
        if self.len() == 0 {
            spare.give(std::mem::take(self).memory);
        } else if self.memory.len() > 2 * CHUNK && self.len() < CHUNK / 4 {
            self.memory = self.bytes().to_vec();
            (self.start, self.end) = (0, self.memory.len());
        }
    }
}

/// Memory between two uses.
#[derive(Debug, Default)]
pub(crate) struct Spare(Vec<Vec<u8>>);

impl Spare {
    fn take(&mut self) -> Vec<u8> {
        self.0.pop().unwrap_or_else(|| vec![0; CHUNK])
    }

    fn give(&mut self, memory: Vec<u8>) {
        if memory.len() == CHUNK && self.0.len() < SPARE_MAX {
            self.0.push(memory);
        }
    }
}
