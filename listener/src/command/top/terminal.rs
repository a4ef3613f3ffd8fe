//! The terminal: taken over, and given back as it was.
//!
//! It is given back when the value is dropped, by a panic of any thread, and before the process
//! is stopped; a second time changes nothing. Signals become events, so that nothing is done in
//! the middle of something else.

use std::io::{self, Stdout, stdout};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;

use nix::sys::signal::{Signal, raise};
use ratatui::Frame;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::layout::Rect;
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;

use super::keys::Wish;
use super::{Event, start};

/// The terminal is ours and must be given back.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// A terminal that is taken over.
pub(super) struct Terminal {
    inner: ratatui::Terminal<CrosstermBackend<Stdout>>,
}

impl Terminal {
    /// Takes the terminal over.
    pub(super) fn enter() -> io::Result<Self> {
        restore_on_panic();
        take()?;
        let inner = ratatui::Terminal::new(CrosstermBackend::new(stdout()));
        inner.map(|inner| Self { inner }).inspect_err(|_| restore())
    }

    /// Draws what has changed.
    pub(super) fn draw(&mut self, picture: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        // A thread has failed, and its message stands where the picture would.
        if !TAKEN.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.inner.draw(picture).map(|_| ())
    }

    /// Stops the process, as Ctrl-Z does elsewhere, with the terminal given back; goes on where
    /// it stopped.
    pub(super) fn stop(&mut self) -> io::Result<()> {
        restore();
        raise(Signal::SIGSTOP)?;
        self.anew()
    }

    /// Takes it over once more: whoever had it meanwhile may have left it in any state.
    pub(super) fn anew(&mut self) -> io::Result<()> {
        restore();
        take()?;
        // Its `clear` asks the terminal where the cursor is, and the answer would come as keys.
        let size = self.inner.size()?;
        self.inner.resize(Rect::new(0, 0, size.width, size.height))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        restore();
    }
}

fn take() -> io::Result<()> {
    TAKEN.store(true, Ordering::SeqCst);
    let taken = enable_raw_mode().and_then(|()| execute!(stdout(), EnterAlternateScreen));
    taken.inspect_err(|_| restore())
}

/// A terminal that does not take it is gone.
fn restore() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        let _ = execute!(stdout(), LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}

/// The message of a panic must stand on a screen that stays, in lines that are lines.
fn restore_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore();
            before(panic);
        }));
    });
}

/// Lets signals come as events.
pub(super) fn watch_signals(events: &SyncSender<Event>) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGTSTP, SIGCONT])?;
    start("signals", events, move |events| {
        for signal in &mut signals {
            let wish = match signal {
                SIGTSTP => Wish::Stop,
                SIGCONT => Wish::Anew,
                _ => Wish::End,
            };
            if events.send(Event::Signal(wish)).is_err() {
                return;
            }
        }
    })
}
