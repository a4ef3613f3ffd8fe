//! Slow pages: they lose their place, nobody else loses anything.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use fleetlog_tests::wait::GENEROUS;
use fleetlog_tests::{Steady, judge, wait};
use nix::sys::socket::{setsockopt, sockopt};

use crate::{Site, text};

/// A page that takes little before it must read.
fn narrow(site: &Site) -> TcpStream {
    let stream = crate::connect(site.address);
    setsockopt(&stream, sockopt::RcvBuf, &4096).expect("a small buffer");
    let request = format!(
        "GET /events HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\r\n",
        site.address, site.token
    );
    (&stream).write_all(request.as_bytes()).expect("a request");
    stream
}

/// Reads a little now and then until a text has come; returns how many bytes came.
fn read_slowly(stream: &mut TcpStream, text: &str) -> usize {
    let until = Instant::now() + GENEROUS;
    let (mut read, mut chunk, mut end) = (0, [0; 4096], Vec::new());
    while !String::from_utf8_lossy(&end).contains(text) {
        assert!(Instant::now() < until, "{text:?} never came in {read} bytes");
        let bytes = stream.read(&mut chunk).expect("more of the answer");
        assert!(bytes > 0, "the answer ended after {read} bytes");
        read += bytes;
        end.drain(..end.len().saturating_sub(100));
        end.extend_from_slice(&chunk[..bytes]);
        // That is what makes it slow.
        std::thread::sleep(Duration::from_millis(20));
    }
    read
}

#[test]
fn a_slow_page_loses_its_place_with_a_mark_and_nothing_is_lost_in_the_log() {
    let site = Site::new();
    let mut slow = narrow(&site);
    let fleet = Steady::start(&site.fixture, 2, 1, &["--ballast", "4000", "--pause", "20000"]);
    let read = read_slowly(&mut slow, "of the log passed by: this page did not keep up");
    assert!(read < 8 << 20, "{read} bytes waited for a page");
    // Lines follow the mark, and the log has grown by more than the page was sent.
    read_slowly(&mut slow, "finished working");
    let log = site.fixture.log().metadata().expect("the log").len();
    assert!(log > read as u64, "{log} bytes of log");
    site.events("").row(|row| text(row).contains("finished working"));
    let expected = fleet.finish();
    let receipt = site.listener.stop();
    assert!(receipt.is_complete(), "{receipt:?}");
    judge::judge(&site.fixture.log()).demand_counts(&expected);
}

/// A page that is not read at all is let go of, and its place is another one's.
#[test]
fn a_page_that_never_reads_is_cut_off() {
    let site = Site::new();
    let pages: Vec<_> = (0..16).map(|_| narrow(&site)).collect();
    let fleet = Steady::start(&site.fixture, 1, 1, &["--ballast", "8000", "--pause", "20000"]);
    wait::until("all pages are open", || site.get("/levels").code == 200);
    let until = Instant::now() + GENEROUS;
    while site.events("").code != 200 {
        assert!(Instant::now() < until, "no page was cut off");
        std::thread::sleep(Duration::from_millis(500));
    }
    drop(pages);
    let expected = fleet.finish();
    site.listener.stop();
    judge::judge(&site.fixture.log()).demand_counts(&expected);
}

#[test]
fn what_a_page_does_not_get_for_want_of_eyes_is_counted() {
    let site = Site::new();
    let mut page = site.events("");
    page.next_of("state");
    let fleet = Steady::start(&site.fixture, 2, 1, &["--burst", "100", "--pause", "1000"]);
    let mark = page.row(|row| row["mark"].as_str().is_some_and(|it| it.contains("not shown")));
    let count = mark["mark"].as_str().and_then(|it| it.split(' ').next()).expect("a count");
    assert!(count.replace(',', "").parse::<u64>().is_ok_and(|count| count > 0), "{mark}");
    // And what it gets until the next mark is what a page gets in a second.
    let mut lines = 0;
    page.row(|row| {
        lines += usize::from(row["mark"].is_null());
        row["mark"].as_str().is_some_and(|it| it.contains("not shown"))
    });
    assert!(lines <= 500, "{lines} lines in a second");
    // A filter that few lines fit sees each of them.
    let mut few = site.events("text=n%3D%5B0-9%5D%2B00000%24");
    few.next_of("state");
    drop((page, few));
    let expected = fleet.finish();
    site.listener.stop();
    judge::judge(&site.fixture.log()).demand_counts(&expected);
}
