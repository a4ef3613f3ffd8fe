//! Framing: where a message on a stream ends.
//!
//! A message that is longer than a record may be is kept as far as a record may go and counted
//! beyond that, so that a connection holds no more than that of it. A pickle alone is kept whole,
//! because half of one says nothing.

use std::borrow::Cow;

use fleetlog_protocol::limits::RECORD_MAX;
use memchr::memchr;

use super::decode::syslog;

/// The longest pickle, in bytes: the first byte of a longer one's length is not 0, by which its
/// protocol is told.
pub(super) const PICKLE_MAX: usize = (1 << 24) - 1;

/// The longest message that says its length, in bytes, of which a record's length is kept.
const COUNTED_MAX: usize = 64 << 20;

/// A length that nobody's record has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadLength {
    #[error("a pickle of {0} bytes; at most {PICKLE_MAX} are read")]
    Pickle(u64),
    #[error("a pickle without a byte")]
    Empty,
    #[error("a syslog message of {0} bytes; at most {COUNTED_MAX} are read")]
    Message(usize),
    #[error("no length of a syslog message where one belongs")]
    Missing,
}

/// How messages follow each other on a stream.
#[derive(Debug)]
pub(super) enum Framing {
    /// A message ends with a byte.
    Lines(Lines),
    /// A message has its length in digits before it.
    Counted(Cut),
    /// A message has its length in four bytes before it, the highest first.
    Pickles,
}

/// What stands at the front of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step<'b> {
    /// A message, and the bytes up to the next one.
    Message { message: Cow<'b, [u8]>, missing: usize, used: usize },
    /// Bytes of a message that is too long to be kept whole.
    Passed(usize),
    /// The message has not come to its end.
    Incomplete,
}

/// The kept beginning of a message that is too long.
#[derive(Debug, Default)]
pub(super) struct Cut {
    kept: Vec<u8>,
    /// Bytes that were seen and not kept.
    missing: usize,
    /// Bytes of a counted message that are still to come.
    left: usize,
}

impl Framing {
    /// Looks for the message at the front. `ended` tells that no bytes will follow.
    pub(super) fn next<'b>(&mut self, bytes: &'b [u8], ended: bool) -> Result<Step<'b>, BadLength> {
        match self {
            Self::Lines(lines) => Ok(lines.next(bytes, ended)),
            Self::Counted(cut) => cut.next_counted(bytes),
            Self::Pickles => next_pickle(bytes),
        }
    }

    /// Whether a message has begun that does not end with the stream.
    pub(super) const fn is_torn(&self) -> bool {
        matches!(self, Self::Counted(cut) if cut.left > 0)
    }

    /// Bytes that are held beside those that were not used.
    pub(super) fn held(&self) -> usize {
        match self {
            Self::Lines(Lines { cut: Some(cut), .. }) | Self::Counted(cut) => cut.kept.capacity(),
            Self::Lines(_) | Self::Pickles => 0,
        }
    }
}

/// Messages that end with a byte.
#[derive(Debug)]
pub(super) struct Lines {
    trailer: Trailer,
    /// Bytes at the front in which there is no trailer.
    searched: usize,
    cut: Option<Cut>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trailer {
    Newline,
    /// A newline as far as is known: a NUL in what came first, or in a line, shows that messages
    /// end with that, as Python's and some C libraries' do, and may hold newlines.
    PerhapsNul {
        is_first: bool,
    },
    Nul,
}

impl Lines {
    pub(super) const fn of_text() -> Self {
        Self { trailer: Trailer::Newline, searched: 0, cut: None }
    }

    pub(super) const fn of_syslog() -> Self {
        Self { trailer: Trailer::PerhapsNul { is_first: true }, searched: 0, cut: None }
    }

