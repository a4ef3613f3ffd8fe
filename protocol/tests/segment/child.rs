//! Another process: this test again, told by a variable that it is the other one.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use fleetlog_protocol::segment::{FileName, Segment};

use super::Place;

const VARIABLE: &str = "FLEETLOG_TEST_PLACE";
const READY: &str = "ready";
const PATIENCE: Duration = Duration::from_secs(60);

/// The folder that the test met in, if this process is the other one.
pub fn place() -> Option<PathBuf> {
    std::env::var_os(VARIABLE).map(PathBuf::from)
}

/// The other process, killed when the test is over.
pub struct Other {
    child: Child,
    place: PathBuf,
}

impl Other {
    /// Starts the same test again.
    pub(super) fn start(test: &str, place: &Place) -> Self {
        let child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", test, "--nocapture", "--include-ignored"])
            .env(VARIABLE, place.path())
            .stdin(Stdio::piped())
            .spawn()
            .expect("this test starts");
        Self { child, place: place.path().to_owned() }
    }

    /// What it said when it was ready.
    pub fn ready(&mut self) -> String {
        let start = Instant::now();
        loop {
            if let Ok(text) = std::fs::read_to_string(self.place.join(READY)) {
                return text;
            }
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                panic!("the other process ended: {status}");
            }
            assert!(start.elapsed() < PATIENCE, "the other process is not ready");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The segment that it made.
    pub fn segment(&mut self) -> FileName {
        self.ready().parse().expect("a segment's name")
    }

    /// Sends SIGKILL; it is a zombie until [`wait`](Self::wait).
    pub fn kill(&mut self) {
        self.child.kill().expect("it is ours");
    }

    pub fn wait(&mut self) -> ExitStatus {
        drop(self.child.stdin.take());
        self.child.wait().expect("it is ours")
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In the other process: tells that it is ready.
pub fn say(place: &Path, text: &str) {
    let written = place.join("being written");
    std::fs::write(&written, text).expect("it can be written");
    std::fs::rename(written, place.join(READY)).expect("it can be renamed");
}

/// In the other process: sleeps until the test ends it.
pub fn sleep() -> ! {
    let mut line = String::new();
    let _ = std::io::stdin().read_line(&mut line);
    std::process::exit(0)
}

/// In the other process: makes a segment and holds it until it is ended.
pub fn hold_a_segment(place: &Path) -> ! {
    let segment = Segment::create(&place.join("run"), "other").expect("a segment");
    say(place, &segment.name().to_string());
    sleep()
}

/// Repeats a question until its answer is yes.
pub fn until(what: &str, mut question: impl FnMut() -> bool) {
    let start = Instant::now();
    while !question() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
