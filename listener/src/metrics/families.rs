//! What the metrics are: the status, family by family.
//!
//! A family's name says its unit, and what counts up is a counter. The dashboard and the alert
//! rules in `packaging/` use these names, and a test compares them.

use std::collections::BTreeMap;
use std::fmt;

use fleetlog_protocol::message::Loss;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeGaugeValue, EncodeMetric as _, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use serde::Deserialize;

use super::workers::Sum;

/// The status, as far as the metrics tell it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    pub(super) listener: Listener,
    pub(super) totals: Totals,
    pub(super) workers: Vec<Worker>,
    pub(super) ended: Vec<Ended>,
    pub(super) sinks: Vec<Sink>,
    pub(super) drain: Drain,
    pub(super) clients: Clients,
    workers_left_out: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Listener {
    pid: u32,
    uptime_seconds: f64,
    version: String,
    paused: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Totals {
    workers: u64,
    connected: u64,
    died: u64,
    record_bytes: u64,
    levels: BTreeMap<String, u64>,
    dropped: BTreeMap<String, u64>,
    merged: u64,
    missing: u64,
    losses: BTreeMap<String, Lost>,
    truncated: u64,
    doubles: u64,
}

/// What is lost for one reason.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Lost {
    records: Option<u64>,
    times: u64,
    seconds_since_last: f64,
}

/// A worker that is there.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Worker {
    pub(super) name: String,
    pub(super) written: u64,
    pub(super) dropped: BTreeMap<String, u64>,
    pub(super) missing: u64,
    pub(super) queued_bytes: u64,
    pub(super) lag_seconds: f64,
}

