//! Frames: how messages stand in the byte stream of a connection.
//!
//! A worker's stream begins with an eight-byte [`PREFACE`]; then, in both directions, frame
//! follows frame: a length (u32, little-endian, of what follows it), a kind (one byte), and the
//! body. The preface's first byte is no ASCII and no sane length, so that a listener can tell a
//! fleetlog stream from every foreign one by its first bytes.

use crate::decode::DecodeError;
use crate::limits::FRAME_MAX;

/// The first bytes of every fleetlog stream. The line end in it reveals a peer that translates
/// line ends.
pub const PREFACE: [u8; 8] = *b"\x89flog\r\n\x1a";

/// The bytes before a frame's body: its length and its kind.
pub const HEADER_LEN: usize = 5;

/// What a frame's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Worker: who it is ([`crate::message::Hello`]).
    Hello = 1,
    /// Worker: a record ([`crate::record`]). Sequenced.
    Record = 2,
    /// Worker: a callsite's number (u32) and definition ([`crate::callsite`]).
    Callsite = 3,
    /// Worker: its new name ([`crate::message::Name`]), from this place of the stream on.
    Name = 4,
    /// Worker: records that it dropped ([`crate::message::Gap`]). Sequenced.
    Gap = 5,
    /// Worker: it leaves on purpose ([`crate::message::Goodbye`]).
    Goodbye = 6,
    /// Worker: the segment of its lanes ([`crate::message::Attach`]), in place of a hello.
    Attach = 7,
    /// Worker: its lanes have news; without a body.
    Ring = 8,
    /// Listener: the answer to a hello ([`crate::message::Welcome`]).
    Welcome = 16,
    /// Listener: what is in the files ([`crate::message::Ack`]).
    Ack = 17,
    /// Listener: why it closes the connection (UTF-8 text).
    Refused = 18,
    /// A command's request ([`crate::message::Request`]).
    Request = 32,
    /// The answer to a request ([`crate::message::Reply`]).
    Reply = 33,
}

impl Kind {
    /// The kind of a wire byte.
    #[must_use]
    #[inline]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Hello,
            2 => Self::Record,
            3 => Self::Callsite,
            4 => Self::Name,
            5 => Self::Gap,
            6 => Self::Goodbye,
            7 => Self::Attach,
            8 => Self::Ring,
            16 => Self::Welcome,
            17 => Self::Ack,
            18 => Self::Refused,
            32 => Self::Request,
            33 => Self::Reply,
            _ => return None,
        })
    }

    /// Whether the body begins with a sequence number and a stamp, is kept by its worker until
    /// it is acknowledged, and has its place in the order.
    #[must_use]
    pub const fn is_sequenced(self) -> bool {
        matches!(self, Self::Record | Self::Gap)
    }
}

/// A frame at the front of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What the body is.
    pub kind: Kind,
    /// The body.
    pub body: &'a [u8],
    /// The frame's bytes in all.
    pub len: usize,
}

/// Takes the frame at the front of `bytes`; `None` while it is incomplete.
///
/// ```
/// use fleetlog_protocol::frame::{self, Kind};
/// let mut bytes = Vec::new();
/// frame::put(Kind::Refused, b"why", &mut bytes);
/// assert_eq!(frame::take(&bytes[..4]).unwrap(), None);
/// assert_eq!(frame::take(&bytes).unwrap().unwrap().body, b"why");
/// ```
///
/// # Errors
/// [`DecodeError::TooLarge`] for a length above [`FRAME_MAX`], known as soon as the length is,
/// and [`DecodeError::Unknown`] for an unknown kind.
#[inline]
pub fn take(bytes: &[u8]) -> Result<Option<Frame<'_>>, DecodeError> {
    let Some((length, rest)) = bytes.split_first_chunk() else { return Ok(None) };
    let length = u32::from_le_bytes(*length) as usize;
    if length == 0 {
        return Err(DecodeError::Truncated("a frame without a kind"));
    }
    if length > FRAME_MAX {
        return Err(DecodeError::TooLarge {
            what: "a frame's length",
            found: length as u64,
            limit: FRAME_MAX as u64,
        });
    }
    let Some(kind) = rest.first() else { return Ok(None) };
    let kind =
        Kind::from_byte(*kind).ok_or(DecodeError::Unknown { what: "frame kind", found: *kind })?;
    Ok(rest.get(1..length).map(|body| Frame { kind, body, len: 4 + length }))
}

/// Appends a frame. A body longer than a frame may be is a programming error; it is cut, so
/// that the stream stays readable.
pub fn put(kind: Kind, body: &[u8], out: &mut Vec<u8>) {
    let body = &body[..body.len().min(FRAME_MAX - 1)];
    out.extend_from_slice(&header(kind, body.len()));
    out.extend_from_slice(body);
}

/// The bytes before the body of a frame.
#[must_use]
#[inline]
pub fn header(kind: Kind, body_len: usize) -> [u8; HEADER_LEN] {
    let [a, b, c, d] = u32::try_from(body_len + 1).unwrap_or(1).to_le_bytes();
    [a, b, c, d, kind as u8]
}
