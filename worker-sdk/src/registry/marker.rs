//! How a registry of ours passes for the stock one where `tracing_subscriber` combines filters.
//!
//! The stock `Layered` right around a registry treats callsites and level hints as "filtered per layer below", by comparing
//! types with the stock registry. A registry of another type is asked instead whether it carries a per-layer
//! filter: one private question, put exactly once, when that first layer is added. This module answers it with a filter
//! that belongs to no layer, and only that once: a second yes would make layers further out take every callsite for one
//! that needs a look each time.
//!
//! It promises that interests and level hints come out as over the stock registry. It never filters anything.

#![allow(unsafe_code, reason = "the trait's type-erased downcast is an unsafe function")]

use std::{
    any::TypeId,
    sync::atomic::{AtomicBool, Ordering},
};

use tracing_core::{LevelFilter, Metadata};
use tracing_subscriber::{
    Layer,
    filter::Filtered,
    layer::{Context, Filter},
    registry::Registry as StockRegistry,
};

/// A layer and a filter that do nothing, of a type that nobody else can ask for.
#[derive(Debug)]
struct Nothing;

impl Layer<StockRegistry> for Nothing {}

impl Filter<StockRegistry> for Nothing {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, StockRegistry>) -> bool {
        true
    }
}

#[derive(Debug)]
pub(super) struct Marker {
    filtered: Filtered<Nothing, Nothing, StockRegistry>,
    shown: AtomicBool,
}

impl Marker {
    pub(super) fn new() -> Self {
        Self { filtered: Filtered::new(Nothing, Nothing), shown: AtomicBool::new(false) }
    }

    /// Answers the question whether there is a per-layer filter here, the first time that it is put. The pointer, if any, is
    /// to a value of the type that was asked for, and lives as long as `self`.
    pub(super) fn answer(&self, asked: TypeId) -> Option<*const ()> {
        // Relaxed: subscribers are put together by one thread.
        if self.shown.load(Ordering::Relaxed) {
            return None;
        }
        // SAFETY: the stock implementation answers only with a pointer into `filtered` of the type that was asked for; this
        // function hands it on unchanged.
        let answer = unsafe { Layer::<StockRegistry>::downcast_raw(&self.filtered, asked) };
        if answer.is_some() {
            self.shown.store(true, Ordering::Relaxed);
        }
        answer
    }

    /// The level hint with which a layer right around the registry comes to its own hint, as over the stock registry.
    pub(super) fn max_level_hint(&self) -> Option<LevelFilter> {
        self.shown.load(Ordering::Relaxed).then_some(LevelFilter::OFF)
    }
}