    fn next<'b>(&mut self, bytes: &'b [u8], ended: bool) -> Step<'b> {
        if self.trailer == (Trailer::PerhapsNul { is_first: true }) && memchr(0, bytes).is_some() {
            self.trailer = Trailer::Nul;
            self.searched = 0;
        }
        let trailer = if self.trailer == Trailer::Nul { 0 } else { b'\n' };
        let unseen = bytes.get(self.searched..).unwrap_or(&[]);
        if let Some(at) = memchr(trailer, unseen) {
            let end = self.searched + at;
            self.searched = 0;
            if matches!(self.trailer, Trailer::PerhapsNul { .. }) {
                if memchr(0, &bytes[..end]).is_some() {
                    self.trailer = Trailer::Nul;
                    return self.next(bytes, ended);
                }
                self.trailer = Trailer::PerhapsNul { is_first: false };
            }
            return self.message(&bytes[..end], end + 1);
        }
        if ended {
            if bytes.is_empty() && self.cut.is_none() {
                return Step::Incomplete;
            }
            self.searched = 0;
            return self.message(bytes, bytes.len());
        }
        if bytes.len() < RECORD_MAX {
            self.searched = bytes.len();
            return Step::Incomplete;
        }
        self.searched = 0;
        match &mut self.cut {
            Some(cut) => cut.missing += bytes.len(),
            cut => {
                let kept = bytes[..RECORD_MAX].to_vec();
                let missing = bytes.len() - RECORD_MAX;
                *cut = Some(Cut { kept, missing, left: 0 });
            }
        }
        Step::Passed(bytes.len())
    }

    fn message<'b>(&mut self, rest: &'b [u8], used: usize) -> Step<'b> {
        match self.cut.take() {
            Some(cut) => Step::Message {
                message: Cow::Owned(cut.kept),
                missing: cut.missing + rest.len(),
                used,
            },
            None => Step::Message { message: Cow::Borrowed(rest), missing: 0, used },
        }
    }
}

impl Cut {
    fn next_counted<'b>(&mut self, bytes: &'b [u8]) -> Result<Step<'b>, BadLength> {
        if self.left > 0 {
            return Ok(self.pass(bytes));
        }
        let count = syslog::octet_count(bytes).map_err(|_| BadLength::Missing)?;
        let Some((header, length)) = count else { return Ok(Step::Incomplete) };
        if length > COUNTED_MAX {
            return Err(BadLength::Message(length));
        }
        let used = header + length;
        if let Some(message) = bytes.get(header..used) {
            let message = Cow::Borrowed(message);
            return Ok(Step::Message { message, missing: 0, used });
        }
        if length <= RECORD_MAX {
            return Ok(Step::Incomplete);
        }
        self.left = length;
        Ok(Step::Passed(header))
    }

    fn pass<'b>(&mut self, bytes: &'b [u8]) -> Step<'b> {
        if bytes.is_empty() {
            return Step::Incomplete;
        }
        let used = bytes.len().min(self.left);
        let kept = used.min(RECORD_MAX - self.kept.len());
        self.kept.extend_from_slice(&bytes[..kept]);
        self.missing += used - kept;
        self.left -= used;
        if self.left > 0 {
            return Step::Passed(used);
        }
        let Self { kept, missing, .. } = std::mem::take(self);
        Step::Message { message: Cow::Owned(kept), missing, used }
    }
}

/// The length that four bytes before a pickle say; `None` = there are fewer.
pub(super) fn pickle_length(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|length| u32::from_be_bytes(*length))
}

