//! Read buffers: bytes of a connection that were received and not yet used.
//!
//! Bytes are received into one block that all connections share and copied out in the length
//! that they have, so that a connection costs the memory of its unused bytes and an idle one
//! nothing.

/// What one receive may bring at once: about the whole of a kernel socket buffer.
const CHUNK: usize = 256 << 10;

/// Buffers that are kept for the next connection that has something to say, and how large one
/// may be to be kept.
const SPARE_MAX: usize = 16;
const SPARE_CAPACITY_MAX: usize = 1 << 20;

/// Received bytes, used from the front.
#[derive(Debug, Default)]
pub(crate) struct ReadBuffer {
    memory: Vec<u8>,
    start: usize,
}

impl ReadBuffer {
    /// The bytes that were not used yet.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.memory[self.start..]
    }

    pub(crate) const fn len(&self) -> usize {
        self.memory.len() - self.start
    }

    pub(crate) fn consume(&mut self, len: usize) {
        self.start = (self.start + len).min(self.memory.len());
    }

    fn append(&mut self, bytes: &[u8], shared: &mut Shared) {
        self.memory_for(bytes.len(), shared).extend_from_slice(bytes);
    }

    /// The memory to append `len` bytes to. What was used makes room first.
    pub(super) fn memory_for(&mut self, len: usize, shared: &mut Shared) -> &mut Vec<u8> {
        if self.memory.capacity() == 0 {
            self.memory = shared.spare.pop().unwrap_or_default();
        }
        if self.start > 0 && self.memory.len() + len > self.memory.capacity() {
            self.memory.drain(..self.start);
            self.start = 0;
        }
        &mut self.memory
    }

    /// Gives the memory back if all bytes are used, and what is more than the rest needs.
    pub(crate) fn settle(&mut self, shared: &mut Shared) {
        if self.len() > 0 {
            self.memory.drain(..self.start);
            self.start = 0;
            self.memory.shrink_to(2 * self.memory.len());
            return;
        }
        let mut memory = std::mem::take(self).memory;
        memory.clear();
        let is_useful = (1..=SPARE_CAPACITY_MAX).contains(&memory.capacity());
        if is_useful && shared.spare.len() < SPARE_MAX {
            shared.spare.push(memory);
        }
    }
}

/// What all connections share: the block that is received into, and memory between two uses.
#[derive(Debug)]
pub(crate) struct Shared {
    block: Vec<u8>,
    spare: Vec<Vec<u8>>,
}

impl Shared {
    pub(crate) fn new() -> Self {
        Self { block: vec![0; CHUNK], spare: Vec::new() }
    }

    /// Lets `receive` fill the block and appends what it brought. Returns what it returned, and
    /// whether the block was filled.
    pub(crate) fn fill<E>(
        &mut self,
        buffer: &mut ReadBuffer,
        receive: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<(usize, bool), E> {
        let mut block = std::mem::take(&mut self.block);
        let received = receive(&mut block);
        if let Ok(len) = &received {
            buffer.append(&block[..*len], self);
        }
        let full = block.len();
        self.block = block;
        received.map(|len| (len, len == full))
    }
}
