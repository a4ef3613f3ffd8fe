//! What the fuzzers call: each decoder on any bytes, and what must hold for whatever it returns.
//!
//! An entry becomes the frames that the drain would get, these are decoded again, and each record
//! becomes a line in every layout. A line that is more or less than one, or a JSON line that is no
//! JSON, panics.

use std::sync::OnceLock;

use fleetlog_protocol::callsite::Callsite;
use fleetlog_protocol::frame::{self, Kind};
use fleetlog_protocol::limits::RECORD_MAX;
use fleetlog_protocol::record::Record;
use jiff::tz::TimeZone;

use super::decode::{journal, json, pickle, syslog, text};
use super::entry::Entry;
use super::framing::Step;
use super::sniff::{self, Protocol};
use super::translate::{self, Scratch, Sites};
use crate::format::{Format, Formatter, Line, Origin};

/// Python's pickles.
pub fn pickle(bytes: &[u8]) {
    if let Ok(entry) = pickle::decode(bytes) {
        check(&entry);
    }
}

/// Syslog of either RFC.
pub fn syslog(bytes: &[u8]) {
    check(&syslog::decode(bytes, &now()));
}

/// journald's native protocol.
pub fn journal(bytes: &[u8]) {
    let _ = journal::looks_native(bytes);
    for entry in journal::decode(bytes).iter().flatten() {
        check(entry);
    }
}

/// JSON lines.
pub fn json(bytes: &[u8]) {
    if let Some(entry) = json::decode(bytes) {
        check(&entry);
    }
}

/// A stream of any protocol, in pieces whose lengths the first bytes say.
///
/// However it is cut, the messages are the same, and nothing is held that is not needed.
pub fn stream(bytes: &[u8]) {
    let [first, second, bytes @ ..] = bytes else { return };
    let pieces = [usize::from(*first) + 1, usize::from(*second) * 64 + 1];
    let mut seen = pieces.map(|piece| messages(bytes, piece));
    let [one, other] = &mut seen;
    if let (Some(one), Some(other)) = (one, other) {
        assert_eq!(one, other, "cut into pieces of {pieces:?}");
    }
}

/// The messages of a stream; `None` = its framing depends on how much comes at once.
fn messages(bytes: &[u8], piece: usize) -> Option<Vec<Vec<u8>>> {
    let (mut buffer, mut speaks, mut found) = (Vec::new(), None, Vec::new());
    let mut pieces = bytes.chunks(piece).peekable();
    while let Some(next) = pieces.next() {
        buffer.extend_from_slice(next);
        let ended = pieces.peek().is_none();
        if speaks.is_none() {
            match sniff::protocol(&buffer, ended) {
                Ok(told) => speaks = told,
                Err(_) => return None,
            }
        }
        let Some((protocol, framing)) = &mut speaks else { continue };
        if *protocol == Protocol::Syslog && bytes.contains(&0) {
            return None;
        }
        loop {
            match framing.next(&buffer, ended) {
                Ok(Step::Message { message, used, .. }) => {
                    let message = message.into_owned();
                    check_message(*protocol, &message);
                    found.push(message);
                    buffer.drain(..used);
                }
                Ok(Step::Passed(used)) => drop(buffer.drain(..used)),
                Ok(Step::Incomplete) => break,
                Err(_) => return Some(found),
            }
        }
        assert!(framing.held() <= RECORD_MAX);
    }
    Some(found)
}

fn check_message(protocol: Protocol, message: &[u8]) {
    match protocol {
        Protocol::Pickle => pickle(message),
        Protocol::Json => json(message),
        Protocol::Syslog => syslog(message),
        Protocol::Text => check(&text::decode(message)),
    }
}

fn now() -> syslog::Now {
    static ZONE: OnceLock<TimeZone> = OnceLock::new();
    let zone = ZONE.get_or_init(|| TimeZone::get("Europe/Berlin").unwrap_or(TimeZone::UTC));
    syslog::Now { time: 1_795_341_600_123_456_789, zone: zone.clone() }
}

fn check(entry: &Entry<'_>) {
    let mut frames = Vec::new();
    translate::record(entry, (1, 2), &mut Sites::default(), &mut Scratch::default(), &mut frames);
    let (mut rest, mut callsite, mut records) = (&frames[..], None, 0);
    while let Some(frame) = frame::take(rest).expect("frames") {
        match frame.kind {
            Kind::Callsite => callsite = Callsite::decode(&frame.body[4..]).ok(),
            kind => {
                assert_eq!(kind, Kind::Record);
                records += 1;
                let record = Record::decode(frame.body).expect("a record");
                check_lines(&record, callsite.as_ref().expect("a callsite"));
            }
        }
        rest = &rest[frame.len..];
    }
    assert!(rest.is_empty() && records == 1);
}

fn check_lines(record: &Record<'_>, callsite: &Callsite) {
    let line = Line {
        record,
        callsite,
        worker: "fuzzer",
        pid: 1,
        lane: 0,
        time: 0,
        repeats: &[],
        origin: Origin::Client,
    };
    let template = "{time} {worker} {level} {target} {message} {file} {line} {spans} {fields}";
    let template = Format::template(template).expect("a template");
    for format in [Format::text(), Format::json(), template] {
        let mut out = Vec::new();
        Formatter::new(&format).write(&line, &mut out);
        let text = std::str::from_utf8(&out).expect("UTF-8");
        let line = text.strip_suffix('\n').expect("a newline");
        assert!(!line.chars().any(char::is_control), "{line:?}");
        if format == Format::json() {
            serde_json::from_str::<serde::de::IgnoredAny>(line).expect("JSON");
        }
    }
}
