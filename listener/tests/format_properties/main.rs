//! What holds for the line of any record: it is one line, it holds no control character, and
//! JSON gives back what was recorded.

mod keys;

use std::collections::BTreeMap;

use fleetlog::format::{Format, Formatter, Line, Origin, TimeZoneChoice};
use fleetlog_protocol::Level;
use fleetlog_protocol::callsite::Callsite;
use fleetlog_protocol::record::{FieldEncoder, FieldName, Record, RecordEncoder, Value, seal};
use proptest::prelude::*;
use serde_json::Value as Json;

use keys::keys_stand_once;

#[derive(Clone, Debug)]
enum Recorded {
    U64(u64),
    I64(i64),
    U128(u128),
    I128(i128),
    F64(f64),
    Bool(bool),
    Str(String),
    Bytes(Vec<u8>),
    Debug(String),
    Error(Vec<String>),
}

/// A field under a name, or under a number of the callsite's names.
type Field = (Result<String, u16>, Recorded);

#[derive(Clone, Debug)]
struct Event {
    level: Level,
    time: u64,
    limit: usize,
    worker: String,
    target: String,
    names: Vec<String>,
    spans: Vec<(String, Vec<Field>)>,
    fields: Vec<Field>,
}

/// Text in which everything that is dangerous is likely.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,40}",
        "(?s:.{0,20})",
        "[a\"\\\\\n\r\t\0\u{1b}\u{7f}\u{85}\u{9b}\u{a0}\u{2028}\u{202e}\u{2069}é日🦀]{0,40}",
    ]
}

/// Names that often meet: with one another, with a span's name, with an error's sources.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "message",
            "a",
            "r#a",
            "name",
            "field.name",
            "a.sources",
            "#3",
            "#70",
            "",
        ])
        .prop_map(str::to_owned),
        "[a-z]{1,2}",
        text(),
    ]
}

fn recorded() -> impl Strategy<Value = Recorded> {
    prop_oneof![
        any::<u64>().prop_map(Recorded::U64),
        any::<i64>().prop_map(Recorded::I64),
        any::<u128>().prop_map(Recorded::U128),
        any::<i64>().prop_map(|number| Recorded::I128(number.into())),
        any::<i128>().prop_map(Recorded::I128),
        any::<u64>().prop_map(|bits| Recorded::F64(f64::from_bits(bits))),
        any::<bool>().prop_map(Recorded::Bool),
        text().prop_map(Recorded::Str),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(Recorded::Bytes),
        text().prop_map(Recorded::Debug),
        prop::collection::vec(text(), 1..4).prop_map(Recorded::Error),
    ]
}

fn fields() -> impl Strategy<Value = Vec<Field>> {
    let field =
        || (prop_oneof![4 => name().prop_map(Ok), 1 => (0..80_u16).prop_map(Err)], recorded());
    prop_oneof![
        3 => prop::collection::vec(field(), 0..8),
        1 => prop::collection::vec(field(), 0..40),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    (
        prop::sample::select(Level::ALL.to_vec()),
        any::<u64>(),
        prop_oneof![3 => Just(1 << 20), 1 => 100..400_usize],
        text(),
        text(),
        prop::collection::vec(name(), 0..5),
        prop::collection::vec((text(), fields()), 0..4),
        fields(),
    )
        .prop_map(|(level, time, limit, worker, target, names, spans, fields)| Event {
            level,
            time,
            limit,
            worker,
            target,
            names,
            spans,
            fields,
        })
}

/// An error with the sources that the rest of the texts name.
#[derive(Debug)]
struct Chain(String, Option<Box<Chain>>);

impl std::fmt::Display for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Chain {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.1.as_ref().map(|source| &**source as _)
    }
}

