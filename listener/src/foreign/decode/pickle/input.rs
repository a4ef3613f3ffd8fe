//! The pickle's bytes, from the front to the back.
//!
//! Whatever is read is a part of the pickle: a length beyond its end yields `None` and allocates
//! nothing.

/// The bytes that are not read yet.
pub(super) struct Input<'a> {
    body: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self { body, at: 0 }
    }

    /// How many bytes were read.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// How many bytes are left.
    pub(super) fn left(&self) -> usize {
        self.body.len() - self.at
    }

    /// The next bytes.
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.body[self.at..].get(..count)?;
        self.at += count;
        Some(taken)
    }

    /// The next line, without its newline.
    pub(super) fn line(&mut self) -> Option<&'a [u8]> {
        let rest = &self.body[self.at..];
        let end = rest.iter().position(|&byte| byte == b'\n')?;
        self.at += end + 1;
        Some(&rest[..end])
    }

    /// The next bytes as an array.
    pub(super) fn array<const COUNT: usize>(&mut self) -> Option<[u8; COUNT]> {
        self.take(COUNT)?.try_into().ok()
    }

    /// The next byte.
    pub(super) fn byte(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    /// Bytes behind a length of one byte.
    pub(super) fn counted_by_1(&mut self) -> Option<&'a [u8]> {
        let count = self.byte()?;
        self.take(count.into())
    }

    /// Bytes behind a length of four bytes.
    pub(super) fn counted_by_4(&mut self) -> Option<&'a [u8]> {
        let count = u32::from_le_bytes(self.array()?);
        self.take(usize::try_from(count).ok()?)
    }

    /// Bytes behind a length of eight bytes.
    pub(super) fn counted_by_8(&mut self) -> Option<&'a [u8]> {
        let count = u64::from_le_bytes(self.array()?);
        self.take(usize::try_from(count).ok()?)
    }
}
