//! `fleetlog demo`: a listener and a pool of forked workers in one command, and the proof that
//! their log is whole.

mod fork;
mod proof;
mod worker;

use std::io::{self, BufRead as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fleetlog_protocol::message::{Receipt, Reply, Request};
use fleetlog_protocol::{client, run_dir};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

use super::diagnostics::Diagnostics;
use super::exit::{Code, Failure, PATIENCE};
use super::flags::{Common, examples};
use super::screen::{BAD, BOLD, DIM, GOOD, Screen};
use super::table::{Align, Cell, Table, count, escape, things};
use super::{listen, receipt};
use crate::format::Format;
use crate::listener::Listener;
use crate::options::{Keeping, Options, SinkOptions, SinkTarget};

/// Workers that live at once; more of them take turns.
const AT_ONCE: usize = 200;

/// Lines of the file that are shown.
const SHOWN: usize = 10;

/// See it work: one listener, a pool of forked workers, one file, and the proof that it is whole
#[derive(clap::Args, Debug)]
#[command(after_help = examples(&[
    ("Ten workers, ten items each", "fleetlog demo"),
    ("A hundred workers, a million records", "fleetlog demo --workers 100 --items 10000"),
    ("As JSON, into a file of your choice", "fleetlog demo --format json --file /tmp/demo.json"),
]))]
pub(super) struct Demo {
    /// How many workers are forked
    #[arg(long, value_name = "N", default_value = "10")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    workers: u32,

    /// How many items each of them works on, a record each
    #[arg(long, value_name = "N", default_value = "10")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    items: u32,

    /// The file to write; lines are appended [default: one in a new temporary folder, which stays]
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    file: Option<PathBuf>,

    /// The layout of its lines: text, json, or a template
    #[arg(long, default_value = "text")]
    format: Format,
}

impl Demo {
    pub(super) fn run(&self, common: &Common, screen: &mut Screen) -> Result<Code, Failure> {
        let place = Place::new(self.file.as_deref())?;
        let before = proof::lines_of(&place.file, 0).map_or(0, |lines| lines.bytes);
        self.announce(&place, screen);

        let receipt = self.live(&place, common, screen)?;
        screen.line(format_args!("\n{}", receipt::table(&receipt, common.verbose > 0)));
        self.show(&place, before, screen)?;
        self.prove(&place, before, screen)
    }

    fn announce(&self, place: &Place, screen: &mut Screen) {
        let names = match self.workers - 1 {
            0 => String::new(),
            last => format!(" to \"worker {last}\""),
        };
        let mut table = Table::new(&[Align::Left, Align::Left], 2);
        let mut row = |name: &str, text: &str| {
            table.row(vec![Cell::text(name), Cell::text(text)]);
        };
        row(
            "workers",
            &format!("\"worker 0\"{names}, forked, {} each", things(self.items.into(), "record")),
        );
        row("file", &place.file.display().to_string());
        row("proof", "a second file with the same records as JSON, read at the end");
        screen.line(format_args!(
            "{BOLD}A fleet: many workers, one listener, one file{BOLD:#}\n{table}"
        ));
    }

    /// Forks everybody, waits for the workers, and ends the listener with the sentinel.
    fn live(
        &self,
        place: &Place,
        common: &Common,
        screen: &mut Screen,
    ) -> Result<Receipt, Failure> {
        let listener = fork::child(|| self.listen(place, common))?;
        await_listener(place, listener);
        let worked = self.work(place, listener, screen);
        let stopped = worked.and_then(|()| {
            screen.progress("the sentinel is sent");
            let mut written = 0;
            client::request(&place.run_dir, Request::Stop, PATIENCE, |so_far| written = so_far)
                .map_err(|error| Failure::request("demo: stop", &error, written))
        });
        if stopped.is_err() {
            // It is this process's own child and still to be waited for: its pid is its own.
            let _ = kill(listener, Signal::SIGKILL);
        }
        // Already gone, if its end was the failure.
        let ended = waitpid(listener, None);
        match (stopped?, ended) {
            (Reply::Stopped(receipt), Ok(WaitStatus::Exited(_, 0))) => Ok(*receipt),
            (Reply::Stopped(_), Ok(status)) => {
                Err(Failure::failed("demo", format_args!("the listener {}", fork::end(status))))
            }
            (Reply::Stopped(_), Err(errno)) => {
                let error = io::Error::from(errno);
                Err(Failure::failed("demo: the listener can't be awaited", error))
            }
            _ => Err(Failure::unexpected_answer("demo")),
        }
    }

