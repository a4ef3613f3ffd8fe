//! The objects that everyone knows: dates, sets, paths and the like, as people write them.
//!
//! Nothing here is trusted: a `datetime` whose bytes are no date is shown like any other call.

use super::bytes::Bytes;
use super::node::{Arena, Call, Id, Node};
use super::number;
use super::show::Shower;

/// The longest name of a time zone that is shown with a time.
const ZONE_BYTES: usize = 64;

impl<'n> Shower<'n, '_> {
    /// Writes a well-known object; `false` where it is none and nothing was written.
    pub(super) fn known(&mut self, call: &'n Call) -> bool {
        self.try_known(call).is_some()
    }

    fn try_known(&mut self, call: &'n Call) -> Option<()> {
        let arena = self.arena;
        let (function, arguments) = arena.constructor(call);
        match (arena.global(function)?, arguments) {
            (("builtins", name @ ("set" | "frozenset")), [items]) => {
                let Node::List(items) = arena.get(*items) else { return None };
                if name == "set" { self.set(items) } else { self.frozenset(items) }
            }
            (("builtins", "complex"), [real, imaginary]) => {
                let text = complex(arena.get(*real), arena.get(*imaginary))?;
                self.push(&text);
            }
            // An enumeration's member, and what else is known by its place in a class.
            (("builtins", "getattr"), [class, name]) => {
                let name = arena.str(*name)?;
                arena.global(*class)?;
                self.name(*class);
                self.push(".");
                self.push(name);
            }
            (("collections", "OrderedDict"), []) => {
                self.push("OrderedDict(");
                if !call.pairs.is_empty() {
                    self.pairs(&call.pairs);
                }
                self.push(")");
            }
            (("collections", "defaultdict"), [factory]) => {
                self.push("defaultdict(");
                self.node(*factory);
                self.push(", ");
                self.pairs(&call.pairs);
                self.push(")");
            }
            (("collections", "deque"), [] | [_] | [_, _]) => {
                if !arguments.first().is_none_or(|first| arena.tuple(*first) == Some(&[])) {
                    return None;
                }
                self.items("deque([", &call.items, "]");
                if let Some(longest) = arguments.get(1) {
                    self.push(", maxlen=");
                    self.node(*longest);
                }
                self.push(")");
            }
            (("datetime", _), _) => {
                let text = time(arena, call)?;
                self.push(&text);
            }
            (("decimal" | "_decimal" | "_pydecimal" | "cdecimal", "Decimal"), [digits]) => {
                let digits = arena.str(*digits)?;
                self.push(digits);
            }
            (("uuid", "UUID"), []) => {
                let text = uuid(arena, call)?;
                self.push(&text);
            }
            (("pathlib" | "pathlib._local", name), _) => self.path(name, arguments)?,
            _ => return None,
        }
        Some(())
    }

    fn path(&mut self, name: &str, parts: &[Id]) -> Option<()> {
        if !name.ends_with("Path") || !parts.iter().all(|&part| self.arena.str(part).is_some()) {
            return None;
        }
        let separator = if name.contains("Windows") { "\\" } else { "/" };
        if parts.is_empty() {
            self.push(".");
        }
        let mut needs_separator = false;
        for &part in parts {
            let part = self.arena.str(part)?;
            if needs_separator {
                self.push(separator);
            }
            self.push(part);
            needs_separator = !part.ends_with(separator);
        }
        Some(())
    }
}

fn complex(real: &Node<'_>, imaginary: &Node<'_>) -> Option<String> {
    let (&Node::Float(real), &Node::Float(imaginary)) = (real, imaginary) else { return None };
    // Within a complex number Python writes `1` for `1.0`.
    let short = |value| {
        let text = number::float(value);
        text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
    };
    let (first, second) = (short(real), short(imaginary));
    if real == 0.0 && real.is_sign_positive() {
        return Some(format!("{second}j"));
    }
    let plus = if second.starts_with('-') { "" } else { "+" };
    Some(format!("({first}{plus}{second}j)"))
}

fn uuid(arena: &Arena<'_>, call: &Call) -> Option<String> {
    let Node::Dict(state) = arena.get(call.state?) else { return None };
    let is_number = |key: Id| arena.str(key).is_some_and(|key| key == "int");
    // Its only attributes; a long search would cost more than the text that it yields.
    let number = state.iter().take(4).find(|(key, _)| is_number(*key))?.1;
    let digits = format!("{:032x}", number::unsigned(arena.get(number))?);
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    Some(parts.join("-"))
}

