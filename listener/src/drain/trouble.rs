//! Trouble: a sink that fails, which pauses the drain, and what a killed listener left.

use std::time::{Duration, Instant};

use super::{Drain, DrainError};
use crate::checkpoint::Recovery;
use crate::sink::SinkError;

/// How soon a failed write is tried again, the first time and at last. A paused drain answers
/// commands no later than that.
const PAUSE_SHORTEST: Duration = Duration::from_millis(20);
const PAUSE_LONGEST: Duration = Duration::from_millis(500);

/// A sink that fails at the moment.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) error: SinkError,
    /// The wait before the next try; each is twice as long as the one before.
    pause: Duration,
    pub(super) retry_at: Instant,
}

impl Drain {
    pub(super) fn note_trouble(
        &mut self,
        drained: Result<(), SinkError>,
    ) -> Result<(), DrainError> {
        match drained {
            Ok(()) => {
                if self.trouble.take().is_some() {
                    crate::diagnostic::info!("the sinks work again, the drain goes on");
                }
                Ok(())
            }
            Err(error) if error.is_closed() => Err(DrainError::OutputClosed(error)),
            Err(error) => {
                if self.trouble.is_none() {
                    crate::diagnostic::error!(%error, "a sink fails; the drain pauses and tries again");
                }
                let pause =
                    self.trouble.as_ref().map_or(PAUSE_SHORTEST, |trouble| trouble.pause * 2);
                let pause = pause.min(PAUSE_LONGEST);
                self.trouble = Some(Trouble { error, pause, retry_at: Instant::now() + pause });
                Ok(())
            }
        }
    }
}

pub(super) fn report_recovery(recovery: &Recovery) {
    match recovery {
        Recovery::Fresh | Recovery::Clean => {}
        Recovery::Finished => {
            crate::diagnostic::info!(
                "the last listener was killed behind a write; its batch is finished"
            );
        }
        Recovery::Undone { uncut } => {
            crate::diagnostic::info!(
                "the last listener was killed in a write; its batch is undone"
            );
            for (path, error) in uncut {
                crate::diagnostic::warn!(
                    path = %path.display(),
                    %error,
                    "an unfinished batch can't be undone in this file: lines may stand twice"
                );
            }
        }
        Recovery::Damaged => crate::diagnostic::warn!(
            "the checkpoint was not readable and is kept as `state.damaged`: the last lines of \
             live workers may stand twice"
        ),
    }
}
