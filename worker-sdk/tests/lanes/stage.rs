//! A play: this binary runs again in a role, as a process of its own, and the test looks at what
//! it left. Role and test wait for each other by cues: a role prints `@cue`, the test answers.

use std::env;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use tempfile::TempDir;

pub(crate) const ROLE: &str = "FLEETLOG_ROLE";

/// A role on its way.
pub(crate) struct Play {
    folder: TempDir,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// What is left of a role.
pub(crate) struct Left {
    _folder: TempDir,
    pub(crate) run_dir: PathBuf,
    pub(crate) pid: u32,
    pub(crate) status: ExitStatus,
    pub(crate) stderr: String,
}

/// A folder for a play, with the run directory in it.
pub(crate) fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("run")).expect("a run directory");
    folder
}

impl Play {
    pub(crate) fn start(role: &str) -> Self {
        Self::start_in(folder(), role, &[])
    }

    pub(crate) fn start_in(folder: TempDir, role: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env::current_exe().expect("this program"));
        command
            .args(["--exact", "role", "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .env("FLEETLOG_RUN_DIR", folder.path().join("run"))
            .env("FLEETLOG_NAME", role)
            .env_remove("FLEETLOG_TRANSPORT")
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("a role");
        let input = child.stdin.take().expect("its input");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        Self { folder, child, input, output }
    }

    pub(crate) fn run_dir(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    /// Waits for a cue; returns what the role said with it.
    pub(crate) fn wait_for(&mut self, cue: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            let read = self.output.read_line(&mut line).expect("its output");
            if read == 0 {
                let mut stderr = String::new();
                let _ = self.child.stderr.take().expect("stderr").read_to_string(&mut stderr);
                panic!("the role ended before `@{cue}`: {:?}\n{stderr}", self.child.wait());
            }
            if let Some((_, said)) = line.split_once(&format!("@{cue}")) {
                return said.trim().to_owned();
            }
        }
    }

    /// Lets the role go on.
    pub(crate) fn go(&mut self) {
        self.input.write_all(b"\n").expect("its input");
    }

    /// Waits for the role's end, whatever it is.
    pub(crate) fn end(self) -> Left {
        let Self { folder, child, input, mut output } = self;
        drop(input);
        let pid = child.id();
        let mut said = Vec::new();
        output.read_to_end(&mut said).expect("its output");
        let ended = child.wait_with_output().expect("its end");
        let stderr = String::from_utf8_lossy(&ended.stderr).into_owned();
        let run_dir = folder.path().join("run");
        Left { _folder: folder, run_dir, pid, status: ended.status, stderr }
    }

    /// Waits for the role's end, which must be a good one.
    pub(crate) fn end_well(self) -> Left {
        let left = self.end();
        assert!(left.status.success(), "{}\n{}", left.status, left.stderr);
        left
    }
}

/// Plays a role to its end.
pub(crate) fn play(role: &str) -> Left {
    Play::start(role).end_well()
}

/// In a role: tells the test something.
pub(crate) fn cue(cue: &str, said: impl std::fmt::Display) {
    writeln!(std::io::stdout(), "@{cue} {said}").expect("standard output");
}

/// In a role: waits for the test.
pub(crate) fn wait() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("standard input");
}

/// In a role: the run directory.
pub(crate) fn run_dir() -> PathBuf {
    Path::new(&env::var_os("FLEETLOG_RUN_DIR").expect("a run directory")).to_owned()
}
