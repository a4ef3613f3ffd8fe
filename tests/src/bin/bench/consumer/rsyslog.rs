//! rsyslog on a socket of its own, with a configuration of its own.
//!
//! Its defaults lose lines under load. What is set here makes it wait instead, wherever it can: no
//! rate limit, a sender that is held up while the queue is full, and no deadline for either.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use super::program::{self, Program};
use crate::place::Place;

/// How long it may take to start.
const START: Duration = Duration::from_secs(30);

/// Without a new line for so long, none is on its way any more.
const STANDSTILL: Duration = Duration::from_secs(10);

const BUFFER: usize = 1 << 20;

/// What kind of socket it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Datagrams,
    Stream,
}

#[derive(Debug)]
pub(crate) struct Rsyslog {
    program: Program,
}

impl Rsyslog {
    pub(super) fn start(place: &Place, input: Input) -> io::Result<Self> {
        let config = place.beside_the_log("rsyslog.conf");
        std::fs::write(&config, configuration(&place.socket(), &place.file(), input))?;
        let mut program = Program::start(program::RSYSLOG, place, |command| {
            command.arg("-n").arg("-iNONE").arg("-f").arg(&config);
        })?;
        let probe = UnixDatagram::unbound()?;
        let connects = || match input {
            Input::Datagrams => probe.connect(place.socket()).is_ok(),
            Input::Stream => UnixStream::connect(place.socket()).is_ok(),
        };
        let ready = program::until(START, || {
            if !program.is_running()? {
                return Err(program.failed("ended at its start"));
            }
            Ok(connects())
        })?;
        if ready { Ok(Self { program }) } else { Err(program.failed("did not start")) }
    }

    /// Nothing tells when the last datagram has become a line, so the lines are counted.
    pub(super) fn finish(
        &mut self,
        file: &Path,
        expected: u64,
        workers_gone: Instant,
    ) -> io::Result<Instant> {
        let mut lines = Lines::default();
        let mut last = workers_gone;
        loop {
            let before = lines.count;
            if lines.count(file)? > before {
                last = Instant::now();
            }
            let grown = || Ok(lines.length(file) > lines.read);
            if lines.count >= expected || !program::until(STANDSTILL, grown)? {
                break;
            }
        }
        self.program.terminate()?;
        self.program.wait()?;
        Ok(last)
    }
}

/// One socket, one queue, one file, and the sender's text as it came.
fn configuration(socket: &Path, file: &Path, input: Input) -> String {
    let (socket, file) = (socket.display(), file.display());
    let input = match input {
        Input::Datagrams => format!(
            r#"input(type="imuxsock" Socket="{socket}" CreatePath="on" RateLimit.Interval="0"
      FlowControl="on" ruleset="bench")"#
        ),
        Input::Stream => format!(
            r#"module(load="imptcp")
input(type="imptcp" Path="{socket}" RateLimit.Interval="0" ruleset="bench")"#
        ),
    };
    format!(
        r#"global(processInternalMessages="off")
module(load="imuxsock" SysSock.Use="off")
main_queue(queue.type="FixedArray" queue.size="100000" queue.dequeueBatchSize="1024"
           queue.timeoutEnqueue="600000" queue.timeoutShutdown="600000")
template(name="raw" type="string" string="%rawmsg-after-pri%\n")
ruleset(name="bench") {{ action(type="omfile" file="{file}" template="raw") }}
{input}
"#
    )
}

/// The lines of a file that grows, each byte read once.
#[derive(Debug, Default)]
struct Lines {
    file: Option<File>,
    read: u64,
    count: u64,
}

impl Lines {
    /// Counts up to the present end of the file, which may not be there yet.
    fn count(&mut self, path: &Path) -> io::Result<u64> {
        if self.file.is_none() {
            match File::open(path) {
                Ok(file) => self.file = Some(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
                Err(error) => return Err(error),
            }
        }
        let Some(file) = &mut self.file else { return Ok(0) };
        let mut buffer = vec![0; BUFFER];
        loop {
            let len = file.read(&mut buffer)?;
            if len == 0 {
                return Ok(self.count);
            }
            self.read += len as u64;
            self.count += buffer[..len].iter().filter(|byte| **byte == b'\n').count() as u64;
        }
    }

    fn length(&self, path: &Path) -> u64 {
        let meta = match &self.file {
            Some(file) => file.metadata(),
            None => path.metadata(),
        };
        meta.map_or(0, |meta| meta.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn lines_of_a_growing_file_are_counted_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut lines = Lines::default();
        assert_eq!((lines.count(&path).unwrap(), lines.length(&path)), (0, 0));
        let mut file = File::create(&path).unwrap();
        file.write_all(b"one\ntw").unwrap();
        assert_eq!((lines.count(&path).unwrap(), lines.read), (1, 6));
        file.write_all(b"o\n").unwrap();
        assert_eq!(lines.length(&path), 8);
        assert_eq!((lines.count(&path).unwrap(), lines.read), (2, 8));
    }
}
