//! From `tracing` values to typed fields.

use std::error::Error;
use std::fmt;

use fleetlog_protocol::record::{FieldEncoder, FieldName};
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

/// Writes every field that it is shown.
#[derive(Debug)]
pub(crate) struct FieldVisitor<'b> {
    pub(crate) fields: FieldEncoder<'b>,
    pub(crate) names: Names,
}

impl FieldVisitor<'_> {
    #[inline]
    fn name(&self, field: &Field) -> Option<FieldName<'static>> {
        match self.names {
            Names::Indexed => u16::try_from(field.index()).ok().map(FieldName::Index),
            Names::InlineWithoutSource if field.name().starts_with("log.") => None,
            Names::Inline | Names::InlineWithoutSource => Some(FieldName::Inline(field.name())),
        }
    }
}

macro_rules! record {
    ($($method:ident($type:ty) => $encode:ident;)*) => {
        $(fn $method(&mut self, field: &Field, value: $type) {
            if let Some(name) = self.name(field) {
                self.fields.$encode(name, value);
            }
        })*
    };
}

impl Visit for FieldVisitor<'_> {
    record! {
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
}