    /// The life of the listener's process.
    fn listen(&self, place: &Place, common: &Common) -> i32 {
        // Without -v, the demo's screen belongs to the demo.
        let quiet = Common { quiet: common.verbose == 0, ..common.clone() };
        let ended = Diagnostics { common: &quiet, folder: None }.start().and_then(|()| {
            let run = Listener::builder().options(self.options(place)).run();
            run.map_err(|error| listen::failure(&error))
        });
        match ended {
            Ok(_) => 0,
            Err(failure) => {
                Screen::new(false).failure(&failure);
                1
            }
        }
    }

    /// The wanted file, and a second one as JSON whose records can be told apart with certainty.
    fn options(&self, place: &Place) -> Options {
        // The proof reads one file, and every line of it.
        let sink = |path: &Path, format: Format| SinkOptions {
            format,
            keeping: Keeping::forever(),
            ..SinkOptions::new(SinkTarget::File(path.to_owned()))
        };
        let mut options = Options::new(&place.run_dir);
        options.sinks =
            vec![sink(&place.file, self.format.clone()), sink(&place.proof, Format::json())];
        options
    }

    /// Forks the workers and waits for all of them.
    fn work(&self, place: &Place, listener: Pid, screen: &mut Screen) -> Result<(), Failure> {
        let mut waiting = 0..self.workers;
        let mut living: Vec<(Pid, u32)> = Vec::new();
        let (mut done, mut failed) = (0, None);
        loop {
            while failed.is_none() && living.len() < AT_ONCE {
                let Some(number) = waiting.next() else { break };
                match fork::child(|| worker::run(&place.run_dir, number, self.items)) {
                    Ok(pid) => living.push((pid, number)),
                    Err(failure) => failed = Some(failure),
                }
            }
            if living.is_empty() {
                return failed.map_or(Ok(()), Err);
            }
            screen.progress(format_args!("{} of {} workers are done", done, self.workers));
            let status = match waitpid(None, None) {
                Ok(status) => status,
                Err(nix::errno::Errno::EINTR) => continue,
                Err(errno) => {
                    let error = io::Error::from(errno);
                    return Err(Failure::failed("demo: workers can't be awaited", error));
                }
            };
            let pid = status.pid();
            if pid == Some(listener) {
                failed = Some(Failure::failed("demo", "the listener ended before its workers"));
                for (worker, _) in &living {
                    let _ = kill(*worker, Signal::SIGKILL);
                }
                continue;
            }
            let Some(at) = living.iter().position(|(worker, _)| pid == Some(*worker)) else {
                continue;
            };
            let (_, number) = living.swap_remove(at);
            done += 1;
            if !matches!(status, WaitStatus::Exited(_, 0)) && failed.is_none() {
                let why = format!("{} {}", worker::name(number), fork::end(status));
                failed = Some(Failure::failed("demo", why));
            }
        }
    }

    /// The first lines of the file as they stand there.
    fn show(&self, place: &Place, before: u64, screen: &mut Screen) -> Result<(), Failure> {
        let unreadable = |error| unreadable(&place.file, error);
        let file = proof::open_at(&place.file, before).map_err(unreadable)?;
        screen.line(format_args!("\n{BOLD}The first lines of the file{BOLD:#}"));
        for line in io::BufReader::new(file).lines().take(SHOWN) {
            screen.line(format_args!("  {}", escape(&line.map_err(unreadable)?)));
        }
        let lines = proof::lines_of(&place.file, before).map_err(unreadable)?.lines;
        if lines > SHOWN as u64 {
            let more = things(lines - SHOWN as u64, "more line");
            screen.line(format_args!("  {DIM}... and {more}{DIM:#}"));
        }
        Ok(())
    }

