//! The bounds-checked reader behind every decoder.
//!
//! A [`Cursor`] never panics and never reads past its input; every read that does not fit is an
//! error that says what was being read.

/// Bytes that are not what the protocol says they should be. The sender is at fault.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end inside of a value.
    #[error("the bytes end inside of {0}")]
    Truncated(&'static str),
    /// A length or count is above its limit.
    #[error("{what} is {found}, the limit is {limit}")]
    TooLarge {
        /// What was counted.
        what: &'static str,
        /// The number in the bytes.
        found: u64,
        /// The largest number allowed.
        limit: u64,
    },
    /// A byte that names a kind, type or level names none that is known.
    #[error("{found} is no known {what}")]
    Unknown {
        /// What the byte should name.
        what: &'static str,
        /// The byte.
        found: u8,
    },
    /// A string is not UTF-8.
    #[error("{0} is not UTF-8")]
    NotUtf8(&'static str),
    /// Bytes are left over behind a complete value.
    #[error("{0} bytes stand behind the end of {1}")]
    Trailing(usize, &'static str),
    /// Two parts of a value contradict each other.
    #[error("{0} contradicts itself")]
    Inconsistent(&'static str),
    /// The stream does not begin with the preface of the protocol.
    #[error("the first bytes are not those of a fleetlog stream")]
    NotFleetlog,
    /// The sender speaks another version of the protocol.
    #[error("protocol version {found}, expected {expected}")]
    Version {
        /// The sender's version.
        found: u16,
        /// Our version.
        expected: u16,
    },
}

crate::debug_as_display!(DecodeError);

/// A position in bytes that are being decoded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

macro_rules! integers {
    ($($name:ident: $type:ty),*) => {
        $(pub(crate) fn $name(&mut self, what: &'static str) -> Result<$type, DecodeError> {
            let (bytes, rest) =
                self.rest.split_first_chunk().ok_or(DecodeError::Truncated(what))?;
            self.rest = rest;
            Ok(<$type>::from_le_bytes(*bytes))
        })*
    };
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    integers!(u8: u8, u16: u16, u32: u32, u64: u64, i64: i64, u128: u128, i128: i128);

    pub(crate) fn bytes(
        &mut self,
        length: usize,
        what: &'static str,
    ) -> Result<&'a [u8], DecodeError> {
        let (bytes, rest) =
            self.rest.split_at_checked(length).ok_or(DecodeError::Truncated(what))?;
        self.rest = rest;
        Ok(bytes)
    }

    pub(crate) fn text(
        &mut self,
        length: usize,
        what: &'static str,
    ) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.bytes(length, what)?).map_err(|_| DecodeError::NotUtf8(what))
    }

    /// A string behind a length of one byte.
    pub(crate) fn short_text(&mut self, what: &'static str) -> Result<&'a str, DecodeError> {
        let length = self.u8(what)?;
        self.text(usize::from(length), what)
    }

    /// A string behind a length of two bytes.
    pub(crate) fn medium_text(&mut self, what: &'static str) -> Result<&'a str, DecodeError> {
        let length = self.u16(what)?;
        self.text(usize::from(length), what)
    }

    /// Bytes behind a length of four bytes. The length is checked against the input, never
    /// used to allocate.
    pub(crate) fn long_bytes(&mut self, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let length = self.u32(what)?;
        self.bytes(usize::try_from(length).unwrap_or(usize::MAX), what)
    }

    pub(crate) fn long_text(&mut self, what: &'static str) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.long_bytes(what)?).map_err(|_| DecodeError::NotUtf8(what))
    }

    pub(crate) const fn end(&self, what: &'static str) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::Trailing(self.rest.len(), what))
        }
    }
}

/// Refuses a count above its limit before anything is done with it.
pub(crate) fn check_count(
    what: &'static str,
    found: usize,
    limit: usize,
) -> Result<(), DecodeError> {
    if found > limit {
        return Err(DecodeError::TooLarge { what, found: found as u64, limit: limit as u64 });
    }
    Ok(())
}
