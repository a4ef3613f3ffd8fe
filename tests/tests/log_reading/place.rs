//! A log that real workers have logged, split into old files by hand.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use fleetlog_tests::{Fixture, binaries};

/// How an old file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packed {
    Not,
    Gzip,
    Zstd,
}

/// A fixture whose log was written and whose listener is gone.
pub(crate) struct Place {
    pub(crate) fixture: Fixture,
}

impl Place {
    /// Two workers with 200 records each, in a layout.
    pub(crate) fn with(format: &str) -> Self {
        let fixture = Fixture::new(binaries!());
        let file = fixture.log().into_os_string().into_string().expect("UTF-8");
        let listener = fixture.listener().only_with(["--file", &file, "--format", format]).start();
        fixture.workload(["storm", "--workers", "2", "--records", "200"]).succeed();
        assert!(listener.stop().is_complete());
        Self { fixture }
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.fixture.log()
    }

    /// The lines of the current file.
    pub(crate) fn lines(&self) -> Vec<String> {
        lines(&self.log())
    }

    /// Makes an old file of the first lines of the current one; `hour` tells when it was closed.
    pub(crate) fn archive(&self, count: usize, hour: u32, packed: Packed) -> PathBuf {
        let lines = self.lines();
        let (old, rest) = lines.split_at(count);
        let path = self.fixture.path().join(format!("apps.2026-11-22T{hour:02}-00-00Z.log"));
        write(&self.log(), rest);
        write(&path, old);
        pack(&path, packed)
    }

    /// Runs the command on the log and returns what it said.
    pub(crate) fn run<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Said {
        Said::of(self.command(arguments))
    }

    /// The command with this log.
    pub(crate) fn command<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = bare(&self.fixture);
        let mut arguments = arguments.into_iter();
        command.args(arguments.next()).arg("--file").arg(self.log()).args(arguments);
        command
    }
}

/// The command in a fixture.
pub(crate) fn bare(fixture: &Fixture) -> Command {
    let mut command = Command::new(binaries!().fleetlog);
    command
        .env("FLEETLOG_RUN_DIR", fixture.run_dir())
        .env("TMPDIR", fixture.path())
        .env("TZ", "UTC")
        .env_remove("FLEETLOG_CONFIG")
        .stdin(Stdio::null());
    command
}

/// Packs a file as the listener does; returns where it is then.
pub(crate) fn pack(path: &Path, packed: Packed) -> PathBuf {
    let bytes = fs::read(path).expect("an old file");
    let (bytes, end) = match packed {
        Packed::Not => return path.to_owned(),
        Packed::Gzip => {
            let level = flate2::Compression::default();
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(&bytes).expect("memory");
            (encoder.finish().expect("memory"), "gz")
        }
        Packed::Zstd => {
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).expect("memory");
            encoder.include_checksum(true).expect("a checksum");
            encoder.write_all(&bytes).expect("memory");
            (encoder.finish().expect("memory"), "zst")
        }
    };
    let to = PathBuf::from(format!("{}.{end}", path.display()));
    fs::write(&to, bytes).expect("a packed file");
    fs::remove_file(path).expect("the unpacked one");
    to
}

pub(crate) fn lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).expect("a log");
    text.lines().map(str::to_owned).collect()
}

pub(crate) fn write(path: &Path, lines: &[String]) {
    let text: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
    fs::write(path, text).expect("a log");
}

/// What a command said and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    pub(crate) fn of(mut command: Command) -> Self {
        let Output { status, stdout, stderr } = command.output().expect("the command");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Self { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }

    #[track_caller]
    pub(crate) fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    pub(crate) fn lines(&self) -> Vec<&str> {
        self.stdout.lines().collect()
    }
}
