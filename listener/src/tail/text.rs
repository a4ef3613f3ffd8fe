//! The text of one file of a log, line by line, as far as it may be read.
//!
//! A plain file is read up to a limit that is raised as the listener commits; a packed one is
//! unpacked as it is read. Half a line is never given unless it is asked for: what has no end yet
//! waits here. Memory is bounded as that of [`Lines`] is.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};

use super::place::{Position, SUMMED, Sum};
use crate::archive::{Backward, Lines, Opened, Unpacked};
use crate::disk::Identity;
use crate::options::Compression;

/// A file's text, and how far it was given.
pub(super) struct Text {
    lines: Lines<Source>,
    /// Where the lines began to be read.
    base: u64,
    /// The beginning of a line whose end is not there yet.
    half: Vec<u8>,
    has_half: bool,
    /// Behind the last line that was given.
    given: u64,
    /// The end of the line that was given last, with its newline: at most [`SUMMED`] bytes.
    last: Vec<u8>,
    /// The beginning of a plain file, as it was when something was read behind it last.
    head: Vec<u8>,
}

enum Source {
    Plain { file: File, at: u64, limit: u64 },
    Packed { unpacked: Unpacked, head: Vec<u8>, is_over: bool },
}

impl Text {
    /// Reads a chapter from a place on; nothing of a plain one until its limit is raised. The
    /// place is the beginning of a line.
    pub(super) fn open(opened: Opened, offset: u64) -> io::Result<Self> {
        if opened.compression == Compression::None {
            let source = Source::Plain { file: opened.file, at: offset, limit: offset };
            return Ok(Self::of(source, offset));
        }
        let unpacked = Unpacked::of(opened)?;
        let mut source = Source::Packed { unpacked, head: Vec::new(), is_over: false };
        skip(&mut source, offset)?;
        Ok(Self::of(source, offset))
    }

    fn of(source: Source, offset: u64) -> Self {
        Self {
            lines: Lines::new(source),
            base: offset,
            half: Vec::new(),
            has_half: false,
            given: offset,
            last: Vec::new(),
            head: Vec::new(),
        }
    }

    /// Reads a chapter on where a position says, if it is the file that the position is in.
    pub(super) fn resume(opened: Opened, position: &Position) -> io::Result<Option<Self>> {
        let last_begin = position.offset - position.last.length as u64;
        let mut last = vec![0; position.last.length];
        let source = if opened.compression == Compression::None {
            if opened.file.metadata()?.len() < position.offset {
                return Ok(None);
            }
            let mut head = vec![0; position.head.length];
            opened.file.read_exact_at(&mut head, 0)?;
            if Sum::of(&head) != position.head {
                return Ok(None);
            }
            opened.file.read_exact_at(&mut last, last_begin)?;
            Source::Plain { file: opened.file, at: position.offset, limit: position.offset }
        } else {
            let unpacked = Unpacked::of(opened)?;
            let mut source = Source::Packed { unpacked, head: Vec::new(), is_over: false };
            // The head first: whoever has another one need not be unpacked any further.
            let mut head = vec![0; position.head.length];
            if !fill(&mut source, &mut head)? || Sum::of(&head) != position.head {
                return Ok(None);
            }
            // The last line ends behind the head, and may begin in it.
            let read = head.len() as u64;
            let within = usize::try_from(read.saturating_sub(last_begin)).unwrap_or(0);
            last[..within].copy_from_slice(&head[head.len() - within..]);
            if !skip(&mut source, last_begin.saturating_sub(read))?
                || !fill(&mut source, &mut last[within..])?
            {
                return Ok(None);
            }
            source
        };
        if Sum::of(&last) != position.last {
            return Ok(None);
        }
        Ok(Some(Self { last, ..Self::of(source, position.offset) }))
    }

    /// Reads the next line, without its newline; false = there is none, as far as it may be read.
    pub(super) fn next(&mut self, line: &mut Vec<u8>) -> io::Result<bool> {
        let place = if self.has_half {
            self.lines.go_on(&mut self.half)?
        } else {
            self.lines.next(&mut self.half)?
        };
        let Some(place) = place else { return Ok(false) };
        self.has_half = true;
        if !place.is_ended {
            return Ok(false);
        }
        self.give(line, place.left_out == 0, b"\n");
        Ok(true)
    }

    /// Gives a line whose end will never come; false = there is none.
    pub(super) fn take_half(&mut self, line: &mut Vec<u8>) -> bool {
        let is_there = self.has_half && !self.half.is_empty();
        if is_there {
            self.give(line, false, b"");
        }
        is_there
    }

    fn give(&mut self, line: &mut Vec<u8>, is_whole: bool, end: &[u8]) {
        std::mem::swap(line, &mut self.half);
        self.half.clear();
        self.has_half = false;
        self.given = self.base + self.lines.read;
        self.last.clear();
        if is_whole {
            // Of a line that was cut nothing is kept that could be compared with the file.
            let from = line.len().saturating_sub(SUMMED - end.len());
            self.last.extend_from_slice(&line[from..]);
            self.last.extend_from_slice(end);
        }
    }

    /// Behind the last line that was given.
    pub(super) const fn given(&self) -> u64 {
        self.given
    }

    /// How far it was read, which is as far as it may be read once [`next`](Self::next) finds
    /// nothing.
    pub(super) fn read_to(&self) -> u64 {
        self.base + self.lines.read
    }

    /// The plain file; `None` = it is packed.
    pub(super) fn plain(&self) -> Option<&File> {
        match self.lines.input() {
            Source::Plain { file, .. } => Some(file),
            Source::Packed { .. } => None,
        }
    }

