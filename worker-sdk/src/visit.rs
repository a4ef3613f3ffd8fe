//! From `tracing` values to typed fields.

use std::error::Error;
use std::fmt;

use fleetlog_protocol::limits::FIELD_COUNT_MAX;
use fleetlog_protocol::record::{FairEncoder, FieldEncoder, FieldName};
use tracing_core::field::{Field, Visit};

/// How fields say their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    /// By their place in the callsite.
    Indexed,
    /// By themselves: spans, whose bytes are copied into records of other callsites.
    Inline,
    /// By themselves, without those that only carry the source of a `log` record.
    InlineWithoutSource,
}

impl Names {
    #[inline]
    fn of(self, field: &Field) -> Option<FieldName<'static>> {
        match self {
            Self::Indexed => {
                // A callsite's definition has no more names than this; the others are spelled out.
                let index = u16::try_from(field.index()).ok();
                let known = index.filter(|index| usize::from(*index) < FIELD_COUNT_MAX);
                Some(known.map_or_else(|| FieldName::Inline(field.name()), FieldName::Index))
            }
            Self::InlineWithoutSource if field.name().starts_with("log.") => None,
            Self::Inline | Self::InlineWithoutSource => Some(FieldName::Inline(field.name())),
        }
    }
}

/// Writes every field that it is shown.
#[derive(Debug)]
pub(crate) struct FieldVisitor<'b> {
    pub(crate) fields: FieldEncoder<'b>,
    pub(crate) names: Names,
}

/// Writes every field that it is shown, within its share of the room.
#[derive(Debug)]
pub(crate) struct FairVisitor<'f, 'b> {
    pub(crate) fair: &'f mut FairEncoder<'b>,
    pub(crate) names: Names,
}

macro_rules! record {
    ($put:ident: $($method:ident($type:ty) => $encode:ident;)*) => {
        $(#[inline]
        fn $method(&mut self, field: &Field, value: $type) {
            if let Some(name) = self.names.of(field) {
                $put!(self, fields => fields.$encode(name, value));
            }
        })*
    };
    ($put:ident) => {
        record! { $put:
            record_f64(f64) => f64;
            record_i64(i64) => i64;
            record_u64(u64) => u64;
            record_i128(i128) => i128;
            record_u128(u128) => u128;
            record_bool(bool) => bool;
            record_str(&str) => str;
            record_bytes(&[u8]) => bytes;
            record_error(&(dyn Error + 'static)) => error;
            record_debug(&dyn fmt::Debug) => debug;
        }
    };
}

macro_rules! put {
    ($self:ident, $fields:ident => $put:expr) => {{
        let $fields = &mut $self.fields;
        $put;
    }};
}

macro_rules! put_fairly {
    ($self:ident, $fields:ident => $put:expr) => {
        $self.fair.field(|$fields| $put)
    };
}

impl Visit for FieldVisitor<'_> {
    record!(put);
}

impl Visit for FairVisitor<'_, '_> {
    record!(put_fairly);
}
