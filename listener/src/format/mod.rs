//! Lines: what a record looks like in a file.
//!
//! One record is one line, whatever bytes it holds: whoever controls a message, a worker's name,
//! a span or a field's name can neither end a line, nor begin one, nor move a terminal's cursor.
//! A [`Format`] is what a sink is configured with, a [`Formatter`] is what the sink holds: it
//! caches the second that it printed last, and it never fails, never panics, and allocates
//! nothing for a usual record.
//!
//! # Layouts
//! | format | a line |
//! |---|---|
//! | `text` | `2026-11-22T10:00:00.123456Z  INFO worker 3[1234] request{id=7}: my_app::job: finished item seq=17` |
//! | `json` | `{"timestamp":"…","level":"INFO","fields":{"message":"finished item","seq":17},"target":"my_app::job",…}` |
//! | a template | whatever [`Format::template`] describes |
//!
//! # Escapes
//! Text and templates escape C0 and C1 controls, DEL, the line and paragraph separators, and the
//! bidirectional overrides and isolates, wherever they stand: `\n`, `\r`, `\t`, `\x1b`,
//! `\u{202e}`. A backslash stands as it is in bare text (messages, names, what `Debug` printed)
//! and is doubled between quotes, as `tracing_subscriber::fmt` does: paths and regular
//! expressions stay readable, at the price that the two characters `\n` in a bare message may be
//! an escaped newline or a backslash and an `n`. JSON tells them apart.
//!
//! # Values
//! | value | text, template | json |
//! |---|---|---|
//! | integer | digits | a number; a string where neither `u64` nor `i64` holds it |
//! | float | as Rust's `Debug` prints it | a number; `"NaN"`, `"Infinity"`, `"-Infinity"` |
//! | string | quoted; bare as message and in `{field.NAME}` | a string |
//! | `Debug` | bare | a string |
//! | bytes | `[68 65 78]` | `"686578"` |
//! | error | `err=outer err.sources=[inner, innermost]` | `"err":"outer","err.sources":["inner","innermost"]` |
//!
//! A name that a record refers to by a number which its callsite lacks is that number: `#7`.
//! A record that its worker had to cut says so at the line's end, `(truncated from 70000 bytes)`
//! in text and templates, `"truncated":70000` in JSON.
//! One that stands for several equal ones says so behind it: ` (64 times, by worker 0[12], worker 1[13])`
//! in text and templates; `"repeats":{"count":63,"by":[{"worker":"worker 1","pid":13,"lane":1,"seq":[4,9]}]}`,
//! the records beside its own, in JSON.

mod clock;
mod escape;
mod head;
mod json;
mod name;
mod nearest;
mod number;
mod repeats;
mod template;
mod text;
mod value;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use fleetlog_protocol::callsite::Callsite;
use fleetlog_protocol::record::Record;

use clock::Clock;
use head::Heads;
pub(crate) use nearest::nearest;
pub use repeats::Repeat;
use template::Template;
pub use template::{TemplateError, TemplateProblem};

/// What a format sees of a record.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// The record.
    pub record: &'a Record<'a>,
    /// Its callsite.
    pub callsite: &'a Callsite,
    /// The worker's name.
    pub worker: &'a str,
    /// The worker's pid.
    pub pid: u32,
    /// The lane that carried it; 0 = the socket.
    pub lane: u32,
    /// Wall-clock time in nanoseconds since the Unix epoch.
    pub time: u64,
    /// Equal records that share the line.
    pub repeats: &'a [Repeat],
    /// Whose words they are.
    pub origin: Origin,
}

/// Who says what stands in a line.
///
/// A line of the listener's own carries a mark that no client can make, for it stands where nothing
/// of a client's is ever written: in text a `*` in front of the level, in JSON the key
/// `"origin":"listener"` beside `fields`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// Somebody who logs.
    #[default]
    Client,
    /// The listener.
    Listener,
}

impl Origin {
    /// The value of the key in JSON.
    pub(crate) const LISTENER: &'static str = "listener";
}