    fn prove(&self, place: &Place, before: u64, screen: &mut Screen) -> Result<Code, Failure> {
        let found = proof::examine(&place.proof, self.workers, self.items)
            .map_err(|error| unreadable(&place.proof, error))?;
        let lines =
            proof::lines_of(&place.file, before).map_err(|error| unreadable(&place.file, error))?;
        let mut faults = found.faults();
        if lines.lines != found.lines || lines.torn {
            faults.push(format!(
                "the file has {}, the proof has {}",
                things(lines.lines, "whole line"),
                count(found.lines)
            ));
        }
        let records = u64::from(self.workers) * u64::from(self.items);
        let file = escape(&place.file.display().to_string());
        if faults.is_empty() {
            screen.line(format_args!(
                "\n{GOOD}Proved:{GOOD:#} {} of {}, each in the file exactly once and in its \
                 worker's order.\nLook at it: less {file}",
                things(records, "record"),
                things(self.workers.into(), "worker"),
            ));
            place.clean();
            return Ok(Code::Done);
        }
        screen.line(format_args!("\n{BAD}Not proved:{BAD:#} {}.", faults.join("; ")));
        screen.line(format_args!(
            "Look at {file}\n    and at {}",
            escape(&place.proof.display().to_string())
        ));
        Ok(Code::Failed)
    }
}

/// Waits until the listener answers, or is known to never will. Workers over the socket may be done
/// before it is there, and what a process that ends still holds nobody would send.
fn await_listener(place: &Place, listener: Pid) {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        match client::request(&place.run_dir, Request::Status, PATIENCE, |_| ()) {
            Err(error) if error.is_no_listener() => {}
            // Also where it says no: whoever needs it hears that.
            _ => return,
        }
        // It is looked at and still to be waited for: that is the business of those who wait.
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        if !matches!(waitid(Id::Pid(listener), look), Ok(WaitStatus::StillAlive)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn unreadable(path: &Path, error: io::Error) -> Failure {
    Failure::failed(format_args!("{} can't be read", path.display()), error)
}

/// Where everything is.
#[derive(Debug)]
struct Place {
    /// The temporary folder of this run.
    folder: PathBuf,
    run_dir: PathBuf,
    file: PathBuf,
    proof: PathBuf,
    /// The temporary folder holds the file and must stay.
    keeps_file: bool,
}

impl Place {
    fn new(file: Option<&Path>) -> Result<Self, Failure> {
        if let Some(file) = file {
            let path = file.to_string_lossy();
            if path == "-" || path.contains(['{', '}']) {
                return Err(Failure::usage(
                    "demo: --file",
                    format_args!("it proves one file, and {path} is none; name a plain path"),
                ));
            }
        }
        let template = std::env::temp_dir().join("fleetlog-demo-XXXXXX");
        let folder = nix::unistd::mkdtemp(&template).map_err(|errno| {
            let what = format!("a temporary folder {} can't be made", template.display());
            let error = io::Error::from(errno);
            Failure::failed(what, format_args!("{error}; name another place with TMPDIR"))
        })?;
        let run_dir = folder.join("run");
        if run_dir::socket_path(&run_dir).is_err() {
            let _ = std::fs::remove_dir(&folder);
            let what = format!("demo: {} can't be used", folder.display());
            let why = "its path is too long for a Unix socket; name a shorter place with TMPDIR";
            return Err(Failure::failed(what, why));
        }
        Ok(Self {
            file: file.map_or_else(|| folder.join("demo.log"), Path::to_owned),
            proof: folder.join("proof.json"),
            keeps_file: file.is_none(),
            run_dir,
            folder,
        })
    }

    /// Removes all that nobody wants to look at. What can't be removed is small and temporary.
    fn clean(&self) {
        let _ = if self.keeps_file {
            let _ = std::fs::remove_dir_all(&self.run_dir);
            std::fs::remove_file(&self.proof)
        } else {
            std::fs::remove_dir_all(&self.folder)
        };
    }
}

/// How long a worker of the demo waits for its listener.
const STALL_BUDGET: Duration = PATIENCE;
