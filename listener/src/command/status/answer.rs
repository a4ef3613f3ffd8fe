//! The listener's answer to `status`, as `status` and `top` read it.
//!
//! It promises to read the answer of every listener that speaks the same protocol: what an older
//! one does not tell, and what stands there as `null`, is nothing or zero. It never takes a text
//! of the answer for harmless: whoever shows one escapes it.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

/// The state of a fleet.
#[derive(Clone, Debug, Deserialize)]
pub(in crate::command) struct Fleet {
    pub(in crate::command) listener: Listener,
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::command) totals: Totals,
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::command) workers: Vec<Worker>,
    /// Workers that had no room in the answer.
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::command) workers_left_out: u64,
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::command) sinks: Vec<Sink>,
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::command) clients: Clients,
}

#[derive(Clone, Debug, Deserialize)]
pub(in crate::command) struct Listener {
    pub(in crate::command) pid: u32,
    pub(in crate::command) uptime_seconds: f64,
    pub(in crate::command) run_dir: String,
    pub(in crate::command) version: String,
    /// Why nothing can be written at the moment.
    #[serde(default)]
    pub(in crate::command) paused: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::command) struct Totals {
    pub(in crate::command) workers: u64,
    pub(in crate::command) connected: u64,
    pub(in crate::command) died: u64,
    pub(in crate::command) written: u64,
    pub(in crate::command) lines: u64,
    pub(in crate::command) bytes: u64,
    pub(in crate::command) dropped: Drops,
    pub(in crate::command) missing: u64,
    #[serde(deserialize_with = "or_default")]
    pub(in crate::command) losses: Losses,
    pub(in crate::command) truncated: u64,
    pub(in crate::command) doubles: u64,
    pub(in crate::command) offences: u64,
    pub(in crate::command) fallbacks: u64,
    #[serde(deserialize_with = "or_default")]
    pub(in crate::command) levels: Levels,
    #[serde(deserialize_with = "or_default")]
    pub(in crate::command) records_per_second: f64,
    #[serde(deserialize_with = "or_default")]
    pub(in crate::command) bytes_per_second: f64,
    /// Records in each of the last seconds, the oldest first.
    #[serde(deserialize_with = "or_default")]
    pub(in crate::command) history: Vec<f64>,
}

/// Records by level; the other levels tell nobody that something is wrong.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::command) struct Levels {
    pub(in crate::command) error: u64,
    pub(in crate::command) warn: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::command) struct Worker {
    pub(in crate::command) name: String,
    pub(in crate::command) pid: u32,
    pub(in crate::command) uid: u32,
    pub(in crate::command) connected: bool,
    pub(in crate::command) transport: String,
    /// Why it does not use lanes, although it would.
    pub(in crate::command) fallback: Option<String>,
    #[serde(deserialize_with = "or_default")]
    pub(in crate::command) lanes: u64,
    pub(in crate::command) attempted: u64,
    pub(in crate::command) written: u64,
    pub(in crate::command) dropped: Drops,
    pub(in crate::command) missing: u64,
    #[serde(deserialize_with = "or_default")]
    pub(in crate::command) losses: Losses,
    pub(in crate::command) seconds_since_last: Option<f64>,
    #[serde(deserialize_with = "or_default")]
    pub(in crate::command) bytes: u64,
    #[serde(deserialize_with = "or_default")]
    pub(in crate::command) errors: u64,
    #[serde(deserialize_with = "or_default")]
    pub(in crate::command) warnings: u64,
    /// The age of its process.
    pub(in crate::command) alive_seconds: Option<f64>,
    #[serde(deserialize_with = "or_default")]
    pub(in crate::command) records_per_second: f64,
    #[serde(deserialize_with = "or_default")]
    pub(in crate::command) bytes_per_second: f64,
    /// Records in each of the last seconds, the oldest first.
    #[serde(deserialize_with = "or_default")]
    pub(in crate::command) history: Vec<f64>,
    /// What waits for the listener.
    #[serde(deserialize_with = "or_default")]
    pub(in crate::command) queued_bytes: u64,
    /// The age of the oldest record that waits; 0 = none does.
    #[serde(deserialize_with = "or_default")]
    pub(in crate::command) lag_seconds: f64,
    pub(in crate::command) last_error: Option<LastError>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::command) struct LastError {
    pub(in crate::command) message: String,
    #[serde(deserialize_with = "or_default")]
    pub(in crate::command) seconds_ago: f64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::command) struct Sink {
    pub(in crate::command) target: String,
    pub(in crate::command) format: String,
    pub(in crate::command) filter: String,
    pub(in crate::command) lines: u64,
    pub(in crate::command) bytes: u64,
    pub(in crate::command) error: Option<String>,
    #[serde(deserialize_with = "or_default")]
    pub(in crate::command) archives: u64,
    #[serde(deserialize_with = "or_default")]
    pub(in crate::command) total_bytes: u64,
    pub(in crate::command) total_bytes_max: Option<u64>,
    /// Bytes of the current file; `None` = nobody says, or it is no file.
    pub(in crate::command) size: Option<u64>,
    pub(in crate::command) size_max: Option<u64>,
    pub(in crate::command) rotation: Option<String>,
    pub(in crate::command) compression: Option<String>,
    pub(in crate::command) sync: Option<String>,
    pub(in crate::command) seconds_since_sync: Option<f64>,
    pub(in crate::command) disk_free_bytes: Option<u64>,
    pub(in crate::command) disk_total_bytes: Option<u64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::command) struct Clients {
    pub(in crate::command) connections: u64,
    pub(in crate::command) offences: BTreeMap<String, u64>,
}

