//! Lines out of a stream of bytes, in bounded memory.

/// Cuts a stream at its newlines. Of a line above the limit the first part is kept and the rest
/// is counted.
#[derive(Debug)]
pub(super) struct Lines {
    limit: usize,
    /// The beginning of a line whose end has not come.
    begun: Vec<u8>,
    /// The bytes of that line that were left out.
    missing: usize,
}

impl Lines {
    pub(super) const fn new(limit: usize) -> Self {
        Self { limit, begun: Vec::new(), missing: 0 }
    }

    /// Takes the next bytes and hands over each line that ends in them, with the number of bytes
    /// that were left out of it.
    pub(super) fn feed(&mut self, bytes: &[u8], mut on_line: impl FnMut(&[u8], usize)) {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line = &rest[..end];
            if self.begun.is_empty() && line.len() <= self.limit {
                on_line(without_return(line), 0);
            } else {
                self.keep(line);
                self.hand_over(&mut on_line);
            }
            rest = &rest[end + 1..];
        }
        self.keep(rest);
    }

    /// Hands over the last line, if the stream ended in the middle of it.
    pub(super) fn finish(&mut self, mut on_line: impl FnMut(&[u8], usize)) {
        if !self.begun.is_empty() {
            self.hand_over(&mut on_line);
        }
    }

    fn keep(&mut self, part: &[u8]) {
        let kept = part.len().min(self.limit - self.begun.len());
        self.begun.extend_from_slice(&part[..kept]);
        self.missing += part.len() - kept;
    }

    fn hand_over(&mut self, on_line: &mut impl FnMut(&[u8], usize)) {
        let line = if self.missing == 0 { without_return(&self.begun) } else { &self.begun };
        on_line(line, self.missing);
        self.begun.clear();
        self.missing = 0;
    }
}

/// The line of a program that ends its lines as DOS and HTTP do.
fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(limit: usize, chunks: &[&str]) -> Vec<(String, usize)> {
        let mut lines = Lines::new(limit);
        let mut out = Vec::new();
        let mut take =
            |line: &[u8], missing| out.push((String::from_utf8(line.to_vec()).unwrap(), missing));
        for chunk in chunks {
            lines.feed(chunk.as_bytes(), &mut take);
        }
        lines.finish(&mut take);
        out
    }

    fn texts(chunks: &[&str]) -> Vec<String> {
        split(100, chunks).into_iter().map(|(text, _)| text).collect()
    }

    #[test]
    fn each_line_is_handed_over_once_wherever_the_stream_is_cut() {
        assert_eq!(texts(&["one\ntwo\n"]), ["one", "two"]);
        assert_eq!(texts(&["o", "ne\nt", "wo", "\n"]), ["one", "two"]);
    }

    #[test]
    fn empty_lines_are_kept_and_a_last_line_needs_no_newline() {
        assert_eq!(texts(&["\n\na"]), ["", "", "a"]);
        assert_eq!(texts(&[""]), Vec::<String>::new());
    }

    #[test]
    fn a_carriage_return_belongs_to_the_newline_only() {
        assert_eq!(texts(&["a\r\nb\rc\r", "\nd\r"]), ["a", "b\rc", "d"]);
    }

    #[test]
    fn a_line_above_the_limit_keeps_its_start_and_counts_the_rest() {
        let long = "x".repeat(25);
        let kept = ("x".repeat(10), 15);
        assert_eq!(split(10, &[&long, "\nok\n"]), [kept.clone(), ("ok".into(), 0)]);
        assert_eq!(split(10, &[&format!("{long}\nok\n")]), [kept.clone(), ("ok".into(), 0)]);
        assert_eq!(split(10, &[&long[..12], &long[12..]]), [kept]);
        assert_eq!(split(10, &["0123456789\n"]), [("0123456789".into(), 0)]);
    }
}