/// The layout of lines and the time zone of their timestamps; text in UTC by default.
///
/// ```
/// use fleetlog::format::{Format, TimeZoneChoice};
/// let format: Format = "{time} {worker:<10} {level:<8} {message}".parse().unwrap();
/// assert_eq!(format.time_zone(), TimeZoneChoice::Utc);
/// let error = "jsn".parse::<Format>().unwrap_err();
/// assert!(error.to_string().contains("did you mean `json`?"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Format {
    layout: Layout,
    time_zone: TimeZoneChoice,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Layout {
    /// The default, because a log is first of all read by people.
    #[default]
    Text,
    Json,
    Template(Arc<Template>),
}

impl Format {
    /// The layout of `tracing_subscriber::fmt`, with `worker[pid]` behind the level.
    #[must_use]
    pub fn text() -> Self {
        Self::default()
    }

    /// One JSON object a line with the keys of `tracing_subscriber::fmt().json()`: `timestamp`,
    /// `level`, `fields` (with `message` in it), `target`, and, inside of spans, `span` (the
    /// innermost) and `spans` (the outermost first); and `worker`, `pid`, `lane`, `seq`. A line of
    /// the listener's own has `origin` as well.
    ///
    /// No key stands twice in an object: of a field that was recorded again, the last value
    /// counts. A span's field called `name` is `field.name`, for `name` is the span's.
    #[must_use]
    pub fn json() -> Self {
        Self { layout: Layout::Json, ..Self::default() }
    }

    /// A layout of one's own.
    ///
    /// Text stands for itself, `{{` and `}}` for braces; a single newline at the end is left
    /// out, because every line ends with one anyway. The placeholders are `{time}`, `{worker}`,
    /// `{pid}`, `{level}`, `{target}`, `{message}`, `{thread}`, `{seq}`, `{lane}`, `{file}`,
    /// `{line}`, `{module}`, `{spans}` (`a{x=1}:b{y=2}`), `{fields}` (`x=1 y=2`, all but the
    /// message) and `{field.NAME}` (one field of the event, empty where there is none). Behind
    /// a colon stand, as in Rust, a fill character, the alignment `<`, `^` or `>`, a width and
    /// `.` with a precision, both in characters and at most 1,000: `{worker:.<10}`,
    /// `{message:.80}`, `{pid:>6}`. Everything is aligned to the left unless told otherwise.
    /// `{time:%H:%M:%S%.3f}` prints the time by a `strftime` format.
    ///
    /// # Errors
    /// The template has an unknown placeholder, an odd brace or a bad format behind a colon;
    /// the error tells where, and the nearest known placeholder.
    ///
    /// ```
    /// use fleetlog::format::Format;
    /// Format::template("{time:%H:%M:%S} {level:>5} {field.request_id:-<8} {message}").unwrap();
    /// let error = Format::template("{time} {mesage}").unwrap_err();
    /// assert_eq!(error.position, 8);
    /// assert!(error.to_string().contains("did you mean {message}?"));
    /// ```
    pub fn template(template: &str) -> Result<Self, TemplateError> {
        let template = Template::parse(template)?;
        Ok(Self { layout: Layout::Template(Arc::new(template)), ..Self::default() })
    }

    /// The same layout with timestamps of another time zone.
    ///
    /// ```
    /// use fleetlog::format::{Format, TimeZoneChoice};
    /// let format = Format::json().with_timezone(TimeZoneChoice::Local);
    /// assert_eq!(format.time_zone(), TimeZoneChoice::Local);
    /// ```
    #[must_use]
    pub fn with_timezone(self, time_zone: TimeZoneChoice) -> Self {
        Self { time_zone, ..self }
    }

    /// The time zone of the timestamps.
    #[must_use]
    pub const fn time_zone(&self) -> TimeZoneChoice {
        self.time_zone
    }
}

/// The layout as it is written in a configuration; the time zone is an option of its own.
impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match &self.layout {
            Layout::Text => "text",
            Layout::Json => "json",
            Layout::Template(template) => template.source(),
        })
    }
}

impl FromStr for Format {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Self, FormatError> {
        match text {
            "text" => Ok(Self::text()),
            "json" => Ok(Self::json()),
            template if template.contains('{') => Ok(Self::template(template)?),
            unknown => Err(FormatError::Unknown {
                given: unknown.to_owned(),
                nearest: nearest(unknown, &["text", "json"]),
            }),
        }
    }
}

