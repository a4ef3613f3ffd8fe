//! The worker over lanes, without a listener: each test runs this binary again in a *role*, and
//! reads the segments that the role left, as a listener would.

mod allocator;
mod fallback;
mod forks;
mod init;
mod life;
mod pressure;
mod reader;
mod stage;
mod threads;

use fleetlog_worker::Builder;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Not a test of its own: what a play runs. Without a role it has nothing to do.
#[test]
fn role() {
    let Ok(role) = std::env::var(stage::ROLE) else { return };
    let play =
        [life::ROLES, forks::ROLES, threads::ROLES, pressure::ROLES, fallback::ROLES, init::ROLES]
            .into_iter()
            .flatten()
            .find(|(name, _)| *name == role);
    play.unwrap_or_else(|| panic!("no role {role}")).1();
}

/// Roles by their names.
type Roles = &'static [(&'static str, fn())];

/// Sends what this process logs to the run directory of the play.
fn install(describe: impl FnOnce(Builder) -> Builder) {
    let layer = describe(fleetlog_worker::Layer::builder()).build().expect("a layer");
    fleetlog_worker::registry().with(layer).init();
}

fn install_plainly() {
    install(|builder| builder);
}
