//! `fleetlog stop` while clients send: what they were told was sent is in the file, all of it.

use fleetlog_tests::programs;

use crate::judgement::demand_sent;
use crate::{Senders, fixture};

/// Far more than anybody logs before the listener stops.
const ENDLESS: u64 = 50_000_000;

/// Stops a listener while clients of some kinds log as fast as they can.
pub(crate) fn stops_under(kinds: &[&str]) {
    stops_under_clients_that_pause(kinds, 0.0);
}

pub(crate) fn stops_under_clients_that_pause(kinds: &[&str], pause: f64) {
    let Some(python) = programs::python(&[]) else { return };
    let fixture = fixture();
    let listener = fixture.listener().start();
    let mut senders = Senders::new(&fixture, python);
    for how in kinds {
        senders.start(how, "failure", ENDLESS, pause);
    }
    senders.await_more(&listener);
    // Offences: who was in the midst of a record when its connection was shut down.
    let receipt = listener.stop();
    assert_eq!((receipt.dropped.total(), receipt.missing), (0, 0), "{receipt:?}");
    let accounts = senders.finish();
    demand_sent(&fixture.log(), &accounts);
    for (source, account) in &accounts {
        eprintln!("{source}: {} of {} were sent", account.sent.len(), account.attempted);
        assert_eq!(account.attempted, account.sent.len() as u64 + 1, "only the last one failed");
    }
}

#[test]
fn what_pythons_handlers_sent_before_a_stop_is_in_the_file() {
    stops_under(&["python", "python", "python"]);
}

#[test]
fn the_json_lines_that_were_sent_before_a_stop_are_in_the_file() {
    stops_under(&["json", "json", "json-dgram"]);
}

#[test]
fn what_syslog_clients_sent_before_a_stop_is_in_the_file() {
    stops_under(&["syslog-stream", "syslog-dgram", "syslog-dgram"]);
}

#[test]
fn what_clients_of_one_record_sent_before_a_stop_is_in_the_file() {
    stops_under_clients_that_pause(&["brief", "brief", "brief", "brief"], 0.001);
}
