//! The stack machine that a pickle is a program for: its stack, its marks and its memo.
//!
//! Each opcode takes at least one byte of the pickle, adds at most three values and moves the
//! rest, so the work is in proportion to the pickle. The opcodes themselves are in `step`.

use std::borrow::Cow;
use std::collections::HashMap;

use super::Refused;
use super::danger::{is_dangerous, passes_calls_on};
use super::input::Input;
use super::limits::{MARKS, MEMO, NAME_BYTES, NAME_DOTS, STACK};
use super::literal;
use super::node::{Arena, Call, Id, Node};
use super::opcode;

/// Reads a whole pickle: its values, and which of them is the pickle's own.
pub(super) fn run(body: &[u8]) -> Result<(Arena<'_>, Id), Refused> {
    let mut machine = Machine::new(body);
    let top = machine.run()?;
    Ok((machine.arena, top))
}

/// The machine between two opcodes.
pub(super) struct Machine<'a> {
    pub(super) input: Input<'a>,
    pub(super) arena: Arena<'a>,
    stack: Vec<Id>,
    /// The stack's heights at the open marks.
    marks: Vec<usize>,
    /// A map and no vector: a pickle may call its first value number four billion.
    memo: HashMap<u32, Id>,
    opcode: &'static str,
    at: usize,
}

