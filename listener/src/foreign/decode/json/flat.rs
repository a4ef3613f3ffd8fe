//! Objects as lists of leaves: `{"http":{"status":200}}` is `http.status`.
//!
//! A value is first seen as the text that it is, and only read where somebody wants it: that
//! keeps lists and long numbers as they stood, and costs nothing for what a limit keeps out.
//! Nested objects are looked at once for every level that they are in, of which there are eight;
//! what lies deeper stays text.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserializer as _, de};
use serde_json::value::RawValue;

use crate::foreign::entry::Value;

/// How many names a path has at most.
const DEPTH_MAX: usize = 8;

/// The longest path that is put before the names of an object, in bytes. Without it, a line with
/// one long name and many short ones below it would need their product in memory.
const PREFIX_MAX: usize = 256;

/// Who takes the leaves: a path and the text of its value. `None` ends the walk.
pub(super) type Sink<'s, 'a> = dyn FnMut(Cow<'a, str>, &'a str) -> Option<()> + 's;

/// Calls `each` for the entries of an object, in their order. `None` where the text is no object,
/// and where `each` says so.
pub(super) fn entries<'a>(
    object: &'a str,
    each: impl FnMut(Cow<'a, str>, &'a str) -> Option<()>,
) -> Option<()> {
    let mut deserializer = serde_json::Deserializer::from_str(object);
    deserializer.deserialize_map(Entries(each)).ok()?;
    deserializer.end().ok()
}

/// The texts of a list's values.
pub(super) fn items(list: &str) -> Option<Vec<&str>> {
    let items: Items<'_> = serde_json::from_str(list).ok()?;
    Some(items.0)
}

/// Hands a value's leaves to the sink: itself, unless it is an object whose leaves have a path
/// that is neither too deep nor too long. `depth` counts the names of the path.
pub(super) fn leaves<'a>(
    path: Cow<'a, str>,
    value: &'a str,
    depth: usize,
    sink: &mut Sink<'_, 'a>,
) -> Option<()> {
    if depth >= DEPTH_MAX || path.len() > PREFIX_MAX || !has_entries(value) {
        return sink(path, value);
    }
    entries(value, |name, value| {
        let mut below = String::with_capacity(path.len() + 1 + name.len());
        below.extend([&*path, ".", &*name]);
        leaves(Cow::Owned(below), value, depth + 1, sink)
    })
}

/// Whether a value is an object that is not empty: an empty one has no leaf but itself.
fn has_entries(value: &str) -> bool {
    value.strip_prefix('{').is_some_and(|rest| !rest.trim_ascii_start().starts_with('}'))
}

/// A value in its type. `None` where it is a string that is none: half a surrogate pair.
pub(super) fn value(raw: &str) -> Option<Value<'_>> {
    Some(match raw.as_bytes().first()? {
        b'"' => Value::Str(text(raw)?),
        b't' => Value::Bool(true),
        b'f' => Value::Bool(false),
        b'-' | b'0'..=b'9' => number(raw),
        _ => Value::Shown(Cow::Borrowed(raw)),
    })
}

/// The text of a string. `None` where the value is no string.
pub(super) fn text(raw: &str) -> Option<Cow<'_, str>> {
    let inside = raw.strip_prefix('"')?.strip_suffix('"')?;
    if inside.as_bytes().contains(&b'\\') {
        return serde_json::from_str(raw).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inside))
}

fn number(raw: &str) -> Value<'_> {
    // Minus zero is a float: no integer keeps its sign.
    if raw.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E')) || raw == "-0" {
        return match raw.parse::<f64>() {
            Ok(number) if number.is_finite() => Value::F64(number),
            _ => Value::Shown(Cow::Borrowed(raw)),
        };
    }
    match (raw.parse(), raw.parse()) {
        (Ok(number), _) => Value::U64(number),
        (_, Ok(number)) => Value::I64(number),
        _ => Value::Shown(Cow::Borrowed(raw)),
    }
}

struct Entries<F>(F);

impl<'de, F: FnMut(Cow<'de, str>, &'de str) -> Option<()>> Visitor<'de> for Entries<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(mut self, mut map: M) -> Result<(), M::Error> {
        while let Some(key) = map.next_key_seed(Key)? {
            let value: &'de RawValue = map.next_value()?;
            (self.0)(key, value.get()).ok_or_else(|| M::Error::custom("refused"))?;
        }
        Ok(())
    }
}

/// A key, borrowed unless it has escapes; serde's own `Cow` never borrows.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: de::Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

struct Items<'a>(Vec<&'a str>);

impl<'de> de::Deserialize<'de> for Items<'de> {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Items<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Items<'de>, S::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element::<&'de RawValue>()? {
                    items.push(item.get());
                }
                Ok(Items(items))
            }
        }
        deserializer.deserialize_seq(List)
    }
}
