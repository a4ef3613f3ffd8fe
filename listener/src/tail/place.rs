//! Where a follower is in a log: which file, how far, and how both are known again later.
//!
//! A file has no lasting name. It is rotated (another name), compressed (another inode), removed.
//! What stays is its text, so a position holds a sum over the beginning of the text and one over
//! the line before the place. Its inode is a hint that settles the question where the sums can't:
//! at the beginning of a file.

use fleetlog_protocol::limits::BATCH_MAX;
use serde::{Deserialize, Serialize};

use crate::archive::ArchiveKey;
use crate::disk::Identity;

/// How many bytes a sum covers at most.
pub(super) const SUMMED: usize = 1024;

const _: () = assert!(SUMMED < BATCH_MAX, "a sum must not cost more than what it is taken of");

/// A place in a log, behind the last line that was given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Position {
    /// The newest archive that is older than the file; `None` = there was none.
    pub(super) after: Option<Key>,
    /// Device and inode of the file; `None` = there was no file yet.
    pub(super) identity: Option<Identity>,
    /// Bytes of its text, unpacked, that were given.
    pub(super) offset: u64,
    /// Over the beginning of the text, as far as it was given.
    pub(super) head: Sum,
    /// Over the end of the line before the place; none = nothing was given of this file.
    pub(super) last: Sum,
}

/// An archive's key as it is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Key {
    second: i64,
    number: u32,
}

impl From<ArchiveKey> for Key {
    fn from(ArchiveKey { second, number }: ArchiveKey) -> Self {
        Self { second, number }
    }
}

impl From<Key> for ArchiveKey {
    fn from(Key { second, number }: Key) -> Self {
        Self { second, number }
    }
}

/// A sum over some bytes: enough to know them again, not enough to tell them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sum {
    pub(super) length: usize,
    sum: u64,
}

impl Sum {
    /// FNV-1a: the same in every version. Nobody gains anything by a collision, for whoever writes
    /// the log can write whatever they want into it.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let step = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        Self { length: bytes.len(), sum: bytes.iter().fold(0xcbf2_9ce4_8422_2325, step) }
    }

    /// Whether it was taken over as many bytes as a sum may cover, so that reading them again is
    /// bounded whoever wrote it down.
    pub(super) const fn is_bounded(self) -> bool {
        self.length <= SUMMED
    }
}

impl Position {
    /// Whether it can be one that was written down by [`Tail`](super::Tail).
    pub(crate) fn is_sound(&self) -> bool {
        let fits = |sum: Sum| sum.is_bounded() && sum.length as u64 <= self.offset;
        fits(self.head) && fits(self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_comes_back_from_json_and_an_unsound_one_is_told() {
        let key = ArchiveKey { second: 1_795_341_600, number: 3 };
        let position = Position {
            after: Some(key.into()),
            identity: Some((1, 2)),
            offset: 4,
            head: Sum::of(b"abc\n"),
            last: Sum::of(b"abc\n"),
        };
        let text = serde_json::to_string(&position).unwrap();
        let back: Position = serde_json::from_str(&text).unwrap();
        assert!(back == position && back.is_sound());
        assert_eq!(ArchiveKey::from(back.after.unwrap()), key);
        assert!(!Position { offset: 3, ..position.clone() }.is_sound());
        let long = Sum { length: SUMMED + 1, sum: 0 };
        assert!(!Position { offset: 1 << 20, last: long, ..position }.is_sound());
    }

    #[test]
    fn sums_differ_where_bytes_do() {
        assert_eq!(Sum::of(b"one"), Sum::of(b"one"));
        assert_ne!(Sum::of(b"one"), Sum::of(b"two"));
        assert_ne!(Sum::of(b""), Sum::of(b"\0"));
    }
}
