//! Alignment, width and precision of a value that was just written.

use super::super::escape::is_dangerous;

/// The largest width or precision, in characters: a typing error must not make lines of
/// gigabytes.
pub(super) const WIDTH_MAX: usize = 1000;

/// How a value is cut and padded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pad {
    fill: char,
    align: Align,
    width: usize,
    precision: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Align {
    Left,
    Center,
    Right,
}

impl Pad {
    pub(super) const NONE: Self = Self { fill: ' ', align: Align::Left, width: 0, precision: None };

    /// Parses what stands behind a colon: `[[fill]align][0][width][.precision]`. `None` means
    /// that it is something else.
    pub(super) fn parse(spec: &str) -> Option<Self> {
        let mut pad = Self::NONE;
        let mut rest = spec;
        let mut characters = spec.chars();
        let (first, second) = (characters.next(), characters.next());
        if let (Some(fill), Some(align)) = (first, second.and_then(Align::of)) {
            // A fill that had to be escaped would be several characters wide.
            if is_dangerous(fill) {
                return None;
            }
            (pad.fill, pad.align) = (fill, align);
            rest = &rest[fill.len_utf8() + 1..];
        } else if let Some(align) = first.and_then(Align::of) {
            pad.align = align;
            rest = &rest[1..];
        } else if rest.len() > 1 && rest.starts_with('0') {
            // As in Rust: `{pid:08}` is padded with zeros, in front.
            (pad.fill, pad.align) = ('0', Align::Right);
        }
        let (width, precision) = match rest.split_once('.') {
            Some((width, precision)) => (width, Some(number(precision)?)),
            None => (rest, None),
        };
        pad.width = if width.is_empty() { 0 } else { number(width)? };
        pad.precision = precision;
        Some(pad)
    }

    /// Cuts and pads what stands behind `start`.
    #[inline]
    pub(super) fn apply(&self, start: usize, out: &mut Vec<u8>) {
        if let Some(precision) = self.precision {
            let cut = char_starts(&out[start..]).nth(precision);
            out.truncate(cut.map_or(out.len(), |at| start + at));
        }
        if self.width > 0 {
            self.pad(start, out);
        }
    }

    fn pad(&self, start: usize, out: &mut Vec<u8>) {
        let length = char_starts(&out[start..]).count();
        let missing = self.width.saturating_sub(length);
        let before = match self.align {
            Align::Left => 0,
            Align::Center => missing / 2,
            Align::Right => missing,
        };
        let mut fill = [0; 4];
        let fill = self.fill.encode_utf8(&mut fill).as_bytes();
        for _ in 0..missing {
            out.extend_from_slice(fill);
        }
        // All of the fill stands behind the value now; its share is turned to the front.
        out[start..].rotate_right(before * fill.len());
    }
}

impl Align {
    const fn of(character: char) -> Option<Self> {
        match character {
            '<' => Some(Self::Left),
            '^' => Some(Self::Center),
            '>' => Some(Self::Right),
            _ => None,
        }
    }
}

fn number(digits: &str) -> Option<usize> {
    // `parse` would take a sign as well.
    let digits = Some(digits).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok().filter(|number| *number <= WIDTH_MAX)
}

/// Where the characters of UTF-8 begin.
fn char_starts(text: &[u8]) -> impl Iterator<Item = usize> {
    text.iter().enumerate().filter(|(_, byte)| **byte & 0xc0 != 0x80).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::Pad;

    fn padded(spec: &str, value: &str) -> Option<String> {
        let pad = Pad::parse(spec)?;
        let mut out = format!("before {value}").into_bytes();
        pad.apply(7, &mut out);
        let out = String::from_utf8(out).unwrap();
        Some(out.strip_prefix("before ").unwrap().to_owned())
    }

    #[test]
    fn values_are_cut_and_padded_as_rust_pads_strings() {
        assert_eq!(padded("", "abc"), Some("abc".to_owned()));
        assert_eq!(padded("6", "abc"), Some(format!("{:6}", "abc")));
        assert_eq!(padded("<6", "abc"), Some(format!("{:<6}", "abc")));
        assert_eq!(padded("^6", "abc"), Some(format!("{:^6}", "abc")));
        assert_eq!(padded(">6", "abc"), Some(format!("{:>6}", "abc")));
        assert_eq!(padded("*^6.2", "abc"), Some(format!("{:*^6.2}", "abc")));
        assert_eq!(padded("é>5", "日本"), Some(format!("{:é>5}", "日本")));
        assert_eq!(padded("<<5", "a"), Some(format!("{:<<5}", "a")));
        assert_eq!(padded(".2", "日本語"), Some(format!("{:.2}", "日本語")));
        assert_eq!(padded("2", "abc"), Some("abc".to_owned()));
        assert_eq!(padded("06", "123"), Some("000123".to_owned()));
        assert_eq!(padded("1000", "").map(|text| text.len()), Some(1000));
    }

    #[test]
    fn what_is_no_alignment_width_or_precision_is_refused() {
        for spec in ["x", "1001", "99999999999999999999", "+5", ".", ".x", "5.", "-5", "\n<5", "=^"]
        {
            assert_eq!(Pad::parse(spec).is_some(), spec == "=^", "{spec:?}");
        }
    }
}
