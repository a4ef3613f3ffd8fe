//! Datagrams by hand, cut ones, hostile ones, and generated ones that must come back.

use proptest::prelude::*;

use super::*;

fn one(datagram: &[u8]) -> Entry<'_> {
    let mut entries = decode(datagram).expect("the datagram is good");
    assert_eq!(entries.len(), 1, "{entries:?}");
    entries.remove(0)
}

fn binary(key: &str, value: &[u8]) -> Vec<u8> {
    let mut bytes = key.as_bytes().to_vec();
    bytes.push(b'\n');
    bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
    bytes.extend_from_slice(value);
    bytes.push(b'\n');
    bytes
}

fn fields<'a>(entry: &'a Entry<'_>) -> Vec<(&'a str, &'a Value<'a>)> {
    entry.fields.iter().map(|field| (&*field.name, &field.value)).collect()
}

fn str(text: &str) -> Value<'_> {
    Value::Str(text.into())
}

#[test]
fn every_known_key_finds_its_place() {
    let entry = one(b"MESSAGE=disk full\nPRIORITY=4\nSYSLOG_IDENTIFIER=backup\n\
        SYSLOG_FACILITY=3\nSYSLOG_PID=77\nCODE_FILE=src/a.c\nCODE_LINE=12\nCODE_FUNC=write_all\n\
        TID=78\nERRNO=28\nSYSLOG_TIMESTAMP=Oct 11 22:14:15 \nUNIT_RESULT=a=b\n");
    assert_eq!(entry.message, "disk full");
    assert_eq!(entry.level, Level::Warn);
    assert_eq!(entry.target, "backup");
    assert_eq!((entry.pid, entry.thread, entry.line), (Some(77), Some(78), Some(12)));
    assert_eq!(entry.file.as_deref(), Some("src/a.c"));
    assert_eq!(entry.module.as_deref(), Some("write_all"));
    assert_eq!(entry.time, None);
    assert_eq!(entry.missing, 0);
    assert_eq!(
        fields(&entry),
        [
            ("facility", &str("daemon")),
            ("errno", &Value::U64(28)),
            ("syslog_timestamp", &str("Oct 11 22:14:15 ")),
            ("unit_result", &str("a=b")),
        ]
    );
}

#[test]
fn the_priorities_are_those_of_syslog() {
    let entry = one(b"PRIORITY=2\nMESSAGE=m\n");
    assert_eq!((entry.level, fields(&entry)), (Level::Error, vec![("severity", &str("crit"))]));
    assert_eq!(one(b"MESSAGE=m\nPRIORITY=7\n").level, Level::Debug);
    let entry = one(b"MESSAGE=m\nPRIORITY=8\nSYSLOG_FACILITY=99\nTID=-1\nSYSLOG_PID=007\n");
    assert_eq!(entry.level, Level::Info);
    assert_eq!((entry.thread, entry.pid), (None, None));
    assert_eq!(
        fields(&entry),
        [
            ("priority", &str("8")),
            ("syslog_facility", &str("99")),
            ("tid", &str("-1")),
            ("syslog_pid", &str("007"))
        ]
    );
}

#[test]
fn a_binary_value_may_have_newlines_and_any_bytes() {
    let mut datagram = binary("MESSAGE", b"one\n\ntwo=2\n");
    datagram.extend(binary("COREDUMP", b"\x7fELF\xff\n\n"));
    datagram.extend(binary("EMPTY", b""));
    let entry = one(&datagram);
    assert_eq!(entry.message, "one\n\ntwo=2\n");
    let core = Value::Bytes(b"\x7fELF\xff\n\n".into());
    assert_eq!(fields(&entry), [("coredump", &core), ("empty", &str(""))]);
}

#[test]
fn empty_lines_separate_entries_and_make_none() {
    let entries = decode(b"\n\nMESSAGE=a\n\n\n\nMESSAGE=b\nX=1\n\n").expect("good");
    let messages: Vec<_> = entries.iter().map(|entry| &*entry.message).collect();
    assert_eq!(messages, ["a", "b"]);
    assert!(entries[0].fields.is_empty(), "the second entry's field is not the first's");
    assert_eq!(decode(b""), Ok(vec![]));
    assert_eq!(decode(b"\n"), Ok(vec![]));
}

