//! A message and its arguments, joined as Python's `%` does.
//!
//! `logging` joins them before it pickles; only who pickles a record's dictionary as it is sends
//! them apart. Where Python would have failed, or where the result would be too long, there is
//! no result, and the message stays as it was.

use super::fields::Fields;
use super::limits::CONVERSION_WIDTH;
use super::node::{Arena, Id, Node};
use super::number;
use super::show::{self, Budget};

/// Joins a message of at most `limit` bytes.
pub(super) fn join(
    arena: &Arena<'_>,
    message: &str,
    arguments: Id,
    limit: usize,
    shown: &mut Budget,
) -> Option<String> {
    let single = [arguments];
    let (positional, names) = match arena.get(arguments) {
        Node::Tuple(items) => (items.as_slice(), None),
        Node::Dict(pairs) => (single.as_slice(), Some(Fields::new(arena, pairs))),
        _ => (single.as_slice(), None),
    };
    // An argument too many is an error in Python, but a dictionary need not be used up.
    let is_mapping = names.is_some();
    let mut join =
        Join { arena, names, positional: positional.iter(), limit, out: String::new(), shown };
    join.run(message)?;
    (is_mapping || join.positional.next().is_none()).then_some(join.out)
}

struct Join<'n, 'a> {
    arena: &'n Arena<'a>,
    names: Option<Fields<'n>>,
    positional: std::slice::Iter<'n, Id>,
    limit: usize,
    out: String,
    shown: &'n mut Budget,
}

/// What stands between `%` and the conversion's letter.
#[derive(Default)]
struct Spec {
    left: bool,
    zero: bool,
    plus: bool,
    space: bool,
    prefix: bool,
    width: usize,
    precision: Option<usize>,
}

impl Join<'_, '_> {
    fn run(&mut self, message: &str) -> Option<()> {
        let mut rest = message;
        while let Some((literal, behind)) = rest.split_once('%') {
            self.push(literal)?;
            rest = behind;
            let mut value = None;
            if let Some(named) = rest.strip_prefix('(') {
                let (name, behind) = named.split_once(')')?;
                value = Some(self.names.as_ref()?.get(name)?);
                rest = behind;
            }
            let spec = self.spec(&mut rest)?;
            let letter = rest.chars().next()?;
            rest = &rest[letter.len_utf8()..];
            if letter == '%' {
                self.push("%")?;
                continue;
            }
            let value = match value {
                Some(value) => value,
                None => *self.positional.next()?,
            };
            self.convert(&spec, letter, value)?;
        }
        self.push(rest)
    }

    fn spec(&mut self, rest: &mut &str) -> Option<Spec> {
        let mut spec = Spec::default();
        loop {
            match rest.bytes().next()? {
                b'-' => spec.left = true,
                b'0' => spec.zero = true,
                b'+' => spec.plus = true,
                b' ' => spec.space = true,
                b'#' => spec.prefix = true,
                _ => break,
            }
            *rest = &rest[1..];
        }
        let (width, negative) = self.width(rest)?;
        spec.width = width.unwrap_or(0);
        spec.left |= negative;
        if let Some(behind) = rest.strip_prefix('.') {
            *rest = behind;
            spec.precision = Some(self.width(rest)?.0.unwrap_or(0));
        }
        // The length of a C integer is allowed and means nothing.
        *rest = rest.strip_prefix(['h', 'l', 'L']).unwrap_or(rest);
        Some(spec)
    }

