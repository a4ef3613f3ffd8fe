//! The values of a pickle: an arena of plain nodes that know each other by index.
//!
//! A pickle can mention one value a million times and can nest a list in itself. Indices make
//! the first cost four bytes each, and the second neither a leak nor a recursive drop.

use std::borrow::Cow;

use super::Refused;
use super::limits::NODES;

/// A value's place in its arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Id(u32);

/// A value.
#[derive(Debug)]
pub(super) enum Node<'a> {
    None,
    Bool(bool),
    /// An integer that fits.
    Int(i64),
    /// An integer beyond `i64::MAX` that fits.
    Unsigned(u64),
    /// An integer that fits nowhere, in little-endian two's complement.
    Long(&'a [u8]),
    /// An integer that fits nowhere, in decimal digits behind an optional minus sign.
    Digits(&'a str),
    Float(f64),
    Str(Cow<'a, str>),
    Bytes(&'a [u8]),
    Bytearray(&'a [u8]),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Set(Vec<Id>),
    Frozenset(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A class or a function by its module's name and its own, which are both strings.
    Global(Id, Id),
    /// What a call would have made.
    Call(Box<Call>),
    /// What a persistent id stands for.
    Persistent(Id),
    /// A class or a function by its number in a registry that only the sender has.
    Extension(u32),
    /// Bytes that were sent beside the pickle.
    Buffer,
}

/// A call that nobody makes.
#[derive(Debug)]
pub(super) struct Call {
    /// What would be called.
    pub(super) function: Id,
    /// A tuple in every honest pickle.
    pub(super) arguments: Id,
    /// The dictionary of the arguments that have names.
    pub(super) keywords: Option<Id>,
    /// What the object's attributes would become.
    pub(super) state: Option<Id>,
    /// What was appended to the object.
    pub(super) items: Vec<Id>,
    /// What was set in the object.
    pub(super) pairs: Vec<(Id, Id)>,
}

impl Node<'_> {
    /// What kind of value it is, for a message.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Bool(_) => "a boolean",
            Self::Int(_) | Self::Unsigned(_) | Self::Long(_) | Self::Digits(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Str(_) => "a string",
            Self::Bytes(_) => "bytes",
            Self::Bytearray(_) => "a bytearray",
            Self::Tuple(_) => "a tuple",
            Self::List(_) => "a list",
            Self::Set(_) => "a set",
            Self::Frozenset(_) => "a frozenset",
            Self::Dict(_) => "a dictionary",
            Self::Global(..) => "a class or a function",
            Self::Call(_) => "an object",
            Self::Persistent(_) => "a persistent id",
            Self::Extension(_) => "an extension",
            Self::Buffer => "a buffer",
        }
    }
}

/// The values of one pickle.
pub(super) struct Arena<'a> {
    nodes: Vec<Node<'a>>,
}

impl<'a> Arena<'a> {
    // A megabyte of `N` must not become a million nodes.
    pub(super) const NONE: Id = Id(0);
    pub(super) const FALSE: Id = Id(1);
    pub(super) const TRUE: Id = Id(2);

    pub(super) fn new() -> Self {
        Self { nodes: vec![Node::None, Node::Bool(false), Node::Bool(true)] }
    }

    pub(super) fn add(&mut self, node: Node<'a>) -> Result<Id, Refused> {
        let id = u32::try_from(self.nodes.len()).map_err(|_| Refused::TooManyObjects)?;
        if self.nodes.len() >= NODES {
            return Err(Refused::TooManyObjects);
        }
        self.nodes.push(node);
        Ok(Id(id))
    }

    pub(super) fn get(&self, id: Id) -> &Node<'a> {
        // Ids come from `add` alone and nothing is removed; the fallback keeps a bug in the
        // machine from taking the listener down.
        self.nodes.get(id.0 as usize).unwrap_or(&Node::None)
    }

    pub(super) fn get_mut(&mut self, id: Id) -> Option<&mut Node<'a>> {
        self.nodes.get_mut(id.0 as usize)
    }

    /// The string at an index.
    pub(super) fn str(&self, id: Id) -> Option<&Cow<'a, str>> {
        match self.get(id) {
            Node::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The items of a tuple.
    pub(super) fn tuple(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Node::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// The module and the name of a class or a function, by their names in Python 3.
    pub(super) fn global(&self, id: Id) -> Option<(&str, &str)> {
        let Node::Global(module, name) = self.get(id) else { return None };
        let (module, name) = (self.str(*module)?, self.str(*name)?);
        // Before protocol 3 CPython writes the names that Python 2 has.
        Some(match (module.as_ref(), name.as_ref()) {
            ("__builtin__", "xrange") => ("builtins", "range"),
            ("__builtin__" | "exceptions", name) => ("builtins", name),
            ("copy_reg", name) => ("copyreg", name),
            names => names,
        })
    }

    /// The class or function that a call is meant for, and the arguments that it gets.
    pub(super) fn constructor<'n>(&'n self, call: &'n Call) -> (Id, &'n [Id]) {
        let Some(arguments) = self.tuple(call.arguments) else {
            return (call.function, std::slice::from_ref(&call.arguments));
        };
        // These two are how `copyreg` spells a call of the class that they are given.
        match (self.global(call.function), arguments) {
            (Some(("copyreg", "__newobj__")), [class, rest @ ..]) => (*class, rest),
            (Some(("copyreg", "_reconstructor")), [class, _, Self::NONE]) => (*class, &[]),
            (Some(("copyreg", "_reconstructor")), [class, base, rest @ ..]) => {
                // A named tuple's own items.
                let is_tuple = self.global(*base) == Some(("builtins", "tuple"));
                let items = rest.first().filter(|_| is_tuple).and_then(|rest| self.tuple(*rest));
                (*class, items.unwrap_or(rest))
            }
            _ => (call.function, arguments),
        }
    }

    /// The bytes that the values take beside the pickle itself.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        let inside = |node: &Node<'_>| match node {
            Node::Str(Cow::Owned(text)) => text.capacity(),
            Node::Tuple(items) | Node::List(items) | Node::Set(items) | Node::Frozenset(items) => {
                items.capacity() * size_of::<Id>()
            }
            Node::Dict(pairs) => pairs.capacity() * size_of::<(Id, Id)>(),
            Node::Call(call) => {
                size_of::<Call>()
                    + call.items.capacity() * size_of::<Id>()
                    + call.pairs.capacity() * size_of::<(Id, Id)>()
            }
            _ => 0,
        };
        self.nodes.capacity() * size_of::<Node<'_>>() + self.nodes.iter().map(inside).sum::<usize>()
    }
}
