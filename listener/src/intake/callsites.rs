//! Callsites as a worker defined them, with the sinks that want their records.

use std::sync::Arc;

use fleetlog_protocol::callsite::Callsite;
use fleetlog_protocol::limits::CALLSITES_MAX;

use super::Offence;
use crate::sink::SinkMask;

/// The bytes of all callsites that one worker may define: 500 each for as many as there may be,
/// and far more than real programs have.
const DEFINITIONS_MAX: usize = 8 << 20;

/// A callsite with the sinks that want its records.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) callsite: Arc<Callsite>,
    pub(crate) sinks: SinkMask,
}

/// The callsites of one worker by their numbers.
#[derive(Debug, Default)]
pub(crate) struct Callsites {
    /// Number n stands at n - 1.
    known: Vec<Option<Known>>,
    defined: usize,
}

impl Callsites {
    #[inline]
    pub(crate) fn get(&self, number: u32) -> Option<&Known> {
        self.known.get((number as usize).wrapping_sub(1))?.as_ref()
    }

    /// Takes a definition in. A second one of a number replaces the first.
    pub(crate) fn define(
        &mut self,
        number: u32,
        definition: &[u8],
        interested: impl Fn(&Callsite) -> SinkMask,
    ) -> Result<(), Offence> {
        let place = (number as usize).wrapping_sub(1);
        if place >= CALLSITES_MAX {
            return Err(Offence::CallsiteNumber(number));
        }
        self.defined += definition.len();
        if self.defined > DEFINITIONS_MAX {
            return Err(Offence::Hoarding);
        }
        let callsite = Callsite::decode(definition)?;
        let sinks = interested(&callsite);
        if place >= self.known.len() {
            self.known.resize_with(place + 1, || None);
        }
        self.known[place] = Some(Known { callsite: Arc::new(callsite), sinks });
        Ok(())
    }
}
