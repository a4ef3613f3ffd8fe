//! The rules that hold for every logger.

use std::borrow::Cow;

use super::{check, decode, show, shown};

#[test]
fn of_keys_that_compete_the_preferred_one_wins_and_the_others_stay_fields() {
    check(&[
        (r#"{"event":"login","msg":"hi"}"#, r#"INFO "hi" event="login""#),
        (r#"{"msg":"hi","message":"ho"}"#, r#"INFO "ho" msg="hi""#),
        (r#"{"message":"ho","msg":"hi"}"#, r#"INFO "ho" msg="hi""#),
        (r#"{"severity":"error","level":"debug"}"#, r#"DEBUG "" severity="error""#),
        (r#"{"severity":"fatal"}"#, r#"ERROR "" level="fatal""#),
        (r#"{"level":"odd","severity":"fatal"}"#, r#"ERROR "" level="odd" severity="fatal""#),
        (r#"{"severity":"fatal","level":"odd"}"#, r#"ERROR "" severity="fatal" level="odd""#),
        // A value that makes no sense there leaves the place to the next one.
        (r#"{"severity":"error","level":3}"#, r#"ERROR "" level=3"#),
        (r#"{"level":3,"severity":"error"}"#, r#"ERROR "" level=3"#),
        (r#"{"level":"odd","severity":"error"}"#, r#"ERROR "" level="odd""#),
        (
            r#"{"timestamp":"yesterday","time":1795355458}"#,
            r#"INFO time=1795355458000000000~999999999 "" timestamp="yesterday""#,
        ),
        (r#"{"message":{"a":1},"msg":"hi"}"#, r#"INFO "hi" message.a=1"#),
        (r#"{"message":5,"msg":null}"#, r#"INFO "" message=5 msg=<null>"#),
        (r#"{"pid":"5","process":7,"host":8}"#, r#"INFO pid=7 "" pid="5" host=8"#),
        (r#"{"pid":4294967296}"#, r#"INFO "" pid=4294967296"#),
    ]);
}

#[test]
fn a_key_that_stands_twice_takes_its_place_with_the_last_value() {
    check(&[
        (r#"{"msg":"a","msg":"b","x":1,"x":2}"#, r#"INFO "b" msg="a" x=1 x=2"#),
        (r#"{"level":"fatal","level":"info"}"#, r#"INFO "" level="fatal""#),
        (
            r#"{"spans":[{"name":"a"}],"spans":[{"name":"b"}]}"#,
            r#"INFO "" a{} spans=<[{"name":"b"}]>"#,
        ),
    ]);
}

#[test]
fn a_name_is_a_target_only_where_it_is_the_loggers() {
    check(&[
        (r#"{"name":"ann","msg":"hi"}"#, r#"INFO "hi" name="ann""#),
        (r#"{"name":"ann","level":"info"}"#, r#"INFO "" name="ann""#),
        (r#"{"name":"app","level":30}"#, r#"INFO target=app """#),
        (r#"{"level":30,"name":"app"}"#, r#"INFO target=app """#),
        (r#"{"name":"app","levelname":"INFO"}"#, r#"INFO target=app """#),
        (r#"{"name":"app","levelname":"INFO","logger":"x"}"#, r#"INFO target=x "" name="app""#),
        (r#"{"name":7,"level":30}"#, r#"INFO "" name=7"#),
    ]);
}

#[test]
fn numbers_are_levels_only_where_their_scheme_is_known() {
    check(&[
        (r#"{"level":3}"#, r#"INFO "" level=3"#),
        (r#"{"level":3,"short_message":"x"}"#, r#"ERROR "x""#),
        (r#"{"level":35}"#, r#"INFO "" level=35"#),
        (r#"{"level":45}"#, r#"WARN "" level=45"#),
        (r#"{"level":-10,"lvl":30.5}"#, r#"INFO "" level=-10 lvl=30.5"#),
        (r#"{"level":"30"}"#, r#"INFO "" level="30""#),
        (r#"{"SeverityNumber":22}"#, r#"ERROR "" level=22"#),
    ]);
}

#[test]
fn a_time_that_cannot_be_understood_stays_a_field() {
    check(&[
        (r#"{"time":"2026-11-22T13:50:58"}"#, r#"INFO "" time="2026-11-22T13:50:58""#),
        (r#"{"t":0.5,"ts":17}"#, r#"INFO "" t=0.5 ts=17"#),
        (r#"{"ts":"1795355458"}"#, r#"INFO time=1795355458000000000~999999999 """#),
        (r#"{"time":{"seconds":5}}"#, r#"INFO "" time.seconds=5"#),
    ]);
}

#[test]
fn a_file_and_its_line_may_be_one_text_or_two() {
    check(&[
        (r#"{"caller":"a.go:12"}"#, r#"INFO file=a.go line=12 """#),
        (r#"{"caller":"undefined"}"#, r#"INFO "" caller="undefined""#),
        (r#"{"caller":":12"}"#, r#"INFO "" caller=":12""#),
        (r#"{"caller":"a.go:+12"}"#, r#"INFO "" caller="a.go:+12""#),
        (r#"{"caller":"C:\\a.go:12"}"#, r#"INFO file=C:\a.go line=12 """#),
        (r#"{"file":"a.go:12","line":13}"#, r#"INFO file=a.go:12 line=13 """#),
        (r#"{"file":"a.go:99999999999"}"#, r#"INFO file=a.go:99999999999 """#),
        (r#"{"file":"a.go","line":"7"}"#, r#"INFO file=a.go line=7 """#),
        (r#"{"line":"+7"}"#, r#"INFO "" line="+7""#),
    ]);
}

#[test]
fn what_only_looks_like_spans_is_fields() {
    check(&[
        (r#"{"span":{"id":"7"}}"#, r#"INFO "" span.id="7""#),
        (r#"{"span":"x","spans":5}"#, r#"INFO "" span="x" spans=5"#),
        (r#"{"spans":[{"name":"a"},{"b":1}]}"#, r#"INFO "" spans=<[{"name":"a"},{"b":1}]>"#),
        (r#"{"spans":[1]}"#, r#"INFO "" spans=<[1]>"#),
        (r#"{"spans":[]}"#, r#"INFO """#),
        (r#"{"span":{"name":"x"},"spans":[{"name":"a"}]}"#, r#"INFO "" a{} span.name="x""#),
        (
            r#"{"spans":[{"name":"field","a":{"b":1},"name":"own","field.name":2}]}"#,
            r#"INFO "" own{a.b=1 name="field" name=2}"#,
        ),
    ]);
}

#[test]
fn values_keep_their_type_and_what_has_none_its_text() {
    check(&[(
        r#"{"u":18446744073709551615,"i":-9223372036854775808,"f":1.5e3,"z":-0,"b":false,"s":"a\"b","n":null,"l":[1, {"x":[]}],"o":{},"h":18446744073709551616,"g":1e999,"e":"","":1}"#,
        r#"INFO "" u=18446744073709551615 i=-9223372036854775808 f=1500.0 z=-0.0 b=false s="a\"b" n=<null> l=<[1, {"x":[]}]> o=<{}> h=<18446744073709551616> g=<1e999> e="" =1"#,
    )]);
}

#[test]
fn objects_are_flat_up_to_eight_names() {
    check(&[(
        r#"{"a":{"":{"b":1}},"1":{"2":{"3":{"4":{"5":{"6":{"7":{"8":{"9": 1}}}}}}}}}"#,
        r#"INFO "" a..b=1 1.2.3.4.5.6.7.8=<{"9": 1}>"#,
    )]);
    let long = "k".repeat(257);
    let line = format!(r#"{{"{long}":{{"a":1}}}}"#);
    assert_eq!(shown(&line), format!(r#"INFO "" {long}=<{{"a":1}}>"#));
}

#[test]
fn spaces_and_a_carriage_return_around_the_object_are_no_matter() {
    assert_eq!(shown(" \t{ \"msg\" : \"a\" } \r"), r#"INFO "a""#);
}

#[test]
fn what_is_no_object_is_refused() {
    for line in [
        "",
        " ",
        "{",
        "}",
        "[]",
        "5",
        "hello",
        "\"{}\"",
        "{} {}",
        "{}x",
        "{'a':1}",
        "{a:1}",
        "{\"a\":1,}",
        "{\"a\":01}",
        "{\"a\":+1}",
        "{\"a\":NaN}",
        "{\"a\":\"\u{1}\"}",
        "{\"a\"}",
        r#"{"a":"\x"}"#,
        r#"{"a":tru}"#,
        r#"{"a":{"b":}}"#,
    ] {
        assert!(decode(line.as_bytes()).is_none(), "{line}");
    }
}

#[test]
fn texts_are_borrowed_unless_they_have_escapes() {
    let entry = decode(br#"{"msg":"hello","target":"a\tb","key":"value"}"#).unwrap();
    assert!(matches!(entry.message, Cow::Borrowed("hello")));
    assert!(matches!(entry.target, Cow::Owned(_)));
    assert!(matches!(entry.fields[0].name, Cow::Borrowed("key")));
    assert_eq!(show(&entry), r#"INFO target=a	b "hello" key="value""#);
}
