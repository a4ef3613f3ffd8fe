//! Clients that log on over restarts of their listener: what it took before a graceful stop is in
//! the file, and what a client's own code loses is measured.

use fleetlog_tests::{Fixture, ListenerUnderTest, judge, programs};

use crate::judgement::{demand_sent, losses};
use crate::{Account, Senders, end, fixture};

/// Lets clients of each kind log over two restarts.
pub(crate) fn over_restarts(
    fixture: &Fixture,
    kinds: &[&str],
    down: impl Fn(ListenerUnderTest),
) -> Option<Vec<(String, Account)>> {
    let mut senders = Senders::new(fixture, programs::python(&[])?);
    let mut listener = fixture.listener().start();
    for how in kinds {
        senders.start(how, "over", 50_000_000, 0.0002);
    }
    for _ in 0..2 {
        senders.await_more(&listener);
        down(listener);
        listener = fixture.listener().start();
    }
    // Python connects anew after a second, and after longer each time.
    senders.await_more(&listener);
    end(fixture);
    let accounts = senders.finish();
    let _ = listener.stop();
    Some(accounts)
}

#[test]
fn over_kills_every_record_in_the_file_is_whole_and_stands_there_once() {
    over_kills(&["python", "python", "syslog-stream", "json", "brief"]);
}

pub(crate) fn over_kills(kinds: &[&str]) {
    let fixture = fixture();
    let Some(accounts) = over_restarts(&fixture, kinds, ListenerUnderTest::kill) else { return };
    let losses = losses(&fixture.log(), &accounts);
    for (source, account) in &accounts {
        let refused = account.attempted - account.sent.len() as u64;
        let (lost, attempted) = (losses[source], account.attempted);
        eprintln!("two kills: {source} was refused {refused} and lost {lost} of {attempted}");
    }
    let log = fixture.log();
    fixture.command(["verify", "--file", log.to_str().expect("UTF-8")]).succeed();
    demand_names(&fixture);
}

/// Demands that the kernel told of each record who sent it, however young the listener was.
pub(crate) fn demand_names(fixture: &Fixture) {
    let lines = judge::lines(&fixture.log());
    let nameless = lines.iter().filter(|line| line.seq > 0 && line.pid == 0).count();
    assert_eq!(nameless, 0, "records of nobody");
}

#[test]
fn over_graceful_restarts_clients_lose_nothing_that_was_sent() {
    let fixture = fixture();
    let kinds = ["python", "python", "syslog-stream", "syslog-dgram", "json", "json-dgram"];
    let stop = |listener: ListenerUnderTest| assert_eq!(listener.stop().missing, 0);
    let Some(accounts) = over_restarts(&fixture, &kinds, stop) else { return };
    for (source, account) in &accounts {
        let refused = account.attempted - account.sent.len() as u64;
        eprintln!("two stops: {source} was refused {refused} of {}", account.attempted);
    }
    demand_sent(&fixture.log(), &accounts);
    demand_names(&fixture);
}

#[test]
fn datagrams_that_come_before_a_listener_is_ready_have_a_sender_and_their_order() {
    over_kills(&["syslog-dgram", "json-dgram", "syslog-dgram", "json-dgram"]);
}
