//! Owned values that mirror what travels, with strategies that make them: the model against
//! which codecs are checked.

use std::error::Error;
use std::fmt;

use fleetlog_protocol::record::{Field, FieldEncoder, FieldName, Value};
use proptest::collection::vec;
use proptest::prelude::*;

/// A value in its type; a float by its bits, because a NaN equals nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owned {
    U64(u64),
    I64(i64),
    U128(u128),
    I128(i128),
    F64(u64),
    Bool(bool),
    Str(String),
    Bytes(Vec<u8>),
    Debug(String),
    Error(Vec<String>),
}

impl Owned {
    pub fn of(value: &Value<'_>) -> Self {
        match value {
            Value::U64(value) => Self::U64(*value),
            Value::I64(value) => Self::I64(*value),
            Value::U128(value) => Self::U128(*value),
            Value::I128(value) => Self::I128(*value),
            Value::F64(value) => Self::F64(value.to_bits()),
            Value::Bool(value) => Self::Bool(*value),
            Value::Str(value) => Self::Str((*value).to_owned()),
            Value::Bytes(value) => Self::Bytes(value.to_vec()),
            Value::Debug(value) => Self::Debug((*value).to_owned()),
            Value::Error(chain) => Self::Error(chain.iter().map(str::to_owned).collect()),
        }
    }

    /// Whether this is what a cut may leave of `whole`.
    pub fn is_prefix_of(&self, whole: &Self) -> bool {
        match (self, whole) {
            (Self::Str(kept), Self::Str(whole)) | (Self::Debug(kept), Self::Debug(whole)) => {
                whole.starts_with(kept.as_str())
            }
            (Self::Bytes(kept), Self::Bytes(whole)) => whole.starts_with(kept),
            (Self::Error(kept), Self::Error(whole)) => {
                kept.len() <= whole.len()
                    && kept.iter().zip(whole).all(|(kept, whole)| whole.starts_with(kept.as_str()))
            }
            (kept, whole) => kept == whole,
        }
    }
}

/// A field's name: an index into the callsite's fields, or the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnedName {
    Index(u16),
    Inline(String),
}

impl OwnedName {
    pub fn of(name: FieldName<'_>) -> Self {
        match name {
            FieldName::Index(index) => Self::Index(index),
            FieldName::Inline(name) => Self::Inline(name.to_owned()),
        }
    }

    pub fn as_name(&self) -> FieldName<'_> {
        match self {
            Self::Index(index) => FieldName::Index(*index),
            Self::Inline(name) => FieldName::Inline(name),
        }
    }
}

pub type OwnedField = (OwnedName, Owned);

pub fn own(field: Field<'_>) -> OwnedField {
    (OwnedName::of(field.name), Owned::of(&field.value))
}

pub fn encode_all(fields: &[OwnedField], encoder: &mut FieldEncoder<'_>) {
    for (name, value) in fields {
        encode(name.as_name(), value, encoder);
    }
}

fn encode(name: FieldName<'_>, value: &Owned, encoder: &mut FieldEncoder<'_>) {
    match value {
        Owned::U64(value) => encoder.u64(name, *value),
        Owned::I64(value) => encoder.i64(name, *value),
        Owned::U128(value) => encoder.u128(name, *value),
        Owned::I128(value) => encoder.i128(name, *value),
        Owned::F64(bits) => encoder.f64(name, f64::from_bits(*bits)),
        Owned::Bool(value) => encoder.bool(name, *value),
        Owned::Str(value) => encoder.str(name, value),
        Owned::Bytes(value) => encoder.bytes(name, value),
        Owned::Debug(value) => encoder.debug(name, &InPieces(value)),
        Owned::Error(texts) => encoder.error(name, &*chain(texts)),
    }
}

/// A block: a count, nothing missing, and that many fields, as the SDK keeps one for a span.
pub fn block(fields: &[OwnedField]) -> Vec<u8> {
    let mut block = vec![0; 6];
    let mut encoder = FieldEncoder::new(&mut block, usize::MAX);
    encode_all(fields, &mut encoder);
    let count = encoder.count();
    block[..2].copy_from_slice(&count.to_le_bytes());
    block
}

/// A `Debug` that writes character by character, as derived ones write piece by piece.
struct InPieces<'a>(&'a str);

impl fmt::Debug for InPieces<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = [0; 4];
        self.0.chars().try_for_each(|character| f.write_str(character.encode_utf8(&mut buffer)))
    }
}

#[derive(Debug)]
struct Failure {
    text: String,
    source: Option<Box<Self>>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

fn chain(texts: &[String]) -> Box<dyn Error> {
    let link = |source, text: &String| Some(Box::new(Failure { text: text.clone(), source }));
    texts.iter().rev().fold(None, link).expect("a chain has at least one error")
}

/// Text of any characters, of one to four bytes each.
pub fn text(longest: usize) -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..=longest).prop_map(|characters| characters.into_iter().collect())
}

pub fn value() -> impl Strategy<Value = Owned> {
    prop_oneof![
        any::<u64>().prop_map(Owned::U64),
        any::<i64>().prop_map(Owned::I64),
        any::<u128>().prop_map(Owned::U128),
        any::<i128>().prop_map(Owned::I128),
        any::<u64>().prop_map(Owned::F64),
        any::<bool>().prop_map(Owned::Bool),
        text(60).prop_map(Owned::Str),
        vec(any::<u8>(), 0..120).prop_map(Owned::Bytes),
        text(60).prop_map(Owned::Debug),
        vec(text(12), 1..5).prop_map(Owned::Error),
    ]
}

/// Names short enough to travel whole, from few enough that some recur.
pub fn inline_name() -> impl Strategy<Value = OwnedName> {
    prop_oneof![Just("id".to_owned()), Just("user".to_owned()), text(20)]
        .prop_map(OwnedName::Inline)
}

pub fn fields(count: usize) -> impl Strategy<Value = Vec<OwnedField>> {
    let name = prop_oneof![(0..256_u16).prop_map(OwnedName::Index), inline_name()];
    vec((name, value()), 0..count)
}

pub fn inline_fields(count: usize) -> impl Strategy<Value = Vec<OwnedField>> {
    vec((inline_name(), value()), 0..count)
}
