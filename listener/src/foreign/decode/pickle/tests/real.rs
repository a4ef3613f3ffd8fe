//! What CPython writes, against what CPython says that it is.

use std::process::Command;

use serde_json::{Value as Json, json};

use super::*;

#[test]
fn what_python_sends_is_what_it_says_that_it_is() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/foreign/decode/pickle/corpus.py");
    let output = match Command::new("python3").arg(script).output() {
        Ok(output) => output,
        Err(error) => {
            assert!(std::env::var_os("FLEETLOG_REQUIRE_PROGRAMS").is_none(), "python3: {error}");
            eprintln!("SKIPPED: python3 is not here");
            return;
        }
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).expect("JSON in UTF-8");
    let mut wrong = Vec::new();
    let mut protocols = [0; 6];
    for line in lines.lines() {
        let case: Json = serde_json::from_str(line).expect("JSON");
        let body = bytes(case["body"].as_str().expect("a body"));
        let protocol = case["protocol"].as_u64().expect("a protocol");
        protocols[usize::try_from(protocol).expect("a small number")] += 1;
        let label = format!("{}, protocol {protocol}", case["case"]);
        match decode(&body) {
            Ok(entry) => compare(&label, &as_json(&entry), &case["expected"], &mut wrong),
            Err(refused) => wrong.push(format!("{label}: {refused}")),
        }
    }
    // Python knows the last protocol since 3.8.
    assert!(protocols[..5].iter().all(|&cases| cases > 200), "too few cases: {protocols:?}");
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

fn compare(label: &str, found: &Json, expected: &Json, wrong: &mut Vec<String>) {
    for (key, expected) in expected.as_object().expect("an object") {
        let found = &found[key];
        let same = if key == "fields" { same_fields(found, expected) } else { found == expected };
        if !same {
            let short = |json: &Json| json.to_string().chars().take(400).collect::<String>();
            wrong.push(format!("{label}: {key}\n  {}\n  {}", short(found), short(expected)));
        }
    }
}

fn same_fields(found: &Json, expected: &Json) -> bool {
    let (found, expected) = (found.as_array().expect("a list"), expected.as_array().expect("one"));
    found.len() == expected.len()
        && found.iter().zip(expected).all(|(found, expected)| {
            let (value, wanted) = (&found[1], &expected[1]);
            found[0] == expected[0]
                && match (&wanted["any"], &wanted["one_of"]) {
                    (Json::Bool(_), _) => value["shown"].is_string(),
                    (_, Json::Array(texts)) => texts.contains(&value["shown"]),
                    _ => value == wanted,
                }
        })
}

fn as_json(entry: &Entry<'_>) -> Json {
    let fields: Vec<Json> = entry
        .fields
        .iter()
        .map(|field| {
            let value = match &field.value {
                Value::U64(value) => json!({"u64": value.to_string()}),
                Value::I64(value) => json!({"i64": value.to_string()}),
                Value::F64(value) => json!({"f64": format!("{:016x}", value.to_bits())}),
                Value::Bool(value) => json!({"bool": value}),
                Value::Str(text) => json!({"str": text}),
                Value::Bytes(bytes) => json!({"bytes": hexadecimal(bytes)}),
                Value::Shown(text) => json!({"shown": text}),
            };
            json!([field.name, value])
        })
        .collect();
    json!({
        "level": format!("{:?}", entry.level),
        "target": entry.target,
        "message": entry.message,
        "time": entry.time.map(|claim| claim.time.to_string()),
        "file": entry.file,
        "line": entry.line,
        "module": entry.module,
        "pid": entry.pid,
        "fields": fields,
    })
}

fn bytes(digits: &str) -> Vec<u8> {
    let byte = |pair: &[u8]| {
        let digit = |digit: u8| char::from(digit).to_digit(16).expect("a digit");
        u8::try_from(digit(pair[0]) * 16 + digit(pair[1])).expect("two digits")
    };
    digits.as_bytes().chunks(2).map(byte).collect()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