/// What all workers of a name did that are gone.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Ended {
    pub(super) name: String,
    pub(super) written: u64,
    pub(super) dropped: BTreeMap<String, u64>,
    pub(super) missing: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Sink {
    target: String,
    lines: u64,
    bytes: u64,
    rotations: u64,
    archives: u64,
    size: u64,
    total_bytes: u64,
    total_bytes_max: Option<u64>,
    disk_free_bytes: Option<u64>,
    disk_total_bytes: Option<u64>,
    error: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Drain {
    batch_bytes: Histogram,
    write_seconds: Histogram,
    sync_seconds: Histogram,
    lag_seconds: Histogram,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Histogram {
    bounds: Vec<f64>,
    counts: Vec<u64>,
    sum: f64,
    count: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Clients {
    connections: u64,
    offences: BTreeMap<String, u64>,
}

/// A status, with its workers added up.
#[derive(Debug)]
pub(super) struct Families {
    pub(super) status: Status,
    pub(super) workers: BTreeMap<String, Sum>,
}

impl Collector for Families {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut out = Out(encoder);
        self.listener(&mut out)?;
        self.records(&mut out)?;
        self.workers(&mut out)?;
        self.sinks(&mut out)?;
        let Drain { batch_bytes, write_seconds, sync_seconds, lag_seconds } = &self.status.drain;
        out.histogram("batch_bytes", "Bytes of each batch of lines.", batch_bytes)?;
        out.histogram("write_seconds", "Time to write each batch.", write_seconds)?;
        out.histogram("sync_seconds", "Time to make all files durable.", sync_seconds)?;
        let help = "Time from the call of a batch's oldest record until it is in the files.";
        out.histogram("delivery_seconds", help, lag_seconds)
    }
}

impl Families {
    fn listener(&self, out: &mut Out<'_>) -> fmt::Result {
        let Listener { pid, uptime_seconds, version, paused } = &self.status.listener;
        let pid = pid.to_string();
        let mut info = out.gauges("build_info", "The listener; always 1.")?;
        put(&mut info, &[("version", version), ("pid", &pid)], &1_u64)?;
        out.gauge("uptime_seconds", "Age of the listener.", uptime_seconds)?;
        let paused = u64::from(paused.is_some());
        out.gauge("paused", "1 while a sink fails and nothing is written.", &paused)?;
        out.gauge("connections", "Open connections.", &self.status.clients.connections)?;
        out.counters("offences", "What clients did wrong, by kind.")?
            .all("kind", &self.status.clients.offences)
    }

    fn records(&self, out: &mut Out<'_>) -> fmt::Result {
        let totals = &self.status.totals;
        out.counters("records", "Records written, by level.")?.all("level", &totals.levels)?;
        out.counter("record_bytes", "Bytes of the records as they came.", totals.record_bytes)?;
        out.counters("dropped_records", "Records that were dropped and counted, by reason.")?
            .all("reason", &with_all_reasons(&totals.dropped))?;
        let help = "Records that are missing and nobody said why.";
        out.counter("missing_records", help, totals.missing)?;
        self.losses(out)?;
        let help = "Records that were cut to the limit.";
        out.counter("truncated_records", help, totals.truncated)?;
        let help = "Records that came again and were left out.";
        out.counter("repeated_records", help, totals.doubles)?;
        let help = "Records that share a line with an equal one.";
        out.counter("merged_records", help, totals.merged)
    }

    /// Every reason stands there from the beginning, so that the first loss is a step.
    fn losses(&self, out: &mut Out<'_>) -> fmt::Result {
        let losses = &self.status.totals.losses;
        let help = "How often records were lost, by reason.";
        let mut times = out.counters("losses", help)?;
        for loss in Loss::ALL {
            let times_lost = losses.get(loss.as_str()).map_or(0, |lost| lost.times);
            times.one(&[("reason", loss.as_str())], times_lost)?;
        }
        let help =
            "Records that are known to be lost, by reason; of the other reasons nobody knows.";
        let mut records = out.counters("lost_records", help)?;
        for loss in Loss::ALL.into_iter().filter(|loss| loss.is_counted()) {
            let lost = losses.get(loss.as_str()).and_then(|lost| lost.records).unwrap_or(0);
            records.one(&[("reason", loss.as_str())], lost)?;
        }
        let help = "Time since the last loss, by reason that occurred.";
        let mut ages = out.gauges("last_loss_age_seconds", help)?;
        for (reason, lost) in losses {
            put(&mut ages, &[("reason", reason)], &lost.seconds_since_last)?;
        }
        Ok(())
    }

    fn workers(&self, out: &mut Out<'_>) -> fmt::Result {
        let totals = &self.status.totals;
        out.gauge("workers", "Workers that are there.", &totals.connected)?;
        let help =
            "Workers that are there and found no place in the status; not in worker_ metrics.";
        out.gauge("left_out_workers", help, &self.status.workers_left_out)?;
        out.counter("seen_workers", "Workers that were ever there.", totals.workers)?;
        let help = "Workers that ended without taking leave.";
        out.counter("died_workers", help, totals.died)?;
        let mut records = out.counters("worker_records", "Records written, by worker's name.")?;
        for (name, sum) in &self.workers {
            records.one(&[("worker", name)], sum.written)?;
        }
        let help = "Records dropped, by worker's name and reason.";
        let mut dropped = out.counters("worker_dropped_records", help)?;
        for (name, sum) in &self.workers {
            for (reason, count) in &sum.dropped {
                dropped.one(&[("worker", name), ("reason", reason)], *count)?;
            }
        }
        let help = "Records missing, by worker's name.";
        let mut missing = out.counters("worker_missing_records", help)?;
        for (name, sum) in self.workers.iter().filter(|(_, sum)| sum.missing > 0) {
            missing.one(&[("worker", name)], sum.missing)?;
        }
        let mut queued = out.gauges("worker_queued_bytes", "Bytes that wait to be written.")?;
        for (name, sum) in &self.workers {
            put(&mut queued, &[("worker", name)], &sum.queued_bytes)?;
        }
        let mut lag = out.gauges("worker_lag_seconds", "Age of the oldest record that waits.")?;
        for (name, sum) in &self.workers {
            put(&mut lag, &[("worker", name)], &sum.lag_seconds)?;
        }
        Ok(())
    }

    fn sinks(&self, out: &mut Out<'_>) -> fmt::Result {
        type Counter = (&'static str, &'static str, fn(&Sink) -> u64);
        type Gauge = (&'static str, &'static str, fn(&Sink) -> Option<u64>);
        const COUNTERS: [Counter; 3] = [
            ("lines", "Lines written.", |sink| sink.lines),
            ("written_bytes", "Bytes written.", |sink| sink.bytes),
            ("rotations", "Rotations.", |sink| sink.rotations),
        ];
        const GAUGES: [Gauge; 7] = [
            ("archives", "Old files.", |sink| Some(sink.archives)),
            ("file_bytes", "Bytes of the current file.", |sink| Some(sink.size)),
            ("log_bytes", "Bytes of the current and the old files.", |sink| Some(sink.total_bytes)),
            ("log_max_bytes", "The bound of log_bytes.", |sink| sink.total_bytes_max),
            ("disk_free_bytes", "What the disk has left.", |sink| sink.disk_free_bytes),
            ("disk_size_bytes", "The size of the disk.", |sink| sink.disk_total_bytes),
            ("sink_failing", "1 while the file can't be written.", |sink| {
                Some(u64::from(sink.error.is_some()))
            }),
        ];
        for (name, help, value) in COUNTERS {
            let mut family = out.counters(name, help)?;
            for sink in &self.status.sinks {
                family.one(&[("file", &sink.target)], value(sink))?;
            }
        }
        for (name, help, value) in GAUGES {
            let mut family = out.gauges(name, help)?;
            for sink in &self.status.sinks {
                if let Some(value) = value(sink) {
                    put(&mut family, &[("file", &sink.target)], &value)?;
                }
            }
        }
        Ok(())
    }
}

/// A reason that has not occurred stands there with 0, so that the first drop is a step.
fn with_all_reasons(dropped: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let reasons = fleetlog_protocol::message::DropReason::ALL;
    let mut all: BTreeMap<_, _> =
        reasons.into_iter().map(|reason| (reason.as_str().to_owned(), 0)).collect();
    all.extend(dropped.iter().map(|(reason, count)| (reason.clone(), *count)));
    all
}

/// Where families go.
struct Out<'a>(DescriptorEncoder<'a>);

/// A family of counters.
struct Counters<'a>(MetricEncoder<'a>);

