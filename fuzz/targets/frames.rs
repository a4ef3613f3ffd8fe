//! A worker's frames, and what stands in them.
#![no_main]

use fleetlog_protocol::callsite::Callsite;
use fleetlog_protocol::frame::{self, Kind};
use fleetlog_protocol::message::{Attach, Gap, Goodbye, Hello, Name, Reply, Request};
use fleetlog_protocol::record::Record;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    while let Ok(Some(frame)) = frame::take(rest) {
        match frame.kind {
            Kind::Record => {
                if let Ok(record) = Record::decode(frame.body) {
                    // What was checked once is there whenever it is asked for.
                    for span in record.spans() {
                        assert!(span.fields.count() <= 256);
                    }
                    assert!(record.fields().count() <= 256);
                }
            }
            Kind::Callsite => drop(Callsite::decode(frame.body)),
            Kind::Hello => drop(Hello::decode(frame.body)),
            Kind::Attach => drop(Attach::decode(frame.body)),
            Kind::Name => drop(Name::decode(frame.body)),
            Kind::Gap => drop(Gap::decode(frame.body)),
            Kind::Goodbye => drop(Goodbye::decode(frame.body)),
            Kind::Request => drop(Request::decode(frame.body)),
            Kind::Reply => drop(Reply::decode(frame.body)),
            _ => {}
        }
        rest = &rest[frame.len..];
    }
});
