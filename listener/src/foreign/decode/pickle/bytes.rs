//! Bytes in the shapes that pickles have for them.
//!
//! Only from protocol 3 on do they stand in the pickle. Before, they are a call that encodes a
//! string as Latin-1, and a `bytearray` is a call with such bytes for five protocols.

use super::node::{Arena, Call, Id, Node};

/// The bytes of a `bytes` object or of a `bytearray`, which are not copied yet.
pub(super) struct Bytes<'n, 'a> {
    /// The bytes as they stand in the pickle; empty where they don't.
    pub(super) raw: &'a [u8],
    /// The string whose characters are the bytes; empty where the pickle has them as they are.
    pub(super) latin1: &'n str,
    /// Whether they can be changed in Python.
    pub(super) is_bytearray: bool,
}

impl<'n, 'a> Bytes<'n, 'a> {
    /// The bytes of a value that is bytes.
    pub(super) fn of(arena: &'n Arena<'a>, id: Id) -> Option<Self> {
        match arena.get(id) {
            Node::Bytearray(raw) => Some(Self { raw, latin1: "", is_bytearray: true }),
            Node::Call(call) if arena.global(call.function)? == ("builtins", "bytearray") => {
                let bytes = match arena.tuple(call.arguments)? {
                    [] => Self::NONE,
                    [bytes] => Self::of_plain(arena, *bytes)?,
                    [text, encoding] => Self::encoded(arena, *text, *encoding)?,
                    _ => return None,
                };
                Some(Self { is_bytearray: true, ..bytes })
            }
            _ => Self::of_plain(arena, id),
        }
    }

    /// Each byte. A character that is no byte, which would make Python fail, becomes `?`.
    pub(super) fn iter(&self) -> impl Iterator<Item = u8> + Clone {
        let byte = |character| u8::try_from(u32::from(character)).unwrap_or(b'?');
        self.raw.iter().copied().chain(self.latin1.chars().map(byte))
    }

    const NONE: Self = Self { raw: b"", latin1: "", is_bytearray: false };

    /// Of a `bytes` object only: a `bytearray` of one of a thousand others must not recurse.
    fn of_plain(arena: &'n Arena<'a>, id: Id) -> Option<Self> {
        match arena.get(id) {
            Node::Bytes(raw) => Some(Self { raw, ..Self::NONE }),
            Node::Call(call) => Self::of_call(arena, call),
            _ => None,
        }
    }

    fn of_call(arena: &'n Arena<'a>, call: &Call) -> Option<Self> {
        match (arena.global(call.function)?, arena.tuple(call.arguments)?) {
            (("builtins", "bytes"), []) => Some(Self::NONE),
            (("_codecs", "encode"), [text, encoding]) => Self::encoded(arena, *text, *encoding),
            _ => None,
        }
    }

    fn encoded(arena: &'n Arena<'a>, text: Id, encoding: Id) -> Option<Self> {
        let is_latin1 = matches!(arena.str(encoding)?.as_ref(), "latin1" | "latin-1");
        is_latin1.then_some(Self { latin1: arena.str(text)?, ..Self::NONE })
    }
}
