//! The lines of the chosen worker, as they are written.
//!
//! They are read from the listener's files, in a thread of their own: the listener does nothing
//! for it. What is handed over is bounded in lines and in bytes, and where a log grows faster than
//! it can be read, the thread goes to its end and says so.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TryRecvError, channel};
use std::time::{Duration, Instant};

use super::state::lines::{Batch, KEPT, Line};
use super::{Event, start};
use crate::command::status::answer::{Fleet, Sink};
use crate::command::table::{bytes, cut, escape};
use crate::reading::{Converter, Head, Layout, TextLine};
use crate::route::Directives;
use crate::sink::PathTemplate;
use crate::tail::{Start, Step, Tail};

/// How many lines of the log are searched for the worker's at first.
const SEARCHED: usize = 2_000;

/// Where more than this is left when the time to read is over, it is passed over.
const BEHIND: u64 = 1 << 20;

/// How often lines are handed over at most, and so how often the screen changes for them.
const PAUSE: Duration = Duration::from_millis(200);

/// The least time between two looks at a log.
const LOOK: Duration = Duration::from_millis(50);

/// How long lines are read before somebody asks whether they are still wanted.
const READING: Duration = Duration::from_millis(50);

/// The longest text of a line: more than any screen shows of it.
const WIDEST: usize = 2_000;

/// When a log that can't be opened is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Whose lines are read, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Followed {
    pub(super) name: String,
    pub(super) pid: u32,
    pub(super) place: Place,
}

/// Where a worker's lines are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Log {
        /// As the listener calls it.
        path: PathBuf,
        /// The listener to whose folder a relative path belongs.
        listener: Option<u32>,
        /// There is nobody else's line in it.
        is_own: bool,
    },
    /// In no log that could be read, and why.
    Nowhere(String),
}

impl Followed {
    /// Finds the log with the most of a worker's lines.
    pub(super) fn of(fleet: &Fleet, name: &str, pid: u32) -> Self {
        let files = || fleet.sinks.iter().filter(|sink| sink.is_file());
        let can_be_told = |sink: &&Sink| {
            matches!(&*sink.format, "text" | "json") || sink.target.contains("{pid}")
        };
        let is_whole = |sink: &&Sink| can_be_told(sink) && has_all(&sink.filter);
        let place = match files().find(is_whole).or_else(|| files().find(can_be_told)) {
            Some(sink) => {
                let path = PathTemplate::new(sink.target.as_ref()).expand(name, pid);
                let listener = path.is_relative().then_some(fleet.listener.pid);
                Place::Log { path, listener, is_own: sink.target.contains("{pid}") }
            }
            None => Place::Nowhere(match files().next() {
                Some(sink) => format!(
                    "The layout of {} does not tell whose a line is: {}",
                    sink.target, sink.format
                ),
                None => "The listener writes no file, so there is nothing to read.".to_owned(),
            }),
        };
        Self { name: name.to_owned(), pid, place }
    }
}

fn has_all(filter: &str) -> bool {
    filter == "all" || filter.parse::<Directives>().is_ok_and(|filter| filter == Directives::all())
}

/// The thread, as the loop sees it.
#[derive(Debug)]
pub(super) struct Follower {
    wishes: Sender<Option<Followed>>,
    wish: Option<Followed>,
}

impl Follower {
    /// Starts the thread; it reads nothing yet.
    pub(super) fn start(run_dir: PathBuf, events: &SyncSender<Event>) -> std::io::Result<Self> {
        let (wishes, heard) = channel();
        start("lines", events, move |events| run(&run_dir, &heard, events))?;
        Ok(Self { wishes, wish: None })
    }

    /// Wants the lines of this worker from now on, or none.
    pub(super) fn follow(&mut self, followed: Option<Followed>) {
        if followed != self.wish {
            // Where the thread is gone its farewell ends the command.
            let _ = self.wishes.send(followed.clone());
            self.wish = followed;
        }
    }
}

