//! The live level: what this process logs, changed from outside while it lives.
//!
//! [`LiveFilter`] stands in the place of the program's filter and asks that one, unless a change is
//! in force: then the change's directives are laid over it. `gate` keeps forks apart from a look at
//! the run directory, `overlay` is what was found there, `state` is who looks and puts in place, and
//! `watcher` is the thread in which that happens, the only one of the SDK.
//!
//! That thread exists because a callsite whose interest is cached as `never` runs none of our code:
//! something must wake in a silent process and have the interests computed anew. It sleeps on a word
//! in the run directory, is on no path of a record, and may be forbidden. It promises that a change
//! takes effect within moments of being made, also in children, and ends by itself without anybody.
//! Without a change in force a callsite has the very interest that the program's own filter gives
//! it: one that is disabled costs what it costs without us.

mod gate;
mod overlay;
mod state;
mod watcher;

use std::fmt;

use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Dispatch, Event, Interest, LevelFilter, Metadata, Subscriber};
use tracing_subscriber::layer::Context;

use crate::worker::Worker;
use state::Live;

/// A filter that `fleetlog level` can change while the program runs.
///
/// It wraps the filter that the program starts with, an `EnvFilter`, `Targets`, `LevelFilter` or any
/// other layer that filters for the whole subscriber, and stands in its place. A change is laid over
/// that filter: a target that the change names is decided by the change, a bare level decides for
/// every target, and for everything else the wrapped filter decides as before. Spans are filtered
/// like events. `init()` does this by itself.
///
/// The first one that becomes part of a subscriber starts a thread, `fleetlog-level`, which sleeps
/// until the level changes, and which each forked child gets anew. A program that can't have one,
/// because it is to be single-threaded between fork and exec (`unshare(CLONE_NEWUSER)` or `setns` in
/// that gap), says `live_level(false)` to the layer's builder, or is run with
/// `FLEETLOG_LIVE_LEVEL=off`: then this filter is the wrapped one and nothing else.
///
/// ```
/// use tracing_subscriber::{filter::LevelFilter, layer::SubscriberExt as _};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let run_dir = folder.path();
/// let layer = fleetlog_worker::Layer::builder().run_dir(run_dir).name("worker 3").build()?;
/// let filter = fleetlog_worker::LiveFilter::new(&layer, LevelFilter::INFO);
/// let subscriber = fleetlog_worker::registry().with(filter).with(layer);
/// tracing::subscriber::with_default(subscriber, || {
///     tracing::debug!("is not logged until somebody runs `fleetlog level debug`");
/// });
/// # Ok(())
/// # }
/// ```
pub struct LiveFilter<F> {
    below: F,
    /// `None` = the level can't be changed.
    live: Option<&'static Live>,
}

impl<F> LiveFilter<F> {
    /// Wraps the filter that a program starts with. The changes are those of the layer's run
    /// directory, for a worker of the layer's name. Those that are in force already count from the
    /// first event on.
    pub fn new(layer: &crate::Layer, below: F) -> Self {
        Self { below, live: Live::of(layer.worker()) }
    }

    /// Whether something that a callsite makes is wanted; `None` = the filter below decides.
    #[inline]
    fn decision(&self, metadata: &Metadata<'_>) -> Option<bool> {
        let live = self.live?;
        live.overlay.read(|overlay| overlay.and_then(|overlay| overlay.decision(metadata)))
    }
}

/// Tells that a worker's name has changed, which may be one that a change names.
pub(crate) fn name_changed(worker: &'static Worker) {
    state::name_changed(worker);
}

impl<F: fmt::Debug> fmt::Debug for LiveFilter<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveFilter")
            .field("below", &self.below)
            .field("is_live", &self.live.is_some())
            .finish()
    }
}

impl<F> Drop for LiveFilter<F> {
    fn drop(&mut self) {
        if let Some(live) = self.live {
            live.end();
        }
    }
}

impl<S, F> tracing_subscriber::Layer<S> for LiveFilter<F>
where
    S: Subscriber,
    F: tracing_subscriber::Layer<S>,
{
    fn on_register_dispatch(&self, subscriber: &Dispatch) {
        self.below.on_register_dispatch(subscriber);
        if let Some(live) = self.live {
            live.begin(subscriber);
        }
    }

    fn on_layer(&mut self, subscriber: &mut S) {
        self.below.on_layer(subscriber);
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        // The filter below is asked in any case: it may note what it will need when the change ends.
        let below = self.below.register_callsite(metadata);
        match self.decision(metadata) {
            None => below,
            Some(true) => Interest::always(),
            Some(false) => Interest::never(),
        }
    }

    #[inline]
    fn enabled(&self, metadata: &Metadata<'_>, context: Context<'_, S>) -> bool {
        self.decision(metadata).unwrap_or_else(|| self.below.enabled(metadata, context))
    }

    #[inline]
    fn event_enabled(&self, event: &Event<'_>, context: Context<'_, S>) -> bool {
        self.below.event_enabled(event, context)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let below = self.below.max_level_hint();
        let Some(live) = self.live else { return below };
        live.overlay.read(|overlay| overlay.map_or(below, |overlay| overlay.max_level(below)))
    }

    #[inline]
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.below.on_new_span(attributes, id, context);
    }

    #[inline]
    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.below.on_record(id, values, context);
    }

    #[inline]
    fn on_follows_from(&self, id: &Id, follows: &Id, context: Context<'_, S>) {
        self.below.on_follows_from(id, follows, context);
    }

    #[inline]
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        self.below.on_event(event, context);
    }

    #[inline]
    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        self.below.on_enter(id, context);
    }

    #[inline]
    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        self.below.on_exit(id, context);
    }

    #[inline]
    fn on_close(&self, id: Id, context: Context<'_, S>) {
        self.below.on_close(id, context);
    }

    #[inline]
    fn on_id_change(&self, old: &Id, new: &Id, context: Context<'_, S>) {
        self.below.on_id_change(old, new, context);
    }
}
