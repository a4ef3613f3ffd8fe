//! The page as a whole: real listeners, real records, hostile ones included; raw connections for
//! what no browser would send, and a browser for what it shows.

mod browsing;
mod door;
mod events;
mod life;
mod looks;
mod slow;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;

use fleetlog_protocol::client;
use fleetlog_protocol::message::Request;
use fleetlog_tests::wait::GENEROUS;
use fleetlog_tests::{Fixture, ListenerUnderTest, binaries, wait};
use serde_json::{Value, json};

/// A listener with a page.
struct Site {
    fixture: Fixture,
    listener: ListenerUnderTest,
    address: SocketAddr,
    token: String,
}

impl Site {
    fn new() -> Self {
        Self::with(&[])
    }

    /// With more arguments of the listener.
    fn with(arguments: &[&str]) -> Self {
        Self::of(Fixture::new(binaries!()), arguments)
    }

    fn of(fixture: Fixture, arguments: &[&str]) -> Self {
        let listener =
            fixture.listener().with(["--web", "0"]).with(arguments.iter().copied()).start();
        Self::around(fixture, listener)
    }

    fn around(fixture: Fixture, listener: ListenerUnderTest) -> Self {
        let address = address_of(&listener);
        let token = fs::read_to_string(fixture.run_dir().join("web-token")).expect("a token");
        Self { fixture, listener, address, token: token.trim().to_owned() }
    }

    fn url(&self) -> String {
        format!("http://{}/#token={}", self.address, self.token)
    }

    /// Asks for something with the token.
    fn get(&self, path: &str) -> Answer {
        self.ask(&format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\r\n",
            self.address, self.token
        ))
    }

    /// Sends a body with the token.
    fn post(&self, path: &str, body: &str) -> Answer {
        self.ask(&format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            self.token,
            body.len()
        ))
    }

    /// Sends a request as it stands.
    fn ask(&self, request: &str) -> Answer {
        let mut stream = connect(self.address);
        // A refusal may come before everything is sent.
        let _ = stream.write_all(request.as_bytes());
        Answer::read(stream).unwrap_or_else(|why| panic!("{request}: {why}"))
    }

    /// Opens a page's events.
    fn events(&self, query: &str) -> Events {
        let mut stream = connect(self.address);
        let request = format!(
            "GET /events?{query} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\r\n",
            self.address, self.token
        );
        stream.write_all(request.as_bytes()).expect("a request");
        Events::read(stream)
    }

    /// Logs by a client that sends JSON lines, and waits until the lines are in the file.
    fn log(&self, records: &[Value]) {
        let mut socket =
            UnixStream::connect(self.fixture.run_dir().join("socket")).expect("a socket");
        for record in records {
            socket.write_all(format!("{record}\n").as_bytes()).expect("a record is sent");
        }
        self.sync();
    }

    fn sync(&self) {
        let synced = client::request(&self.fixture.run_dir(), Request::Sync, GENEROUS, |_| ());
        synced.unwrap_or_else(|error| panic!("{error}: {}", self.fixture.report()));
    }
}

/// Where a listener says that its page is.
fn address_of(listener: &ListenerUnderTest) -> SocketAddr {
    let output = listener.program.output();
    let address = output.split("the page is served at http://").nth(1);
    let address = address.and_then(|rest| rest.split('/').next());
    address.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no address: {output}"))
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(GENEROUS)).expect("a deadline");
    stream.set_write_timeout(Some(GENEROUS)).expect("a deadline");
    stream
}

fn record(level: &str, message: &str) -> Value {
    json!({ "level": level, "message": message, "target": "shop::cart" })
}

/// An answer, read to its end.
#[derive(Debug)]
struct Answer {
    code: u16,
    head: Vec<String>,
    body: String,
}

impl Answer {
    fn read(stream: TcpStream) -> Result<Self, String> {
        let mut stream = BufReader::new(stream);
        let (code, head) = read_head(&mut stream)?;
        let mut body = Vec::new();
        // One request for each connection: the answer ends where the connection does.
        let _ = stream.read_to_end(&mut body);
        Ok(Self { code, head, body: String::from_utf8_lossy(&body).into_owned() })
    }

    fn header(&self, name: &str) -> Option<&str> {
        let line =
            self.head.iter().find_map(|line| line.split_once(": ").filter(|it| it.0 == name));
        line.map(|(_, value)| value)
    }
}

fn read_head(stream: &mut BufReader<TcpStream>) -> Result<(u16, Vec<String>), String> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).map_err(|error| error.to_string())? == 0 {
            return Err(format!("half an answer: {head:?}"));
        }
        match line.trim_end() {
            "" => break,
            line => {
                let (name, value) = line.split_once(": ").unwrap_or((line, ""));
                head.push(format!("{}: {value}", name.to_ascii_lowercase()));
            }
        }
    }
    let code = head[0].split(' ').nth(1).and_then(|code| code.trim_end_matches(':').parse().ok());
    Ok((code.ok_or_else(|| format!("no answer: {head:?}"))?, head))
}

/// The events of an open page, read when they are asked for.
#[derive(Debug)]
struct Events {
    code: u16,
    stream: BufReader<TcpStream>,
    waiting: Vec<u8>,
}

impl Events {
    fn read(stream: TcpStream) -> Self {
        let mut stream = BufReader::new(stream);
        let (code, _) = read_head(&mut stream).expect("an answer");
        Self { code, stream, waiting: Vec::new() }
    }

    /// The next event; `None` = the connection has ended.
    fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some(end) = self.waiting.windows(2).position(|bytes| bytes == b"\n\n") {
                let event: Vec<u8> = self.waiting.drain(..end + 2).collect();
                let event = String::from_utf8(event).expect("UTF-8");
                let mut lines = event.trim_end().lines();
                let name = lines.next()?.strip_prefix("event: ").expect("a name").to_owned();
                let data = lines.next()?.strip_prefix("data: ").expect("data");
                assert_eq!(lines.next(), None, "an event has two lines");
                return Some((name, serde_json::from_str(data).expect("JSON")));
            }
            if !self.read_chunk() {
                return None;
            }
        }
    }

    /// Reads one chunk of the answer's body.
    fn read_chunk(&mut self) -> bool {
        let mut length = String::new();
        if !self.stream.read_line(&mut length).is_ok_and(|read| read > 0) {
            return false;
        }
        let Ok(length) = usize::from_str_radix(length.trim_end(), 16) else { return false };
        let mut chunk = vec![0; length + 2];
        if length == 0 || self.stream.read_exact(&mut chunk).is_err() {
            return false;
        }
        self.waiting.extend_from_slice(&chunk[..length]);
        true
    }

    /// The next event of a name.
    fn next_of(&mut self, name: &str) -> Value {
        loop {
            let (found, value) = self.next().unwrap_or_else(|| panic!("no more event {name}"));
            if found == name {
                return value;
            }
        }
    }

    /// Reads rows until one is found.
    fn row(&mut self, mut is_it: impl FnMut(&Value) -> bool) -> Value {
        loop {
            let rows = self.next_of("rows");
            let found = rows.as_array().expect("rows").iter().find(|row| is_it(row));
            if let Some(row) = found {
                return row.clone();
            }
        }
    }

    /// Reads until the connection ends.
    fn read_to_end(mut self) {
        while self.next().is_some() {}
    }
}

fn text(row: &Value) -> &str {
    row["text"].as_str().unwrap_or_default()
}

/// Waits until so many pages and no more can be open: those that were closed are noticed.
fn await_room(site: &Site) {
    wait::until("there is room for a page", || site.events("").code == 200);
}
