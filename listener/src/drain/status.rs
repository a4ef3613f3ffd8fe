//! What the listener tells about itself: the status as JSON, and the receipt.
//!
//! Everything that shows a fleet (`status`, `top`, the page, the metrics) asks for the same status,
//! as any client does: what nobody asks for is never put together.
#![deny(clippy::arithmetic_side_effects, reason = "these numbers come from anybody")]

use std::collections::HashMap;
use std::time::Duration;

use fleetlog_protocol::limits::{CONTROL_REPLY_WORKERS_MAX, FRAME_MAX};
use fleetlog_protocol::message::{Drops, Losses, Lost, Receipt};
use fleetlog_protocol::stamp::{self, Stamp};
use serde_json::{Map, Value, json};

use super::Drain;
use super::queues::{Queue, QueueIndex, age_of};
use super::tally::{LastError, LastSeconds, second};
use crate::config::shown;
use crate::intake::Waiting;
use crate::intake::peer::may_command;
use crate::intake::segments::SegmentIndex;
use crate::meter::rate;
use crate::sink::SinkStatus;

impl Drain {
    /// The state of the fleet as JSON text that fits into a frame: where there are too many
    /// workers to name each, as many as fit. What stands in the log is for those who may command.
    pub(super) fn status(&mut self, asked_by: u32) -> String {
        let now = stamp::now();
        self.close_second(now);
        self.look_at_drops(now);
        let mut workers = self.workers(now);
        for worker in &workers {
            // A worker may have changed its name.
            self.queues.remember(worker["name"].as_str().unwrap_or_default());
        }
        if !may_command(asked_by) {
            for worker in &mut workers {
                worker["last_error"] = Value::Null;
            }
        }
        let count = workers.len();
        workers.truncate(CONTROL_REPLY_WORKERS_MAX);
        let mut status = self.summary(now);
        loop {
            status["workers_left_out"] = count.saturating_sub(workers.len()).into();
            status["workers"] = workers.into();
            let text = status.to_string();
            workers = match status["workers"].take() {
                Value::Array(workers) => workers,
                _ => Vec::new(),
            };
            if text.len() < FRAME_MAX.saturating_sub(16) || workers.is_empty() {
                return text;
            }
            // The texts of the workers are the larger part by far.
            let (room, asked) = (FRAME_MAX.saturating_sub(16), text.len().saturating_add(1));
            let fit = workers.len().saturating_mul(room).checked_div(asked).unwrap_or(0);
            workers.truncate(fit);
        }
    }

    /// The status without the workers.
    fn summary(&self, now: Stamp) -> Value {
        let (lines, bytes) = self.sinks.written();
        let trouble = self.trouble.as_ref().map(|trouble| &trouble.error);
        let error = |sink: &SinkStatus| {
            let own = trouble.filter(|error| error.target == sink.target);
            own.map(|error| error.source.to_string())
        };
        let (sync, synced) = self.sinks.syncing();
        let sinks: Vec<Value> = self
            .sinks
            .status()
            .into_iter()
            .map(|status| {
                let error = error(&status);
                let mut sink = sink(&status, error.as_deref());
                sink["sync"] = shown::sync(sync).into();
                sink["seconds_since_sync"] = synced.map(|ago| ago.as_secs_f64()).into();
                sink
            })
            .collect();
        let connected = self.queues.iter().filter(|queue| queue.links > 0).count();
        let connected = connected.saturating_add(self.intake.segments.len());
        let losses = self.losses();
        let mut seconds = LastSeconds::default();
        self.totals.tally.add_to(second(now), &mut seconds);
        let [error, warn, info, debug, trace] = self.totals.levels;
        json!({
            "listener": {
                "pid": std::process::id(),
                "uptime_seconds": self.started.elapsed().as_secs_f64(),
                "run_dir": self.ownership.run_dir,
                "version": env!("CARGO_PKG_VERSION"),
                "paused": trouble.map(ToString::to_string),
            },
            "totals": {
                "workers": self.queues.seen.saturating_add(self.intake.segments.seen),
                "connected": connected,
                "died": self.totals.died,
                "written": self.totals.written,
                "lines": lines,
                "bytes": bytes,
                "record_bytes": self.totals.tally.bytes,
                "levels": {
                    "error": error, "warn": warn, "info": info, "debug": debug, "trace": trace,
                },
                "dropped": drops(&losses.dropped()),
                "missing": losses.missing(),
                "losses": losses_to_json(&losses, self.clock.time(now)),
                "truncated": self.totals.truncated,
                "merged": self.totals.merged,
                "doubles": self.totals.doubles,
                "fallbacks": self.totals.fallbacks,
                "offences": self.offences(),
                "records_per_second": rate(&seconds.records),
                "bytes_per_second": rate(&seconds.bytes),
                "history": seconds.records,
            },
            "ended": self.ended(),
            "sinks": sinks,
            "drain": {
                "batches": self.sinks.meters.write_seconds.count(),
                "batch_bytes": self.sinks.meters.batch_bytes.to_json(),
                "write_seconds": self.sinks.meters.write_seconds.to_json(),
                "sync_seconds": self.sinks.meters.sync_seconds.to_json(),
                "lag_seconds": self.totals.lag.to_json(),
            },
            "clients": {
                "connections": self.intake.len().saturating_add(self.intake.foreign()),
                "offences": self.totals.offences,
            },
        })
    }

