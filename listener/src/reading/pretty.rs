//! JSON over several lines, for people.

/// Deeper than this nothing is indented further: a line of brackets must not become a flood.
const DEPTH_MAX: usize = 8;

/// Appends one JSON value over several lines, with its keys in their order and its strings and
/// numbers as they stand. The value must be valid JSON; of anything else it makes something, and
/// never more than a bounded multiple.
pub(crate) fn put_pretty(json: &[u8], out: &mut Vec<u8>) {
    let (mut depth, mut is_quoted, mut is_escaped) = (0_usize, false, false);
    let mut bytes = json.iter().copied().filter(|byte| *byte != b'\n').peekable();
    while let Some(byte) = bytes.next() {
        if is_quoted {
            out.push(byte);
            match byte {
                _ if std::mem::take(&mut is_escaped) => {}
                b'\\' => is_escaped = true,
                b'"' => is_quoted = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b' ' | b'\t' | b'\r' => {}
            b'{' | b'[' => {
                out.push(byte);
                while bytes.next_if(|next| matches!(next, b' ' | b'\t' | b'\r')).is_some() {}
                if let Some(end) = bytes.next_if(|next| matches!(next, b'}' | b']')) {
                    out.push(end);
                } else {
                    depth += 1;
                    put_break(depth, out);
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                put_break(depth, out);
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                put_break(depth, out);
            }
            b':' => out.extend_from_slice(b": "),
            _ => {
                is_quoted = byte == b'"';
                out.push(byte);
            }
        }
    }
}

fn put_break(depth: usize, out: &mut Vec<u8>) {
    out.push(b'\n');
    out.extend(std::iter::repeat_n(b' ', 2 * depth.min(DEPTH_MAX)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pretty(json: &str) -> String {
        let mut out = Vec::new();
        put_pretty(json.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_object_has_a_line_for_each_key_and_strings_stay_as_they_are() {
        let json = r#"{"a":"x, {y}: \"[\\","b":{"c":[1,-2.5e3,{}],"d":[]},"e":null}"#;
        let expected = r#"{
  "a": "x, {y}: \"[\\",
  "b": {
    "c": [
      1,
      -2.5e3,
      {}
    ],
    "d": []
  },
  "e": null
}"#;
        assert_eq!(pretty(json), expected);
        let spaced = r#"{ "a" : "x, {y}: \"[\\", "b" : { "c" : [ 1, -2.5e3, { } ], "d" : [ ] }, "e" : null }"#;
        assert_eq!(pretty(spaced), expected);
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&pretty(json)), value(json));
    }

    #[test]
    fn a_line_of_brackets_is_no_flood() {
        let json = format!("{}{}", "[".repeat(100_000), "1,".repeat(100_000));
        assert!(pretty(&json).len() < 20 * json.len());
    }
}