impl<'a> Machine<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self {
            input: Input::new(body),
            arena: Arena::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            opcode: "",
            at: 0,
        }
    }

    /// Reads the pickle to its end.
    pub(super) fn run(&mut self) -> Result<Id, Refused> {
        loop {
            self.at = self.input.position();
            let byte = self.input.byte().ok_or(Refused::Unstopped)?;
            self.opcode = opcode::name(byte).ok_or(Refused::UnknownOpcode { byte, at: self.at })?;
            if byte == opcode::STOP {
                let top = self.pop()?;
                return match self.input.left() {
                    0 => Ok(top),
                    bytes => Err(Refused::Trailing { bytes }),
                };
            }
            self.step(byte)?;
        }
    }

    /// The bytes that the machine takes beside the pickle itself.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.arena.memory()
            + self.stack.capacity() * size_of::<Id>()
            + self.marks.capacity() * size_of::<usize>()
            + self.memo.capacity() * (size_of::<(u32, Id)>() + 1)
    }

    /// Puts a new value on the stack.
    pub(super) fn push(&mut self, node: Node<'a>) -> Result<(), Refused> {
        let id = self.arena.add(node)?;
        self.push_id(id)
    }

    /// Puts a known value on the stack.
    pub(super) fn push_id(&mut self, id: Id) -> Result<(), Refused> {
        if self.stack.len() >= STACK {
            return Err(Refused::StackTooLarge);
        }
        self.stack.push(id);
        Ok(())
    }

    /// Takes the last value from the stack, but none from before the last mark.
    pub(super) fn pop(&mut self) -> Result<Id, Refused> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(self.underflow());
        }
        self.stack.pop().ok_or_else(|| self.underflow())
    }

    /// The last value on the stack.
    pub(super) fn top(&self) -> Result<Id, Refused> {
        let floor = self.marks.last().copied().unwrap_or(0);
        self.stack[floor..].last().copied().ok_or_else(|| self.underflow())
    }

    pub(super) fn mark(&mut self) -> Result<(), Refused> {
        if self.marks.len() >= MARKS {
            return Err(Refused::TooDeep);
        }
        self.marks.push(self.stack.len());
        Ok(())
    }

    /// Takes everything behind the last mark, and the mark.
    pub(super) fn pop_mark(&mut self) -> Result<Vec<Id>, Refused> {
        let floor = self.marks.pop().ok_or_else(|| self.underflow())?;
        // Collected, a tuple of one item has room for one, however high the stack once was.
        Ok(self.stack.drain(floor..).collect())
    }

    /// Takes the last value or, where a mark is the last, the mark.
    pub(super) fn discard(&mut self) -> Result<(), Refused> {
        if self.marks.last() == Some(&self.stack.len()) {
            self.marks.pop();
            return Ok(());
        }
        self.pop().map(|_| ())
    }

    /// Gives the last value a number.
    pub(super) fn remember(&mut self, number: u32) -> Result<(), Refused> {
        let top = self.top()?;
        self.memo.insert(number, top);
        if self.memo.len() > MEMO { Err(Refused::MemoTooLarge) } else { Ok(()) }
    }

    /// Gives the last value the next number.
    pub(super) fn memoize(&mut self) -> Result<(), Refused> {
        let number = u32::try_from(self.memo.len()).map_err(|_| Refused::MemoTooLarge)?;
        self.remember(number)
    }

    /// Puts the value of a number on the stack again.
    pub(super) fn recall(&mut self, number: u32) -> Result<(), Refused> {
        let refused = Refused::Unremembered { opcode: self.opcode, at: self.at };
        let id = self.memo.get(&number).copied().ok_or(refused)?;
        self.push_id(id)
    }

    /// Names a class or a function by strings that the arena has.
    pub(super) fn global(&mut self, module: Id, name: Id) -> Result<Id, Refused> {
        for part in [module, name] {
            match self.arena.get(part) {
                Node::Str(text)
                    if text.len() <= NAME_BYTES
                        && text.bytes().filter(|&byte| byte == b'.').count() <= NAME_DOTS => {}
                Node::Str(_) => return Err(self.malformed("a name is too long")),
                node => return Err(self.unfit(node.kind())),
            }
        }
        self.arena.add(Node::Global(module, name))
    }

    /// Names a class or a function by two lines of the pickle.
    pub(super) fn global_of_lines(&mut self) -> Result<Id, Refused> {
        let mut line = || -> Result<Cow<'a, str>, Refused> {
            let line = self.input.line().ok_or_else(|| self.truncated())?;
            Ok(literal::utf8(line))
        };
        let (module, name) = (line()?, line()?);
        let module = self.arena.add(Node::Str(module))?;
        let name = self.arena.add(Node::Str(name))?;
        self.global(module, name)
    }

    /// Puts on the stack what the call would make.
    pub(super) fn call(
        &mut self,
        function: Id,
        arguments: Id,
        keywords: Option<Id>,
    ) -> Result<(), Refused> {
        self.check_call(function, arguments)?;
        self.push(Node::Call(Box::new(Call {
            function,
            arguments,
            keywords,
            state: None,
            items: Vec::new(),
            pairs: Vec::new(),
        })))
    }

    fn check_call(&self, function: Id, arguments: Id) -> Result<(), Refused> {
        match self.arena.get(function) {
            Node::Global(..) => {
                self.check_function(function)?;
                let passes_on = self
                    .arena
                    .global(function)
                    .is_some_and(|(module, name)| passes_calls_on(module, name));
                if passes_on { self.check_functions_in(arguments) } else { Ok(()) }
            }
            // `functools.partial(os.system)` is a value until somebody calls it.
            Node::Call(inner) => self.check_functions_in(inner.arguments),
            Node::Extension(_) | Node::Persistent(_) => Ok(()),
            node => Err(self.unfit(node.kind())),
        }
    }

    fn check_functions_in(&self, arguments: Id) -> Result<(), Refused> {
        // Who passes a function on has it among the first arguments. Looking at all of them
        // would let many calls with one long tuple take time out of proportion.
        let arguments = self.arena.tuple(arguments).unwrap_or_default();
        arguments.iter().take(3).try_for_each(|&argument| self.check_function(argument))
    }

    fn check_function(&self, id: Id) -> Result<(), Refused> {
        match self.arena.global(id) {
            Some((module, name)) if is_dangerous(module, name) => {
                // Whoever attacks chooses the name, and it is printed on a terminal.
                let name = format!("{module}.{name}").escape_debug().to_string();
                Err(Refused::Dangerous { name })
            }
            _ => Ok(()),
        }
    }

    pub(super) fn truncated(&self) -> Refused {
        Refused::Truncated { opcode: self.opcode, at: self.at }
    }

    pub(super) fn malformed(&self, problem: &'static str) -> Refused {
        Refused::Malformed { opcode: self.opcode, at: self.at, problem }
    }

    pub(super) fn unfit(&self, found: &'static str) -> Refused {
        Refused::Unfit { opcode: self.opcode, at: self.at, found }
    }

    fn underflow(&self) -> Refused {
        Refused::Underflow { opcode: self.opcode, at: self.at }
    }
}