    /// The account at the end.
    pub(super) fn receipt(&mut self) -> Receipt {
        self.look_at_drops(stamp::now());
        let (lines, bytes) = self.sinks.written();
        let losses = self.losses();
        let mut receipt = Receipt {
            pid: std::process::id(),
            uptime: self.started.elapsed(),
            workers: self.queues.seen.saturating_add(self.intake.segments.seen),
            died: self.totals.died,
            written: self.totals.written,
            lines,
            bytes,
            dropped: losses.dropped(),
            missing: losses.missing(),
            truncated: self.totals.truncated,
            doubles: self.totals.doubles,
            offences: self.offences(),
            losses,
            left: self.leftovers.count(),
            left_named: self.leftovers.named.clone(),
            accounts: Vec::new(),
        };
        self.queues.settle_accounts(&mut receipt);
        self.settle_lane_accounts(&mut receipt);
        receipt.accounts.extend(self.put_down.accounts.iter().cloned());
        receipt
    }

    /// What the workers did that are gone, by name.
    fn ended(&self) -> Vec<Value> {
        let ended = self.queues.past.iter().map(|(name, past)| {
            json!({
                "name": name,
                "written": past.written,
                "dropped": drops(&past.losses.dropped()),
                "missing": past.losses.missing(),
            })
        });
        ended.collect()
    }

    /// All losses: those that the files tell of, and what workers have counted in their segments and
    /// not reported yet.
    fn losses(&self) -> Losses {
        let mut losses = self.totals.losses.clone();
        losses.add(&self.put_down.losses);
        for (index, _) in self.intake.segments.iter() {
            self.add_unreported(index, &mut losses);
        }
        losses
    }

    /// Adds what the worker of a segment has counted in it and not reported yet.
    pub(super) fn add_unreported(&self, index: SegmentIndex, losses: &mut Losses) {
        if let Some(account) = self.lane_account(index)
            && let Some(segment) = self.intake.segments.get(index)
        {
            let (first, last) = segment.drops_seen;
            let times = (self.clock.time(first), self.clock.time(last));
            losses.note_drops_between(account.unreported, times);
        }
    }

    fn offences(&self) -> u64 {
        self.totals.offences.values().fold(0, |sum, times| sum.saturating_add(*times))
    }

    /// Every worker as it stands in the status.
    fn workers(&mut self, now: Stamp) -> Vec<Value> {
        let indices: Vec<SegmentIndex> =
            self.intake.segments.iter().map(|(index, _)| index).collect();
        let mut workers = Vec::with_capacity(indices.len());
        for index in indices {
            let waiting = self.intake.waiting_in_lanes(index);
            workers.extend(self.lane_worker(index, waiting, now));
        }
        let waiting: HashMap<QueueIndex, Waiting> =
            self.intake.waiting_on_sockets().into_iter().collect();
        for (index, queue) in self.queues.enumerate().filter(|(_, queue)| !queue.is_lane()) {
            let waiting = waiting.get(&index).copied().unwrap_or_default();
            workers.push(socket_worker(queue, waiting, now, self.clock.time(now)));
        }
        workers
    }

    fn lane_worker(&self, index: SegmentIndex, waiting: Waiting, now: Stamp) -> Option<Value> {
        let account = self.lane_account(index)?;
        let segment = self.intake.segments.get(index)?;
        let mut seconds = LastSeconds::default();
        for queue in self.queues_of(index).into_iter().filter_map(|queue| self.queues.get(queue)) {
            queue.tally.add_to(second(now), &mut seconds);
        }
        let activity = Activity { seconds, waiting, last_error: account.last_error.as_ref() };
        let mut worker = json!({
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
            "missing": account.losses.missing(),
            "losses": losses_to_json(&account.losses, self.clock.time(now)),
            "seconds_since_last": seconds_since(account.last_record, now),
            "bytes": account.bytes,
            "errors": account.errors,
            "warnings": account.warnings,
            "alive_seconds": seconds_of(age_of(segment.described.start_time)),
        });
        activity.tell(&mut worker, now);
        Some(worker)
    }
}