    /// Device and inode of a plain file.
    pub(super) fn identity(&self) -> Option<Identity> {
        let found = self.plain()?.metadata().ok()?;
        Some((found.dev(), found.ino()))
    }

    /// Allows to read a plain file further.
    pub(super) fn raise(&mut self, end: u64) {
        if let Source::Plain { limit, .. } = self.lines.input_mut() {
            *limit = end.max(*limit);
        }
    }

    /// Forgets what was read behind the last line that was given.
    pub(super) fn rewind(&mut self) -> io::Result<()> {
        self.restart(self.given)
    }

    /// Goes on at another place of a plain file.
    pub(super) fn restart(&mut self, offset: u64) -> io::Result<()> {
        let Some(file) = self.plain() else { return Ok(()) };
        let file = file.try_clone()?;
        let is_same = offset == self.given;
        let last = if is_same { std::mem::take(&mut self.last) } else { Vec::new() };
        let head = if is_same { std::mem::take(&mut self.head) } else { Vec::new() };
        *self = Self::of(Source::Plain { file, at: offset, limit: offset }, offset);
        (self.last, self.head) = (last, head);
        Ok(())
    }

    /// Forgets what stood before the place: it is known to be something else.
    pub(super) fn forget(&mut self) {
        self.last.clear();
        self.head.clear();
    }

    /// Whether the line that was given last still stands before the place.
    pub(super) fn is_unchanged(&mut self) -> io::Result<bool> {
        let Some(file) = self.plain().filter(|_| !self.last.is_empty()) else { return Ok(true) };
        let begin = self.given - self.last.len() as u64;
        if !stands(file, &self.last, begin)? {
            return Ok(false);
        }
        self.note_head()?;
        Ok(true)
    }

    /// Remembers how a plain file begins, as far as it was given.
    pub(super) fn note_head(&mut self) -> io::Result<()> {
        let length = usize::try_from(self.given).unwrap_or(SUMMED).min(SUMMED);
        if let Some(file) = self.plain().filter(|_| self.head.len() < length) {
            let mut head = vec![0; length];
            file.read_exact_at(&mut head, 0)?;
            self.head = head;
        }
        Ok(())
    }

    /// Whether the file begins as it did.
    pub(super) fn has_same_head(&self) -> io::Result<bool> {
        self.plain().map_or(Ok(true), |file| stands(file, &self.head, 0))
    }

    /// Where a line begins that ends at or stands around `offset` of a plain file.
    pub(super) fn line_begin(file: &File, offset: u64) -> io::Result<u64> {
        let mut byte = [0];
        if offset > 0 {
            file.read_exact_at(&mut byte, offset - 1)?;
        }
        if offset == 0 || byte == *b"\n" {
            return Ok(offset);
        }
        let mut line = Vec::new();
        let mut lines = Backward::new(file.try_clone()?, offset);
        lines.previous(&mut line)?;
        Ok(lines.place())
    }

    /// The sums of a position behind the last line that was given.
    pub(super) fn sums(&self) -> (Sum, Sum) {
        let length = usize::try_from(self.given).unwrap_or(SUMMED).min(SUMMED);
        let head = match self.lines.input() {
            Source::Plain { file, .. } => {
                let mut head = vec![0; length];
                // What can't be read now can't be known again; the rest of the position stays.
                let read = file.read_exact_at(&mut head, 0);
                read.map_or(Vec::new(), |()| head)
            }
            Source::Packed { head, .. } => head[..head.len().min(length)].to_vec(),
        };
        (Sum::of(&head), Sum::of(&self.last))
    }

    /// Whether a packed chapter is the same text as this plain one.
    pub(super) fn is_text_of(&self, packed: Opened) -> io::Result<bool> {
        let Some(file) = self.plain() else { return Ok(false) };
        let mut unpacked = Unpacked::of(packed)?;
        let (mut ours, mut theirs) = (vec![0; 64 << 10], vec![0; 64 << 10]);
        let mut at = 0;
        loop {
            let read = unpacked.read(&mut theirs)?;
            if read == 0 {
                return Ok(file.metadata()?.len() == at);
            }
            match file.read_exact_at(&mut ours[..read], at) {
                Ok(()) if ours[..read] == theirs[..read] => at += read as u64,
                Ok(()) => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain { file, at, limit } => {
                let room = usize::try_from(*limit - *at).unwrap_or(usize::MAX).min(buffer.len());
                let read = file.read_at(&mut buffer[..room], *at)?;
                *at += read as u64;
                Ok(read)
            }
            // A decoder at its end must not be asked again: it would look for another part.
            Self::Packed { is_over: true, .. } => Ok(0),
            Self::Packed { unpacked, head, is_over } => {
                let read = unpacked.read(buffer)?;
                *is_over = read == 0 && !buffer.is_empty();
                let missing = SUMMED.saturating_sub(head.len()).min(read);
                head.extend_from_slice(&buffer[..missing]);
                Ok(read)
            }
        }
    }
}

/// Whether some bytes stand at a place.
fn stands(file: &File, bytes: &[u8], at: u64) -> io::Result<bool> {
    let mut found = vec![0; bytes.len()];
    match file.read_exact_at(&mut found, at) {
        Ok(()) => Ok(found == bytes),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Reads exactly so many bytes; false = there are not so many.
fn fill(source: &mut Source, buffer: &mut [u8]) -> io::Result<bool> {
    match source.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Passes over so many bytes; false = there are not so many.
fn skip(source: &mut Source, bytes: u64) -> io::Result<bool> {
    Ok(io::copy(&mut source.take(bytes), &mut io::sink())? == bytes)
}
