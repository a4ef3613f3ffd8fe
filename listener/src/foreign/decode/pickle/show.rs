//! Values as text, as Python's `repr` writes them.
//!
//! A pickle of a hundred bytes can nest lists that would be written as terabytes, and a list can
//! hold itself. What is written goes by a budget of bytes and a limit of depth, and `...` stands
//! where either ended. Every value that is looked at costs at least one byte of the budget, so
//! that values that write nothing take no time for free.

use super::bytes::Bytes;
use super::limits::{ALWAYS_BYTES, SHOWN_BYTES, SHOWN_DEPTH, SHOWN_PER_BYTE};
use super::node::{Arena, Call, Id, Node};
use super::number;

/// What stands for the rest.
const REST: &str = "...";

/// How many bytes may still be written.
pub(super) struct Budget {
    left: usize,
}

impl Budget {
    /// What all values of one record may take together.
    pub(super) fn of_record(pickle_bytes: usize) -> Self {
        let fair = pickle_bytes.saturating_mul(SHOWN_PER_BYTE).saturating_add(ALWAYS_BYTES);
        Self { left: fair.min(SHOWN_BYTES) }
    }
}

/// A value as `repr` writes it.
pub(super) fn repr(arena: &Arena<'_>, id: Id, budget: &mut Budget) -> String {
    let mut shower = Shower {
        arena,
        out: String::new(),
        full: budget.left == 0,
        left: budget.left,
        path: Vec::new(),
    };
    if shower.full {
        return REST.to_owned();
    }
    shower.node(id);
    budget.left = shower.left;
    shower.out
}

/// The writer of one value.
pub(super) struct Shower<'n, 'a> {
    pub(super) arena: &'n Arena<'a>,
    out: String,
    full: bool,
    left: usize,
    /// The containers around the current value.
    path: Vec<Id>,
}

impl<'n, 'a> Shower<'n, 'a> {
    /// Writes a value.
    pub(super) fn node(&mut self, id: Id) {
        if self.left == 0 && !self.full {
            self.fill();
        }
        if self.full {
            return;
        }
        self.left -= 1;
        let arena = self.arena;
        if let Some(bytes) = Bytes::of(arena, id) {
            return self.bytes(&bytes);
        }
        match arena.get(id) {
            Node::None => self.push("None"),
            Node::Bool(value) => self.push(if *value { "True" } else { "False" }),
            node @ (Node::Int(_) | Node::Unsigned(_) | Node::Long(_) | Node::Digits(_)) => {
                self.push(&number::decimal(node).unwrap_or_default());
            }
            Node::Float(value) => self.push(&number::float(*value)),
            Node::Str(text) => self.quote(text),
            Node::Global(..) => self.name(id),
            Node::Extension(code) => self.push(&format!("<extension {code}>")),
            Node::Buffer => self.push("<buffer>"),
            container => self.container(id, container),
        }
    }

    fn container(&mut self, id: Id, node: &'n Node<'a>) {
        let is_inside_itself = self.path.contains(&id);
        if is_inside_itself || self.path.len() >= SHOWN_DEPTH {
            let rest = match node {
                Node::List(_) if is_inside_itself => "[...]",
                Node::Dict(_) if is_inside_itself => "{...}",
                Node::Tuple(_) if is_inside_itself => "(...)",
                _ => REST,
            };
            return self.push(rest);
        }
        self.path.push(id);
        match node {
            Node::Tuple(items) => {
                self.items("(", items, if items.len() == 1 { ",)" } else { ")" });
            }
            Node::List(items) => self.items("[", items, "]"),
            Node::Set(items) => self.set(items),
            Node::Frozenset(items) => self.frozenset(items),
            Node::Dict(pairs) => self.pairs(pairs),
            Node::Call(call) if self.known(call) => {}
            Node::Call(call) => self.call(call),
            Node::Persistent(id) => {
                self.push("<persistent ");
                self.node(*id);
                self.push(">");
            }
            _ => {}
        }
        self.path.pop();
    }

    pub(super) fn set(&mut self, items: &[Id]) {
        if items.is_empty() { self.push("set()") } else { self.items("{", items, "}") }
    }

    pub(super) fn frozenset(&mut self, items: &[Id]) {
        self.push("frozenset(");
        if !items.is_empty() {
            self.set(items);
        }
        self.push(")");
    }

    /// Writes values between brackets.
    pub(super) fn items(&mut self, open: &str, items: &[Id], close: &str) {
        self.push(open);
        for (index, &item) in items.iter().enumerate() {
            if self.full {
                return;
            }
            self.comma(index > 0);
            self.node(item);
        }
        self.push(close);
    }

    pub(super) fn pairs(&mut self, pairs: &[(Id, Id)]) {
        self.push("{");
        for (index, &(key, value)) in pairs.iter().enumerate() {
            if self.full {
                return;
            }
            self.comma(index > 0);
            self.node(key);
            self.push(": ");
            self.node(value);
        }
        self.push("}");
    }

