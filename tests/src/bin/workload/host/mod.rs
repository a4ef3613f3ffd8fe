//! Hosts: a program that does to itself what hosts do, and afterwards proves that all of its own
//! files are unchanged and that it lives.
//!
//! It logs, does its deed, opens files of its own in whatever place that left, and logs more than
//! before: from its main thread, from new threads, from more callsites than the first step of the
//! callsite table holds. Each source logs the same number of records.

mod deeds;
mod files;
pub(crate) mod fleet;
mod words;

use std::path::PathBuf;

use crate::arguments::Arguments;
use crate::setup::{PATIENCE, Setup, announce, wait_for};
use files::OwnFiles;

pub(crate) struct Host {
    setup: Setup,
    deed: String,
    /// Records of each source.
    records: u64,
    /// Threads that begin to log after the deed.
    threads: u64,
    /// Whether it demands that everything is in the files before it ends.
    syncs: bool,
    /// Whether it waits for the test between the deed and what follows.
    waits: bool,
    /// Records of a child that is forked after the deed.
    child_records: u64,
    folder: PathBuf,
}

impl From<&mut Arguments> for Host {
    fn from(arguments: &mut Arguments) -> Self {
        Self {
            setup: Setup::from(&mut *arguments),
            deed: arguments.take("deed", String::new()),
            records: arguments.take("records", 1500),
            threads: arguments.take("threads", 3),
            syncs: arguments.take("sync", true),
            waits: arguments.take("waits", false),
            child_records: arguments.take("child-records", 0),
            folder: arguments.take("folder", PathBuf::new()),
        }
    }
}

pub(crate) fn run(host: &Host) {
    deeds::before_set_up(&host.deed);
    host.setup.install();
    log(host, "before");
    let folder = deeds::run(host);
    if host.waits {
        announce(&folder, "done");
        wait_for(&folder, "go");
    }
    let own = OwnFiles::open(&folder);
    log(host, "after");
    let threads: Vec<_> = (0..host.threads)
        .map(|number| format!("thread {number}"))
        .map(|source| deeds::in_thread(&host.deed, || log(host, &source)))
        .collect();
    assert!(threads.into_iter().all(|ended| ended), "a thread did not end");
    words::log_from_many_callsites();
    if host.child_records > 0 {
        deeds::in_child(|| {
            for n in 0..host.child_records {
                tracing::info!(source = "child", n, "of a child");
            }
        });
    }
    // What a host prints goes where it meant it to go.
    own.print();
    if host.syncs {
        fleetlog_worker::sync(PATIENCE).expect("everything is in the files");
    }
    own.demand_unchanged();
    announce(&folder, "lives");
}

/// More than the first steps of a lane's space hold.
fn log(host: &Host, source: &str) {
    for n in 0..host.records {
        tracing::info!(source, n, "a host that goes about its business, item {n}");
    }
}
