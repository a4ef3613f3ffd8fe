//! The door: who is there, how many may be, and what becomes of those who are when it is shut.

use std::fs;
use std::io::{self, IoSlice, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::{UnixDatagram, UnixStream};

use fleetlog_protocol::message::Loss;
use fleetlog_tests::{ListenerUnderTest, judge, wait};
use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg};

use crate::{datagrams, fixture, socket, stop, sync};

/// A whole line of a client's.
fn line(source: usize, n: usize) -> Vec<u8> {
    let ballast = "x".repeat(1000);
    format!("{{\"level\":\"info\",\"source\":\"{source}\",\"n\":{n},\"msg\":\"{ballast}\"}}\n")
        .into_bytes()
}

/// Sends whole lines until the kernel takes no more; returns how many.
fn fill(stream: &UnixStream, source: usize) -> usize {
    stream.set_nonblocking(true).expect("a socket");
    let mut lines = 0;
    loop {
        let bytes = line(source, lines);
        match (&*stream).write(&bytes) {
            Ok(len) if len == bytes.len() => lines += 1,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return lines,
            other => panic!("half a line was taken: {other:?}"),
        }
    }
}

/// Fills many connections while the listener is stopped, and lets it go on.
fn filled(
    listener: &ListenerUnderTest,
    socket: &std::path::Path,
    connections: usize,
) -> (Vec<UnixStream>, usize) {
    let streams: Vec<_> =
        (0..connections).map(|_| UnixStream::connect(socket).expect("the listener")).collect();
    for stream in &streams {
        (&*stream).write_all(&line(usize::MAX, 0)).expect("a first line");
    }
    wait::until("everybody is known", || {
        let status = listener.status().expect("a status");
        status["totals"]["written"].as_u64() == Some(connections as u64)
    });
    listener.program.signal(nix::sys::signal::Signal::SIGSTOP);
    let sent = streams.iter().enumerate().map(|(source, stream)| fill(stream, source)).sum();
    listener.program.signal(nix::sys::signal::Signal::SIGCONT);
    (streams, sent)
}

#[test]
fn a_stop_writes_what_fills_the_sockets_of_many() {
    let fixture = fixture();
    let listener = fixture.listener().start();
    // Far more than the listener keeps for a drain that takes nothing.
    let (streams, sent) = filled(&listener, &socket(&fixture), 250);
    assert!(sent > 12_000, "{sent} lines");
    let receipt = stop(listener, &fixture);
    drop(streams);
    assert_eq!((receipt.written, receipt.dropped.total()), (sent as u64 + 250, 0), "{receipt:?}");
}

#[test]
fn a_sync_covers_what_fills_the_sockets_of_many() {
    let fixture = fixture();
    let listener = fixture.listener().start();
    let (streams, sent) = filled(&listener, &socket(&fixture), 250);
    sync(&fixture);
    let lines = fs::read(fixture.log()).expect("the log");
    let lines = lines.iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(lines, sent + 250);
    drop(streams);
    let receipt = stop(listener, &fixture);
    assert_eq!(receipt.dropped.total(), 0, "{receipt:?}");
}

#[test]
fn a_listener_that_ends_with_its_last_worker_waits_for_the_last_connection() {
    let fixture = fixture();
    let mut listener = fixture.listener().with(["--exit-with-last-worker"]).start();
    let clients: Vec<_> =
        (0..2).map(|_| UnixStream::connect(socket(&fixture)).expect("the listener")).collect();
    for (source, client) in clients.iter().enumerate() {
        (&*client).write_all(&line(source, 0)).expect("a line");
    }
    wait::until("both lines are written", || {
        listener.status().is_some_and(|status| status["totals"]["written"] == 2)
    });
    let mut clients = clients.into_iter();
    drop(clients.next());
    // Several rounds of the drain, in which it hears that one is gone.
    wait::until("one connection is left", || {
        let status = listener.status().expect("it listens on");
        // The asking one counts too.
        status["clients"]["connections"] == 2
    });
    assert!(listener.program.is_running(), "{}", fixture.report());
    let last = clients.next().expect("a client");
    (&last).write_all(&line(1, 1)).expect("a line");
    drop(last);
    assert!(listener.program.wait().success(), "{}", fixture.report());
    assert_eq!(judge::lines(&fixture.log()).len(), 3);
}

/// Descriptors that a process has open.
fn open(listener: &ListenerUnderTest) -> usize {
    let folder = format!("/proc/{}/fd", listener.program.pid());
    fs::read_dir(folder).expect("the listener lives").count()
}

#[test]
fn descriptors_that_come_with_a_datagram_do_not_stay_open_nor_hold_anybody_up() {
    let fixture = fixture();
    let listener = fixture.listener().start();
    sync(&fixture);
    let before = open(&listener);
    let sender = UnixDatagram::unbound().expect("a socket");
    let address = UnixAddr::new(&datagrams(&fixture)).expect("an address");
    let (pipe, _other) = io::pipe().expect("a pipe");
    let file = fs::File::open("/dev/null").expect("a device");
    for (round, count) in [1, 2, 250, 253].into_iter().enumerate() {
        let mut descriptors = vec![file.as_raw_fd(); count - 1];
        descriptors.push(pipe.as_raw_fd());
        let text = format!("<14>app: round {round}");
        let rights = [ControlMessage::ScmRights(&descriptors)];
        let content = [IoSlice::new(text.as_bytes())];
        sendmsg(sender.as_raw_fd(), &content, &rights, MsgFlags::empty(), Some(&address))
            .expect("the listener");
    }
    sender.send_to(b"<14>app: afterwards", datagrams(&fixture)).expect("the listener");
    sync(&fixture);
    wait::until("the descriptors are closed", || open(&listener) <= before);
    let status = listener.status().expect("a status");
    assert_eq!(status["totals"]["offences"], 4, "{status}");
    let receipt = listener.stop();
    assert_eq!(receipt.written, 1, "{receipt:?}");
    assert_eq!(receipt.losses.get(Loss::Refused).times, 4, "{receipt:?}");
}
