//! The chorus: workers that say the same, one after the other and among records of their own, and
//! say secrets while they are at it.

use std::time::Duration;

use fleetlog_worker::{Fleet, Layer, WhenFull};
use nix::unistd::getppid;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::arguments::Arguments;
use crate::setup::{PATIENCE, run_dir};

/// What is logged by whom.
pub(crate) struct Chorus {
    workers: u64,
    /// Records of each worker; every eighth is its own, the others are everybody's.
    records: u64,
    /// Microseconds between two records.
    pause: u64,
    /// A secret that stands in every record, in some disguise.
    secret: String,
}

impl From<&mut Arguments> for Chorus {
    fn from(arguments: &mut Arguments) -> Self {
        Self {
            workers: arguments.take("workers", 8),
            records: arguments.take("records", 64),
            pause: arguments.take("pause", 0),
            secret: arguments.take("secret", String::new()),
        }
    }
}

pub(crate) fn run(chorus: &Chorus) {
    let when_full = WhenFull::Block { stall_budget: PATIENCE };
    let layer = Layer::builder().run_dir(run_dir()).when_full(when_full).build().expect("a layer");
    fleetlog_worker::registry().with(layer).init();
    let mut fleet = Fleet::new(run_dir()).expect("a fleet");
    for worker in 0..chorus.workers {
        fleet.spawn(format!("worker {worker}"), || sing(chorus, worker)).expect("a fork");
    }
    let report = fleet.join().expect("all workers");
    assert!(report.is_success(), "{report:?}");
}

fn sing(chorus: &Chorus, worker: u64) {
    let conductor = getppid();
    let _span = tracing::info_span!("verse", token = chorus.secret).entered();
    for step in 0..chorus.records {
        let secret = &chorus.secret;
        if step % 8 == 7 {
            tracing::error!(worker, step, password = secret, "on my own, token={secret}");
        } else {
            let header = format!("Authorization: Bearer {secret}");
            let cause = std::io::Error::other(format!("{{\"password\":\"{secret}\"}}"));
            let cause: &(dyn std::error::Error + 'static) = &cause;
            tracing::info!(part = step / 8, header, cause, "all together, api_key={secret} !");
        }
        if getppid() != conductor {
            // The test is over, and nobody listens any more.
            return;
        }
        if chorus.pause > 0 {
            std::thread::sleep(Duration::from_micros(chorus.pause));
        }
    }
}
