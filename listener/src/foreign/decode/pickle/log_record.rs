//! From the dictionary of a `LogRecord` to an entry.
//!
//! What an entry has a place for goes there, what follows from the rest is left out, and every
//! other key becomes a field: who passed it as `extra` wants to read it.

use std::borrow::Cow;
use std::time::Duration;

use fleetlog_protocol::Level;

use super::super::super::entry::{Claim, Entry, Value};
use super::Refused;
use super::bytes::Bytes;
use super::fields::Fields;
use super::limits::{ALWAYS_BYTES, TEXT_PER_BYTE};
use super::literal;
use super::node::{Arena, Id, Node};
use super::show::{self, Budget};
use super::{number, percent};

/// `time.time()` is a float, which has steps of a quarter of a microsecond in these decades.
const FLOAT_PRECISION: u64 = 1_000;

/// Someone who sends whole seconds left the rest of them out.
const SECOND_PRECISION: u64 = 999_999_999;

/// Maps the dictionary at `top`, which came in a pickle of so many bytes.
pub(super) fn entry<'a>(
    arena: &Arena<'a>,
    top: Id,
    pickle_bytes: usize,
) -> Result<Entry<'a>, Refused> {
    let Node::Dict(pairs) = arena.get(top) else {
        return Err(Refused::NoRecord { found: arena.get(top).kind() });
    };
    let fields = Fields::new(arena, pairs);
    if !["msg", "message", "levelno", "levelname"].iter().any(|name| fields.get(name).is_some()) {
        return Err(Refused::NoRecord { found: "a dictionary that has no message and no level" });
    }
    let mut mapping = Mapping {
        arena,
        entry: Entry::new(level(arena, &fields), ""),
        shown: Budget::of_record(pickle_bytes),
        text: pickle_bytes.saturating_mul(TEXT_PER_BYTE).saturating_add(ALWAYS_BYTES),
    };
    // The message first: a field that is too long must not take its room.
    mapping.message(&fields);
    for (key, value) in fields.iter() {
        mapping.attribute(key, value);
    }
    Ok(mapping.entry)
}

struct Mapping<'n, 'a> {
    arena: &'n Arena<'a>,
    entry: Entry<'a>,
    /// What may still be written of values that are shown.
    shown: Budget,
    /// How many bytes of strings the entry may still have.
    text: usize,
}

