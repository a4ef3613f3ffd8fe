//! Generated messages: none makes a panic, a good one comes back, of a broken one nothing is lost.

use proptest::prelude::*;

use super::super::rfc3164::Parts;
use super::*;

/// Bytes that are near to a message, so that a break is met in every place.
fn nearly_a_message() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"<34>".to_vec()),
        Just(b"1 ".to_vec()),
        Just(b"- ".to_vec()),
        Just(b"2003-10-11T22:14:15.003Z ".to_vec()),
        Just(b"Oct 11 22:14:15 ".to_vec()),
        Just(b"Oct 11 2003 22:14:15.5: ".to_vec()),
        Just(b"host ".to_vec()),
        Just(b"app[12]: ".to_vec()),
        Just(b"[id a=\"b\"]".to_vec()),
        Just(b"[id a=\"\\]\\".to_vec()),
        "[ -~]{0,6}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..6),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// One message in the terms of RFC 5424.
#[derive(Clone, Debug)]
struct Sent {
    priority: u8,
    time: Option<(u64, u32, i32)>,
    host: Option<String>,
    app: Option<String>,
    process: Option<String>,
    id: Option<String>,
    elements: Vec<(String, Vec<(String, String)>)>,
    message: Option<(bool, String)>,
}

fn word() -> impl Strategy<Value = Option<String>> {
    // The word `-` is the nil value and can't be said.
    prop::option::of("[!-~]{1,48}".prop_filter("not nil", |word| word != "-"))
}

fn sent() -> impl Strategy<Value = Sent> {
    let name = "[a-zA-Z0-9@._!~-]{1,32}";
    let elements = prop::collection::vec((name, prop::collection::vec((name, ".*"), 0..4)), 0..4);
    // Until the year 9999, of which the numbers hold what comes before 2554.
    let time = prop::option::of((0..18_000_000_000u64, 0..1_000_000u32, -1439..=1439i32));
    // A message that begins with the mark can't be told from one behind the mark.
    let message = prop::option::of((any::<bool>(), "[^\u{feff}\n\r\0].*[^\n\r\0]"));
    (0..192u8, time, word(), word(), word(), word(), elements, message).prop_map(
        |(priority, time, host, app, process, id, elements, message)| Sent {
            priority,
            time,
            host,
            app,
            process,
            id,
            elements,
            message,
        },
    )
}

impl Sent {
    /// What stands before the structured data and the space before it.
    fn header(&self) -> String {
        let time = self.time.map_or("-".to_owned(), |(seconds, micros, minutes)| {
            let seconds = i64::try_from(seconds).expect("it is small") + i64::from(minutes) * 60;
            let shown = jiff::Timestamp::from_second(seconds).expect("it is near");
            let date_time = TimeZone::UTC.to_datetime(shown);
            let (sign, minutes) = (if minutes < 0 { '-' } else { '+' }, minutes.abs());
            let zone = format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60);
            format!("{}.{micros:06}{zone}", date_time.strftime("%Y-%m-%dT%H:%M:%S"))
        });
        let mut text = format!("<{}>1 {time}", self.priority);
        for word in [&self.host, &self.app, &self.process, &self.id] {
            text.push(' ');
            text.push_str(word.as_deref().unwrap_or("-"));
        }
        text
    }

    /// The first elements.
    fn data(&self, count: usize) -> String {
        let mut text = String::new();
        for (id, parameters) in &self.elements[..count] {
            text += &format!("[{id}");
            for (name, value) in parameters {
                let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace(']', "\\]");
                text += &format!(" {name}=\"{value}\"");
            }
            text += "]";
        }
        text
    }

    fn bytes(&self) -> String {
        let mut text = format!("{} {}", self.header(), self.data(self.elements.len()));
        if self.elements.is_empty() {
            text.push('-');
        }
        if let Some((mark, message)) = &self.message {
            text += if *mark { " \u{feff}" } else { " " };
            text += message;
        }
        text
    }

    /// The fields of the first elements.
    fn fields(&self, count: usize) -> Vec<(String, Value<'_>)> {
        let mut fields = Vec::new();
        for (id, parameters) in &self.elements[..count] {
            if parameters.is_empty() {
                fields.push((id.clone(), Value::Bool(true)));
            }
            for (name, value) in parameters {
                fields.push((format!("{id}.{name}"), Value::Str(value.into())));
            }
        }
        fields
    }
}

/// Where a slice stands in what it is a slice of.
fn range(whole: &[u8], part: &[u8]) -> std::ops::Range<usize> {
    let start = part.as_ptr() as usize - whole.as_ptr() as usize;
    start..start + part.len()
}

