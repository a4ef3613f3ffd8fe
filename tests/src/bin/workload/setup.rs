//! What the scenarios have in common: subscribers, gates, and the account of calls that returned.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fleetlog_worker::{Layer, LiveFilter, WhenFull};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::arguments::Arguments;

/// Longer than any test lets an outage last.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// How a scenario logs.
pub(crate) struct Setup {
    /// Milliseconds; 0 = `drop_newest`.
    stall: u64,
    /// Bytes; 0 = the default.
    window: usize,
    name: String,
    /// `ours` or `stock`.
    registry: String,
    /// `nothing`, `filter`, `live` (the filter, and its level can be changed), or `fmt` (which has the filter as well).
    with: String,
    /// Where `fmt` writes.
    fmt_file: PathBuf,
}

impl From<&mut Arguments> for Setup {
    fn from(arguments: &mut Arguments) -> Self {
        Self {
            stall: arguments.take("stall", 60_000),
            window: arguments.take("window", 0),
            name: arguments.take("name", "workload".to_owned()),
            registry: arguments.take("registry", "ours".to_owned()),
            with: arguments.take("with", "nothing".to_owned()),
            fmt_file: arguments.take("fmt-file", PathBuf::from("/dev/null")),
        }
    }
}

impl Setup {
    fn layer(&self) -> Layer {
        let when_full = match self.stall {
            0 => WhenFull::DropNewest,
            milliseconds => WhenFull::Block { stall_budget: Duration::from_millis(milliseconds) },
        };
        let mut layer =
            Layer::builder().run_dir(run_dir()).name(self.name.as_str()).when_full(when_full);
        if self.window > 0 {
            layer = layer.window(self.window);
        }
        layer.build().expect("a layer")
    }

    /// A writer without a lock: a child may inherit any other one locked.
    fn file(&self) -> Arc<File> {
        Arc::new(File::create(&self.fmt_file).expect("a file for fmt"))
    }

    /// Sets the global subscriber.
    pub(crate) fn install(&self) {
        let layer = self.layer();
        match (self.registry.as_str(), self.with.as_str()) {
            ("ours", "nothing") => fleetlog_worker::registry().with(layer).init(),
            ("ours", "filter") => fleetlog_worker::registry().with(filter()).with(layer).init(),
            ("ours", "fmt") => {
                let fmt =
                    tracing_subscriber::fmt::layer().with_ansi(false).with_writer(self.file());
                fleetlog_worker::registry().with(filter()).with(fmt).with(layer).init();
            }
            ("ours", "live") => {
                let filter = LiveFilter::new(&layer, filter());
                fleetlog_worker::registry().with(filter).with(layer).init();
            }
            ("stock", "nothing") => tracing_subscriber::registry().with(layer).init(),
            ("stock", "filter") => tracing_subscriber::registry().with(filter()).with(layer).init(),
            (registry, with) => panic!("no registry `{registry}` with `{with}`"),
        }
    }
}

fn filter() -> EnvFilter {
    EnvFilter::new("info,nobody=trace")
}

pub(crate) fn run_dir() -> PathBuf {
    std::env::var_os("FLEETLOG_RUN_DIR").expect("FLEETLOG_RUN_DIR").into()
}

/// Says that a step is done, in a way that a test can wait for.
pub(crate) fn announce(folder: &Path, step: &str) {
    File::create(folder.join(step)).expect("a file for the step");
}

/// Waits until the test allows a step.
pub(crate) fn wait_for(folder: &Path, step: &str) {
    while !folder.join(step).exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The number of calls that returned, in a file that outlives the process.
pub(crate) struct Returned(File);

impl Returned {
    pub(crate) fn new(folder: &Path, source: &str) -> Self {
        Self(File::create(folder.join(format!("returned.{source}"))).expect("a file for a count"))
    }

    pub(crate) fn note(&self, count: u64) {
        // One write of eight bytes at one place: whoever kills this process finds a whole number.
        self.0.write_all_at(&count.to_le_bytes(), 0).expect("a count");
    }
}