impl Out<'_> {
    fn counters(&mut self, name: &'static str, help: &str) -> Result<Counters<'_>, fmt::Error> {
        let family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        Ok(Counters(family))
    }

    fn counter(&mut self, name: &'static str, help: &str, value: u64) -> fmt::Result {
        let family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(value).encode(family)
    }

    fn gauges(&mut self, name: &'static str, help: &str) -> Result<MetricEncoder<'_>, fmt::Error> {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)
    }

    fn gauge(
        &mut self,
        name: &'static str,
        help: &str,
        value: &impl EncodeGaugeValue,
    ) -> fmt::Result {
        self.gauges(name, help)?.encode_gauge(value)
    }

    fn histogram(&mut self, name: &'static str, help: &str, histogram: &Histogram) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        // The last bucket has no bound.
        let bounds = histogram.bounds.iter().copied().chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(histogram.counts.iter().copied()).collect();
        family.encode_histogram::<NoLabelSet>(histogram.sum, histogram.count, &buckets, None)
    }
}

impl Counters<'_> {
    fn one(&mut self, labels: &[(&str, &str)], value: u64) -> fmt::Result {
        ConstCounter::new(value).encode(self.0.encode_family(&labels)?)
    }

    fn all(&mut self, label: &str, values: &BTreeMap<String, u64>) -> fmt::Result {
        values.iter().try_for_each(|(text, value)| self.one(&[(label, text)], *value))
    }
}

fn put<V: EncodeGaugeValue>(
    family: &mut MetricEncoder<'_>,
    labels: &[(&str, &str)],
    value: &V,
) -> fmt::Result {
    family.encode_family(&labels)?.encode_gauge(value)
}
