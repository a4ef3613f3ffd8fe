//! Hostile text wherever a program can put some.

use fleetlog_worker::Fleet;

use crate::arguments::Arguments;
use crate::setup::{Setup, run_dir};

/// Everything that ends lines, drives terminals or turns text around.
const EVIL: &str = "\u{1b}[31m\0\r\n\t\u{7f}\u{85}\u{9b}31m\u{2028}\u{2029}\u{202e}\u{2066}\"\\'{}";

/// No text at all: broken and overlong UTF-8, a surrogate, and controls.
const BROKEN: &[u8] = b"\xff\xfe\xc0\xaf\xed\xa0\x80\x80\n\r\x1b[2J\0";

pub(crate) fn run(arguments: &mut Arguments) {
    let setup = Setup::from(&mut *arguments);
    let workers: u64 = arguments.take("workers", 3);
    let records: u64 = arguments.take("records", 100);
    setup.install();
    let mut fleet = Fleet::new(run_dir()).expect("a fleet");
    for worker in 0..workers {
        let name = format!("../{worker}{EVIL}\n/etc");
        fleet.spawn(name, move || work(worker, records)).expect("a fork");
    }
    assert!(fleet.join().expect("all workers").is_success());
}

fn work(worker: u64, records: u64) {
    let source = format!("{worker}.0");
    for n in 0..records {
        let span = tracing::info_span!(
            "evil\n\u{1b}]0;span",
            evil = EVIL,
            "ev\nil" = EVIL,
            bytes = BROKEN
        );
        let _inside = span.entered();
        tracing::info!(
            target: "evil\r\n\u{1b}target",
            source,
            n,
            text = EVIL,
            debug = ?EVIL,
            display = %EVIL,
            bytes = BROKEN,
            "na\nme\u{1b}" = EVIL,
            "forged\n{{\"level\":\"ERROR\",\"n\":{n}}}{EVIL}"
        );
    }
}