fn run(run_dir: &Path, wishes: &Receiver<Option<Followed>>, events: &SyncSender<Event>) {
    let mut reading: Option<Reading<'_>> = None;
    loop {
        let wish = match &reading {
            None => wishes.recv().map_err(|_| TryRecvError::Disconnected),
            Some(Reading { tail: Some(_), .. }) => wishes.try_recv(),
            // It could not be opened.
            Some(Reading { tail: None, .. }) => {
                wishes.recv_timeout(AGAIN).map_err(|error| match error {
                    RecvTimeoutError::Timeout => TryRecvError::Empty,
                    RecvTimeoutError::Disconnected => TryRecvError::Disconnected,
                })
            }
        };
        match wish {
            Ok(wish) => reading = wish.map(|followed| Reading::of(followed, run_dir)),
            Err(TryRecvError::Disconnected) => return,
            Err(TryRecvError::Empty) => {}
        }
        if let Some(reading) = &mut reading {
            let lines = reading.read();
            if lines.is_empty() {
                reading.wait();
                continue;
            }
            let batch = Batch { followed: reading.followed.clone(), lines };
            if events.send(Event::Lines(batch)).is_err() {
                return;
            }
            if reading.is_at_end {
                std::thread::sleep(PAUSE);
            }
        }
    }
}

/// One worker's lines under way.
struct Reading<'r> {
    followed: Followed,
    run_dir: &'r Path,
    tail: Option<Tail>,
    /// Nothing was left when the time to read was over.
    is_at_end: bool,
    /// What was said last of a log that can't be read.
    said: String,
    /// How long one reading takes at most.
    time: Duration,
    line: Vec<u8>,
    text: Vec<u8>,
    pid: String,
    converter: Converter,
}

impl<'r> Reading<'r> {
    fn of(followed: Followed, run_dir: &'r Path) -> Self {
        Self {
            pid: followed.pid.to_string(),
            followed,
            run_dir,
            tail: None,
            is_at_end: true,
            said: String::new(),
            time: READING,
            line: Vec::new(),
            text: Vec::new(),
            converter: Converter::new(),
        }
    }

    /// The lines that are there by now, as many as are kept at most.
    fn read(&mut self) -> Vec<Line> {
        let mut lines = Vec::new();
        if let Err(error) = self.read_into(&mut lines) {
            self.tail = None;
            let said = escape(&error.to_string());
            if said != self.said {
                lines.push(Line::Mark(said.clone()));
                self.said = said;
            }
        }
        let too_many = lines.len().saturating_sub(KEPT);
        lines.drain(..too_many);
        lines
    }

    fn read_into(&mut self, lines: &mut Vec<Line>) -> std::io::Result<()> {
        let Place::Log { path, listener, is_own } = &self.followed.place else { return Ok(()) };
        let is_own = *is_own;
        if self.tail.is_none() {
            let folder =
                listener.and_then(|pid| std::fs::read_link(format!("/proc/{pid}/cwd")).ok());
            let log = folder.unwrap_or_default().join(path);
            self.tail = Some(Tail::open(&log, Some(self.run_dir), Start::Last(SEARCHED))?);
        }
        let Some(tail) = &mut self.tail else { return Ok(()) };
        let begun = Instant::now();
        while begun.elapsed() < self.time {
            self.line.clear();
            match tail.next(&mut self.line)? {
                Step::Line => {
                    let whose = (&*self.followed.name, self.followed.pid, &*self.pid, is_own);
                    lines.extend(show(&self.line, whose, &mut self.converter, &mut self.text));
                }
                Step::Mark(mark) => lines.push(Line::Mark(escape(&mark.to_string()))),
                Step::Idle => {
                    self.is_at_end = true;
                    self.said.clear();
                    return Ok(());
                }
            }
        }
        self.is_at_end = false;
        if tail.behind() > BEHIND {
            let skipped = bytes(tail.skip_to_end()?);
            let why = "the log grows faster than it can be shown";
            lines.push(Line::Mark(format!("{skipped} passed over: {why}")));
        }
        Ok(())
    }

