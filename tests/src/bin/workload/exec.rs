//! A worker that is a program of its own and uses nothing but `init()`.

use crate::arguments::Arguments;
use crate::setup::PATIENCE;

pub(crate) fn run(arguments: &mut Arguments) {
    let source: String = arguments.take("source", "exec".to_owned());
    let records: u64 = arguments.take("records", 100);
    if let Err(error) = fleetlog_worker::init() {
        panic!("{error}");
    }
    assert!(fleetlog_worker::init().is_err(), "a second subscriber was taken");
    for n in 0..records {
        tracing::info!(source, n, "finished working on item {n}");
        tracing::debug!("details of item {n}");
    }
    fleetlog_worker::sync(PATIENCE).expect("everything is in the file");
}
