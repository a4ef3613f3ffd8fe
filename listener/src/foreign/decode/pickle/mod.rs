//! Pickles: what `SocketHandler` and `DatagramHandler` of Python's `logging` send behind their
//! four bytes of length.
//!
//! A pickle is a program for a stack machine, and CPython's own reader runs it: it imports what
//! the pickle names and calls it. This one reads the protocols 0 to 5 and constructs nothing. A
//! module's function stays a name, a call stays a name with its arguments, and both end as text.
//!
//! The journey: `machine` turns the bytes into values in an `arena` whose members know each other
//! by index, `log_record` maps the dictionary of a `LogRecord` to an entry, and `show` writes as
//! text what no field can hold. `limits` bounds each of them.
//!
//! It never executes or imports anything, never recurses into what a pickle nests, never
//! allocates by a number that the pickle claims, and never copies a value because a pickle
//! mentions it again.

mod bytes;
mod danger;
mod fields;
mod input;
mod limits;
mod literal;
mod log_record;
mod machine;
mod node;
mod number;
mod object;
mod opcode;
mod percent;
mod show;
mod step;
#[cfg(test)]
mod tests;

use super::super::entry::Entry;

/// Decodes the pickle of a log record's dictionary.
pub(crate) fn decode(body: &[u8]) -> Result<Entry<'_>, Refused> {
    let (arena, top) = machine::run(body)?;
    log_record::entry(&arena, top, body.len())
}

/// Why a pickle is no log record. The sender is at fault in every case.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// The bytes end where an opcode's argument goes on.
    #[error("the pickle ends within {opcode} at byte {at}")]
    Truncated {
        /// The opcode.
        opcode: &'static str,
        /// Where the opcode is.
        at: usize,
    },
    /// The bytes end between two opcodes.
    #[error("the pickle ends without STOP")]
    Unstopped,
    /// Bytes follow STOP.
    #[error("{bytes} bytes follow the pickle's STOP")]
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// A byte that is no opcode stands where one must be.
    #[error("byte {at} of the pickle, {byte:#04x}, is no opcode")]
    UnknownOpcode {
        /// The byte.
        byte: u8,
        /// Where it is.
        at: usize,
    },
    /// The protocol is newer than 5.
    #[error("the pickle has protocol {0}, and 5 is the last that is known")]
    Protocol(u8),
    /// An argument is not of the form that the opcode has.
    #[error("{opcode} at byte {at} of the pickle has a malformed argument: {problem}")]
    Malformed {
        /// The opcode.
        opcode: &'static str,
        /// Where the opcode is.
        at: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// An opcode takes what is not on the stack.
    #[error("{opcode} at byte {at} of the pickle takes more than there is")]
    Underflow {
        /// The opcode.
        opcode: &'static str,
        /// Where the opcode is.
        at: usize,
    },
    /// An opcode is applied to a value that it can't be applied to.
    #[error("{opcode} at byte {at} of the pickle can't be applied to {found}")]
    Unfit {
        /// The opcode.
        opcode: &'static str,
        /// Where the opcode is.
        at: usize,
        /// What kind of value it is applied to.
        found: &'static str,
    },
    /// A remembered value is asked for that nobody asked to remember.
    #[error("{opcode} at byte {at} of the pickle asks for what was never remembered")]
    Unremembered {
        /// The opcode.
        opcode: &'static str,
        /// Where the opcode is.
        at: usize,
    },
    /// Too many containers are open at once.
    #[error("the pickle is nested too deep: {} open containers are the most", limits::MARKS)]
    TooDeep,
    /// Too many values wait on the stack.
    #[error("too many values of the pickle wait on the stack: {} are the most", limits::STACK)]
    StackTooLarge,
    /// There are too many values.
    #[error("the pickle has too many objects: {} are the most", limits::NODES)]
    TooManyObjects,
    /// Too many values are remembered.
    #[error("the pickle's memo is too large: {} objects are the most", limits::MEMO)]
    MemoTooLarge,
    /// The pickle would call what no logger calls.
    #[error("the pickle calls a dangerous function, {name}")]
    Dangerous {
        /// The function, with its module.
        name: String,
    },
    /// It is a pickle, but not one of a log record's dictionary.
    #[error("the pickle is not the dictionary of a log record: it is {found}")]
    NoRecord {
        /// What it is.
        found: &'static str,
    },
}