    fn comma(&mut self, needed: bool) {
        if needed {
            self.push(", ");
        }
    }

    /// Writes `module.Name`, or only the name where everyone knows it.
    pub(super) fn name(&mut self, id: Id) {
        match self.arena.global(id) {
            Some(("builtins", name)) => self.push(name),
            Some((module, name)) => {
                self.push(module);
                self.push(".");
                self.push(name);
            }
            None => self.node(id),
        }
    }

    /// Writes `module.Name(argument, name=argument)`.
    fn call(&mut self, call: &'n Call) {
        let (function, arguments) = self.arena.constructor(call);
        self.name(function);
        self.push("(");
        let mut written = false;
        for &argument in arguments {
            self.separate(&mut written);
            self.node(argument);
        }
        if !call.items.is_empty() {
            self.separate(&mut written);
            self.items("[", &call.items, "]");
        }
        if !call.pairs.is_empty() {
            self.separate(&mut written);
            self.pairs(&call.pairs);
        }
        for attributes in call.keywords.into_iter().chain(call.state) {
            self.attributes(attributes, &mut written);
        }
        self.push(")");
    }

    fn separate(&mut self, written: &mut bool) {
        self.comma(*written);
        *written = true;
    }

    /// Writes an object's state: a dictionary, or that and another one for its slots.
    fn attributes(&mut self, state: Id, written: &mut bool) {
        let arena = self.arena;
        let single = [state];
        let states = match arena.tuple(state) {
            Some(both @ [_, _]) => both,
            _ => &single,
        };
        for &state in states {
            let Node::Dict(pairs) = arena.get(state) else {
                if state != Arena::NONE && !self.full {
                    self.separate(written);
                    self.node(state);
                }
                continue;
            };
            for &(key, value) in pairs {
                if self.full {
                    return;
                }
                self.separate(written);
                match arena.str(key) {
                    Some(name) => self.push(name),
                    None => self.node(key),
                }
                self.push("=");
                self.node(value);
            }
        }
    }

    /// Writes a string in quotes.
    fn quote(&mut self, text: &str) {
        let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
        self.push_char(quote);
        for character in text.chars() {
            if self.full {
                return;
            }
            match character {
                '\\' => self.push("\\\\"),
                '\n' => self.push("\\n"),
                '\r' => self.push("\\r"),
                '\t' => self.push("\\t"),
                _ if character == quote => {
                    self.push("\\");
                    self.push_char(character);
                }
                _ if is_printable(character) => self.push_char(character),
                _ => self.push(&escape(character)),
            }
        }
        self.push_char(quote);
    }

    fn bytes(&mut self, bytes: &Bytes<'_, '_>) {
        let has = |quote| bytes.iter().any(|byte| byte == quote);
        let quote = if has(b'\'') && !has(b'"') { '"' } else { '\'' };
        self.push(if bytes.is_bytearray { "bytearray(b" } else { "b" });
        self.push_char(quote);
        for byte in bytes.iter() {
            if self.full {
                return;
            }
            match byte {
                b'\\' => self.push("\\\\"),
                b'\n' => self.push("\\n"),
                b'\r' => self.push("\\r"),
                b'\t' => self.push("\\t"),
                b' '..=b'~' if char::from(byte) == quote => {
                    self.push("\\");
                    self.push_char(quote);
                }
                b' '..=b'~' => self.push_char(char::from(byte)),
                _ => self.push(&format!("\\x{byte:02x}")),
            }
        }
        self.push_char(quote);
        self.push(if bytes.is_bytearray { ")" } else { "" });
    }

    fn push_char(&mut self, character: char) {
        self.push(character.encode_utf8(&mut [0; 4]));
    }

    /// Writes text as it is.
    pub(super) fn push(&mut self, text: &str) {
        if self.full {
            return;
        }
        if text.len() > self.left {
            self.out.push_str(&text[..text.floor_char_boundary(self.left)]);
            return self.fill();
        }
        self.out.push_str(text);
        self.left -= text.len();
    }

    fn fill(&mut self) {
        self.out.push_str(REST);
        self.full = true;
        self.left = 0;
    }
}

/// A character as an escape.
pub(super) fn escape(character: char) -> String {
    match u32::from(character) {
        code @ ..=0xff => format!("\\x{code:02x}"),
        code @ ..=0xffff => format!("\\u{code:04x}"),
        code => format!("\\U{code:08x}"),
    }
}

/// Whether Python shows the character as itself, but for those of Unicode's rarer corners.
fn is_printable(character: char) -> bool {
    match character {
        ' ' => true,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => {
            false
        }
        '\u{e000}'..='\u{f8ff}' | '\u{feff}' | '\u{f0000}'.. => false,
        _ => !character.is_control() && !character.is_whitespace(),
    }
}