fn next_pickle(bytes: &[u8]) -> Result<Step<'_>, BadLength> {
    let Some(length) = pickle_length(bytes) else { return Ok(Step::Incomplete) };
    let used = 4 + length as usize;
    if length as usize > PICKLE_MAX {
        return Err(BadLength::Pickle(u64::from(length)));
    }
    if length == 0 {
        return Err(BadLength::Empty);
    }
    Ok(match bytes.get(4..used) {
        Some(message) => Step::Message { message: Cow::Borrowed(message), missing: 0, used },
        None => Step::Incomplete,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds bytes in pieces; returns the messages with what is missing of each.
    fn messages(framing: &mut Framing, bytes: &[u8], piece: usize) -> Vec<(Vec<u8>, usize)> {
        let (mut buffer, mut found) = (Vec::new(), Vec::new());
        let mut pieces = bytes.chunks(piece).peekable();
        while let Some(piece) = pieces.next() {
            buffer.extend_from_slice(piece);
            let ended = pieces.peek().is_none();
            loop {
                match framing.next(&buffer, ended).expect("good lengths") {
                    Step::Message { message, missing, used } => {
                        found.push((message.into_owned(), missing));
                        buffer.drain(..used);
                    }
                    Step::Passed(used) => drop(buffer.drain(..used)),
                    Step::Incomplete => break,
                }
            }
            assert!(buffer.len() <= RECORD_MAX + piece.len() || piece.len() > RECORD_MAX);
        }
        found
    }

    fn texts(framing: Framing, bytes: &[u8], piece: usize) -> Vec<String> {
        let mut framing = framing;
        let found = messages(&mut framing, bytes, piece);
        found.into_iter().map(|(text, _)| String::from_utf8(text).unwrap()).collect()
    }

    #[test]
    fn lines_end_with_a_newline_and_the_last_one_with_the_stream() {
        for piece in [1, 2, 3, 100] {
            let text = Framing::Lines(Lines::of_text());
            assert_eq!(texts(text, b"a\n\nb\0c\nrest", piece), ["a", "", "b\0c", "rest"]);
        }
    }

    #[test]
    fn syslog_messages_may_end_with_a_nul_and_then_hold_newlines() {
        let syslog = || Framing::Lines(Lines::of_syslog());
        assert_eq!(texts(syslog(), b"<14>a\n<14>b\n", 100), ["<14>a", "<14>b"]);
        assert_eq!(texts(syslog(), b"<14>a\nb\0<14>c\0", 100), ["<14>a\nb", "<14>c"]);
        assert_eq!(texts(syslog(), b"<14>a\0<14>b\nc\0", 1), ["<14>a", "<14>b\nc"]);
    }

    #[test]
    fn counted_messages_may_hold_anything() {
        for piece in [1, 3, 100] {
            let counted = Framing::Counted(Cut::default());
            assert_eq!(texts(counted, b"6 <14>a\n7 <14>3 b", piece), ["<14>a\n", "<14>3 b"]);
        }
        let mut counted = Framing::Counted(Cut::default());
        assert_eq!(counted.next(b"999999999 <", false), Err(BadLength::Message(999_999_999)));
        assert_eq!(counted.next(b"<14>", false), Err(BadLength::Missing));
    }

    #[test]
    fn what_is_too_long_is_cut_and_its_length_is_known() {
        let long = "x".repeat(RECORD_MAX + 12_345);
        for piece in [4096, 300_000, 10 << 20] {
            let mut lines = Framing::Lines(Lines::of_text());
            let found = messages(&mut lines, format!("a\n{long}\nb\n").as_bytes(), piece);
            let lengths: Vec<_> =
                found.iter().map(|(text, missing)| text.len() + missing).collect();
            assert_eq!(lengths, [1, long.len(), 1], "{piece}");
            let mut counted = Framing::Counted(Cut::default());
            let bytes = format!("{} {long}3 abc", long.len());
            let found = messages(&mut counted, bytes.as_bytes(), piece);
            let lengths: Vec<_> =
                found.iter().map(|(text, missing)| text.len() + missing).collect();
            assert_eq!(lengths, [long.len(), 3], "{piece}");
            assert_eq!(counted.held(), 0);
        }
    }

    #[test]
    fn pickles_have_their_length_before_them() {
        let mut pickles = Framing::Pickles;
        let found = messages(&mut pickles, b"\0\0\0\x02ab\0\0\0\x01c", 3);
        assert_eq!(found, [(b"ab".to_vec(), 0), (b"c".to_vec(), 0)]);
        assert_eq!(pickles.next(&[0; 4], false), Err(BadLength::Empty));
        assert_eq!(
            pickles.next(&[0xff; 4], false),
            Err(BadLength::Pickle(u64::from(u32::MAX))),
            "four gigabytes are claimed"
        );
    }
}
