//! Lines of JSON.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use fleetlog_protocol::Level;
use fleetlog_protocol::message::Loss;
use jiff::Timestamp;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::Head;
use crate::format::{Origin, Repeat};

/// What every line of JSON has but for its fields. A key that stands twice is an error, as is one
/// of these that is missing; other keys are left to later versions.
#[derive(Debug, Deserialize)]
pub(crate) struct JsonLine<'a> {
    #[serde(borrow)]
    pub(crate) timestamp: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) level: Cow<'a, str>,
    #[serde(rename = "fields")]
    _fields: IsObject,
    #[serde(borrow)]
    pub(crate) target: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) worker: Cow<'a, str>,
    pub(crate) pid: u32,
    pub(crate) lane: u32,
    pub(crate) seq: u64,
    #[serde(default, borrow)]
    pub(crate) repeats: Option<Repeats<'a>>,
    #[serde(default, deserialize_with = "origin")]
    pub(crate) origin: Origin,
}

/// Whose line it is: only the listener's own have the key.
fn origin<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Origin, D::Error> {
    let text = Cow::<str>::deserialize(deserializer)?;
    Ok(if text == Origin::LISTENER { Origin::Listener } else { Origin::Client })
}

/// The equal records that share a line.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Repeats<'a> {
    #[serde(borrow)]
    by: Vec<RepeatsOf<'a>>,
}

/// Those of one lane.
#[derive(Debug, Deserialize)]
struct RepeatsOf<'a> {
    #[serde(borrow)]
    worker: Cow<'a, str>,
    pid: u32,
    lane: u32,
    seq: Vec<u64>,
}

impl Repeats<'_> {
    /// Each of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Repeat> {
        self.by.iter().flat_map(|lane| {
            let worker: Arc<str> = lane.worker.as_ref().into();
            lane.seq.iter().map(move |seq| Repeat {
                worker: Arc::clone(&worker),
                pid: lane.pid,
                lane: lane.lane,
                seq: *seq,
            })
        })
    }
}

impl<'a> JsonLine<'a> {
    /// Reads a line.
    pub(crate) fn parse(line: &'a [u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(line)
    }

    /// The head, if time and level are what they should be.
    pub(crate) fn head(self) -> Option<Head<'a>> {
        Some(Head {
            time: self.timestamp.parse::<Timestamp>().ok()?,
            level: self.level()?,
            worker: self.worker,
            pid: self.pid,
            target: self.target,
        })
    }

    /// The level, if it is one.
    pub(crate) fn level(&self) -> Option<Level> {
        Level::ALL.into_iter().find(|level| level.as_str() == self.level)
    }
}

/// An object that nobody looks into.
#[derive(Debug)]
struct IsObject;

impl<'de> Deserialize<'de> for IsObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = IsObject;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<IsObject, M::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(IsObject)
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// The sequence numbers that a listener's own line accounts for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Explained {
    pub(crate) first: u64,
    pub(crate) last: u64,
}

impl Explained {
    /// What a line of the listener's says; `None` = it is about nothing that has a number.
    pub(crate) fn of(line: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Notice {
            fields: Fields,
        }
        #[derive(Deserialize)]
        struct Fields {
            first_seq: Option<u64>,
            last_seq: Option<u64>,
            unreadable_seq: Option<u64>,
        }
        let Fields { first_seq, last_seq, unreadable_seq } =
            serde_json::from_slice::<Notice>(line).ok()?.fields;
        match (first_seq, last_seq, unreadable_seq) {
            (Some(first), Some(last), _) if first <= last => Some(Self { first, last }),
            (_, _, Some(seq)) => Some(Self { first: seq, last: seq }),
            _ => None,
        }
    }
}

/// What a listener's own line says is lost: each reason with its number.
pub(crate) fn losses_of(line: &[u8]) -> Vec<(Loss, u64)> {
    #[derive(Deserialize)]
    struct Notice {
        fields: BTreeMap<String, Value>,
    }
    let Ok(Notice { fields }) = serde_json::from_slice(line) else { return Vec::new() };
    let number = |loss: Loss| Some((loss, fields.get(loss.as_str())?.as_u64()?));
    Loss::ALL.into_iter().filter_map(number).collect()
}

/// A whole line: what it takes to print it in another layout.
#[derive(Debug, Deserialize)]
pub(super) struct WholeLine {
    pub(super) timestamp: String,
    pub(super) level: String,
    pub(super) fields: Object,
    pub(super) target: String,
    #[serde(default)]
    pub(super) spans: Vec<Object>,
    pub(super) worker: String,
    pub(super) pid: u32,
    pub(super) lane: u32,
    pub(super) seq: u64,
    pub(super) truncated: Option<u32>,
    #[serde(default, deserialize_with = "all_repeats")]
    pub(super) repeats: Vec<Repeat>,
    #[serde(default, deserialize_with = "origin")]
    pub(super) origin: Origin,
}

fn all_repeats<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Repeat>, D::Error> {
    Ok(Repeats::deserialize(deserializer)?.iter().collect())
}

/// An object's entries in the order of the line.
#[derive(Debug, Default)]
pub(super) struct Object(pub(super) Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Object;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Object, M::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Object(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}
