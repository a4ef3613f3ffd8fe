//! Protocols: what foreign clients send as fast as they can, taken by fleetlog and by rsyslog.
//!
//! The messages are made before the start and sent one by one, each with a system call, as the
//! clients of these protocols do. Both sides write the message's text as it came; rsyslog has no
//! reader of pickles.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::time::Instant;

use super::{Listen, Row, Table, heading};
use crate::completeness::Verdict;
use crate::consumer::{Consumer, Input, program};
use crate::options::Options;
use crate::place::Place;
use crate::pool::Pool;
use crate::trial::Course;
use crate::usage::{self, Cpus};
use crate::workload::size_of_item;

/// Messages that are made before the start and sent again and again, with numbers of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    SyslogDatagrams,
    SyslogStream,
    JsonLines,
    Pickles,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taker {
    Rsyslog,
    Fleetlog,
}

type Setting = (Protocol, Taker);

#[derive(Debug)]
pub(super) struct Protocols {
    workers: u32,
    records: u32,
    rounds: u32,
    rows: Vec<Row<Setting>>,
}

impl Protocol {
    const ALL: [Self; 4] =
        [Self::SyslogDatagrams, Self::SyslogStream, Self::JsonLines, Self::Pickles];

    const fn input(self) -> Input {
        match self {
            Self::SyslogDatagrams => Input::Datagrams,
            _ => Input::Stream,
        }
    }

    /// One message, as it goes over the socket.
    fn message(self, worker: u32, item: u32, out: &mut Vec<u8>) {
        let size = size_of_item(item);
        let text = format!("worker {worker} finished item {item} of size {size}.");
        match self {
            Self::SyslogDatagrams => out.extend_from_slice(
                format!("<14>Nov 22 10:00:00 app[{}]: {text}", std::process::id()).as_bytes(),
            ),
            Self::SyslogStream => out.extend_from_slice(
                format!("<14>Nov 22 10:00:00 host app[{}]: {text}\n", std::process::id())
                    .as_bytes(),
            ),
            Self::JsonLines => out.extend_from_slice(
                format!(
                    "{{\"level\":30,\"time\":1795341600123,\"pid\":{},\"hostname\":\"host\",\
                     \"name\":\"app\",\"msg\":\"{text}\"}}\n",
                    std::process::id()
                )
                .as_bytes(),
            ),
            Self::Pickles => pickle(&text, out),
        }
    }
}

/// What `SocketHandler` sends of a usual record: its length, and a dictionary in protocol 1.
fn pickle(message: &str, out: &mut Vec<u8>) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(b"}q\x00(");
    let mut memo = 1;
    let mut string = |out: &mut Vec<u8>, text: &str| {
        out.push(b'X');
        out.extend_from_slice(&u32::try_from(text.len()).unwrap_or(0).to_le_bytes());
        out.extend_from_slice(text.as_bytes());
        out.extend_from_slice(&[b'q', memo]);
        memo += 1;
    };
    let texts = [
        ("name", "app.job"),
        ("msg", message),
        ("levelname", "INFO"),
        ("pathname", "/srv/app/job.py"),
        ("filename", "job.py"),
        ("module", "job"),
        ("funcName", "work"),
        ("threadName", "MainThread"),
        ("processName", "MainProcess"),
    ];
    for (key, value) in texts {
        string(out, key);
        string(out, value);
    }
    for (key, value) in [("levelno", 20_u8), ("lineno", 7)] {
        string(out, key);
        out.extend_from_slice(&[b'K', value]);
    }
    for key in ["args", "exc_info", "exc_text", "stack_info"] {
        string(out, key);
        out.push(b'N');
    }
    for (key, value) in [("created", 1_795_341_600.123), ("msecs", 123.0)] {
        string(out, key);
        out.push(b'G');
        out.extend_from_slice(&f64::to_be_bytes(value));
    }
    out.extend_from_slice(b"u.");
    let length = u32::try_from(out.len() - at - 4).unwrap_or(0);
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
}

impl Protocols {
    pub(super) fn new(options: &Options) -> Self {
        let has_rsyslog = program::find(program::RSYSLOG).is_some();
        let takers = [Taker::Rsyslog, Taker::Fleetlog];
        let settings =
            Protocol::ALL.into_iter().flat_map(|protocol| takers.map(|taker| (protocol, taker)));
        let possible = |(protocol, taker): &Setting| {
            *taker == Taker::Fleetlog || (has_rsyslog && *protocol != Protocol::Pickles)
        };
        let Options { workers, rounds, .. } = *options;
        let rows = settings.filter(possible).map(Row::new).collect();
        Self { workers, records: options.records / 2, rounds, rows }
    }

    /// The row that another one is compared with: the first of its protocol.
    fn first(&self, row: &Row<Setting>) -> Option<&Row<Setting>> {
        self.rows.iter().find(|other| other.setting.0 == row.setting.0)
    }
}

impl Table for Protocols {
    fn round(&mut self, tell: Listen<'_>) -> io::Result<()> {
        for row in &mut self.rows {
            tell(&format!("{} to {}", row.setting.0, row.setting.1));
            row.add(measure(row.setting, self.workers, self.records)?, ());
        }
        Ok(())
    }

    fn foreign(&self) -> Vec<f64> {
        self.rows.iter().flat_map(Row::foreign).collect()
    }
}

