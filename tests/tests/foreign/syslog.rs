//! Python's `SysLogHandler` over both kinds of socket, with messages of several lines.

use fleetlog_tests::programs;

use crate::judgement::{demand_sent, message};
use crate::{Senders, fixture, stop};

fn sends_exactly(how: &str) {
    let Some(python) = programs::python(&[]) else { return };
    let fixture = fixture();
    let listener = fixture.listener().start();
    let mut senders = Senders::new(&fixture, python);
    for _ in 0..4 {
        senders.start(how, "failure", 2000, 0.0);
    }
    let accounts = senders.finish();
    let receipt = stop(listener, &fixture);
    assert_eq!((receipt.written, receipt.workers), (8000, 4), "{receipt:?}");
    assert!(accounts.iter().all(|(_, account)| account.sent.len() == 2000));
    demand_sent(&fixture.log(), &accounts);
    let lines = fleetlog_tests::judge::lines(&fixture.log());
    let several = lines.iter().filter(|line| message(line).contains('\n')).count();
    assert!(several > 7000, "{several} have several lines");
}

#[test]
fn pythons_syslog_handler_loses_nothing_over_a_stream_and_several_lines_stay_one_record() {
    sends_exactly("syslog-stream");
}

#[test]
fn pythons_syslog_handler_loses_nothing_over_datagrams_and_several_lines_stay_one_record() {
    sends_exactly("syslog-dgram");
}