    /// Waits for more, but not so long that another choice had to wait. A log that is written to
    /// all the time rings all the time, of which one look in a while is enough.
    fn wait(&self) {
        if let Some(tail) = self.tail.as_ref().filter(|_| self.is_at_end) {
            tail.wait(PAUSE);
            std::thread::sleep(LOOK);
        }
    }
}

/// A line as it is shown, if it is of the worker.
fn show(
    line: &[u8],
    (name, pid, pid_text, is_own): (&str, u32, &str, bool),
    converter: &mut Converter,
    text: &mut Vec<u8>,
) -> Option<Line> {
    // Both layouts have the pid in digits; most lines of others need no second look.
    if !is_own && memchr::memmem::find(line, pid_text.as_bytes()).is_none() {
        return None;
    }
    let found = Head::of(line).filter(|(_, head)| head.pid == pid && head.worker == name);
    let Some((layout, _)) = found else {
        return is_own.then(|| Line::Raw(safe(&String::from_utf8_lossy(line))));
    };
    text.clear();
    if layout != Layout::Json || !converter.text_of_json(line, text) {
        text.clear();
        text.extend_from_slice(line);
    }
    let Some(whole) = TextLine::parse(text) else {
        return Some(Line::Raw(safe(&String::from_utf8_lossy(text))));
    };
    let spans = if whole.spans.is_empty() { "" } else { ": " };
    let TextLine { head, event, .. } = &whole;
    Some(Line::Record {
        time: whole.timestamp.get(11..23).unwrap_or(whole.timestamp).to_owned(),
        level: head.level,
        text: safe(&format!("{}{spans}{}: {event}", whole.spans, head.target)),
    })
}

