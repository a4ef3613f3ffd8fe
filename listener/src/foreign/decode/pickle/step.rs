//! What each opcode does to the machine.

use super::Refused;
use super::input::Input;
use super::literal;
use super::machine::Machine;
use super::node::{Arena, Id, Node};
use super::opcode as op;

/// The last protocol that is known.
const PROTOCOL: u8 = 5;

impl<'a> Machine<'a> {
    /// Executes one opcode other than `STOP`.
    pub(super) fn step(&mut self, opcode: u8) -> Result<(), Refused> {
        match opcode {
            op::PROTO | op::FRAME => self.heading(opcode),
            op::MARK => self.mark(),
            op::POP => self.discard(),
            op::POP_MARK => self.pop_mark().map(|_| ()),
            op::DUP => self.top().and_then(|id| self.push_id(id)),
            op::NONE => self.push_id(Arena::NONE),
            op::NEWTRUE => self.push_id(Arena::TRUE),
            op::NEWFALSE => self.push_id(Arena::FALSE),
            op::PUT | op::BINPUT | op::LONG_BINPUT => {
                let number = self.number(opcode)?;
                self.remember(number)
            }
            op::MEMOIZE => self.memoize(),
            op::GET | op::BINGET | op::LONG_BINGET => {
                let number = self.number(opcode)?;
                self.recall(number)
            }
            op::APPEND | op::APPENDS | op::ADDITEMS => self.append(opcode),
            op::SETITEM | op::SETITEMS => self.set(opcode),
            op::GLOBAL | op::STACK_GLOBAL => self.name(opcode),
            op::REDUCE | op::NEWOBJ | op::NEWOBJ_EX | op::INST | op::OBJ => self.construct(opcode),
            op::BUILD => self.build(),
            op::READONLY_BUFFER => self.top().map(|_| ()),
            op::LIST
            | op::TUPLE
            | op::FROZENSET
            | op::DICT
            | op::TUPLE1
            | op::TUPLE2
            | op::TUPLE3 => {
                let node = self.container(opcode)?;
                self.push(node)
            }
            op::PERSID | op::BINPERSID => {
                let id = match opcode {
                    op::BINPERSID => self.pop()?,
                    _ => {
                        let line = self.line()?;
                        self.arena.add(Node::Str(literal::utf8(line)))?
                    }
                };
                self.push(Node::Persistent(id))
            }
            _ => {
                let node = self.scalar(opcode)?;
                self.push(node)
            }
        }
    }

    fn heading(&mut self, opcode: u8) -> Result<(), Refused> {
        if opcode == op::PROTO {
            let protocol = self.read(Input::byte)?;
            return if protocol <= PROTOCOL { Ok(()) } else { Err(Refused::Protocol(protocol)) };
        }
        // A frame says only how much to read at once, and everything is read already.
        let length = u64::from_le_bytes(self.read(Input::array)?);
        match usize::try_from(length) {
            Ok(length) if length <= self.input.left() => Ok(()),
            _ => Err(self.truncated()),
        }
    }