proptest! {
    #[test]
    fn no_bytes_make_a_panic(
        any in prop::collection::vec(any::<u8>(), 0..100),
        near in nearly_a_message(),
    ) {
        let berlin = at("Europe/Berlin", 2024, 10, 27, 12, 0);
        for bytes in [any, near] {
            let entry = decode(&bytes, &berlin);
            prop_assert!(entry.message.len() <= 3 * bytes.len());
        }
    }

    #[test]
    fn a_valid_message_comes_back(sent in sent()) {
        let bytes = sent.bytes();
        let now = now();
        let entry = decode(bytes.as_bytes(), &now);
        let expected = sent.time.map(|(seconds, micros, _)| Claim {
            time: seconds * SECOND + u64::from(micros) * 1_000,
            precision: 1_000,
        });
        prop_assert_eq!(entry.time, expected, "{}", bytes);
        prop_assert_eq!(entry.host.as_deref(), sent.host.as_deref());
        prop_assert_eq!(&*entry.target, sent.app.as_deref().unwrap_or_default());
        prop_assert_eq!(&*entry.message, sent.message.as_ref().map_or("", |(_, text)| text));
        let named = |name: &str| entry.fields.iter().find(|field| field.name == name);
        match &sent.process {
            Some(process) if entry.pid.is_none() => {
                prop_assert_eq!(&named("procid").expect("it").value, &Value::Str(process.into()));
            }
            process => prop_assert_eq!(entry.pid.map(|pid| pid.to_string()), process.clone()),
        }
        if let Some(id) = &sent.id {
            prop_assert_eq!(&named("msgid").expect("it").value, &Value::Str(id.into()));
        }
        let expected = sent.fields(sent.elements.len());
        let own = entry.fields.len() - expected.len();
        let found: Vec<_> = entry.fields[own..]
            .iter()
            .map(|field| (field.name.clone().into_owned(), field.value.clone()))
            .collect();
        prop_assert_eq!(found, expected, "{}", bytes);
        let own = entry.fields[..own].iter().map(|field| &*field.name);
        for name in own {
            prop_assert!(["severity", "facility", "procid", "msgid"].contains(&name), "{}", name);
        }
    }

    #[test]
    fn behind_a_header_what_is_no_structured_data_is_the_message(rest in "[^-\\[\n\r\0].*x") {
        let message = format!("<14>1 2003-10-11T22:14:15Z host app 1 id {rest}");
        let entry = decode(message.as_bytes(), &now());
        prop_assert_eq!(&*entry.message, rest);
        prop_assert_eq!(entry.pid, Some(1));
    }

    #[test]
    fn of_structured_data_that_is_cut_nothing_is_lost(
        sent in sent().prop_filter("has data", |sent| !sent.elements.is_empty()),
        cut in any::<prop::sample::Index>(),
    ) {
        let now = now();
        let header = sent.header() + " ";
        let all = sent.data(sent.elements.len());
        // At least the bracket is there, by which the format is known.
        let mut cut = 1 + cut.index(all.len());
        while !all.is_char_boundary(cut) {
            cut += 1;
        }
        let data = all[..cut].trim_end_matches(['\n', '\r', '\0']);
        let bytes = header.clone() + data;
        let entry = decode(bytes.as_bytes(), &now);
        let whole = (0..=sent.elements.len()).rev().find(|&count| data.starts_with(&sent.data(count)));
        let whole = whole.expect("nothing is a begin");
        prop_assert_eq!(&*entry.message, &data[sent.data(whole).len()..], "{:?}", bytes);
        let expected = sent.fields(whole);
        let found = &entry.fields[entry.fields.len() - expected.len()..];
        let found: Vec<_> = found
            .iter()
            .map(|field| (field.name.clone().into_owned(), field.value.clone()))
            .collect();
        prop_assert_eq!(found, expected, "{:?}", bytes);
    }

    #[test]
    fn the_parts_leave_out_only_spaces_and_colons(message in nearly_a_message()) {
        let parts = Parts::of(&message);
        let mut at = match message.iter().position(|&byte| byte == b'>') {
            Some(end) if parts.content.len() < message.len() => end + 1,
            _ => 0,
        };
        let pieces = [parts.timestamp.map(|stamp| stamp.text), parts.host, parts.tag];
        for piece in pieces.into_iter().flatten().chain([parts.content]) {
            let range = range(&message, piece);
            prop_assert!(range.start >= at, "{:?}", parts);
            prop_assert!(
                message[at..range.start].iter().all(|byte| b" :".contains(byte)),
                "{:?} of {:?}", parts, message
            );
            at = range.end;
        }
        prop_assert_eq!(at, message.len());
        // And the message leaves out of the content only the brackets' and those.
        let left_out = &parts.content[..parts.content.len() - parts.message().len()];
        let pid = parts.pid.map_or(Vec::new(), |pid| [&b"["[..], pid, b"]"].concat());
        let behind = left_out.strip_prefix(&pid[..]);
        prop_assert!(matches!(behind, Some(b"" | b":" | b": " | b" ")), "{:?}", parts);
    }
}

#[test]
fn of_every_cut_of_an_example_the_rest_is_the_message() {
    let whole = "<165>1 2003-10-11T22:14:15.003Z host app 12 ID47 [a@1 b=\"3\" c=\"\\]\"][d] text";
    for cut in 0..=whole.len() {
        let bytes = &whole[..cut];
        let entry = decode(bytes.as_bytes(), &now());
        assert!(bytes.ends_with(&*entry.message), "{bytes}");
        // Each word is either understood or still in the message.
        let understood = [
            ("2003-10-11T22:14:15.003Z", entry.time.is_some()),
            ("host", entry.host.is_some()),
            ("app", !entry.target.is_empty()),
            ("12", entry.pid.is_some()),
            ("ID47", fields(&entry).contains(&"msgid=\"ID47\"".to_owned())),
            ("[a@1 b=\"3\" c=\"\\]\"]", fields(&entry).contains(&"a@1.c=\"]\"".to_owned())),
            ("[d]", fields(&entry).contains(&"d=Bool(true)".to_owned())),
        ];
        for (word, understood) in understood {
            assert_eq!(
                bytes.contains(word) && !understood,
                entry.message.contains(word),
                "{word} of {bytes}"
            );
        }
    }
}