/// All losses by reason.
pub(in crate::command) type Losses = BTreeMap<String, Lost>;

/// What is lost for one reason.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::command) struct Lost {
    /// `None` = nobody knows how many.
    pub(in crate::command) records: Option<u64>,
    pub(in crate::command) times: u64,
    pub(in crate::command) first: Option<String>,
    pub(in crate::command) seconds_since_last: Option<f64>,
}

/// How often something was lost of which nobody knows how much it was, by reason.
pub(in crate::command) fn unknown(losses: &Losses) -> BTreeMap<String, u64> {
    let unknown = losses.iter().filter(|(_, lost)| lost.records.is_none());
    unknown.map(|(reason, lost)| (reason.clone(), lost.times)).collect()
}

/// The age of the last loss, and the time of the first one, as far as it is told.
pub(in crate::command) fn loss_times(losses: &Losses) -> Option<(f64, Option<&str>)> {
    let last = losses.values().filter_map(|lost| lost.seconds_since_last).reduce(f64::min)?;
    // Times of one form are in the order of their texts.
    Some((last, losses.values().filter_map(|lost| lost.first.as_deref()).min()))
}

/// Whether something was lost within the last hour; where nobody tells when, it was.
pub(in crate::command) fn is_recent(losses: &Losses) -> bool {
    loss_times(losses).is_none_or(|(last, _)| last < RECENT)
}

/// What is lost for so many seconds is history: somebody has looked at it, or nobody will.
const RECENT: f64 = 3600.0;

/// Drops by reason.
pub(in crate::command) type Drops = BTreeMap<String, u64>;

/// Reads `null` as nothing or zero.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// The sum over all reasons.
pub(in crate::command) fn total(numbers: &BTreeMap<String, u64>) -> u64 {
    numbers.values().fold(0, |sum, number| sum.saturating_add(*number))
}

impl Fleet {
    /// Reads the answer.
    pub(in crate::command) fn parse(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }

    /// The age of the oldest record that waits anywhere.
    pub(in crate::command) fn lag_seconds(&self) -> f64 {
        self.workers.iter().map(|worker| worker.lag_seconds).fold(0.0, f64::max)
    }

    /// What waits for the listener in all queues.
    pub(in crate::command) fn queued_bytes(&self) -> u64 {
        let queued = self.workers.iter().map(|worker| worker.queued_bytes);
        queued.fold(0, u64::saturating_add)
    }
}

impl Totals {
    pub(in crate::command) fn lost(&self) -> u64 {
        total(&self.dropped).saturating_add(self.missing)
    }

    /// How often something was lost of which nobody knows how much it was.
    pub(in crate::command) fn unknown(&self) -> u64 {
        total(&unknown(&self.losses))
    }

    /// Whether something was lost lately.
    pub(in crate::command) fn loses(&self) -> bool {
        (self.lost() > 0 || self.unknown() > 0) && is_recent(&self.losses)
    }
}

impl Worker {
    /// Records that are in no file: dropped, or missing without a word.
    pub(in crate::command) fn lost(&self) -> u64 {
        total(&self.dropped).saturating_add(self.missing)
    }