    /// A value that stands in the pickle itself, or that is empty.
    fn scalar(&mut self, opcode: u8) -> Result<Node<'a>, Refused> {
        Ok(match opcode {
            op::INT | op::LONG => {
                let line = self.line()?;
                literal::integer(line, opcode == op::LONG)
                    .ok_or_else(|| self.malformed("it is no integer"))?
            }
            op::FLOAT => {
                let line = self.line()?;
                Node::Float(literal::float(line).ok_or_else(|| self.malformed("it is no number"))?)
            }
            op::BININT => Node::Int(i32::from_le_bytes(self.read(Input::array)?).into()),
            op::BININT1 => Node::Int(self.read(Input::byte)?.into()),
            op::BININT2 => Node::Int(u16::from_le_bytes(self.read(Input::array)?).into()),
            op::LONG1 => literal::long(self.read(Input::counted_by_1)?),
            op::LONG4 => literal::long(self.counted_signed()?),
            op::BINFLOAT => Node::Float(f64::from_be_bytes(self.read(Input::array)?)),
            op::STRING => {
                let line = self.line()?;
                let text = literal::quoted(line);
                Node::Str(text.ok_or_else(|| self.malformed("a quote or an escape is wrong"))?)
            }
            op::UNICODE => {
                let line = self.line()?;
                let text = literal::raw_unicode(line);
                Node::Str(text.ok_or_else(|| self.malformed("an escape is wrong"))?)
            }
            op::BINSTRING => literal::python_2_string(self.counted_signed()?),
            op::SHORT_BINSTRING => literal::python_2_string(self.read(Input::counted_by_1)?),
            op::SHORT_BINUNICODE => Node::Str(literal::utf8(self.read(Input::counted_by_1)?)),
            op::BINUNICODE => Node::Str(literal::utf8(self.read(Input::counted_by_4)?)),
            op::BINUNICODE8 => Node::Str(literal::utf8(self.read(Input::counted_by_8)?)),
            op::SHORT_BINBYTES => Node::Bytes(self.read(Input::counted_by_1)?),
            op::BINBYTES => Node::Bytes(self.read(Input::counted_by_4)?),
            op::BINBYTES8 => Node::Bytes(self.read(Input::counted_by_8)?),
            op::BYTEARRAY8 => Node::Bytearray(self.read(Input::counted_by_8)?),
            op::EMPTY_TUPLE => Node::Tuple(Vec::new()),
            op::EMPTY_LIST => Node::List(Vec::new()),
            op::EMPTY_DICT => Node::Dict(Vec::new()),
            op::EMPTY_SET => Node::Set(Vec::new()),
            op::EXT1 => Node::Extension(self.read(Input::byte)?.into()),
            op::EXT2 => Node::Extension(u16::from_le_bytes(self.read(Input::array)?).into()),
            op::EXT4 => Node::Extension(u32::from_le_bytes(self.read(Input::array)?)),
            op::NEXT_BUFFER => Node::Buffer,
            byte => return Err(Refused::UnknownOpcode { byte, at: self.input.position() - 1 }),
        })
    }

    fn container(&mut self, opcode: u8) -> Result<Node<'a>, Refused> {
        let count = match opcode {
            op::TUPLE1 => 1,
            op::TUPLE2 => 2,
            op::TUPLE3 => 3,
            _ => {
                let items = self.pop_mark()?;
                return Ok(match opcode {
                    op::LIST => Node::List(items),
                    op::FROZENSET => Node::Frozenset(items),
                    op::DICT => Node::Dict(self.pairs(&items)?),
                    _ => Node::Tuple(items),
                });
            }
        };
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(self.pop()?);
        }
        items.reverse();
        Ok(Node::Tuple(items))
    }

    fn append(&mut self, opcode: u8) -> Result<(), Refused> {
        let added = match opcode {
            op::APPEND => vec![self.pop()?],
            _ => self.pop_mark()?,
        };
        let target = self.top()?;
        let kind = self.arena.get(target).kind();
        match self.arena.get_mut(target) {
            Some(Node::List(items)) if opcode != op::ADDITEMS => items.extend(added),
            Some(Node::Set(items)) if opcode == op::ADDITEMS => items.extend(added),
            Some(Node::Call(call)) => call.items.extend(added),
            _ => return Err(self.unfit(kind)),
        }
        Ok(())
    }

    fn set(&mut self, opcode: u8) -> Result<(), Refused> {
        let added = match opcode {
            op::SETITEM => {
                let value = self.pop()?;
                vec![self.pop()?, value]
            }
            _ => self.pop_mark()?,
        };
        let added = self.pairs(&added)?;
        let target = self.top()?;
        let kind = self.arena.get(target).kind();
        match self.arena.get_mut(target) {
            Some(Node::Dict(pairs)) => pairs.extend(added),
            Some(Node::Call(call)) => call.pairs.extend(added),
            _ => return Err(self.unfit(kind)),
        }
        Ok(())
    }

    fn name(&mut self, opcode: u8) -> Result<(), Refused> {
        let id = match opcode {
            op::GLOBAL => self.global_of_lines()?,
            _ => {
                let name = self.pop()?;
                let module = self.pop()?;
                self.global(module, name)?
            }
        };
        self.push_id(id)
    }

    fn construct(&mut self, opcode: u8) -> Result<(), Refused> {
        if matches!(opcode, op::INST | op::OBJ) {
            let (function, arguments) = if opcode == op::INST {
                (self.global_of_lines()?, self.pop_mark()?)
            } else {
                let mut items = self.pop_mark()?;
                if items.is_empty() {
                    return Err(self.malformed("it names no class"));
                }
                (items.remove(0), items)
            };
            let arguments = self.arena.add(Node::Tuple(arguments))?;
            return self.call(function, arguments, None);
        }
        let keywords = if opcode == op::NEWOBJ_EX { Some(self.pop()?) } else { None };
        let arguments = self.pop()?;
        let function = self.pop()?;
        self.call(function, arguments, keywords)
    }

    fn build(&mut self) -> Result<(), Refused> {
        let state = self.pop()?;
        let target = self.top()?;
        let kind = self.arena.get(target).kind();
        match self.arena.get_mut(target) {
            Some(Node::Call(call)) => call.state = Some(state),
            // What sets attributes of a class changes it for the whole process.
            _ => return Err(self.unfit(kind)),
        }
        Ok(())
    }

    fn pairs(&self, items: &[Id]) -> Result<Vec<(Id, Id)>, Refused> {
        let (pairs, rest) = items.as_chunks();
        if !rest.is_empty() {
            return Err(self.malformed("a key has no value"));
        }
        Ok(pairs.iter().map(|&[key, value]| (key, value)).collect())
    }

    /// The number of a remembered value.
    fn number(&mut self, opcode: u8) -> Result<u32, Refused> {
        match opcode {
            op::BINPUT | op::BINGET => self.read(Input::byte).map(u32::from),
            op::LONG_BINPUT | op::LONG_BINGET => self.read(Input::array).map(u32::from_le_bytes),
            _ => {
                let line = self.line()?;
                std::str::from_utf8(line)
                    .ok()
                    .and_then(|text| text.parse().ok())
                    .ok_or_else(|| self.malformed("it is no number of a remembered value"))
            }
        }
    }

    fn line(&mut self) -> Result<&'a [u8], Refused> {
        self.read(Input::line)
    }

    /// Bytes behind a length whose sign bit must not be set.
    fn counted_signed(&mut self) -> Result<&'a [u8], Refused> {
        let count = i32::from_le_bytes(self.read(Input::array)?);
        let count = usize::try_from(count).map_err(|_| self.malformed("its length is negative"))?;
        self.read(|input| input.take(count))
    }

    fn read<T>(&mut self, read: impl FnOnce(&mut Input<'a>) -> Option<T>) -> Result<T, Refused> {
        read(&mut self.input).ok_or_else(|| self.truncated())
    }
}