fn socket_worker(queue: &Queue, waiting: Waiting, now: Stamp, wall: u64) -> Value {
    let mut seconds = LastSeconds::default();
    queue.tally.add_to(second(now), &mut seconds);
    let last_error = queue.tally.last_error.as_deref();
    let mut worker = json!({
        "name": &*queue.name,
        "pid": queue.pid,
        "uid": queue.uid,
        "connected": queue.links > 0,
        "transport": if queue.foreign().is_some() { queue.protocol } else { "socket" },
        "fallback": (!queue.fallback.is_empty()).then_some(&*queue.fallback),
        "lanes": 0,
        "attempted": queue.written.saturating_add(queue.losses.dropped().total()),
        "written": queue.written,
        "dropped": drops(&queue.losses.dropped()),
        "missing": queue.losses.missing(),
        "losses": losses_to_json(&queue.losses, wall),
        "seconds_since_last": seconds_since(queue.last_record, now),
        "bytes": queue.tally.bytes,
        "errors": queue.tally.errors,
        "warnings": queue.tally.warnings,
        "alive_seconds": seconds_of(queue.process_age()),
    });
    Activity { seconds, waiting, last_error }.tell(&mut worker, now);
    worker
}

/// What a worker does at the moment.
struct Activity<'a> {
    seconds: LastSeconds,
    waiting: Waiting,
    last_error: Option<&'a LastError>,
}

impl Activity<'_> {
    fn tell(&self, worker: &mut Value, now: Stamp) {
        let lag = self.waiting.oldest.map_or(0, |oldest| now.saturating_sub(oldest));
        worker["records_per_second"] = rate(&self.seconds.records).into();
        worker["bytes_per_second"] = rate(&self.seconds.bytes).into();
        worker["history"] = self.seconds.records.to_vec().into();
        worker["queued_bytes"] = self.waiting.bytes.into();
        worker["lag_seconds"] = (lag as f64 / 1e9).into();
        worker["last_error"] = self.last_error.map_or(
            Value::Null,
            |last| json!({"message": last.message, "seconds_ago": seconds_since(last.stamp, now)}),
        );
    }
}

fn sink(status: &SinkStatus, error: Option<&str>) -> Value {
    let bound = |bytes: u64| (bytes < u64::MAX).then_some(bytes);
    json!({
        "target": status.target,
        "format": status.format,
        "filter": status.filter,
        "lines": status.lines,
        "bytes": status.bytes,
        "rotations": status.rotations,
        "truncations": status.truncations,
        "archives": status.archives,
        "total_bytes": status.total_bytes,
        "total_bytes_max": bound(status.total_bytes_max),
        "size": status.size,
        "size_max": bound(status.size_max),
        "rotation": status.rotation.map(shown::period),
        "compression": shown::compression(status.compression),
        "disk_free_bytes": status.disk.map(|disk| disk.free),
        "disk_total_bytes": status.disk.map(|disk| disk.total),
        "error": error,
    })
}

fn seconds_since(last: Stamp, now: Stamp) -> Option<f64> {
    (last > 0).then(|| now.saturating_sub(last) as f64 / 1e9)
}

fn seconds_of(age: Option<Duration>) -> Option<f64> {
    age.map(|age| age.as_secs_f64())
}

/// Each reason that occurred, with the first and the last time as text and the age of the last one.
fn losses_to_json(losses: &Losses, now: u64) -> Map<String, Value> {
    let each = losses.iter().map(|(loss, Lost { records, times, first, last })| {
        let told = json!({
            "records": loss.is_counted().then_some(records),
            "times": times,
            "first": time_text(first),
            "last": time_text(last),
            "seconds_since_last": now.saturating_sub(last) as f64 / 1e9,
        });
        (loss.as_str().to_owned(), told)
    });
    each.collect()
}

fn time_text(time: u64) -> Option<String> {
    let time = jiff::Timestamp::from_nanosecond(time.into()).ok()?;
    Some(format!("{time:.6}"))
}

fn drops(drops: &Drops) -> Map<String, Value> {
    drops.by_reason().map(|(reason, count)| (reason.as_str().to_owned(), count.into())).collect()
}
