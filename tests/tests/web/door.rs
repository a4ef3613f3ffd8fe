//! Who is let in, and what a request may cost.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use fleetlog_tests::wait::GENEROUS;

use crate::{Answer, Site, await_room, connect};

const DATA: [(&str, &str); 4] =
    [("GET", "/events"), ("GET", "/levels"), ("POST", "/levels"), ("POST", "/levels/reset")];
const FILES: [&str; 4] = ["/", "/page.css", "/page.js", "/icon.svg"];

fn request(site: &Site, method: &str, path: &str, more: &str) -> Answer {
    let host = site.address;
    site.ask(&format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
         Content-Length: 2\r\n{more}\r\n{{}}"
    ))
}

#[test]
fn everything_but_the_pages_own_files_wants_the_token() {
    let site = Site::new();
    for path in FILES {
        assert_eq!(request(&site, "GET", path, "").code, 200, "{path}");
    }
    let token = &site.token;
    let almost = format!("{}{}", &token[..63], if token.ends_with('0') { '1' } else { '0' });
    for (method, path) in DATA {
        for told in [
            String::new(),
            "Authorization: Bearer \r\n".to_owned(),
            "Authorization: Bearer wrong\r\n".to_owned(),
            format!("Authorization: Bearer {almost}\r\n"),
            format!("Authorization: Bearer {token}0\r\n"),
            format!("Authorization: Basic {token}\r\n"),
            format!("Cookie: token={token}\r\n"),
        ] {
            let answer = request(&site, method, path, &told);
            assert_eq!(answer.code, 401, "{method} {path} {told:?}: {answer:?}");
            assert!(answer.body.contains("web-token"), "{answer:?}");
        }
        let by_query = request(&site, method, &format!("{path}?token={token}"), "");
        assert_eq!(by_query.code, 401, "{by_query:?}");
    }
    assert_eq!(site.events("").code, 200);
}