fn safe(text: &str) -> String {
    cut(&escape(text), WIDEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleetlog_protocol::Level;

    const TEXT: &str = "2026-11-22T10:00:00.123456Z  WARN w[7] request{id=1}: app::job: done n=1";
    const JSON: &str = r#"{"timestamp":"2026-11-22T10:00:00.123456Z","level":"WARN","fields":{"message":"done","n":1},"target":"app::job","span":{"id":1,"name":"request"},"spans":[{"id":1,"name":"request"}],"worker":"w","pid":7,"lane":1,"seq":7}"#;

    fn shown(line: &str, name: &str, pid: u32, is_own: bool) -> Option<Line> {
        let whose = (name, pid, &*pid.to_string(), is_own);
        show(line.as_bytes(), whose, &mut Converter::new(), &mut Vec::new())
    }

    #[test]
    fn the_lines_of_the_worker_are_shown_alike_in_both_layouts_and_no_others() {
        let expected = Line::Record {
            time: "10:00:00.123".to_owned(),
            level: Level::Warn,
            text: "request{id=1}: app::job: done n=1".to_owned(),
        };
        for line in [TEXT, JSON] {
            assert_eq!(shown(line, "w", 7, false), Some(expected.clone()));
            for (name, pid) in [("w", 70), ("x", 7), ("", 7), ("w", 1)] {
                assert_eq!(shown(line, name, pid, false), None, "{name} {pid}");
            }
        }
        assert_eq!(shown("7 what", "w", 7, false), None);
        assert_eq!(shown("what", "w", 7, true), Some(Line::Raw("what".to_owned())));
    }

    #[test]
    fn no_line_drives_the_terminal_or_fills_the_memory() {
        let evil = "\u{1b}[2J\u{9b}31m\u{202e}\r";
        for line in [
            TEXT.replace("done", evil),
            JSON.replace("done", "\u{9b}\u{202e}\\u001b[2J"),
            format!("{evil}{}", "x".repeat(1 << 20)),
        ] {
            let text = match shown(&line, "w", 7, true) {
                Some(Line::Record { text, .. } | Line::Raw(text)) => text,
                other => panic!("{other:?}"),
            };
            assert!(!text.chars().any(crate::command::table::is_unsafe), "{text:?}");
            assert!(text.chars().count() <= WIDEST);
        }
    }

    #[test]
    fn a_log_that_grows_faster_than_it_is_read_is_left_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("a.log");
        let long = format!("{TEXT} {}\n", "x".repeat(1024));
        std::fs::write(&log, long.repeat(2 * SEARCHED)).unwrap();
        let place = Place::Log { path: log.clone(), listener: None, is_own: false };
        let followed = Followed { name: "w".to_owned(), pid: 7, place };
        let mut reading = Reading::of(followed, folder.path());
        reading.time = Duration::ZERO;
        match &reading.read()[..] {
            [Line::Mark(mark)] => assert!(mark.contains("MiB passed over"), "{mark}"),
            other => panic!("{other:?}"),
        }
        let mut file = std::fs::File::options().append(true).open(&log).unwrap();
        std::io::Write::write_all(&mut file, format!("{TEXT}\n").as_bytes()).unwrap();
        reading.time = Duration::from_secs(60);
        assert_eq!(reading.read(), [shown(TEXT, "w", 7, false).unwrap()]);
        assert!(reading.is_at_end && reading.read().is_empty());
    }

    #[test]
    fn no_more_lines_are_handed_over_than_are_kept_and_what_is_wrong_is_said_once() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("a.log");
        std::fs::write(&log, format!("{TEXT}\n").repeat(2 * SEARCHED)).unwrap();
        let followed = |path: &Path| Followed {
            name: "w".to_owned(),
            pid: 7,
            place: Place::Log { path: path.to_owned(), listener: None, is_own: false },
        };
        let mut reading = Reading::of(followed(&log), folder.path());
        reading.time = Duration::from_secs(60);
        assert_eq!(reading.read().len(), KEPT);

        // A file where a folder should be.
        let mut nowhere = Reading::of(followed(&log.join("b.log")), folder.path());
        let said = nowhere.read();
        assert!(matches!(&said[..], [Line::Mark(_)]), "{said:?}");
        assert!(nowhere.read().is_empty() && nowhere.tail.is_none());
    }

    #[test]
    fn the_log_that_has_most_of_a_workers_lines_is_read() {
        let place = |sinks: &str| {
            let json = format!(
                r#"{{"listener":{{"pid":5,"uptime_seconds":1,"run_dir":"/r","version":"1"}},"sinks":[{sinks}]}}"#
            );
            Followed::of(&Fleet::parse(&json).unwrap(), "w", 7).place
        };
        let log = |path: &str, listener, is_own| Place::Log { path: path.into(), listener, is_own };
        let errors = r#"{"target":"/e.log","format":"text","filter":"error"}"#;
        let all = r#"{"target":"/a.log","format":"json","filter":"trace"}"#;
        let out = r#"{"target":"standard output","format":"text","filter":"all"}"#;
        let template = r#"{"target":"/t.log","format":"{message}","filter":"all"}"#;
        let own = r#"{"target":"logs/{worker}.{pid}","format":"{message}","filter":"all"}"#;
        assert_eq!(place(&format!("{out},{template},{errors},{all}")), log("/a.log", None, false));
        assert_eq!(place(&format!("{out},{errors}")), log("/e.log", None, false));
        assert_eq!(place(own), log("logs/w.7", Some(5), true));
        let nowhere = |sinks: &str| match place(sinks) {
            Place::Nowhere(why) => why,
            other => panic!("{other:?}"),
        };
        assert!(nowhere(out).contains("writes no file"));
        assert!(nowhere(&format!("{out},{template}")).contains("/t.log does not tell whose"));
    }
}
