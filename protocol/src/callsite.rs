//! Callsites: the static part of a record, sent once and then named by a number.
//!
//! A definition holds level, target, name, file, line, module path and field names. A process
//! defines at most [`CALLSITES_MAX`](crate::limits::CALLSITES_MAX) of them; a record whose
//! callsite has no number carries the definition itself ([`crate::record`]).

use crate::decode::{Cursor, DecodeError, check_count};
use crate::level::Level;
use crate::limits::{CALLSITE_TEXT_MAX, FIELD_COUNT_MAX};
use crate::record::floor_char_boundary;

/// A callsite as a worker describes it, borrowed from its program's static data.
///
/// ```
/// use fleetlog_protocol::{Level, callsite::{Callsite, Definition}};
/// let definition = Definition {
///     level: Level::Info,
///     target: "app::job",
///     name: "event src/job.rs:7",
///     file: Some("src/job.rs"),
///     line: Some(7),
///     module_path: Some("app::job"),
/// };
/// let mut bytes = Vec::new();
/// definition.encode(["message", "item"].into_iter(), &mut bytes);
/// let callsite = Callsite::decode(&bytes).unwrap();
/// assert_eq!(callsite.target, "app::job");
/// assert_eq!(callsite.fields, ["message", "item"]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Definition<'a> {
    /// The level of every record of this callsite.
    pub level: Level,
    /// The target, by default the module path.
    pub target: &'a str,
    /// The span's name, or the event's generated name.
    pub name: &'a str,
    /// The source file.
    pub file: Option<&'a str>,
    /// The line in the source file.
    pub line: Option<u32>,
    /// The Rust module.
    pub module_path: Option<&'a str>,
}

impl Definition<'_> {
    /// Appends the definition with its field names. Strings above the limit are cut at a
    /// character boundary, field names above the limit's count are left out: both are far above
    /// what a Rust program can hold in practice.
    pub fn encode<'f>(&self, fields: impl Iterator<Item = &'f str>, out: &mut Vec<u8>) {
        out.push(self.level as u8);
        out.extend_from_slice(&self.line.unwrap_or(0).to_le_bytes());
        put_text(self.target, out);
        put_text(self.name, out);
        put_text(self.file.unwrap_or(""), out);
        put_text(self.module_path.unwrap_or(""), out);
        let count_at = out.len();
        out.extend_from_slice(&[0; 2]);
        let mut count = 0_u16;
        for field in fields.take(FIELD_COUNT_MAX) {
            put_text(field, out);
            count += 1;
        }
        out[count_at..count_at + 2].copy_from_slice(&count.to_le_bytes());
    }
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    let text = floor_char_boundary(text, CALLSITE_TEXT_MAX);
    let length = u16::try_from(text.len()).unwrap_or(0);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// A callsite as a listener keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callsite {
    /// The level of every record of this callsite.
    pub level: Level,
    /// The target.
    pub target: String,
    /// The span's name, or the event's generated name.
    pub name: String,
    /// The source file.
    pub file: Option<String>,
    /// The line in the source file.
    pub line: Option<u32>,
    /// The Rust module.
    pub module_path: Option<String>,
    /// The names of the fields that records refer to by index.
    pub fields: Vec<String>,
}

impl Callsite {
    /// Decodes a definition.
    ///
    /// # Errors
    /// Any [`DecodeError`]; the bytes were not written by [`Definition::encode`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(bytes);
        let level = cursor.u8("a callsite's level")?;
        let level =
            Level::from_byte(level).ok_or(DecodeError::Unknown { what: "level", found: level })?;
        let line = cursor.u32("a callsite's line")?;
        let target = get_text(&mut cursor, "a callsite's target")?.to_owned();
        let name = get_text(&mut cursor, "a callsite's name")?.to_owned();
        let file = get_text(&mut cursor, "a callsite's file")?;
        let module_path = get_text(&mut cursor, "a callsite's module path")?;
        let count = usize::from(cursor.u16("a callsite's field count")?);
        check_count("a callsite's field count", count, FIELD_COUNT_MAX)?;
        let mut fields = Vec::with_capacity(count);
        for _ in 0..count {
            fields.push(get_text(&mut cursor, "a field name")?.to_owned());
        }
        cursor.end("a callsite")?;
        Ok(Self {
            level,
            target,
            name,
            file: (!file.is_empty()).then(|| file.to_owned()),
            line: (line != 0).then_some(line),
            module_path: (!module_path.is_empty()).then(|| module_path.to_owned()),
            fields,
        })
    }
}

fn get_text<'a>(cursor: &mut Cursor<'a>, what: &'static str) -> Result<&'a str, DecodeError> {
    let text = cursor.medium_text(what)?;
    check_count(what, text.len(), CALLSITE_TEXT_MAX)?;
    Ok(text)
}
