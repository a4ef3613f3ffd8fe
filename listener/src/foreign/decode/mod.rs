//! Decoders: the bytes of one foreign message become an [`Entry`](super::entry::Entry).
//!
//! A decoder sees one whole message, reads no clock and no file, never panics, never recurses
//! without a bound, and needs memory in proportion to the message. What it does not understand it
//! keeps as text or as a field: only a message that can't be anybody's record is refused.

pub(crate) mod journal;
pub(crate) mod json;
mod owned;
pub(crate) mod pickle;
pub(crate) mod syslog;
pub(crate) mod text;
mod time;