    /// A number in digits, or `*` for one among the arguments, and whether that was negative.
    fn width(&mut self, rest: &mut &str) -> Option<(Option<usize>, bool)> {
        if let Some(behind) = rest.strip_prefix('*') {
            *rest = behind;
            let value = number::integer(self.arena.get(*self.positional.next()?))?;
            let width = usize::try_from(value.unsigned_abs()).ok()?;
            return (width <= CONVERSION_WIDTH).then_some((Some(width), value < 0));
        }
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return Some((None, false));
        }
        let width = rest[..digits].parse().ok().filter(|&width| width <= CONVERSION_WIDTH)?;
        *rest = &rest[digits..];
        Some((Some(width), false))
    }

    fn convert(&mut self, spec: &Spec, letter: char, id: Id) -> Option<()> {
        let node = self.arena.get(id);
        match letter {
            's' | 'r' | 'a' => {
                if let (Node::Str(text), 's') = (node, letter) {
                    return self.text(spec, text);
                }
                let text = show::repr(self.arena, id, self.shown);
                if letter == 'a' {
                    let ascii = |character: char| match character {
                        '\0'..='\x7f' => character.to_string(),
                        _ => show::escape(character),
                    };
                    return self.text(spec, &text.chars().map(ascii).collect::<String>());
                }
                self.text(spec, &text)
            }
            'c' => {
                let character = match node {
                    Node::Str(text) => {
                        let mut characters = text.chars();
                        characters.next().filter(|_| characters.next().is_none())?
                    }
                    node => char::from_u32(u32::try_from(number::integer(node)?).ok()?)?,
                };
                self.text(spec, character.encode_utf8(&mut [0; 4]))
            }
            'd' | 'i' | 'u' => {
                let digits = match node {
                    Node::Float(value) if value.is_finite() => format!("{:.0}", value.trunc()),
                    node => number::decimal(node)?,
                };
                let magnitude = digits.strip_prefix('-').unwrap_or(&digits);
                if magnitude.starts_with('<') {
                    return None;
                }
                let is_negative = digits.starts_with('-') && magnitude != "0";
                self.number(spec, is_negative, "", &least_digits(magnitude, spec))
            }
            'x' | 'X' | 'o' => {
                let value = number::integer(node)?;
                let magnitude = value.unsigned_abs();
                let (digits, prefix) = match letter {
                    'x' => (format!("{magnitude:x}"), "0x"),
                    'X' => (format!("{magnitude:X}"), "0X"),
                    _ => (format!("{magnitude:o}"), "0o"),
                };
                let prefix = if spec.prefix { prefix } else { "" };
                self.number(spec, value < 0, prefix, &least_digits(&digits, spec))
            }
            'f' | 'F' | 'e' | 'E' | 'g' | 'G' => {
                let value = match node {
                    Node::Float(value) => *value,
                    // Not from the decimal digits: an integer of a kilobyte costs too much for
                    // the six letters of its `%e`.
                    node => number::integer(node)? as f64,
                };
                let digits = float(value.abs(), letter.to_ascii_lowercase(), spec)?;
                let upper = letter.is_ascii_uppercase();
                let digits = if upper { digits.to_ascii_uppercase() } else { digits };
                self.number(spec, value.is_sign_negative() && !value.is_nan(), "", &digits)
            }
            _ => None,
        }
    }

    fn number(&mut self, spec: &Spec, negative: bool, prefix: &str, digits: &str) -> Option<()> {
        let sign = match (negative, spec.plus, spec.space) {
            (true, ..) => "-",
            (_, true, _) => "+",
            (_, _, true) => " ",
            _ => "",
        };
        let missing = spec.width.saturating_sub(sign.len() + prefix.len() + digits.len());
        let zeros = if spec.zero && !spec.left { "0".repeat(missing) } else { String::new() };
        let spec = Spec { precision: None, width: spec.width, left: spec.left, ..Spec::default() };
        self.text(&spec, &format!("{sign}{prefix}{zeros}{digits}"))
    }

    fn text(&mut self, spec: &Spec, text: &str) -> Option<()> {
        let cut = spec.precision.and_then(|most| text.char_indices().nth(most));
        let text = cut.map_or(text, |(end, _)| &text[..end]);
        // Before the characters are counted: a long text is refused without a look at it.
        if self.out.len() + text.len() > self.limit {
            return None;
        }
        let width = if spec.width == 0 { 0 } else { text.chars().count() };
        let padding = " ".repeat(spec.width.saturating_sub(width));
        let (before, after) = if spec.left { ("", padding) } else { (&*padding, String::new()) };
        self.push(before)?;
        self.push(text)?;
        self.push(&after)
    }

    fn push(&mut self, text: &str) -> Option<()> {
        if self.out.len() + text.len() > self.limit {
            return None;
        }
        self.out.push_str(text);
        Some(())
    }
}

/// An integer's digits with the zeros that a precision asks for.
fn least_digits(digits: &str, spec: &Spec) -> String {
    format!("{digits:0>width$}", width = spec.precision.unwrap_or(0))
}

/// A float without its sign.
fn float(value: f64, letter: char, spec: &Spec) -> Option<String> {
    if value.is_nan() || value.is_infinite() {
        return Some(number::float(value));
    }
    let precision = spec.precision.unwrap_or(6);
    let scientific = |precision: usize| {
        let text = format!("{value:.precision$e}");
        let (digits, exponent) = text.split_once('e')?;
        Some((digits.to_owned(), exponent.parse::<i32>().ok()?))
    };
    match letter {
        'f' => Some(format!("{value:.precision$}")),
        'e' => {
            let (digits, exponent) = scientific(precision)?;
            Some(digits + &number::exponent_text(exponent, 'e'))
        }
        _ => {
            let precision = precision.max(1);
            let (digits, exponent) = scientific(precision - 1)?;
            let short = |text: String| match text.contains('.') && !spec.prefix {
                true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
                false => text,
            };
            let behind = i32::try_from(precision).ok()? - 1 - exponent;
            match usize::try_from(behind) {
                Ok(behind) if exponent >= -4 => Some(short(format!("{value:.behind$}"))),
                _ => Some(short(digits) + &number::exponent_text(exponent, 'e')),
            }
        }
    }
}
