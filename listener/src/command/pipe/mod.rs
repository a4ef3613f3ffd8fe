//! `fleetlog pipe`: a worker whose records are the lines of its standard input.

use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::{Duration, Instant};

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use fleetlog_protocol::callsite::Definition;
use fleetlog_protocol::limits::{WINDOW_DEFAULT, record_max_for};
use fleetlog_protocol::record::{FieldName, RecordEncoder};
use fleetlog_protocol::socket_queue::{
    CallsiteOf, Config, LinkNumber, SocketQueue, WhenFull, pause,
};
use fleetlog_protocol::{Level, client, run_dir};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::exit::{Code, Failure};
use super::flags::{Common, examples};
use super::lines::Lines;
use super::screen::Screen;
use super::table::{count, span, things};
use crate::config;

/// While the listener owes acknowledgements, its answers are heard this often (in milliseconds).
const HEARING: u16 = 20;

static LINK: LinkNumber = LinkNumber::new();

/// Log the lines of standard input, one record each
///
/// A listener need not live yet: lines wait for it. The last line counts without its newline too,
/// bytes that are not UTF-8 are replaced, longer lines than a record can hold are cut and say so.
#[derive(clap::Args, Debug)]
#[command(after_help = examples(&[
    ("A script's output under its name", "./backup.sh 2>&1 | fleetlog pipe --name backup"),
    ("As warnings, with a target to filter by",
     "dmesg -w | fleetlog pipe --name kernel --level warn --target kernel::ring"),
    ("One line from a script", "echo 'deployed 1.2.3' | fleetlog pipe --name deploy"),
]))]
pub(super) struct Pipe {
    /// The worker's name in the log
    #[arg(long, default_value = "pipe")]
    name: String,

    /// The level of every line
    #[arg(long, default_value = "info", value_parser = level())]
    level: Level,

    /// The target of every line
    #[arg(long, default_value = "pipe")]
    target: String,

    /// The longest wait for a listener: in all while the queue is full, and again at the end
    /// until everything is acknowledged
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = config::duration)]
    timeout: Duration,
}

/// Reads a level's name.
pub(super) fn level() -> impl clap::builder::TypedValueParser<Value = Level> {
    PossibleValuesParser::new(["error", "warn", "info", "debug", "trace"])
        .try_map(|text| text.parse::<Level>())
}

impl Pipe {
    pub(super) fn run(&self, common: &Common, screen: &mut Screen) -> Result<Code, Failure> {
        let run_dir = common.run_dir()?;
        let socket =
            run_dir::socket_path(&run_dir).map_err(|error| Failure::failed("pipe", error))?;
        // A folder that is not there yet will be made, and checked, by its listener.
        if run_dir.exists() {
            run_dir::check_trust(&run_dir).map_err(|error| Failure::failed("pipe", error))?;
        }
        // Waiting would not help, and what it reads would be lost.
        client::check_permission(&run_dir).map_err(|error| Failure::failed("pipe", error))?;
        let queue = SocketQueue::new(Config {
            socket,
            window: WINDOW_DEFAULT,
            when_full: WhenFull::Block { stall_budget: self.timeout },
            name: self.name.clone(),
            fallback: String::new(),
            link_number: &LINK,
        });
        let mut worker = Worker { pipe: self, queue, record: Vec::new() };
        let read = worker.read_all();
        worker.await_acknowledgement(screen);
        worker.report(&run_dir, common.verbose > 0, screen)?;
        read.map_err(|error| Failure::failed("standard input can't be read", error))?;
        Ok(Code::Done)
    }
}

struct Worker<'p> {
    pipe: &'p Pipe,
    queue: SocketQueue,
    record: Vec<u8>,
}

