//! A fleet from one program: fork named workers, wait for them, log how each ended.

use std::ffi::CString;
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use fleetlog_protocol::Level;
use fleetlog_protocol::record::FieldName;
use fleetlog_protocol::run_dir;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::builder::NAME_VARIABLE;
use crate::fork;
use crate::init::{InitError, init_with};
use crate::layer::Layer;
use crate::notice::{self, Place};
use crate::worker::Worker;

/// The exit code of a worker whose closure returned an error.
const CODE_FAILED: i32 = 1;
/// The exit code of a worker that panicked, as Rust programs have it.
const CODE_PANICKED: i32 = 101;

/// A pool of forked workers.
///
/// Each worker runs a closure, with everything that the closure captured, in a process of its
/// own under its own name; what it logs goes to the fleet's listener. If the program has no
/// global subscriber yet, the fleet sets one as [`init`](crate::init) does.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut fleet = fleetlog_worker::Fleet::new("/run/fleetlog")?;
/// for number in 0..10 {
///     fleet.spawn(format!("worker {number}"), move || {
///         tracing::info!(number, "at work");
///     })?;
/// }
/// let report = fleet.join()?;
/// assert!(report.is_success());
/// # Ok(())
/// # }
/// ```
///
/// Programs that a worker executes find the fleet as well: the worker has the run directory and its
/// name in its environment (`FLEETLOG_RUN_DIR`, `FLEETLOG_NAME`), in place of what it inherited, from
/// before its work begins. They are put there in the child, by a list of variables of its own, so that no
/// `setenv` of another thread can get in the way; a name with a zero byte is left out.
///
/// A worker leaves with `_exit`: destructors and exit handlers that it inherited belong to the
/// parent and do not run. Text that it printed without a line end stays unprinted.
#[derive(Debug)]
#[must_use = "workers that nobody joins become zombies"]
pub struct Fleet {
    worker: &'static Worker,
    running: Vec<Member>,
}

#[derive(Clone, Debug)]
struct Member {
    pid: Pid,
    name: String,
}

/// How one worker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It returned or exited with a code; 0 is success.
    Exited(i32),
    /// A signal ended it.
    Signalled(Signal),
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exited with code {code}"),
            Self::Signalled(signal) => write!(f, "was ended by {signal}"),
        }
    }
}

/// How the workers of a fleet ended, in the order in which they were spawned.
#[derive(Clone, Debug)]
pub struct FleetReport {
    /// Name, pid and end of each.
    pub workers: Vec<(String, u32, Ending)>,
}

impl FleetReport {
    /// Whether every worker ended with code 0.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.workers.iter().all(|(_, _, ending)| *ending == Ending::Exited(0))
    }
}

/// What a worker's closure returns.
pub trait Outcome {
    /// Why the work failed, if it did.
    fn failure(self) -> Option<String>;
}

impl Outcome for () {
    fn failure(self) -> Option<String> {
        None
    }
}

impl<E: fmt::Display> Outcome for Result<(), E> {
    fn failure(self) -> Option<String> {
        self.err().map(|error| error.to_string())
    }
}

impl Fleet {
    /// A fleet that logs to the listener of a run directory, whether it lives yet or not. A relative
    /// path is the folder of the layer that this program built with the same path, else the one
    /// that it names now.
    ///
    /// # Errors
    /// Any [`InitError`] but that of a subscriber that is there already.
    pub fn new(run_dir: impl Into<PathBuf>) -> Result<Self, InitError> {
        let run_dir: PathBuf = run_dir.into();
        let worker = match Worker::of(&run_dir) {
            Some(worker) => worker,
            None => Layer::builder().run_dir(run_dir).build_worker()?,
        };
        if !tracing_core::dispatcher::has_been_set() {
            init_with(Layer::of(worker))?;
        }
        Ok(Self { worker, running: Vec::new() })
    }

    /// As [`new`](Self::new), in the run directory that every process finds by itself.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn in_default_run_dir() -> Result<Self, InitError> {
        Self::new(run_dir::default_path())
    }

    /// Forks a worker and returns its pid. An error or a panic of its work becomes an ERROR
    /// record and a non-zero exit code.
    ///
    /// # Errors
    /// What `fork` said.
    pub fn spawn<F, O>(&mut self, name: impl Into<String>, work: F) -> io::Result<u32>
    where
        F: FnOnce() -> O,
        O: Outcome,
    {
        let name = name.into();
        match fork::fork()? {
            Some(pid) => {
                self.running.push(Member { pid, name });
                Ok(pid.as_raw().unsigned_abs())
            }
            None => fork::exit_now(self.run_member(&name, work)),
        }
    }

    /// Waits for every worker and logs how each ended.
    ///
    /// # Errors
    /// What `wait` said; the workers that ended until then are logged.
    pub fn join(self) -> io::Result<FleetReport> {
        let mut workers = Vec::new();
        for member in self.running {
            let ending = wait_for(member.pid)?;
            log_ending(self.worker, &member, ending);
            workers.push((member.name, member.pid.as_raw().unsigned_abs(), ending));
        }
        Ok(FleetReport { workers })
    }

    fn run_member<O: Outcome>(&self, name: &str, work: impl FnOnce() -> O) -> i32 {
        self.tell_programs(name);
        crate::set_name(name);
        // The hook has told about a panic by then, to whoever asked to be told.
        let code = match catch_unwind(AssertUnwindSafe(|| work().failure())) {
            Ok(None) => 0,
            Ok(Some(why)) => {
                self.log_failure(&why);
                CODE_FAILED
            }
            Err(_) => {
                self.log_failure("the worker panicked");
                CODE_PANICKED
            }
        };
        crate::goodbye();
        code
    }

    /// Lets programs that the worker executes find the fleet.
    fn tell_programs(&self, name: &str) {
        let run_dir = self.worker.settings.run_dir.as_os_str().as_bytes();
        let variable =
            |name: &str, value: &[u8]| CString::new([name.as_bytes(), b"=", value].concat()).ok();
        let variables =
            [variable(run_dir::VARIABLE, run_dir), variable(NAME_VARIABLE, name.as_bytes())];
        fork::put_into_environment(variables.into_iter().flatten().collect());
    }

    fn log_failure(&self, why: &str) {
        notice::send_to(self.worker, Level::Error, PLACE, |fields| {
            fields.str(FieldName::Inline("error"), why);
            fields.str(FieldName::Inline("message"), "the work failed");
        });
    }
}

const PLACE: Place<'static> = Place { target: "fleet", file: None, line: None };

fn wait_for(pid: Pid) -> io::Result<Ending> {
    loop {
        match waitpid(pid, None) {
            Ok(WaitStatus::Exited(_, code)) => return Ok(Ending::Exited(code)),
            Ok(WaitStatus::Signaled(_, signal, _)) => return Ok(Ending::Signalled(signal)),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn log_ending(worker: &'static Worker, member: &Member, ending: Ending) {
    let level = if ending == Ending::Exited(0) { Level::Info } else { Level::Warn };
    notice::send_to(worker, level, PLACE, |fields| {
        fields.str(FieldName::Inline("member"), &member.name);
        fields.u64(FieldName::Inline("member_pid"), u64::from(member.pid.as_raw().unsigned_abs()));
        fields.debug(FieldName::Inline("message"), &format_args!("{} {ending}", member.name));
    });
}