/// The text describes no format. Whoever wrote the flag or the configuration is at fault.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// It is neither a known word nor a template.
    #[error(
        "{given:?} is no format: expected `text`, `json`, or a template with placeholders such as \
         `{{time}} {{message}}`{}",
        .nearest.map(|word| format!("; did you mean `{word}`?")).unwrap_or_default()
    )]
    Unknown {
        /// What was given.
        given: String,
        /// The known word that looks most like it, if any does.
        nearest: Option<&'static str>,
    },
    /// It is a template with a mistake.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

fleetlog_protocol::debug_as_display!(FormatError);

/// The time zone of a line's timestamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeZoneChoice {
    /// UTC, the default: it sorts, never repeats an hour, and means the same on every host.
    #[default]
    Utc,
    /// The host's zone as it is when the [`Formatter`] is made; timestamps carry its offset.
    Local,
}

impl fmt::Display for TimeZoneChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Utc => "utc",
            Self::Local => "local",
        })
    }
}

/// The text names no time zone.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no time zone: expected `utc` or `local`")]
pub struct UnknownTimeZone(pub String);

fleetlog_protocol::debug_as_display!(UnknownTimeZone);

impl FromStr for TimeZoneChoice {
    type Err = UnknownTimeZone;

    fn from_str(text: &str) -> Result<Self, UnknownTimeZone> {
        match text {
            _ if text.eq_ignore_ascii_case("utc") => Ok(Self::Utc),
            _ if text.eq_ignore_ascii_case("local") => Ok(Self::Local),
            unknown => Err(UnknownTimeZone(unknown.to_owned())),
        }
    }
}

/// Writes the lines of one sink.
///
/// ```
/// use fleetlog::format::{Format, Formatter, Line, Origin};
/// use fleetlog_protocol::{Level, callsite::Callsite, record::{self, FieldName, Record, RecordEncoder}};
///
/// let mut bytes = Vec::new();
/// let mut encoder = RecordEncoder::new(&mut bytes, Level::Info, 1024);
/// let mut fields = encoder.fields();
/// fields.str(FieldName::Index(0), "finished\nitem");
/// fields.u64(FieldName::Index(1), 17);
/// let (count, missing) = (fields.count(), fields.missing());
/// encoder.finish(1, count, missing);
/// let record = Record::decode(&bytes).unwrap();
/// let callsite = Callsite {
///     level: Level::Info,
///     target: "my_app::job".into(),
///     name: "event".into(),
///     file: None,
///     line: None,
///     module_path: None,
///     fields: vec!["message".into(), "seq".into()],
/// };
/// let time = 1_795_341_600_123_456_789;
/// let line =
///     Line { record: &record, callsite: &callsite, worker: "worker 3", pid: 1234, lane: 1, time, repeats: &[],
///     origin: Origin::Client };
///
/// let mut out = Vec::new();
/// Formatter::new(&Format::text()).write(&line, &mut out);
/// assert_eq!(
///     String::from_utf8(out).unwrap(),
///     "2026-11-22T10:00:00.123456Z  INFO worker 3[1234] my_app::job: finished\\nitem seq=17\n",
/// );
/// ```
#[derive(Debug)]
pub struct Formatter {
    layout: Layout,
    clock: Clock,
    heads: Heads,
}

impl Formatter {
    /// A formatter for a format. The host's time zone is looked up here, once.
    #[must_use]
    pub fn new(format: &Format) -> Self {
        Self {
            layout: format.layout.clone(),
            clock: Clock::new(format.time_zone),
            heads: Heads::new(),
        }
    }

    /// Appends exactly one line: the record and a newline, and no other newline.
    pub fn write(&mut self, line: &Line<'_>, out: &mut Vec<u8>) {
        match &self.layout {
            Layout::Text => text::write(line, &mut self.clock, &mut self.heads, out),
            Layout::Json => json::write(line, &mut self.clock, out),
            Layout::Template(template) => template.write(line, &mut self.clock, out),
        }
        out.push(b'\n');
    }
}