impl Worker<'_> {
    /// Reads to the end of the input. What was read before a failure is logged.
    fn read_all(&mut self) -> io::Result<()> {
        let stdin = io::stdin();
        let mut lines = Lines::new(record_max_for(WINDOW_DEFAULT));
        let mut buffer = vec![0; 64 << 10];
        let ended = loop {
            let owed = self.queue.acked() < self.queue.last_seq();
            let patience = if owed { PollTimeout::from(HEARING) } else { PollTimeout::NONE };
            match poll(&mut [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)], patience) {
                Ok(0) => {
                    self.queue.pump();
                    continue;
                }
                Ok(_) => {}
                Err(Errno::EINTR) => continue,
                Err(errno) => break Err(errno.into()),
            }
            match nix::unistd::read(&stdin, &mut buffer) {
                Ok(0) => break Ok(()),
                Ok(read) => lines.feed(&buffer[..read], |line, missing| self.log(line, missing)),
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                Err(errno) => break Err(errno.into()),
            }
        };
        lines.finish(|line, missing| self.log(line, missing));
        ended
    }

    /// Logs a line of which `missing` bytes were left out.
    fn log(&mut self, line: &[u8], missing: usize) {
        let Pipe { level, target, .. } = self.pipe;
        let text = String::from_utf8_lossy(line);
        let limit = record_max_for(WINDOW_DEFAULT);
        let mut encoder = RecordEncoder::new(&mut self.record, *level, limit);
        let mut fields = encoder.fields();
        fields.str(FieldName::Index(0), &text);
        let (count, cut) = (fields.count(), fields.missing());
        encoder.finish(std::process::id(), count, cut + missing);
        let define = |out: &mut Vec<u8>| {
            let definition = Definition {
                level: *level,
                target,
                name: "line",
                file: None,
                line: None,
                module_path: None,
            };
            definition.encode(["message"].into_iter(), out);
        };
        let callsite = CallsiteOf::Static(std::ptr::from_ref(self.pipe).addr(), &define);
        // A drop is counted by the queue, reported in the log at its place, and told at the end.
        let _ = self.queue.record(&mut self.record, level.is_urgent(), callsite);
    }

    fn await_acknowledgement(&mut self, screen: &mut Screen) {
        let deadline = Instant::now() + self.pipe.timeout;
        let mut told = Instant::now();
        loop {
            self.queue.pump();
            let left = self.queue.last_seq() - self.queue.acked();
            if left == 0 || Instant::now() >= deadline {
                break;
            }
            if told.elapsed() > Duration::from_millis(200) {
                told = Instant::now();
                screen.progress(format_args!(
                    "waiting for the listener: {} not acknowledged",
                    things(left, "record")
                ));
            }
            pause(Duration::from_millis(2));
        }
        // A goodbye waits for what is unsent; without a listener there is nobody to say it to.
        if self.queue.acked() == self.queue.last_seq() && self.queue.is_connected() {
            self.queue.goodbye();
        }
    }

    fn report(&self, run_dir: &Path, talkative: bool, screen: &mut Screen) -> Result<(), Failure> {
        let account = self.queue.account();
        let dropped = account.dropped.total();
        let attempted = account.accepted + dropped;
        let left = (self.queue.last_seq() - self.queue.acked()).min(account.accepted);
        if left > 0 {
            let what = format!(
                "pipe: {} of {} not acknowledged",
                count(left),
                things(attempted, "record")
            );
            if !self.queue.is_connected()
                && let Err(why) = client::check_permission(run_dir)
            {
                return Err(Failure::failed(what, why));
            }
            return Err(match self.queue.refused() {
                Some(why) => Failure::failed(what, format_args!("the listener refused: {why}")),
                None => Failure::new(Code::TimedOut, {
                    let (run_dir, timeout) = (run_dir.display(), span(self.pipe.timeout));
                    let lost = if dropped > 0 {
                        format!(" and {} dropped", count(dropped))
                    } else {
                        String::new()
                    };
                    let (why, way_out) = if self.queue.is_connected() {
                        (
                            format!("the listener in {run_dir} did not write them in {timeout}"),
                            format!("look at `fleetlog status --run-dir {run_dir}`"),
                        )
                    } else {
                        (
                            format!("no listener lived in {run_dir} for {timeout}"),
                            format!("start one with `fleetlog listen --run-dir {run_dir}`"),
                        )
                    };
                    format!("{what}{lost}: {why}; {way_out}, or wait longer with --timeout")
                }),
            });
        }
        if dropped > 0 {
            let reasons = account.dropped.by_reason();
            let reasons: Vec<_> = reasons
                .map(|(reason, number)| format!("{} {}", reason.as_str(), count(number)))
                .collect();
            return Err(Failure::failed(
                format_args!("pipe: {} of {} dropped", count(dropped), things(attempted, "record")),
                format_args!(
                    "the queue was full for longer than {} ({}); wait longer with --timeout",
                    span(self.pipe.timeout),
                    reasons.join(", ")
                ),
            ));
        }
        if talkative {
            screen.note(format_args!("{} acknowledged", things(attempted, "record")));
        }
        Ok(())
    }
}