#[test]
fn an_entry_without_a_message_is_a_record() {
    let entry = one(b"X=1\n");
    assert_eq!((&*entry.message, fields(&entry)), ("", vec![("x", &str("1"))]));
}

#[test]
fn trusted_fields_are_nobodys_claim() {
    let entry = one(b"_PID=1\nMESSAGE=m\n_SYSTEMD_UNIT=sshd.service\n__CURSOR=x\n");
    assert_eq!((fields(&entry), entry.missing), (vec![], 0));
    assert_eq!(decode(b"_PID=1\n"), Ok(vec![]));
}

#[test]
fn keys_that_the_journal_refuses_are_counted_as_missing() {
    let entry = one(b"MESSAGE=m\nlower=12\n1X=1\nA-B=1\n=1\n");
    assert_eq!((fields(&entry), entry.missing), (vec![], 7 + 3 + 4 + 1));
    let longest = "K".repeat(64);
    let datagram = format!("{longest}=v\n{longest}K=v\n");
    let entry = one(datagram.as_bytes());
    assert_eq!(fields(&entry), [(&*longest.to_lowercase(), &str("v"))]);
    assert_eq!(entry.missing, 66);
}

#[test]
fn comments_and_commands_are_passed_over() {
    let entry = one(b"# a comment\nMESSAGE=m\n.command=1\n");
    assert_eq!((&*entry.message, fields(&entry), entry.missing), ("m", vec![], 0));
}

#[test]
fn a_repeated_key_stands_repeatedly() {
    let entry = one(b"MESSAGE=a\nMESSAGE=b\nX=1\nX=2\nTID=1\nTID=2\nPRIORITY=3\nPRIORITY=7\n");
    assert_eq!(entry.message, "a");
    assert_eq!((entry.thread, entry.level), (Some(1), Level::Error));
    assert_eq!(
        fields(&entry),
        [
            ("message", &str("b")),
            ("x", &str("1")),
            ("x", &str("2")),
            ("tid", &str("2")),
            ("priority", &str("7"))
        ]
    );
}

#[test]
fn bytes_that_are_no_text_take_no_place() {
    let entry = one(b"MESSAGE=a\xffb\nSYSLOG_IDENTIFIER=\xff\nTID=\xff\n");
    assert_eq!(entry.message, "a\u{fffd}b");
    assert_eq!((&*entry.target, entry.thread), ("", None));
    let bytes = Value::Bytes(b"\xff".into());
    assert_eq!(fields(&entry), [("syslog_identifier", &bytes), ("tid", &bytes)]);
}

#[test]
fn a_cut_datagram_is_refused_unless_the_cut_is_between_fields() {
    let mut datagram = b"PRIORITY=6\n".to_vec();
    let mut good = vec![0, datagram.len()];
    datagram.extend(binary("MESSAGE", b"one\ntwo"));
    good.push(datagram.len());
    datagram.extend(b"X=1\n");
    good.push(datagram.len());
    for cut in 0..=datagram.len() {
        let result = decode(&datagram[..cut]);
        assert_eq!(result.is_ok(), good.contains(&cut), "{cut}: {result:?}");
    }
    assert_eq!(decode(&datagram[..5]), Err(Refused::Unended { at: 0 }));
    assert_eq!(decode(&datagram[..good[1] + 12]), Err(Refused::Truncated { at: 11 }));
    assert_eq!(decode(&datagram[..good[2] - 2]), Err(Refused::Truncated { at: 11 }));
    assert_eq!(decode(&datagram[..good[2] - 1]), Err(Refused::Unended { at: 11 }));
}

#[test]
fn hostile_lengths_are_refused() {
    for length in [3, 4, 255, 1 << 31, 1 << 32, u64::MAX >> 1, u64::MAX - 8, u64::MAX] {
        let mut datagram = b"MESSAGE\n".to_vec();
        datagram.extend_from_slice(&length.to_le_bytes());
        datagram.extend_from_slice(b"ab\n");
        // Three bytes are there, but then nothing ends the value.
        let expected = match length {
            3 => Refused::Unended { at: 0 },
            _ => Refused::Truncated { at: 0 },
        };
        assert_eq!(decode(&datagram), Err(expected), "{length}");
    }
    let mut wrong_end = binary("MESSAGE", b"ab");
    *wrong_end.last_mut().expect("it has bytes") = b'X';
    assert_eq!(decode(&wrong_end), Err(Refused::Unended { at: 0 }));
}

