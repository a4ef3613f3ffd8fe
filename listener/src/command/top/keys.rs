//! What the keys do.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::sort::{Key, Sort};
use super::state::Model;

/// What the loop has to do besides drawing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Nothing,
    /// End the command.
    End,
    /// Stop the process until somebody continues it.
    Stop,
    /// Draw everything, on a screen of which nothing is known.
    Anew,
}

/// How many lines of the log a screen is taken for; the exact number does not matter.
const SCREENFUL: isize = 10;

/// The keys and what they do, for the page of help.
pub(super) const HELP: [(&str, &str); 15] = [
    ("↑ ↓  j k", "choose a worker"),
    ("PgUp PgDn Home End", "a screen, the first, the last; in details: its lines"),
    ("Enter", "details of the worker, and its lines as they are written"),
    ("Esc", "one step back; from the table: end"),
    ("← →  < >", "sort by the next column"),
    ("1 … 9", "sort by WORKER PID REC/S BYTES/S QUEUED LAG"),
    ("", "WRITTEN LOST ERRORS"),
    ("r", "turn the order round"),
    ("/", "find a part of a name, a pattern with * ?, a pid, NAME[PID]"),
    ("!", "only workers with losses, errors, lag, or without lanes"),
    ("Space", "hold the picture still"),
    ("?", "this page"),
    ("Ctrl-L", "draw everything anew"),
    ("Ctrl-Z", "stop; `fg` goes on"),
    ("q  Ctrl-C", "end"),
];

impl Model {
    /// A key was pressed.
    pub(super) fn press(&mut self, key: KeyEvent) -> Wish {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c' | 'C') => Wish::End,
                KeyCode::Char('z' | 'Z') => Wish::Stop,
                KeyCode::Char('l' | 'L') => Wish::Anew,
                _ => Wish::Nothing,
            };
        }
        if self.is_typing {
            self.type_search(key.code);
            return Wish::Nothing;
        }
        match key.code {
            KeyCode::Char('q') => return Wish::End,
            KeyCode::Esc => return self.back(),
            _ if std::mem::take(&mut self.shows_help) => {}
            KeyCode::Char('?' | 'h') | KeyCode::F(1) => self.shows_help = true,
            KeyCode::Enter => self.open(),
            KeyCode::Up | KeyCode::Char('k') => self.step(-1),
            KeyCode::Down | KeyCode::Char('j') => self.step(1),
            KeyCode::PageUp if self.shows_details => self.lines.scroll(-SCREENFUL),
            KeyCode::PageDown if self.shows_details => self.lines.scroll(SCREENFUL),
            KeyCode::Home if self.shows_details => self.lines.scroll(isize::MIN),
            KeyCode::End if self.shows_details => self.lines.show_newest(),
            KeyCode::PageUp => self.step_page(-1),
            KeyCode::PageDown => self.step_page(1),
            KeyCode::Home | KeyCode::Char('g') => self.choose(0),
            KeyCode::End | KeyCode::Char('G') => self.choose(usize::MAX),
            KeyCode::Left | KeyCode::Char('<') => self.sort_by(|sort| sort.step(-1)),
            KeyCode::Right | KeyCode::Char('>') => self.sort_by(|sort| sort.step(1)),
            KeyCode::Char('r') => self.sort_by(|sort| sort.is_reversed = !sort.is_reversed),
            KeyCode::Char(digit @ '1'..='9') => {
                let key = digit.to_digit(10).and_then(|at| Key::ALL.get(at as usize - 1));
                if let Some(key) = key.copied() {
                    self.sort_by(|sort| *sort = Sort { key, is_reversed: false });
                }
            }
            KeyCode::Char('/') => self.is_typing = true,
            KeyCode::Char('!') => {
                self.only_problems = !self.only_problems;
                self.arrange();
            }
            KeyCode::Char(' ') => self.is_paused = !self.is_paused,
            _ => {}
        }
        Wish::Nothing
    }

    /// One step out of whatever is open.
    fn back(&mut self) -> Wish {
        if self.shows_help {
            self.shows_help = false;
        } else if self.shows_details {
            self.shows_details = false;
            self.arrange();
        } else if !self.search.text().is_empty() {
            self.search.clear();
            self.arrange();
        } else {
            return Wish::End;
        }
        Wish::Nothing
    }

    fn open(&mut self) {
        if self.rows().len() > 0 {
            self.choose(self.cursor());
            self.shows_details = true;
        }
    }

    fn sort_by(&mut self, change: impl FnOnce(&mut Sort)) {
        change(&mut self.sort);
        self.arrange();
    }

    fn type_search(&mut self, key: KeyCode) {
        match key {
            KeyCode::Enter => self.is_typing = false,
            KeyCode::Esc => {
                self.is_typing = false;
                self.search.clear();
            }
            KeyCode::Backspace => self.search.pop(),
            KeyCode::Char(c) => self.search.push(c),
            _ => {}
        }
        self.arrange();
    }
}
