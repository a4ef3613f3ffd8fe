//! The tables of the report: each measures its rows, round by round, and prints them.

mod births;
mod calls;
mod followers;
mod growth;
mod isolation;
mod memory;
mod packing;
mod protocols;
mod row;
mod stalls;
mod throughput;

use std::fmt;
use std::io;

use crate::options::{Extra, Options};
use births::Births;
use calls::CallTable;
pub(crate) use followers::FOLLOW;
use followers::Followers;
use growth::Growth;
use isolation::Isolation;
use memory::Memory;
use packing::Packing;
use protocols::Protocols;
pub(crate) use row::Spread;
use row::{Row, heading, share};
use stalls::Stalls;
use throughput::Throughput;

/// Hears what is measured next.
pub(crate) type Listen<'a> = &'a dyn Fn(&str);

/// A table whose rows take turns: what disturbs a round disturbs all of them.
pub(crate) trait Table: fmt::Display {
    /// Measures every row once more.
    fn round(&mut self, tell: Listen<'_>) -> io::Result<()>;

    /// The share of the machine that other processes had in each trial, in percent.
    fn foreign(&self) -> Vec<f64>;
}

/// The tables that are asked for.
pub(crate) fn of(options: &Options) -> Vec<Box<dyn Table>> {
    let mut tables: Vec<Box<dyn Table>> = Vec::new();
    if options.main {
        tables.push(Box::new(Throughput::new(options)));
        if options.bursts > 0 {
            tables.push(Box::new(CallTable::new(options)));
        }
    }
    if options.wants(Extra::Births) {
        tables.push(Box::new(Births::new(options)));
    }
    if options.wants(Extra::Growth) {
        tables.push(Box::new(Growth::new(options)));
    }
    if options.wants(Extra::Isolation) {
        tables.push(Box::new(Isolation::new(options)));
    }
    if options.wants(Extra::Packing) {
        tables.push(Box::new(Packing::new(options)));
    }
    if options.wants(Extra::Protocols) {
        tables.push(Box::new(Protocols::new(options)));
    }
    if options.wants(Extra::Memory) {
        tables.push(Box::new(Memory::new(options)));
    }
    if options.wants(Extra::Followers) {
        tables.push(Box::new(Followers::new(options)));
    }
    if options.wants(Extra::Stalls) {
        tables.push(Box::new(Stalls::new(options)));
    }
    tables
}
