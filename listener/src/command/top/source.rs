//! The thread that asks the listener.

use std::path::Path;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use super::Event;
use crate::command::exit::{Code, Failure};
use crate::command::status;

/// How long a listener may take to answer; one that is stopped is told from one that is gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest pause before a listener that is gone is looked for again.
const LOOK: Duration = Duration::from_secs(1);

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// In a few words.
    pub(super) what: &'static str,
    /// Everything that is known.
    pub(super) why: String,
}

/// Asks in each interval, until nobody wants an answer any more.
pub(super) fn ask(run_dir: &Path, interval: Duration, events: &SyncSender<Event>) {
    loop {
        let begun = Instant::now();
        let answer = status::ask("top", run_dir, PATIENCE);
        let answer = answer.and_then(|json| status::read("top", &json));
        let pause = if answer.is_ok() { interval } else { interval.min(LOOK) };
        let answer = answer.map(Box::new).map_err(|failure| Trouble::of(&failure));
        if events.send(Event::Answer(answer)).is_err() {
            return;
        }
        std::thread::sleep(pause.saturating_sub(begun.elapsed()));
    }
}

impl Trouble {
    fn of(failure: &Failure) -> Self {
        let what = match failure.code {
            Code::Listener => "no listener, looking again…",
            Code::TimedOut => "the listener does not answer, asking again…",
            _ => "no answer that could be read, asking again…",
        };
        Self { what, why: failure.lines().collect::<Vec<_>>().join(" ") }
    }
}
