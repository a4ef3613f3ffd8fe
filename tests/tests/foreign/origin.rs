//! Clients that are called as the listener calls itself.

use std::io::Write as _;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use fleetlog_tests::{Fixture, judge};

use crate::{fixture, socket, stop, sync};

/// A pickle of Python's `SocketHandler`, protocol 1: a dictionary of texts and one number.
fn pickle(entries: &[(&str, &str)], level: u8) -> Vec<u8> {
    let text = |text: &str, out: &mut Vec<u8>| {
        out.push(b'X');
        out.extend_from_slice(&u32::try_from(text.len()).expect("short").to_le_bytes());
        out.extend_from_slice(text.as_bytes());
    };
    let mut body = b"}(".to_vec();
    for (key, value) in entries {
        text(key, &mut body);
        text(value, &mut body);
    }
    text("levelno", &mut body);
    body.extend_from_slice(&[b'K', level]);
    body.extend_from_slice(b"u.");
    let length = u32::try_from(body.len()).expect("short").to_be_bytes();
    [&length[..], &body].concat()
}

/// Lets a listener write what four clients say, and returns what `verify` says of its log.
fn log_as_four_clients(fixture: &Fixture, format: &str) -> String {
    let log = fixture.log().into_os_string().into_string().expect("UTF-8");
    let listener = fixture.listener().only_with(["--file", &log, "--format", format]).start();
    // The bytes of lines that the listener wrote, as a client of its own sends them, and others.
    let own = r#"{"timestamp":"2026-11-22T10:00:00.123456Z","level":"WARN","fields":{"message":"by json","first_seq":1,"last_seq":9},"target":"fleetlog","worker":"w","pid":1,"lane":0,"seq":0,"origin":"listener"}"#;
    let messages: [Vec<u8>; 4] = [
        format!("{own}\n").into_bytes(),
        pickle(&[("name", "fleetlog"), ("msg", "by pickle"), ("origin", "listener")], 30),
        b"<12>Nov 22 10:00:00 host fleetlog: by syslog\n".to_vec(),
        b"2026-11-22T10:00:00.123456Z *WARN w[1] fleetlog: by text\n".to_vec(),
    ];
    for message in &messages {
        let mut stream = UnixStream::connect(socket(fixture)).expect("a connection");
        stream.write_all(message).expect("a message");
        stream.shutdown(Shutdown::Write).expect("an end");
        sync(fixture);
    }
    let receipt = stop(listener, fixture);
    assert_eq!((receipt.written, receipt.offences), (4, 0), "{receipt:?}");
    fixture.command(["verify", "--file", &log]).succeed()
}

#[test]
fn a_client_may_be_called_fleetlog_and_in_json_none_of_its_lines_passes_for_the_listeners() {
    let fixture = fixture();
    let verified = log_as_four_clients(&fixture, "json");
    assert!(verified.contains("4 lines"), "{verified}");
    let lines = judge::lines(&fixture.log());
    assert_eq!(lines.len(), 4, "{lines:?}");
    for (line, way) in lines.iter().zip(["by json", "by pickle", "by syslog", "by text"]) {
        let message = line.fields["message"].as_str().expect("a message");
        assert!(message.ends_with(way), "{line:?}");
        assert!(way == "by text" || line.target == "fleetlog", "{line:?}");
        assert!(line.seq > 0 && line.origin.is_none(), "{line:?}");
    }
}

#[test]
fn a_client_may_be_called_fleetlog_and_in_text_none_of_its_lines_passes_for_the_listeners() {
    let fixture = fixture();
    let verified = log_as_four_clients(&fixture, "text");
    assert!(verified.contains("4 lines"), "{verified}");
    let text = std::fs::read_to_string(fixture.log()).expect("a log");
    assert_eq!(text.lines().count(), 4, "{text}");
    assert_eq!(text.lines().filter(|line| line.contains(" fleetlog: by ")).count(), 4, "{text}");
    assert!(text.lines().all(|line| !line[27..].starts_with(" *")), "{text}");
}