/// A date, a time, both, a duration or an offset in the words of ISO 8601.
fn time(arena: &Arena<'_>, call: &Call) -> Option<String> {
    let (_, name) = arena.global(call.function)?;
    let arguments = arena.tuple(call.arguments)?;
    match name {
        "timedelta" => Some(duration(microseconds(arena, call)?)),
        "timezone" => offset(arena, call),
        "date" => {
            let state = state::<4>(arena, *arguments.first()?)?;
            date(state)
        }
        "time" => {
            let [hour, minute, second, fraction @ ..] = state::<6>(arena, *arguments.first()?)?;
            let zone = zone(arena, arguments.get(1).copied())?;
            Some(clock([hour, minute, second], fraction)? + &zone)
        }
        "datetime" => {
            let state = state::<10>(arena, *arguments.first()?)?;
            let [y1, y2, month, day, hour, minute, second, fraction @ ..] = state;
            let zone = zone(arena, arguments.get(1).copied())?;
            let date = date([y1, y2, month, day])?;
            Some(format!("{date}T{}{zone}", clock([hour, minute, second], fraction)?))
        }
        _ => None,
    }
}

/// The bytes that a date or a time keeps itself in.
fn state<const COUNT: usize>(arena: &Arena<'_>, id: Id) -> Option<[u8; COUNT]> {
    let bytes = match arena.str(id) {
        // Python 2 had no other bytes than its strings, and some happen to be UTF-8.
        Some(text) => Bytes { raw: text.as_bytes(), latin1: "", is_bytearray: false },
        None => Bytes::of(arena, id)?,
    };
    let bytes: Vec<u8> = bytes.iter().take(COUNT + 1).collect();
    bytes.try_into().ok()
}

fn date([y1, y2, month, day]: [u8; 4]) -> Option<String> {
    // The highest bit of the month says which of two equal times in autumn is meant.
    let month = month & 0x7f;
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    Some(format!("{:04}-{month:02}-{day:02}", u16::from_be_bytes([y1, y2])))
}

fn clock([hour, minute, second]: [u8; 3], [f1, f2, f3]: [u8; 3]) -> Option<String> {
    let hour = hour & 0x7f;
    let fraction = u32::from_be_bytes([0, f1, f2, f3]);
    if hour > 23 || minute > 59 || second > 59 || fraction > 999_999 {
        return None;
    }
    let text = format!("{hour:02}:{minute:02}:{second:02}");
    Some(if fraction == 0 { text } else { format!("{text}.{fraction:06}") })
}

/// What follows a time: nothing, an offset, or a zone's name in brackets.
fn zone(arena: &Arena<'_>, id: Option<Id>) -> Option<String> {
    let Some(id) = id.filter(|&id| id != Arena::NONE) else { return Some(String::new()) };
    let Node::Call(call) = arena.get(id) else { return None };
    let arguments = arena.tuple(call.arguments)?;
    match arena.global(call.function) {
        Some(("datetime", "timezone")) => offset(arena, call),
        Some(("pytz", "_UTC") | ("dateutil.tz.tz", "tzutc")) => Some("+00:00".to_owned()),
        // The name comes first in the zones of `pytz` and of `zoneinfo`.
        _ => {
            let name = arena.str(*arguments.first()?).filter(|name| name.len() <= ZONE_BYTES)?;
            Some(format!("[{name}]"))
        }
    }
}

/// The offset of a `timezone`.
fn offset(arena: &Arena<'_>, call: &Call) -> Option<String> {
    let Node::Call(delta) = arena.get(*arena.tuple(call.arguments)?.first()?) else { return None };
    let (Some(("datetime", "timedelta")), seconds) =
        (arena.global(delta.function), microseconds(arena, delta)? / 1_000_000)
    else {
        return None;
    };
    let sign = if seconds < 0 { '-' } else { '+' };
    let (minutes, seconds) = (seconds.abs() / 60, seconds.abs() % 60);
    let text = format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60);
    Some(if seconds == 0 { text } else { format!("{text}:{seconds:02}") })
}

/// The length of a `timedelta`.
fn microseconds(arena: &Arena<'_>, call: &Call) -> Option<i128> {
    let [days, seconds, micros] = arena.tuple(call.arguments)? else { return None };
    let part = |id: &Id| match arena.get(*id) {
        Node::Int(value) => Some(i128::from(*value)),
        _ => None,
    };
    // Three factors of 64 bits and less can't leave 128 bits.
    Some((part(days)? * 86_400 + part(seconds)?) * 1_000_000 + part(micros)?)
}

fn duration(microseconds: i128) -> String {
    let sign = if microseconds < 0 { "-" } else { "" };
    let total = microseconds.unsigned_abs();
    let (seconds, fraction) = (total / 1_000_000, total % 1_000_000);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let mut text = format!("{sign}P");
    if days > 0 {
        text.push_str(&format!("{days}D"));
    }
    let mut clock = String::new();
    for (value, unit) in [(hours, 'H'), (minutes, 'M')] {
        if value > 0 {
            clock.push_str(&format!("{value}{unit}"));
        }
    }
    if fraction > 0 {
        let fraction = format!("{fraction:06}");
        clock.push_str(&format!("{}.{}S", seconds % 60, fraction.trim_end_matches('0')));
    } else if seconds % 60 > 0 || total == 0 {
        clock.push_str(&format!("{}S", seconds % 60));
    }
    if !clock.is_empty() {
        text.push('T');
        text.push_str(&clock);
    }
    text
}