#[test]
fn fields_and_entries_are_bounded() {
    assert_eq!(one("X=1\n".repeat(1024).as_bytes()).fields.len(), 1024);
    assert_eq!(decode("X=1\n".repeat(1025).as_bytes()), Err(Refused::Fields));
    // Dropped ones cost time too.
    assert_eq!(decode("_X=1\n".repeat(1025).as_bytes()), Err(Refused::Fields));
    assert_eq!(decode("X=1\n\n".repeat(1024).as_bytes()).map(|all| all.len()), Ok(1024));
    assert_eq!(decode("X=1\n\n".repeat(1025).as_bytes()), Err(Refused::Entries));
}

#[test]
fn the_protocol_is_told_from_text() {
    let mut with_binary = binary("COREDUMP", b"\0\0");
    for native in [&b"MESSAGE=m\n"[..], b"PRIORITY=6\nMESSAGE=m\n", b"A=\n_PID=1\n\nMESSAGE=m\n"] {
        assert!(looks_native(native), "{native:?}");
    }
    assert!(looks_native(&with_binary));
    with_binary.pop();
    assert!(!looks_native(&with_binary));
    for text in [
        &b""[..],
        b"\n",
        b"PATH=/bin is wrong",
        b"PATH=/bin is wrong\n",
        b"MESSAGE=m",
        b"MESSAGE m\n",
        b"MESSAGE\n",
        b"HELLO\nWORLD\n",
        b"message=m\n",
        b"_PID=1\nMESSAGE=m\n",
        b"A=1\nand text\nMESSAGE=m\n",
        b"A=1\nand=text\nMESSAGE=m\n",
        b"<14>MESSAGE=m\n",
        b"#MESSAGE=m\n",
        b"\nMESSAGE=m\n",
        b"A B=1\nMESSAGE=m\n",
        b"{\"MESSAGE\":\"m\"}\n",
    ] {
        assert!(!looks_native(text), "{:?}", String::from_utf8_lossy(text));
    }
}

prop_compose! {
    /// A field that has no place of its own, and whether it is sent in the binary form.
    fn any_field()(
        key in "X[A-Z0-9_]{0,62}",
        value in prop::collection::vec(any::<u8>(), 0..20),
        as_binary in any::<bool>(),
    ) -> (String, Vec<u8>, bool) {
        (key, value, as_binary)
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        datagram in prop::collection::vec(prop_oneof![
            any::<u8>(),
            prop::sample::select(&b"A_=\n\n\0\0\0\x02#"[..]),
        ], 0..200),
    ) {
        let _ = decode(&datagram);
        if looks_native(&datagram) {
            prop_assert!(decode(&datagram).is_ok());
        }
    }

    #[test]
    fn what_was_sent_comes_back(
        sent in prop::collection::vec(
            (".*", prop::collection::vec(any_field(), 0..10)), 1..4),
    ) {
        let mut datagram = Vec::new();
        for (message, more) in &sent {
            datagram.extend(binary("MESSAGE", message.as_bytes()));
            for (key, value, as_binary) in more {
                if *as_binary || value.contains(&b'\n') {
                    datagram.extend(binary(key, value));
                } else {
                    datagram.extend_from_slice(key.as_bytes());
                    datagram.push(b'=');
                    datagram.extend_from_slice(value);
                    datagram.push(b'\n');
                }
            }
            datagram.push(b'\n');
        }
        prop_assert!(looks_native(&datagram));
        let entries = decode(&datagram).expect("the datagram is good");
        prop_assert_eq!(entries.len(), sent.len());
        for (entry, (message, more)) in entries.iter().zip(&sent) {
            prop_assert_eq!(&*entry.message, &**message);
            prop_assert_eq!(entry.missing, 0);
            prop_assert_eq!(entry.fields.len(), more.len());
            for (field, (key, value, _)) in entry.fields.iter().zip(more) {
                prop_assert_eq!(&*field.name, key.to_ascii_lowercase());
                let value = match std::str::from_utf8(value) {
                    Ok(text) => Value::Str(text.into()),
                    Err(_) => Value::Bytes(value.into()),
                };
                prop_assert_eq!(&field.value, &value);
            }
        }
    }
}
