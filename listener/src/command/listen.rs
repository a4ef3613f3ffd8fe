//! `fleetlog listen`: the listener in the foreground.

use std::path::PathBuf;
use std::time::Duration;

use nix::unistd::{Gid, Uid};

use super::diagnostics::Diagnostics;
use super::exit::{Code, Failure};
use super::flags::{Common, examples};
use super::outputs::Outputs;
use super::receipt;
use super::screen::Screen;
use super::table::bytes;
use crate::config::{self, Settings};
use crate::listener::{ListenError, Listener};
use crate::options::{Address, Options, SinkTarget};
use crate::ownership::OwnershipError;

/// Own the log files and drain the fleet into them
///
/// Runs in the foreground until `fleetlog stop`, TERM or INT: then it writes everything that was
/// logged, syncs, and prints a receipt. A second TERM or INT ends it at once.
///
/// Under systemd it tells when it is ready and that it is alive (Type=notify, WatchdogSec=), and
/// takes the run directory's socket from a socket unit.
#[derive(clap::Args, Debug)]
#[command(after_help = examples(&[
    ("One file for the whole fleet", "fleetlog listen --file /var/log/apps.log"),
    ("JSON on standard output, warnings and errors only",
     "fleetlog listen --format json --filter warn"),
    ("At most 50 MB of log in files of 5 MB, the old ones compressed",
     "fleetlog listen --file apps.log --max-size 5M --max-total-size 50M --compress zstd"),
    ("Two files, made durable at least every second",
     "fleetlog listen --file apps.log --file copy.log --sync 1s"),
    ("A layout of your own", "fleetlog listen --format '{time} {worker:<10} {level:<8} {message}'"),
    ("For web servers of another user too, none of which may flood",
     "fleetlog listen --file apps.log --allow-uid www-data --rate-limit-burst 10000"),
    ("Metrics for Prometheus at http://127.0.0.1:9102/metrics",
     "fleetlog listen --file apps.log --metrics 9102"),
    ("All settings from a file", "fleetlog listen --config /etc/fleetlog.toml"),
]))]
pub(super) struct Listen {
    #[command(flatten)]
    outputs: Outputs,

    /// The permission bits of the sockets, in octal: who may log
    /// [default: 0600, or 0666 where --allow-uid or --allow-gid say it]
    #[arg(long, value_name = "MODE", value_parser = config::mode)]
    #[arg(help_heading = "Who may log")]
    socket_mode: Option<u32>,

    /// Users that may log, by name or number, beside root and the listener's own
    /// [default: everybody whom the socket's mode lets in]
    #[arg(long, value_name = "USER", value_parser = config::user, value_delimiter = ',')]
    #[arg(help_heading = "Who may log")]
    allow_uid: Vec<Uid>,

    /// Groups whose members may log, by name or number
    #[arg(long, value_name = "GROUP", value_parser = config::group, value_delimiter = ',')]
    #[arg(help_heading = "Who may log")]
    allow_gid: Vec<Gid>,

    /// How many records a foreign client (Python, syslog, JSON lines ...) may log in an interval,
    /// each KiB counting as one; what is beyond is counted and left out [default: 0, any number]
    #[arg(long, value_name = "COUNT")]
    #[arg(help_heading = "Who may log")]
    rate_limit_burst: Option<u64>,

    /// The interval of --rate-limit-burst [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = config::interval)]
    #[arg(help_heading = "Who may log")]
    rate_limit_interval: Option<Duration>,

    /// Serve OpenMetrics by HTTP at this address: a port of this host, an IP address with a port, or
    /// unix:/path/of/a/socket [default: not at all]
    #[arg(long, value_name = "ADDRESS", help_heading = "Watching")]
    metrics: Option<Address>,

    /// End when the last worker that was there is gone [default: false]
    #[arg(long, value_name = "YES", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    #[arg(help_heading = "Listener")]
    exit_with_last_worker: Option<bool>,

    /// Write the listener's own diagnostics into a daily file in this folder too; the last seven
    /// are kept [default: standard error only]
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    #[arg(help_heading = "Listener")]
    diagnostics_dir: Option<PathBuf>,

    /// Serve a page for browsers here: a port of this host, or an address in full. It wants the
    /// token that the listener puts into the run directory [default: no page]
    #[cfg(feature = "web")]
    #[arg(long, value_name = "ADDRESS", value_parser = config::web_address)]
    #[arg(help_heading = "Listener")]
    web: Option<std::net::SocketAddr>,
}

impl Listen {
    pub(super) fn run(&self, common: &Common, screen: &mut Screen) -> Result<Code, Failure> {
        let settings = common.settings(self.settings())?;
        Diagnostics { common, folder: settings.diagnostics_dir.as_deref() }.start()?;
        let options = settings.into_options().map_err(|error| Failure::usage("listen", error))?;
        crate::diagnostic::info!(run_dir = %options.run_dir.display(), "the listener starts");
        say_bounds(&options);
        let ended = Listener::builder().options(options).run();
        let receipt = ended.map_err(|error| failure(&error))?;
        crate::diagnostic::info!(
            written = receipt.written,
            lines = receipt.lines,
            "the listener ends"
        );
        screen.note(receipt::table(&receipt, common.verbose > 0));
        Ok(receipt::code(&receipt))
    }

    fn settings(&self) -> Settings {
        Settings {
            socket_mode: self.socket_mode,
            allow_uid: self.allow_uid.clone(),
            allow_gid: self.allow_gid.clone(),
            rate_limit_burst: self.rate_limit_burst,
            rate_limit_interval: self.rate_limit_interval,
            metrics: self.metrics.clone(),
            exit_with_last_worker: self.exit_with_last_worker,
            diagnostics_dir: self.diagnostics_dir.clone(),
            #[cfg(feature = "web")]
            web: self.web,
            ..self.outputs.settings()
        }
    }
}

/// A bound that nobody asked for is said at start: it removes files.
fn say_bounds(options: &Options) {
    for sink in &options.sinks {
        let (SinkTarget::File(path), keeping) = (&sink.target, &sink.keeping) else { continue };
        if keeping.total_is_default() {
            crate::diagnostic::info!(
                path = %path.display(),
                file_size = bytes(keeping.file_size_max()),
                total_size = bytes(keeping.total_size_max()),
                "nobody said how much is kept: the log is rotated by size, and its oldest files \
                 go beyond a total; --max-size, --max-files and --max-total-size say it otherwise"
            );
        }
    }
}

/// What a listener that could not live says.
pub(super) fn failure(error: &ListenError) -> Failure {
    let code = match error {
        error if error.is_already_owned() => Code::Listener,
        // A restart would fare no better: the units contradict each other.
        ListenError::Ownership(OwnershipError::OtherSocket { .. }) => Code::Usage,
        _ => Code::Failed,
    };
    Failure::new(code, format_args!("listen: {error}"))
}