fn encode(fields: &mut FieldEncoder<'_>, recorded: &[Field]) {
    for (name, value) in recorded {
        let name = match name {
            Ok(name) => FieldName::Inline(name),
            Err(index) => FieldName::Index(*index),
        };
        match value {
            Recorded::U64(value) => fields.u64(name, *value),
            Recorded::I64(value) => fields.i64(name, *value),
            Recorded::U128(value) => fields.u128(name, *value),
            Recorded::I128(value) => fields.i128(name, *value),
            Recorded::F64(value) => fields.f64(name, *value),
            Recorded::Bool(value) => fields.bool(name, *value),
            Recorded::Str(value) => fields.str(name, value),
            Recorded::Bytes(value) => fields.bytes(name, value),
            Recorded::Debug(value) => fields.debug(name, &format_args!("{value}")),
            Recorded::Error(texts) => {
                let chain = texts
                    .iter()
                    .rev()
                    .fold(None, |source, text| Some(Box::new(Chain(text.clone(), source))));
                fields.error(name, &*chain.unwrap());
            }
        }
    }
}

impl Event {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = RecordEncoder::new(&mut bytes, self.level, self.limit);
        for (name, recorded) in &self.spans {
            let mut block = vec![0; 6];
            let mut fields = FieldEncoder::new(&mut block, self.limit);
            encode(&mut fields, recorded);
            let count = fields.count().to_le_bytes();
            block[..2].copy_from_slice(&count);
            encoder.span(name, &[&block]);
        }
        let mut fields = encoder.fields();
        encode(&mut fields, &self.fields);
        let (count, missing) = (fields.count(), fields.missing());
        encoder.finish(7, count, missing);
        seal(&mut bytes, 17, 1, 3);
        bytes
    }

    fn callsite(&self) -> Callsite {
        Callsite {
            level: self.level,
            target: self.target.clone(),
            name: "event".to_owned(),
            file: Some(self.target.clone()),
            line: Some(7),
            module_path: Some(self.worker.clone()),
            fields: self.names.clone(),
        }
    }

    /// The line in a format, checked to be one, without its newline.
    fn line(&self, format: &Format) -> String {
        self.line_of(&Record::decode(&self.bytes()).unwrap(), format)
    }

    fn line_of(&self, record: &Record<'_>, format: &Format) -> String {
        let callsite = self.callsite();
        let line = Line {
            record,
            callsite: &callsite,
            worker: &self.worker,
            pid: 1234,
            lane: 2,
            time: self.time,
            repeats: &[],
            origin: Origin::Client,
        };
        let mut formatter = Formatter::new(format);
        let (mut out, mut again) = (b"before".to_vec(), Vec::new());
        formatter.write(&line, &mut out);
        formatter.write(&line, &mut again);
        let out = String::from_utf8(out).expect("a line is UTF-8");
        let line = out.strip_prefix("before").expect("what was there before stays");
        assert_eq!(line.as_bytes(), again, "what is cached must not change the line");
        let line = line.strip_suffix('\n').expect("a line ends with a newline");
        assert!(!line.contains(is_dangerous), "{line:?}");
        line.to_owned()
    }

    /// What JSON readers should see: the last value of each name.
    fn expected(&self) -> BTreeMap<String, Json> {
        let bytes = self.bytes();
        let record = Record::decode(&bytes).unwrap();
        let mut expected = BTreeMap::new();
        for field in record.fields() {
            let name = match field.name {
                FieldName::Inline(name) => name.to_owned(),
                FieldName::Index(index) => match self.names.get(usize::from(index)) {
                    Some(name) => name.clone(),
                    None => format!("#{index}"),
                },
            };
            let name = name.strip_prefix("r#").unwrap_or(&name).to_owned();
            if let Value::Error(chain) = field.value
                && chain.iter().nth(1).is_some()
            {
                expected.insert(name.clone(), json_of(field.value));
                let sources = chain.iter().skip(1).map(Json::from).collect::<Vec<_>>();
                expected.insert(format!("{name}.sources"), Json::from(sources));
            } else {
                expected.insert(name, json_of(field.value));
            }
        }
        expected
    }
}

