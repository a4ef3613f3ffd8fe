//! The numbers of callsites, found without a lock.
//!
//! A callsite is known by an address, that of its static data. The addresses stand in tables of
//! growing size, each with open addressing and at most half full; entries are only ever added,
//! under a lock, and read without one.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use super::lock;
use crate::limits::{CALLSITE_TABLE_MAX, CALLSITES_MAX};
use crate::segment::Segment;
use crate::socket_queue::CallsiteOf;

/// The entries of the tables, in the order in which they are filled. Most programs end in the
/// first: 4 KiB.
const SIZES: [usize; 3] = [256, 4096, 32_768];
const _: () = assert!(CALLSITES_MAX <= (SIZES[0] + SIZES[1] + SIZES[2]) / 2);

#[derive(Debug, Default)]
struct Entry {
    /// The address; 0 = free.
    key: AtomicUsize,
    /// The number; 0 = the callsite travels in its records.
    number: AtomicU32,
}

#[derive(Debug)]
pub(super) struct Callsites {
    tables: [OnceLock<Box<[Entry]>>; SIZES.len()],
    growth: Mutex<Growth>,
}

#[derive(Debug, Default)]
struct Growth {
    /// Callsites in all tables.
    count: usize,
    /// Callsites in the segment's table, which are numbered in its order.
    defined: u32,
    /// Where the segment's table ends, and how much of it has space.
    end: usize,
    allocated: usize,
    is_full: bool,
    scratch: Vec<u8>,
}

impl Callsites {
    pub(super) fn new() -> Self {
        Self { tables: [const { OnceLock::new() }; SIZES.len()], growth: Mutex::default() }
    }

    /// The callsite's number; 0 = its definition belongs into the record, or is there.
    #[inline]
    pub(super) fn number(&self, segment: &Segment, callsite: CallsiteOf<'_>) -> u32 {
        let CallsiteOf::Static(key, define) = callsite else { return 0 };
        match self.find(key) {
            Some(number) => number,
            None => self.add(segment, key, define),
        }
    }

    #[inline]
    fn find(&self, key: usize) -> Option<u32> {
        self.tables.iter().map_while(OnceLock::get).find_map(|table| find_in(table, key).ok())
    }

    #[cold]
    fn add(&self, segment: &Segment, key: usize, define: &dyn Fn(&mut Vec<u8>)) -> u32 {
        let mut growth = lock(&self.growth);
        if let Some(number) = self.find(key) {
            return number;
        }
        let mut before = 0;
        let room = SIZES.iter().zip(&self.tables).find(|(size, _)| {
            before += **size / 2;
            growth.count < before
        });
        // Beyond the last table a callsite stays unknown, and is asked for again each time.
        let Some((size, table)) = room else { return 0 };
        let table = table.get_or_init(|| (0..*size).map(|_| Entry::default()).collect());
        let number = growth.define(segment, define);
        if let Err(place) = find_in(table, key) {
            // Relaxed: published by the store behind it.
            table[place].number.store(number, Ordering::Relaxed);
            // Release: who finds the key finds its number.
            table[place].key.store(key, Ordering::Release);
            growth.count += 1;
        }
        number
    }
}

impl Growth {
    /// Writes the definition to the segment, if it takes one more.
    fn define(&mut self, segment: &Segment, define: &dyn Fn(&mut Vec<u8>)) -> u32 {
        if self.is_full || self.defined as usize >= CALLSITES_MAX {
            return 0;
        }
        self.scratch.clear();
        define(&mut self.scratch);
        match segment.append_callsite(self.end, &mut self.allocated, &self.scratch) {
            Ok(end) => {
                self.end = end;
                self.defined += 1;
                self.defined
            }
            Err(_) => {
                // A later, shorter one would fit, but a table is full once and for all.
                self.is_full = true;
                0
            }
        }
    }
}

/// The number of a key, or the free place where it belongs.
#[inline]
fn find_in(table: &[Entry], key: usize) -> Result<u32, usize> {
    let mask = table.len() - 1;
    // The low bits of addresses are alike; the odd constant spreads the others over the word.
    let spread = (key as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    let mut place = usize::try_from(spread).unwrap_or(0) & mask;
    loop {
        let entry = &table[place];
        // Acquire: pairs with the release in `add`.
        match entry.key.load(Ordering::Acquire) {
            found if found == key => return Ok(entry.number.load(Ordering::Relaxed)),
            0 => return Err(place),
            _ => place = (place + 1) & mask,
        }
    }
}

const _: () = assert!(CALLSITE_TABLE_MAX > 4 << 10);
