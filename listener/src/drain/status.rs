//! What the listener tells about itself: the status as JSON, and the receipt.

use fleetlog_protocol::limits::{CONTROL_REPLY_WORKERS_MAX, FRAME_MAX};
use fleetlog_protocol::message::{Drops, Receipt};
use fleetlog_protocol::stamp::{self, Stamp};
use serde_json::{Map, Value, json};

use super::Drain;
use super::queues::Queue;
use crate::intake::segments::SegmentIndex;

impl Drain {
    /// The state of the fleet as JSON text that fits into a frame: where there are too many
    /// workers to name each, as many as fit.
    pub(super) fn status(&self) -> String {
        let mut listed = CONTROL_REPLY_WORKERS_MAX;
        loop {
            let status = self.status_listing(listed);
            if status.len() < FRAME_MAX - 16 || listed == 0 {
                return status;
            }
            listed /= 2;
        }
    }

    fn status_listing(&self, listed: usize) -> String {
        let bytes: u64 = self.sinks.status().iter().map(|sink| sink.bytes).sum();
        let lines: u64 = self.sinks.status().iter().map(|sink| sink.lines).sum();
        let trouble = self.trouble.as_ref().map(|trouble| &trouble.error);
        let sinks: Vec<Value> = self
            .sinks
            .status()
            .into_iter()
            .map(|sink| {
                let error = trouble
                    .filter(|error| error.target == sink.target)
                    .map(|error| error.source.to_string());
                json!({
                    "target": sink.target,
                    "format": sink.format,
                    "filter": sink.filter,
                    "lines": sink.lines,
                    "bytes": sink.bytes,
                    "rotations": sink.rotations,
                    "truncations": sink.truncations,
                    "archives": sink.archives,
                    "total_bytes": sink.total_bytes,
                    "total_bytes_max": (sink.total_bytes_max < u64::MAX)
                        .then_some(sink.total_bytes_max),
                    "error": error,
                })
            })
            .collect();
        let connected = self.queues.iter().filter(|queue| queue.links > 0).count();
        let connected = connected + self.intake.segments.len();
        let lanes = self.intake.segments.iter().filter_map(|(index, _)| self.lane_worker(index));
        let sockets = self.queues.iter().filter(|queue| !queue.is_lane()).map(worker);
        let workers: Vec<Value> = lanes.chain(sockets).take(listed).collect();
        json!({
            "listener": {
                "pid": std::process::id(),
                "uptime_seconds": self.started.elapsed().as_secs_f64(),
                "run_dir": self.ownership.run_dir,
                "version": env!("CARGO_PKG_VERSION"),
                "paused": trouble.map(ToString::to_string),
            },
            "totals": {
                "workers": self.queues.seen + self.intake.segments.seen,
                "connected": connected,
                "died": self.totals.died,
                "written": self.totals.written,
                "lines": lines,
                "bytes": bytes,
                "dropped": drops(&self.totals.dropped),
                "missing": self.totals.missing,
                "truncated": self.totals.truncated,
                "doubles": self.totals.doubles,
                "fallbacks": self.totals.fallbacks,
                "offences": self.totals.offences.values().sum::<u64>(),
            },
            "workers": workers,
            "sinks": sinks,
            "clients": {
                "connections": self.intake.len() + self.intake.foreign(),
                "offences": self.totals.offences,
            },
        })
        .to_string()
    }

    /// The account at the end.
    pub(super) fn receipt(&self) -> Receipt {
        let sinks = self.sinks.status();
        let mut receipt = Receipt {
            pid: std::process::id(),
            uptime: self.started.elapsed(),
            workers: self.queues.seen + self.intake.segments.seen,
            died: self.totals.died,
            written: self.totals.written,
            lines: sinks.iter().map(|sink| sink.lines).sum(),
            bytes: sinks.iter().map(|sink| sink.bytes).sum(),
            dropped: self.totals.dropped,
            missing: self.totals.missing,
            truncated: self.totals.truncated,
            doubles: self.totals.doubles,
            offences: self.totals.offences.values().sum(),
            accounts: Vec::new(),
        };
        self.queues.settle_accounts(&mut receipt);
        self.settle_lane_accounts(&mut receipt);
        receipt
    }

    fn lane_worker(&self, index: SegmentIndex) -> Option<Value> {
        let account = self.lane_account(index)?;
        let segment = self.intake.segments.get(index)?;
        Some(json!({
            "name": &*account.name,
            "pid": segment.peer.pid,
            "uid": segment.peer.uid,
            "connected": !segment.dead,
            "transport": "lanes",
            "fallback": null,
            "lanes": segment.lanes.len(),
            "attempted": account.written.saturating_add(account.dropped.total()),
            "written": account.written,
            "dropped": drops(&account.dropped),
            "missing": account.missing,
            "seconds_since_last": seconds_since(account.last_record),
        }))
    }
}

fn worker(queue: &Queue) -> Value {
    json!({
        "name": &*queue.name,
        "pid": queue.pid,
        "uid": queue.uid,
        "connected": queue.links > 0,
        "transport": if queue.foreign().is_some() { queue.protocol } else { "socket" },
        "fallback": (!queue.fallback.is_empty()).then_some(&*queue.fallback),
        "lanes": 0,
        "attempted": queue.written.saturating_add(queue.dropped.total()),
        "written": queue.written,
        "dropped": drops(&queue.dropped),
        "missing": queue.missing,
        "seconds_since_last": seconds_since(queue.last_record),
    })
}

fn seconds_since(last: Stamp) -> Option<f64> {
    (last > 0).then(|| stamp::now().saturating_sub(last) as f64 / 1e9)
}

fn drops(drops: &Drops) -> Map<String, Value> {
    drops.by_reason().map(|(reason, count)| (reason.as_str().to_owned(), count.into())).collect()
}