fn json_of(value: Value<'_>) -> Json {
    match value {
        Value::U64(number) => number.into(),
        Value::I64(number) => number.into(),
        Value::U128(number) => {
            u64::try_from(number).map_or_else(|_| number.to_string().into(), Json::from)
        }
        Value::I128(number) => match (u64::try_from(number), i64::try_from(number)) {
            (Ok(number), _) => number.into(),
            (_, Ok(number)) => number.into(),
            _ => number.to_string().into(),
        },
        Value::F64(number) if number.is_nan() => "NaN".into(),
        Value::F64(f64::INFINITY) => "Infinity".into(),
        Value::F64(f64::NEG_INFINITY) => "-Infinity".into(),
        Value::F64(number) => number.into(),
        Value::Bool(value) => value.into(),
        Value::Str(text) | Value::Debug(text) => text.into(),
        Value::Bytes(bytes) => {
            bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
        }
        Value::Error(chain) => chain.iter().next().unwrap_or("").into(),
    }
}

fn is_dangerous(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Equal, but for the last digit of a float: serde_json's reader rounds it in its own way.
fn alike(left: &Json, right: &Json) -> bool {
    match (left.as_f64(), right.as_f64()) {
        (Some(left), Some(right)) if left != right => {
            (left - right).abs() <= left.abs() * 4.0 * f64::EPSILON
        }
        _ => left == right,
    }
}

/// Templates that are often valid.
fn template() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        prop::sample::select(vec![
            "{time}",
            "{worker}",
            "{pid}",
            "{level}",
            "{target}",
            "{message}",
            "{thread}",
            "{seq}",
            "{lane}",
            "{file}",
            "{line}",
            "{module}",
            "{spans}",
            "{fields}",
            "{field.a}",
            "{{",
            "}}",
            "{message:é^30.5}",
            "{time:%H\n%M}",
            "{target:>9}",
            "{field.message:.3}",
        ])
        .prop_map(str::to_owned),
        text().prop_map(|text| text.replace(['{', '}'], "")),
    ];
    prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn any_record_is_one_line_of_text(event in event()) {
        event.line(&Format::text());
        event.line(&Format::text().with_timezone(TimeZoneChoice::Local));
    }

    #[test]
    fn any_record_is_one_object_of_json_that_gives_back_its_values(event in event()) {
        let line = event.line(&Format::json());
        let json: Json = serde_json::from_str(&line).unwrap();
        let fields = json["fields"].as_object().unwrap();
        let expected = event.expected();
        prop_assert_eq!(fields.len(), expected.len(), "{}", line);
        for (name, value) in &expected {
            let found = fields.get(name);
            prop_assert!(found.is_some_and(|found| alike(found, value)), "{name:?} {found:?}");
        }
        prop_assert_eq!(&json["worker"], &event.worker);
        prop_assert_eq!(&json["target"], &event.target);
        prop_assert!(keys_stand_once(&line), "{}", line);
    }

    #[test]
    fn whatever_decodes_is_one_line(
        event in event(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = event.bytes();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(record) = Record::decode(&bytes) {
            event.line_of(&record, &Format::text());
            let json = event.line_of(&record, &Format::json());
            prop_assert!(keys_stand_once(&json), "{}", json);
        }
    }

    #[test]
    fn any_record_is_one_line_by_any_template(event in event(), template in template()) {
        let format = Format::template(&template).unwrap();
        event.line(&format);
    }

    #[test]
    fn any_text_is_a_template_or_refused_with_its_reason(
        event in event(),
        template in "(?s:.{0,30})|[{}a-z:<>^.0-9%]{0,30}|\\{time:%[-_0^#]?[0-9]{0,12}[.:]{0,2}[0-9]{0,3}[a-zA-Z%]\\}",
    ) {
        match Format::template(&template) {
            Ok(format) => {
                event.line(&format);
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}