#[test]
fn a_host_by_name_and_another_sites_page_are_refused_whatever_they_know() {
    let site = Site::new();
    let (address, token) = (site.address, &site.token);
    let with_host = |host: &str, more: &str| {
        site.ask(&format!(
            "GET /levels HTTP/1.1\r\n{host}Authorization: Bearer {token}\r\n{more}\r\n"
        ))
        .code
    };
    assert_eq!(with_host(&format!("Host: {address}\r\n"), ""), 200);
    assert_eq!(with_host(&format!("Host: localhost:{}\r\n", address.port()), ""), 200);
    for host in ["Host: evil.example\r\n", "Host: 127.0.0.1.evil.example\r\n", "", "Host:\r\n"] {
        assert!([400, 421].contains(&with_host(host, "")), "{host:?}");
    }
    let own = format!("Host: {address}\r\n");
    assert_eq!(with_host(&own, &format!("Origin: http://{address}\r\n")), 200);
    for more in [
        "Origin: http://evil.example\r\n",
        "Origin: null\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: cors\r\n",
    ] {
        assert_eq!(with_host(&own, more), 403, "{more:?}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let evil = request(&site, method, "/levels", "Origin: http://evil.example\r\n");
        assert_eq!(evil.code, 403, "{method}");
        assert_eq!(evil.header("access-control-allow-origin"), None);
    }
}

#[test]
fn every_answer_forbids_what_the_page_does_not_need() {
    let site = Site::new();
    let evil = "Origin: http://evil.example\r\n";
    let answers = [
        request(&site, "GET", "/", ""),
        request(&site, "GET", "/page.js", ""),
        request(&site, "GET", "/nothing", ""),
        request(&site, "GET", "/events", ""),
        request(&site, "DELETE", "/", ""),
        request(&site, "GET", "/", evil),
        site.ask("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
        site.get("/levels"),
        site.post("/levels", "no json"),
    ];
    let codes: Vec<_> = answers.iter().map(|answer| answer.code).collect();
    assert_eq!(codes, [200, 200, 404, 401, 405, 403, 421, 200, 400]);
    for answer in answers {
        let policy = answer.header("content-security-policy").expect("a policy");
        for rule in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "form-action 'none'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(rule), "{policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
            ("x-frame-options", "DENY"),
            ("connection", "close"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{answer:?}");
        }
    }
}

#[test]
fn a_request_that_is_too_large_or_no_request_is_refused_and_the_next_one_is_answered() {
    let site = Site::new();
    let long = format!("{{\"directives\":\"{}\"}}", "x".repeat(9 << 10));
    assert_eq!(site.post("/levels", &long).code, 413);
    assert_eq!(site.post("/levels", "{\"directives\":1}").code, 422);
    assert_eq!(site.post("/levels", "{\"directives\":\"info\",\"more\":1}").code, 422);
    assert!([400, 422].contains(&site.post("/levels", &"[".repeat(8000)).code));
    let plain = "POST /levels HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n";
    let plain = format!("{plain}Authorization: Bearer {}\r\n\r\n{{}}", site.token);
    assert_eq!(site.ask(&plain).code, 415);
    for (query, field) in [
        ("text=(", "text"),
        ("level=loud", "level"),
        (&format!("worker={}", "w".repeat(2000)), "worker"),
        ("log=x", "log"),
        ("nothing=1", "nothing"),
    ] {
        let answer = site.get(&format!("/events?{query}"));
        assert_eq!(answer.code, 400, "{query}");
        assert!(answer.body.contains(field), "{answer:?}");
    }
    for bytes in [
        "\0\0\0\0\r\n\r\n".to_owned(),
        "GET\r\n\r\n".to_owned(),
        format!("GET /{} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "x".repeat(64 << 10)),
        format!("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: {}\r\n\r\n", "x".repeat(64 << 10)),
        format!("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n{}\r\n", "x: y\r\n".repeat(5000)),
    ] {
        let mut stream = connect(site.address);
        let _ = stream.write_all(bytes.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    assert_eq!(site.get("/").code, 200);
}

/// Whoever connects and asks nothing, or a byte now and then, keeps nobody out.
#[test]
fn connections_that_ask_nothing_make_way_for_one_that_asks() {
    let site = Site::new();
    let idle: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = connect(site.address);
            let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: 127.0");
            stream
        })
        .collect();
    for _ in 0..20 {
        assert_eq!(site.get("/").code, 200);
    }
    // The oldest of them had to go.
    let mut oldest = &idle[0];
    assert!(!matches!(oldest.read(&mut [0; 64]), Ok(1..)), "it was not answered");
}

#[test]
fn a_request_that_comes_byte_by_byte_is_cut_off() {
    let site = Site::new();
    let mut stream = connect(site.address);
    stream.set_read_timeout(Some(Duration::from_millis(200))).expect("a deadline");
    let head = format!("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: {}", "y".repeat(100_000));
    let until = std::time::Instant::now() + GENEROUS;
    let mut sent = head.bytes();
    loop {
        assert!(std::time::Instant::now() < until, "the connection was never cut off");
        let byte = sent.next().expect("more bytes");
        if stream.write_all(&[byte]).is_err() {
            break;
        }
        match stream.read(&mut [0; 64]) {
            Ok(0) => break,
            Ok(_) => panic!("an answer to half a request"),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
    }
    assert_eq!(site.get("/").code, 200);
}

#[test]
fn the_seventeenth_page_is_told_so_and_has_a_place_when_one_is_closed() {
    let site = Site::new();
    let mut pages: Vec<_> = (0..16).map(|_| site.events("")).collect();
    assert!(pages.iter().all(|page| page.code == 200));
    let one_more = site.get("/events");
    assert_eq!(one_more.code, 503);
    assert!(one_more.body.contains("16 pages are open already"), "{one_more:?}");
    assert_eq!(site.get("/").code, 200, "its own files are there all the same");
    for page in &mut pages {
        page.next_of("state");
    }
    pages.pop();
    await_room(&site);
}
