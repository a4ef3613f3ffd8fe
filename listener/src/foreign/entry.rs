//! Entries: what a decoder understood of a foreign record, before it becomes a record like a
//! worker's.
//!
//! An entry borrows from the bytes it was decoded from wherever it can. What a client says of
//! itself (its pid, its host, its name) is a claim: the kernel's word counts, and a claim that
//! differs from it becomes a field.

use std::borrow::Cow;

use fleetlog_protocol::Level;

/// A foreign record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry<'a> {
    /// The level, mapped as the format's standard says; [`Level::Info`] where nothing says it.
    pub(crate) level: Level,
    /// The logger's or program's name, by which records are routed; empty = the format has none.
    pub(crate) target: Cow<'a, str>,
    /// The message.
    pub(crate) message: Cow<'a, str>,
    /// When the client says that it was.
    pub(crate) time: Option<Claim>,
    /// The source file.
    pub(crate) file: Option<Cow<'a, str>>,
    /// The line in the source file.
    pub(crate) line: Option<u32>,
    /// The function or module.
    pub(crate) module: Option<Cow<'a, str>>,
    /// The kernel's id of the thread, where the format has it.
    pub(crate) thread: Option<u32>,
    /// The pid that the client claims.
    pub(crate) pid: Option<u32>,
    /// The host that the client claims to run on.
    pub(crate) host: Option<Cow<'a, str>>,
    /// The spans around the record, the outermost first.
    pub(crate) spans: Vec<Span<'a>>,
    /// Everything else that the client said, in its order.
    pub(crate) fields: Vec<Field<'a>>,
    /// Bytes of the record that a limit kept out before or while it was decoded.
    pub(crate) missing: usize,
}

impl<'a> Entry<'a> {
    /// An entry that has a message and nothing else.
    pub(crate) fn new(level: Level, message: impl Into<Cow<'a, str>>) -> Self {
        Self {
            level,
            target: Cow::Borrowed(""),
            message: message.into(),
            time: None,
            file: None,
            line: None,
            module: None,
            thread: None,
            pid: None,
            host: None,
            spans: Vec::new(),
            fields: Vec::new(),
            missing: 0,
        }
    }

    /// Adds a field.
    pub(crate) fn field(&mut self, name: impl Into<Cow<'a, str>>, value: Value<'a>) {
        self.fields.push(Field { name: name.into(), value });
    }
}

/// A time that a client claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Nanoseconds since the Unix epoch.
    pub(crate) time: u64,
    /// How much later than that it may have been: what the client's digits left out, in
    /// nanoseconds.
    pub(crate) precision: u64,
}

/// A span of an entry's context.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Span<'a> {
    /// Its name.
    pub(crate) name: Cow<'a, str>,
    /// Its fields.
    pub(crate) fields: Vec<Field<'a>>,
}

/// A named value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Field<'a> {
    /// The name.
    pub(crate) name: Cow<'a, str>,
    /// The value.
    pub(crate) value: Value<'a>,
}

/// A field's value in its type.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    /// An unsigned integer.
    U64(u64),
    /// A negative integer.
    I64(i64),
    /// A floating-point number.
    F64(f64),
    /// A boolean.
    Bool(bool),
    /// A string.
    Str(Cow<'a, str>),
    /// Bytes.
    Bytes(Cow<'a, [u8]>),
    /// What is no string but is shown as text: a list, a large number, an object.
    Shown(Cow<'a, str>),
}