fn measure((protocol, taker): Setting, workers: u32, records: u32) -> io::Result<Course> {
    let place = Place::new()?;
    let (cpus, before) = (Cpus::now(), usage::of_children());
    let (mut consumer, socket) = match (taker, protocol.input()) {
        (Taker::Rsyslog, input) => (Consumer::rsyslog(&place, input)?, place.socket()),
        (Taker::Fleetlog, Input::Datagrams) => {
            (Consumer::fleetlog(&place)?, place.run_dir().join("dgram"))
        }
        (Taker::Fleetlog, Input::Stream) => {
            (Consumer::fleetlog(&place)?, place.run_dir().join("socket"))
        }
    };
    let pool = Pool::fork(0..workers, |worker, gate| {
        let mut messages = Vec::new();
        let mut ends = Vec::new();
        for item in 0..records {
            protocol.message(worker, item, &mut messages);
            ends.push(messages.len());
        }
        let send = connect(&socket, protocol.input())?;
        gate.wait()?;
        let mut begin = 0;
        for end in ends {
            send(&messages[begin..end])?;
            begin = end;
        }
        Ok(Vec::new())
    })?;
    let (start, _) = pool.run()?;
    let (workers_gone, between) = (Instant::now(), usage::of_children());
    let expected = u64::from(workers) * u64::from(records);
    let end = consumer.finish(&place, expected, workers_gone)?;
    let after = usage::of_children();
    Ok(Course {
        time: end - start,
        workers: between - before,
        consumer: after - between,
        foreign: Cpus::now().foreign_since(cpus),
        logged: expected,
        verdict: Some(judge(&place.file(), workers, records)?),
    })
}

type Send = Box<dyn Fn(&[u8]) -> io::Result<()>>;

fn connect(socket: &Path, input: Input) -> io::Result<Send> {
    Ok(match input {
        Input::Datagrams => {
            let sender = UnixDatagram::unbound()?;
            sender.connect(socket)?;
            Box::new(move |message| sender.send(message).map(drop))
        }
        Input::Stream => {
            let stream = UnixStream::connect(socket)?;
            Box::new(move |message| (&stream).write_all(message))
        }
    })
}

/// Looks for every message in the file.
fn judge(file: &Path, workers: u32, records: u32) -> io::Result<Verdict> {
    let mut seen = vec![vec![false; records as usize]; workers as usize];
    let expected = u64::from(workers) * u64::from(records);
    let mut verdict = Verdict { expected, ..Verdict::default() };
    for line in BufReader::with_capacity(1 << 20, File::open(file)?).lines() {
        let line = line?;
        verdict.lines += 1;
        let place = parse(&line).and_then(|(worker, item)| {
            seen.get_mut(worker as usize).and_then(|items| items.get_mut(item as usize))
        });
        match place {
            Some(place) if *place => verdict.doubled += 1,
            Some(place) => *place = true,
            None => verdict.torn += 1,
        }
    }
    verdict.lost = seen.iter().flatten().filter(|there| !**there).count() as u64;
    Ok(verdict)
}

/// Worker and item of a line that holds a whole message.
fn parse(line: &str) -> Option<(u32, u32)> {
    let (_, text) = line.split_once(": worker ").or_else(|| line.split_once("\"worker "))?;
    let (worker, text) = text.split_once(" finished item ")?;
    let (item, text) = text.split_once(" of size ")?;
    let (size, _) = text.split_once('.')?;
    let (worker, item, size) =
        (worker.parse().ok()?, item.parse().ok()?, size.parse::<u32>().ok()?);
    (size_of_item(item) == size).then_some((worker, item))
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::SyslogDatagrams => "syslog, datagrams",
            Self::SyslogStream => "syslog, stream",
            Self::JsonLines => "JSON lines",
            Self::Pickles => "Python's pickles",
        })
    }
}

impl fmt::Display for Taker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Rsyslog => "rsyslog",
            Self::Fleetlog => "fleetlog",
        })
    }
}

impl fmt::Display for Protocols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { workers, records, rounds, .. } = self;
        heading(
            f,
            &format!(
                "Foreign protocols: {workers} clients, {records} messages each, {rounds} rounds"
            ),
            &[
                "protocol",
                "taken by",
                "records/s, until all are in the file",
                "against the first",
                "CPU per record of who takes it",
                "against the first",
                "file",
            ],
        )?;
        for row in &self.rows {
            let (protocol, taker) = row.setting;
            let first = self.first(row);
            writeln!(
                f,
                "| {protocol} | {taker} | {:.0} | {:.2} | {:.2} µs | {:.2} | {} |",
                row.spread(rate),
                row.against(first, rate),
                row.spread(cost),
                row.against(first, cost),
                row.verdict(),
            )?;
        }
        Ok(())
    }
}

fn rate(course: &Course, (): &()) -> f64 {
    course.records() / course.time.as_secs_f64()
}

/// Microseconds of CPU time for each record, of the process that takes it.
fn cost(course: &Course, (): &()) -> f64 {
    course.consumer.as_secs_f64() * 1e6 / course.records()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_in_the_lines_of_either_taker() {
        let size = size_of_item(7);
        let text = format!("worker 3 finished item 7 of size {size}.");
        for line in [
            format!("2026-11-22T10:00:00.000000Z  INFO bench-worker[1] app: {text}"),
            format!("Nov 22 10:00:00 app[12]: {text}"),
            format!("{{\"msg\":\"{text}\"}}"),
        ] {
            assert_eq!(parse(&line), Some((3, 7)), "{line}");
            assert_eq!(parse(&line.replace("item 7", "item 8")), None, "{line}");
        }
    }

    #[test]
    fn a_pickle_has_its_length_before_it() {
        let mut bytes = Vec::new();
        pickle("hello", &mut bytes);
        let length = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        assert_eq!(length as usize, bytes.len() - 4);
        assert!(bytes.ends_with(b"."));
    }
}