impl<'a> Mapping<'_, 'a> {
    fn message(&mut self, fields: &Fields<'_>) {
        let Some(message) = fields.get("msg").or_else(|| fields.get("message")) else { return };
        let arguments = fields.get("args").filter(|&id| !self.is_empty(id));
        if let (Some(arguments), Node::Str(text)) = (arguments, self.arena.get(message)) {
            let joined = percent::join(self.arena, text, arguments, self.text, &mut self.shown);
            if let Some(joined) = joined {
                self.text -= joined.len();
                self.entry.message = Cow::Owned(joined);
                return;
            }
        }
        self.entry.message = self.string(message);
    }

    fn attribute(&mut self, key: Id, value: Id) {
        let arena = self.arena;
        let node = arena.get(value);
        let Some(name) = arena.str(key) else {
            let name = show::repr(arena, key, &mut self.shown);
            return self.field(Cow::Owned(name), value);
        };
        let name = name.as_ref();
        match name {
            "msg" | "filename" | "module" | "msecs" | "relativeCreated" | "thread" => return,
            "name" => {
                if matches!(node, Node::None) {
                    return;
                }
                self.entry.target = self.string(value);
                return;
            }
            "message" if self.is_the_message(node) => return,
            "levelno" if number::integer(node).is_some() => return,
            "levelname" if is_standard(node) => return,
            "args" | "exc_info" if self.is_empty(value) => return,
            "created" => {
                if let Some(claim) = claim(node) {
                    self.entry.time = Some(claim);
                    return;
                }
            }
            // A sender can be told not to look these up, and then they are None.
            "pathname" | "lineno" | "funcName" | "process" | "processName" | "threadName"
            | "taskName" | "exc_text" | "stack_info"
                if matches!(node, Node::None) =>
            {
                return;
            }
            "pathname" if matches!(node, Node::Str(_)) => {
                self.entry.file = Some(self.string(value));
                return;
            }
            "funcName" if matches!(node, Node::Str(_)) => {
                self.entry.module = Some(self.string(value));
                return;
            }
            "lineno" | "process" => {
                let place =
                    if name == "lineno" { &mut self.entry.line } else { &mut self.entry.pid };
                *place = number::integer(node).and_then(|number| u32::try_from(number).ok());
                if place.is_some() {
                    return;
                }
            }
            _ => {}
        }
        let name = match name {
            "processName" => Cow::Borrowed("process_name"),
            "threadName" => Cow::Borrowed("thread_name"),
            "taskName" => Cow::Borrowed("task_name"),
            _ => self.string(key),
        };
        self.field(name, value);
    }

    fn field(&mut self, name: Cow<'a, str>, value: Id) {
        let value = self.value(value);
        self.entry.field(name, value);
    }

    fn value(&mut self, id: Id) -> Value<'a> {
        if let Some(bytes) = Bytes::of(self.arena, id) {
            // The room for a string is that of its UTF-8, which is no less than its bytes.
            let kept = self.room(bytes.raw.len() + bytes.latin1.len());
            return Value::Bytes(match bytes.latin1 {
                "" => Cow::Borrowed(&bytes.raw[..kept]),
                _ => Cow::Owned(bytes.iter().take(kept).collect()),
            });
        }
        match self.arena.get(id) {
            Node::Bool(value) => Value::Bool(*value),
            Node::Int(value) => u64::try_from(*value).map_or(Value::I64(*value), Value::U64),
            Node::Unsigned(value) => Value::U64(*value),
            Node::Float(value) => Value::F64(*value),
            Node::Str(_) => Value::Str(self.string(id)),
            _ => Value::Shown(Cow::Owned(show::repr(self.arena, id, &mut self.shown))),
        }
    }

    /// A string as it is, and everything else as it is shown.
    fn string(&mut self, id: Id) -> Cow<'a, str> {
        let text = match self.arena.get(id) {
            Node::Str(text) => text,
            // Python 2 sends a message in Latin-1 like this. Read as text, most of it is there.
            Node::Bytes(bytes) => {
                let kept = self.room(bytes.len());
                let text = literal::utf8(&bytes[..kept]);
                // What replaces a byte takes three.
                self.text = self.text.saturating_sub(text.len() - kept);
                return text;
            }
            _ => return Cow::Owned(show::repr(self.arena, id, &mut self.shown)),
        };
        if text.len() <= self.text {
            self.text -= text.len();
            return text.clone();
        }
        let kept = text.floor_char_boundary(self.text);
        self.room(text.len());
        match text {
            Cow::Borrowed(text) => Cow::Borrowed(&text[..kept]),
            Cow::Owned(text) => Cow::Owned(text[..kept].to_owned()),
        }
    }

    /// Takes room for so many bytes and returns how many of them have it.
    fn room(&mut self, bytes: usize) -> usize {
        let kept = bytes.min(self.text);
        self.text -= kept;
        self.entry.missing = self.entry.missing.saturating_add(bytes - kept);
        kept
    }

    fn is_the_message(&self, node: &Node<'_>) -> bool {
        matches!(node, Node::Str(text) if **text == *self.entry.message)
    }

    /// Whether Python takes the value for false, of the values that stand for "none".
    fn is_empty(&self, id: Id) -> bool {
        match self.arena.get(id) {
            Node::None | Node::Bool(false) => true,
            Node::Tuple(items) | Node::List(items) => items.is_empty(),
            Node::Dict(pairs) => pairs.is_empty(),
            _ => false,
        }
    }
}

fn level(arena: &Arena<'_>, fields: &Fields<'_>) -> Level {
    let number = fields.get("levelno").and_then(|id| number::integer(arena.get(id)));
    if let Some(number) = number {
        return match number {
            40.. => Level::Error,
            30.. => Level::Warn,
            20.. => Level::Info,
            10.. => Level::Debug,
            _ => Level::Trace,
        };
    }
    let name = fields.get("levelname").and_then(|id| arena.str(id));
    match name.map(AsRef::as_ref) {
        Some("CRITICAL" | "FATAL" | "ERROR") => Level::Error,
        Some("WARNING" | "WARN") => Level::Warn,
        Some("DEBUG") => Level::Debug,
        Some("TRACE" | "NOTSET") => Level::Trace,
        _ => Level::Info,
    }
}

/// Whether the name says no more than the entry's level.
fn is_standard(node: &Node<'_>) -> bool {
    matches!(node, Node::Str(name) if matches!(&**name, "DEBUG" | "INFO" | "WARNING" | "ERROR"))
}

fn claim(created: &Node<'_>) -> Option<Claim> {
    let (since, precision) = match created {
        // Exact to the nanosecond, and `None` for what is before 1970 or no number.
        Node::Float(seconds) => (Duration::try_from_secs_f64(*seconds).ok()?, FLOAT_PRECISION),
        node => {
            let seconds = u64::try_from(number::integer(node)?).ok()?;
            (Duration::from_secs(seconds), SECOND_PRECISION)
        }
    };
    Some(Claim { time: u64::try_from(since.as_nanos()).ok()?, precision })
}
