//! Taking leave: the end of a queue whose process ends on purpose.
//!
//! A worker that leaves has nobody who would send its records again. It therefore waits until
//! they are acknowledged, as long as its stall budget allows, and only then says goodbye. As with a
//! record, the queue's lock is held by nobody that waits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::link::Broken;
use super::wait::Ahead;
use super::{SocketQueue, WhenFull};
use crate::frame::{self, Kind};
use crate::limits::STALL_BUDGET_DEFAULT;
use crate::message::Goodbye;
use crate::stall::{Access, Stall};

/// How long a worker with nothing left to send looks for a listener to take leave from: a restart
/// is not worth being noted as dead, and a fleet that has ended is not worth a stall budget.
const LONELY_FAREWELL: Duration = Duration::from_millis(100);

/// How far a leave is.
enum Leave {
    /// It was taken, or can't be.
    Over,
    /// Something must happen first.
    Wait(Ahead),
}

/// Sends what waits, hears that it is in the files, and takes leave.
pub(super) fn goodbye(mut queue: impl Access<SocketQueue>) {
    let Some(Some((stall, last))) = queue.with(SocketQueue::begin_leave) else { return };
    let call = stall.call();
    let alone_until = Instant::now() + LONELY_FAREWELL;
    while let Some(Leave::Wait(ahead)) = queue.with(|queue| queue.try_leave(last, alone_until)) {
        if !ahead.wait(&call) {
            // What is sent may still be written; the listener then knows that this was no crash.
            queue.with(|queue| queue.everything_is_sent() && queue.say_goodbye());
            break;
        }
    }
}

impl SocketQueue {
    /// Sends what can be sent. Returns what bounds the leave, and the last record that it waits for;
    /// `None` = a queue that never logged and never connected has nothing to take leave from.
    ///
    /// What other threads log from here on brings a goodbye of its own along: they may go on as
    /// long as the process lives, and the leave waits for none of it.
    fn begin_leave(&mut self) -> Option<(Arc<Stall>, u64)> {
        if self.next_seq == 1 && self.pending.total() == 0 && self.link.is_none() {
            return None;
        }
        self.has_left = true;
        if self.window.has_room(0, true) {
            self.report_gap();
        }
        self.flush_once();
        // A listener that is there is waited for as long as a call may wait, also where records never
        // wait, or where an outage has cost its budget: what was accepted last would be lost.
        let stall = match (&self.link, self.config.when_full) {
            (None, _) => Arc::clone(&self.stall),
            (Some(_), WhenFull::DropNewest) => {
                let default = WhenFull::Block { stall_budget: STALL_BUDGET_DEFAULT };
                Arc::new(Stall::new(default))
            }
            (Some(_), block) => Arc::new(Stall::new(block)),
        };
        Some((stall, self.last_seq()))
    }

    /// Until everything up to `last` is acknowledged: a listener that died since the last call took
    /// what it had not written along, and after this nobody is left to send it again.
    fn try_leave(&mut self, last: u64, alone_until: Instant) -> Leave {
        if self.window.has_room(self.due_len(), true) {
            self.report_due();
        }
        self.flush_once();
        self.hear();
        let nothing_left = self.acked() >= last && self.pending.total() == 0;
        if nothing_left && self.everything_is_sent() {
            if self.say_goodbye() {
                return Leave::Over;
            }
        } else if nothing_left && Instant::now() >= alone_until {
            return Leave::Over;
        }
        Leave::Wait(self.ahead())
    }

    /// Says goodbye after everything that was sent. `false` = the socket is full.
    fn say_goodbye(&mut self) -> bool {
        let (mut bye, mut body) = (Vec::new(), Vec::new());
        Goodbye { last_seq: self.last_seq() }.encode(&mut body);
        frame::put(Kind::Goodbye, &body, &mut bye);
        let Some(link) = &self.link else { return true };
        match link.send(&bye) {
            Ok(0) => false,
            Ok(sent) if sent == bye.len() => true,
            // Nothing may follow a part of a frame.
            Ok(_) => {
                self.disconnect();
                true
            }
            Err(Broken) => true,
        }
    }
}
