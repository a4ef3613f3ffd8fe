//! What is laid over a filter: directives that a change of level brought.
//!
//! It is asked once for each callsite when the level changes, and for each event only where the
//! filter below wants to be asked for each as well.

use fleetlog_protocol::Level;
use fleetlog_protocol::directives::Directives;
use tracing_core::{LevelFilter, Metadata};

use crate::layer::level;

/// Directives, the most decisive first; never empty.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Overlay(Vec<Directives>);

impl Overlay {
    /// `None` where nothing is laid over.
    pub(super) fn of(directives: Vec<Directives>) -> Option<Self> {
        (!directives.is_empty()).then_some(Self(directives))
    }

    /// Whether what a callsite makes is wanted; `None` = the filter below decides.
    pub(super) fn decision(&self, metadata: &Metadata<'_>) -> Option<bool> {
        let (level, target) = (level(metadata), metadata.target());
        self.0.iter().find_map(|directives| directives.decision(level, target))
    }

    /// The least severe level that can be wanted, where the filter below says this of itself.
    pub(super) fn max_level(&self, below: Option<LevelFilter>) -> Option<LevelFilter> {
        // What stands behind a bare level is never asked.
        let last = self.0.iter().position(Directives::decide_everything);
        let asked = &self.0[..last.map_or(self.0.len(), |last| last + 1)];
        let own = asked.iter().map(|directives| filter(directives.max_level())).max();
        match last {
            Some(_) => own,
            None => Some(below?.max(own?)),
        }
    }
}

fn filter(level: Option<Level>) -> LevelFilter {
    match level {
        None => LevelFilter::OFF,
        Some(Level::Error) => LevelFilter::ERROR,
        Some(Level::Warn) => LevelFilter::WARN,
        Some(Level::Info) => LevelFilter::INFO,
        Some(Level::Debug) => LevelFilter::DEBUG,
        Some(Level::Trace) => LevelFilter::TRACE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overlay(texts: &[&str]) -> Overlay {
        Overlay::of(texts.iter().map(|text| text.parse().unwrap()).collect()).unwrap()
    }

    #[test]
    fn a_hint_is_that_of_everything_that_can_be_asked() {
        let (info, trace) = (Some(LevelFilter::INFO), Some(LevelFilter::TRACE));
        assert_eq!(overlay(&["app=debug"]).max_level(info), Some(LevelFilter::DEBUG));
        assert_eq!(overlay(&["app=warn"]).max_level(info), info);
        assert_eq!(overlay(&["app=warn"]).max_level(None), None, "the filter below may want all");
        assert_eq!(overlay(&["warn"]).max_level(trace), Some(LevelFilter::WARN));
        assert_eq!(overlay(&["off"]).max_level(trace), Some(LevelFilter::OFF));
        let debug = overlay(&["app=debug", "warn", "trace"]).max_level(trace);
        assert_eq!(debug, Some(LevelFilter::DEBUG), "what stands behind `warn` is never asked");
    }
}