    /// Whether something of it was lost at all, and lately.
    pub(in crate::command) fn has_losses(&self) -> bool {
        self.lost() > 0 || total(&unknown(&self.losses)) > 0
    }

    pub(in crate::command) fn loses(&self) -> bool {
        self.has_losses() && is_recent(&self.losses)
    }

    /// Whether somebody should look at it.
    #[cfg(feature = "top")]
    pub(in crate::command) fn has_problem(&self) -> bool {
        self.loses() || self.fallback.is_some() || self.errors > 0 || self.is_late()
    }

    /// Whether its records wait longer than those of a healthy fleet ever do.
    pub(in crate::command) fn is_late(&self) -> bool {
        self.lag_seconds >= LATE
    }
}

impl Sink {
    /// Whether its lines go to files.
    pub(in crate::command) fn is_file(&self) -> bool {
        !matches!(&*self.target, "-" | "standard output" | "")
    }
}

/// A listener that keeps up has every record in the file within milliseconds.
const LATE: f64 = 1.0;

/// Names as people count: `worker 2` stands before `worker 10`.
pub(in crate::command) fn by_name(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one, other);
    loop {
        let (a, b) = (part(&mut one), part(&mut other));
        if a.is_empty() || b.is_empty() {
            return a.len().cmp(&b.len());
        }
        let is_number = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
        let order = if is_number(a) && is_number(b) {
            let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
            a.len().cmp(&b.len()).then_with(|| a.cmp(b))
        } else {
            a.cmp(b)
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// Takes the next run of digits, or of anything else.
fn part<'a>(text: &mut &'a str) -> &'a str {
    let is_digit = |c: char| c.is_ascii_digit();
    let begins_with_digit = text.starts_with(is_digit);
    let end = text.find(|c| is_digit(c) != begins_with_digit).unwrap_or(text.len());
    let (part, rest) = text.split_at(end);
    *text = rest;
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_older_listener_does_not_tell_is_nothing() {
        let listener = r#"{"pid":7,"uptime_seconds":1.5,"run_dir":"/run/x","version":"0.1.0"}"#;
        let fleet = Fleet::parse(&format!(r#"{{"listener":{listener}}}"#)).unwrap();
        assert_eq!((fleet.totals.written, fleet.workers.len(), fleet.workers_left_out), (0, 0, 0));
        let nulls = format!(
            r#"{{"listener":{listener},"totals":{{"history":null,"levels":null,"records_per_second":null}},
               "workers":[{{"name":"w","pid":8,"history":null,"queued_bytes":null,"lag_seconds":null,
                            "last_error":null,"alive_seconds":null,"errors":null}}],
               "workers_left_out":null,"sinks":null,"clients":null}}"#
        );
        let fleet = Fleet::parse(&nulls).unwrap();
        assert_eq!((fleet.workers[0].pid, fleet.workers[0].queued_bytes), (8, 0));
        assert_eq!(fleet.workers[0].lost(), 0);
    }

    #[test]
    fn what_is_no_status_is_refused() {
        for wrong in ["", "[]", "{}", r#"{"listener":{"pid":-1}}"#] {
            assert!(Fleet::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[cfg(feature = "top")]
    #[test]
    fn a_worker_has_a_problem_when_somebody_should_look() {
        let healthy = Worker { written: 9, lag_seconds: 0.2, warnings: 3, ..Worker::default() };
        assert!(!healthy.has_problem());
        for worker in [
            Worker { missing: 1, ..healthy.clone() },
            Worker { dropped: Drops::from([("full".to_owned(), 1)]), ..healthy.clone() },
            Worker { fallback: Some("no room".to_owned()), ..healthy.clone() },
            Worker { errors: 1, ..healthy.clone() },
            Worker { lag_seconds: 1.0, ..healthy.clone() },
        ] {
            assert!(worker.has_problem(), "{worker:?}");
        }
    }

    #[test]
    fn names_are_ordered_as_people_count() {
        let mut names = ["worker 10", "worker 2", "a", "worker 2b", "worker 002", "", "10", "9"];
        names.sort_by(|one, other| by_name(one, other));
        assert_eq!(names, ["", "9", "10", "a", "worker 2", "worker 002", "worker 2b", "worker 10"]);
    }
}
