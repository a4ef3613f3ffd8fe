//! `fleetlog top`: the state of a fleet, as it changes.
//!
//! One thread asks the listener, one reads keys, one waits for signals, one reads the lines of the
//! chosen worker; this one keeps the [`state`] and draws it. So nothing that is slow, gone or
//! stopped ever holds up a key. It draws when something has changed, and never in between.
//!
//! It promises to leave the terminal as it was, however it ends; never to show a byte of somebody
//! else's that a terminal would obey; and to cost the listener one question in each interval and
//! nothing else: lines are read from the listener's files.

mod follow;
mod keys;
mod search;
mod sort;
mod source;
mod state;
mod terminal;
mod view;

use std::io::IsTerminal as _;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use ratatui::crossterm::event::{self, KeyEvent};

use super::exit::{Code, Failure};
use super::flags::{Common, examples};
use super::screen::Screen;
use super::status::answer::Fleet;
use crate::config;
use follow::Follower;
use keys::Wish;
use source::Trouble;
use state::{Model, lines::Batch};
use terminal::Terminal;
use view::Theme;

/// Watch the fleet: workers, rates, losses, files, and the lines of one worker
///
/// Keys are shown by `?`. A listener that is restarted is found again.
#[derive(clap::Args, Debug)]
#[command(after_help = examples(&[
    ("The fleet of a run directory", "fleetlog top --run-dir /run/fleetlog"),
    ("Four looks a second", "fleetlog top --interval 250ms"),
]))]
pub(super) struct Top {
    /// How often the listener is asked, 250ms at least
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    interval: Duration,
}

fn interval(text: &str) -> Result<Duration, String> {
    const LEAST: Duration = Duration::from_millis(250);
    const MOST: Duration = Duration::from_secs(3600);
    let interval = config::duration(text).map_err(|error| error.to_string())?;
    if (LEAST..=MOST).contains(&interval) {
        Ok(interval)
    } else {
        Err(format!("{text} is out of bounds: expected 250ms to 1h"))
    }
}

/// What can happen.
enum Event {
    Key(KeyEvent),
    /// The terminal has another size, or may show something else now.
    Redraw,
    /// What the listener answered, or why it did not.
    Answer(Result<Box<Fleet>, Trouble>),
    Lines(Batch),
    Signal(Wish),
    /// The terminal is gone, or a thread of ours.
    Broken(String),
}

/// More than can wait in the time of one drawing; who has more to say waits.
const EVENTS: usize = 256;

impl Top {
    pub(super) fn run(&self, common: &Common, _: &mut Screen) -> Result<Code, Failure> {
        let run_dir = common.run_dir()?;
        demand_terminal()?;
        let (sender, events) = sync_channel(EVENTS);
        let broken = |error| Failure::failed("top: the terminal can't be used", error);
        terminal::watch_signals(&sender).map_err(broken)?;
        let mut follower = Follower::start(run_dir.clone(), &sender).map_err(broken)?;
        let mut terminal = Terminal::enter().map_err(broken)?;
        start("keys", &sender, read_keys).map_err(broken)?;
        let interval = self.interval;
        start("source", &sender, move |events| source::ask(&run_dir, interval, events))
            .map_err(broken)?;
        let ended = watch(&mut terminal, &events, &mut follower);
        drop(terminal);
        ended
    }
}

/// A live view needs somebody who looks at it.
fn demand_terminal() -> Result<(), Failure> {
    let instead = "`fleetlog status` prints the same once, `status --json` for programs";
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        let why = format_args!("standard input and output must be a terminal; {instead}");
        return Err(Failure::usage("top", why));
    }
    if std::env::var_os("TERM").is_none_or(|name| name == "dumb" || name.is_empty()) {
        let why = format_args!("TERM names no terminal that could be drawn on; {instead}");
        return Err(Failure::usage("top", why));
    }
    Ok(())
}

/// Starts a thread whose panic ends the command: a view that is not fed any more would lie.
fn start(
    name: &'static str,
    events: &SyncSender<Event>,
    body: impl FnOnce(&SyncSender<Event>) + Send + 'static,
) -> std::io::Result<()> {
    struct Farewell(&'static str, SyncSender<Event>);
    impl Drop for Farewell {
        fn drop(&mut self) {
            if std::thread::panicking() {
                let _ = self.1.send(Event::Broken(format!("its thread for {} failed", self.0)));
            }
        }
    }
    let farewell = Farewell(name, events.clone());
    let body = move || body(&farewell.1);
    std::thread::Builder::new().name(format!("top-{name}")).spawn(body)?;
    Ok(())
}

fn read_keys(events: &SyncSender<Event>) {
    loop {
        let event = match event::read() {
            Ok(event::Event::Key(key)) if key.kind != event::KeyEventKind::Release => {
                Event::Key(key)
            }
            Ok(event::Event::Resize(..)) => Event::Redraw,
            Ok(_) => continue,
            Err(error) => {
                let _ = events.send(Event::Broken(error.to_string()));
                return;
            }
        };
        if events.send(event).is_err() {
            return;
        }
    }
}

/// Keeps the state and draws it, until somebody wants the end.
fn watch(
    terminal: &mut Terminal,
    events: &Receiver<Event>,
    follower: &mut Follower,
) -> Result<Code, Failure> {
    let gone = |why: &dyn std::fmt::Display| Failure::failed("top: the terminal is lost", why);
    let theme = Theme::of_output();
    let mut model = Model::default();
    loop {
        follower.follow(model.followed());
        terminal.draw(|frame| view::draw(frame, &mut model, &theme)).map_err(|e| gone(&e))?;
        let Ok(first) = events.recv() else { return Ok(Code::Done) };
        // Everything that is there is one picture.
        for event in std::iter::once(first).chain(events.try_iter()) {
            let wish = match event {
                Event::Key(key) => model.press(key),
                Event::Answer(answer) => {
                    model.answer(answer.map(|fleet| *fleet), Instant::now());
                    Wish::Nothing
                }
                Event::Lines(batch) => {
                    model.take_lines(batch);
                    Wish::Nothing
                }
                Event::Redraw => Wish::Nothing,
                Event::Signal(wish) => wish,
                Event::Broken(why) => return Err(gone(&why)),
            };
            match wish {
                Wish::Nothing => {}
                Wish::End => return Ok(Code::Done),
                Wish::Stop => terminal.stop().map_err(|e| gone(&e))?,
                Wish::Anew => terminal.anew().map_err(|e| gone(&e))?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_fails_ends_the_view() {
        let (sender, events) = sync_channel(1);
        start("test", &sender, |_| panic!("on purpose")).unwrap();
        match events.recv() {
            Ok(Event::Broken(why)) => assert!(why.contains("its thread for test failed"), "{why}"),
            _ => panic!("no word of it"),
        }
        start("test", &sender, |events| assert!(events.send(Event::Redraw).is_ok())).unwrap();
        assert!(matches!(events.recv(), Ok(Event::Redraw)));
        drop(sender);
        assert!(events.recv().is_err(), "one that has done its work says nothing");
    }

    #[test]
    fn the_interval_is_bounded() {
        assert_eq!(interval("250ms"), Ok(Duration::from_millis(250)));
        for wrong in ["0s", "249ms", "2h", "fast", "", "-1s"] {
            assert!(interval(wrong).is_err(), "{wrong}");
        }
    }
}
