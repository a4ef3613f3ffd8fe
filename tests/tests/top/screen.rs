//! A screen as a terminal draws it, as far as `top` asks for it: text, places, and what is wiped.

/// The characters of a screen.
#[derive(Debug)]
pub(crate) struct Screen {
    rows: Vec<Vec<char>>,
    columns: usize,
    row: usize,
    column: usize,
    /// A sequence whose end has not come.
    begun: Vec<u8>,
    /// Everything that came.
    pub(crate) bytes: Vec<u8>,
}

impl Screen {
    pub(crate) fn new(columns: u16, rows: u16) -> Self {
        let mut screen = Self {
            rows: Vec::new(),
            columns: 0,
            row: 0,
            column: 0,
            begun: Vec::new(),
            bytes: Vec::new(),
        };
        screen.resize(columns, rows);
        screen
    }

    pub(crate) fn resize(&mut self, columns: u16, rows: u16) {
        self.columns = columns.into();
        self.rows = vec![vec![' '; self.columns]; rows.into()];
    }

    /// What stands on it.
    pub(crate) fn text(&self) -> String {
        let rows = self.rows.iter().map(|row| row.iter().collect::<String>());
        rows.map(|row| row.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        for byte in bytes {
            self.begun.push(*byte);
            self.take();
        }
    }

    /// Takes what has come, once it is whole.
    fn take(&mut self) {
        match &self.begun[..] {
            [0x1b] | [0x1b, b'['] => return,
            [0x1b, b'[', parameters @ .., last] => {
                if !(0x40..=0x7e).contains(last) {
                    return;
                }
                let (parameters, last) = (String::from_utf8_lossy(parameters).into_owned(), *last);
                self.obey(&parameters, last);
            }
            [0x1b, ..] => {}
            [b'\r'] => self.column = 0,
            [b'\n'] => self.row += 1,
            [byte] if byte.is_ascii_control() => {}
            text => match std::str::from_utf8(text) {
                Ok(text) => {
                    let c = text.chars().next().expect("a character");
                    self.put(c);
                }
                Err(error) if error.error_len().is_none() => return,
                Err(_) => {}
            },
        }
        self.begun.clear();
    }

    fn put(&mut self, c: char) {
        if let Some(cell) = self.rows.get_mut(self.row).and_then(|row| row.get_mut(self.column)) {
            *cell = c;
        }
        self.column += 1;
    }

    fn obey(&mut self, parameters: &str, command: u8) {
        let number = |at: usize, default: usize| {
            let number = parameters.split(';').nth(at).and_then(|text| text.parse().ok());
            number.unwrap_or(default)
        };
        match command {
            b'H' => (self.row, self.column) = (number(0, 1) - 1, number(1, 1) - 1),
            b'J' => {
                let rows = u16::try_from(self.rows.len()).expect("a size");
                self.resize(u16::try_from(self.columns).expect("a size"), rows);
            }
            // The screen that a program has for itself is empty at first.
            b'h' | b'l' if parameters == "?1049" => self.obey("2", b'J'),
            b'A'..=b'D' | b'G' | b'd' | b'K' => panic!("{parameters:?} {command} is not drawn"),
            _ => {}
        }
    }
}

#[test]
fn text_stands_where_it_was_put() {
    let mut screen = Screen::new(6, 2);
    screen.feed("\x1b[2;3H\x1b[1m▁é\x1b[0mx\x1b[1;1Hab".as_bytes());
    assert_eq!(screen.text(), "ab\n  ▁éx");
    screen.feed(b"\x1b[2J");
    assert_eq!(screen.text(), "\n");
}
