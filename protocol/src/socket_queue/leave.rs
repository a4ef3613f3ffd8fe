//! Taking leave: the end of a queue whose process ends on purpose.
//!
//! A worker that leaves has nobody who would send its records again. It therefore waits until
//! they are acknowledged, as long as its stall budget allows, and only then says goodbye.

use std::time::{Duration, Instant};

use super::SocketQueue;
use super::link::Broken;
use crate::frame::{self, Kind};
use crate::message::Goodbye;

/// How long a worker with nothing left to send looks for a listener to take leave from: a restart
/// is not worth being noted as dead, and a fleet that has ended is not worth a stall budget.
const LONELY_FAREWELL: Duration = Duration::from_millis(100);

impl SocketQueue {
    /// Sends what waits, hears that it is in the files, and takes leave. Waits as long as the
    /// stall budget of an outage allows; a queue whose records never wait does so here for a
    /// listener that is there, or else what it accepted last would be lost uncounted.
    ///
    /// A queue that never logged and never connected has nothing to take leave from.
    pub fn goodbye(&mut self) {
        if self.next_seq == 1 && self.pending.total() == 0 && self.link.is_none() {
            return;
        }
        if self.make_room(0, true) {
            self.report_gap();
        }
        self.flush();
        let policy = self.stall.begin_farewell(self.link.is_some());
        self.take_leave();
        self.stall.end_farewell(policy);
        self.has_left = true;
    }

    fn take_leave(&mut self) {
        let alone_until = Instant::now() + LONELY_FAREWELL;
        // Until everything is acknowledged: a listener that died since the last call took what it
        // had not written along, and after this nobody is left to send it again.
        loop {
            if self.window.has_room(self.due_len(), true) {
                self.report_due();
            }
            self.flush();
            self.hear();
            let nothing_left = self.acked() >= self.last_seq() && self.pending.total() == 0;
            if nothing_left && self.everything_is_sent() {
                break;
            }
            if nothing_left && Instant::now() >= alone_until {
                return;
            }
            if self.stall.is_spent() {
                if self.everything_is_sent() {
                    break;
                }
                return;
            }
            self.wait_for_life();
        }
        let mut bye = Vec::new();
        let mut body = Vec::new();
        Goodbye { last_seq: self.last_seq() }.encode(&mut body);
        frame::put(Kind::Goodbye, &body, &mut bye);
        let mut sent = 0;
        while let Some(link) = &self.link {
            match link.send(&bye[sent..]) {
                Ok(more) => sent += more,
                Err(Broken) => return,
            }
            if sent == bye.len() {
                return;
            }
            if self.stall.is_spent() {
                // Nothing may follow a part of a frame.
                self.disconnect();
                return;
            }
            self.wait_for_life();
        }
    }
}
