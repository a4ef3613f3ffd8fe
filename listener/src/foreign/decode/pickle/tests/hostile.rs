//! What an attacker sends. Every pickle is decoded on a small stack and its memory is counted.

use super::super::limits::{MARKS, STACK};
use super::*;

/// Whether each of them is refused with the name of what it would have called.
fn assert_dangerous(cases: &[(&[u8], &str)]) {
    for (value, name) in cases {
        let refused = Err(Refused::Dangerous { name: (*name).to_owned() });
        let whole = [*value, b"."].concat();
        assert_eq!(decode_in_a_corner(&whole), refused, "{:?}", value.escape_ascii());
        let nested = record_with_extra(&[b"](", *value, b"e"].concat());
        assert_eq!(decode_in_a_corner(&nested), refused, "nested {:?}", value.escape_ascii());
    }
}

#[test]
fn a_call_of_a_dangerous_function_is_refused_by_its_name() {
    assert_dangerous(&[
        (b"cos\nsystem\n(S'id'\ntR", "os.system"),
        (b"cposix\nsystem\n(S'id'\ntR", "posix.system"),
        (b"cnt\nsystem\n(S'id'\ntR", "nt.system"),
        (b"(S'id'\nios\nsystem\n", "os.system"),
        (b"(cos\nsystem\nS'id'\no", "os.system"),
        (b"csubprocess\nPopen\n(S'id'\nt\x81", "subprocess.Popen"),
        (b"csubprocess\nPopen\n)}\x92", "subprocess.Popen"),
        (b"\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85R", "os.system"),
        (b"c__builtin__\neval\n(S'1'\ntR", "builtins.eval"),
        (b"cbuiltins\nexec\n(S'1'\ntR", "builtins.exec"),
        (b"cbuiltins\n__import__\n(S'os'\ntR", "builtins.__import__"),
        (b"cbuiltins\nopen\n(S'/etc/passwd'\ntR", "builtins.open"),
        (b"cio\nopen\n(S'/etc/passwd'\ntR", "io.open"),
        (b"cimportlib.util\nfind_spec\n(S'x'\ntR", "importlib.util.find_spec"),
        (b"cpickle\nloads\n(C\x01Nt\x85R", "pickle.loads"),
        (b"cctypes\nCDLL\n(S'x'\ntR", "ctypes.CDLL"),
        (b"csocket\nsocket\n)R", "socket.socket"),
        (b"cshutil\nrmtree\n(S'/'\ntR", "shutil.rmtree"),
        (b"cpty\nspawn\n(S'sh'\ntR", "pty.spawn"),
        (b"crunpy\nrun_path\n(S'x'\ntR", "runpy.run_path"),
        (b"csys\nexit\n)R", "sys.exit"),
        (b"ccode\ninteract\n)R", "code.interact"),
        (b"ctypes\nCodeType\n)R", "types.CodeType"),
        (b"cos.\x1b[31m\nx\n)R", "os.\\u{1b}[31m.x"),
    ]);
}

#[test]
fn a_detour_to_a_dangerous_function_is_refused_too() {
    assert_dangerous(&[
        // Through another module's attributes.
        (b"\x8c\x07logging\x8c\x09os.system\x93\x8c\x02id\x85R", "logging.os.system"),
        (b"\x8c\x04uuid\x8c\x0ca.b.os.popen\x93)R", "uuid.a.b.os.popen"),
        (b"\x8c\x04uuid\x8c\x15getnode.__globals__.x\x93)R", "uuid.getnode.__globals__.x"),
        // Through what calls it for someone else.
        (b"cbuiltins\nmap\n(cos\nsystem\n]tR", "os.system"),
        (b"ccopy_reg\n_reconstructor\n(csubprocess\nPopen\ncx\nY\nNtR", "subprocess.Popen"),
        (b"cfunctools\npartial\n(cos\nsystem\nS'id'\ntR)R", "os.system"),
        (b"cbuiltins\ngetattr\n(csubprocess\nPopen\nS'__new__'\ntR", "subprocess.Popen"),
        (b"coperator\nmethodcaller\n(cos\nsystem\ntR", "os.system"),
    ]);
}

#[test]
fn naming_a_dangerous_function_without_a_call_is_only_odd() {
    assert_eq!(shown_extra(b"cos\nsystem\n"), "os.system");
    assert_eq!(shown_extra(b"cos\nstat_result\n((I1\nt}tR"), "os.stat_result((1,), {})");
    assert_eq!(shown_extra(b"csubprocess\nTimeoutExpired\n)R"), "subprocess.TimeoutExpired()");
}

#[test]
fn a_class_can_not_be_changed() {
    let body = record_with_extra(b"clogging\nLogger\n}U\x01xK\x01sb");
    assert!(matches!(decode(&body), Err(Refused::Unfit { opcode: "BUILD", .. })));
}

#[test]
fn nesting_costs_no_stack() {
    let deep = 100_000;
    let with_end = |open: &[u8], close: &[u8], count: usize| {
        record_with_extra(&[open.repeat(count), close.repeat(count)].concat())
    };
    // By appending: no mark is open, and the values fit.
    let lists = [b"]".repeat(deep), b"a".repeat(deep - 1)].concat();
    let lists = record_with_extra(&lists);
    assert_eq!(decode_in_a_corner(&lists), Ok(()));
    let dictionaries = [b"}N".repeat(60_000), b"}".to_vec(), b"s".repeat(60_000)].concat();
    assert_eq!(decode_in_a_corner(&record_with_extra(&dictionaries)), Ok(()));
    let tuples = record_with_extra(&[b")".to_vec(), b"\x85".repeat(deep)].concat());
    assert_eq!(decode_in_a_corner(&tuples), Ok(()));
    let calls = record_with_extra(&[b"ca\nB\n".to_vec(), b")R".repeat(deep / 2)].concat());
    assert_eq!(decode_in_a_corner(&calls), Ok(()));
    let keys = record_with(&[b")".to_vec(), b"\x85".repeat(deep), b"N".to_vec()].concat());
    assert_eq!(decode_in_a_corner(&keys), Ok(()));
    // By marks: as deep as the limit and no deeper. The record itself has one mark open.
    assert_eq!(decode_in_a_corner(&with_end(b"(", b"t", MARKS - 1)), Ok(()));
    for close in [b"t", b"l"] {
        assert_eq!(decode_in_a_corner(&with_end(b"(", close, deep)), Err(Refused::TooDeep));
    }
}

#[test]
fn a_bomb_of_shared_values_is_shown_in_part() {
    // Each list holds the one before it ten times; the thirtieth would be written as 10^30 items.
    let mut laughs = b"]q\x01".to_vec();
    for level in 1..30 {
        laughs.extend(b"0](");
        laughs.extend([b'h', level].repeat(10));
        laughs.extend([b'e', b'q', level + 1]);
    }
    let body = record_with_extra(&laughs);
    assert_eq!(decode_in_a_corner(&body), Ok(()));
    let shown = shown_extra(&laughs);
    assert!(shown.ends_with("...") && shown.len() < 20 * body.len() + 8192, "{}", shown.len());
    // The budget is the record's: a second field does not get it again.
    let twice = record_with(&[b"U\x01a".as_slice(), &laughs, b"U\x01bh\x1eU\x01ch\x1e"].concat());
    assert_eq!(decode_in_a_corner(&twice), Ok(()));
    let entry = decode(&twice).expect("a record");
    assert_eq!(entry.fields[2].value, Value::Shown("...".into()));
}

#[test]
fn a_long_string_that_is_mentioned_often_is_cut() {
    let long = "x".repeat(10_000);
    let mut fields = [b"U\x01aX\x10\x27\0\0".as_slice(), long.as_bytes(), b"q\x01"].concat();
    for name in 0..120 {
        fields.extend([b'U', 2, b'n', name, b'h', 1]);
    }
    let body = record_with(&fields);
    assert_eq!(decode_in_a_corner(&body), Ok(()));
    let entry = decode(&body).expect("a record");
    assert!(entry.missing > 110 * 10_000, "{}", entry.missing);
    // The same with bytes that a call stands for, and as the key of many pairs.
    let mut bytes = fields.clone();
    bytes.extend(b"U\x01zc_codecs\nencode\nh\x01U\x06latin1\x86Rq\x02");
    for name in 0..120 {
        bytes.extend([b'U', 2, b'm', name, b'h', 2]);
    }
    assert_eq!(decode_in_a_corner(&record_with(&bytes)), Ok(()));
    let keys = [fields.as_slice(), &b"h\x01N".repeat(50_000)].concat();
    assert_eq!(decode_in_a_corner(&record_with(&keys)), Ok(()));
    let names = [b"U\x03msgU\x05%(a)sU\x04args}(".to_vec(), b"h\x01N".repeat(50_000)].concat();
    let body = record_with(&[fields.as_slice(), &names, b"u"].concat());
    assert_eq!(decode_in_a_corner(&body), Ok(()));
    // As an argument of a message.
    let message = b"U\x03msgU\xc8".to_vec();
    let args = [b"U\x04args(".to_vec(), b"h\x01".repeat(100), b"t".to_vec()].concat();
    let joined = [fields, message, b"%s".repeat(100), args].concat();
    assert_eq!(decode_in_a_corner(&record_with(&joined)), Ok(()));
    let body = record_with(&joined);
    assert_eq!(decode(&body).expect("a record").message, "%s".repeat(100));
}

#[test]
fn a_list_in_itself_is_shown_like_python_does() {
    assert_eq!(shown_extra(b"]q\x01h\x01a"), "[[...]]");
    assert_eq!(shown_extra(b"]2a"), "[[...]]");
    assert_eq!(shown_extra(b"}q\x01Nh\x01s"), "{None: {...}}");
    // A tuple can hold itself through a list.
    assert_eq!(shown_extra(b"]q\x01h\x01\x85a"), "[([...],)]");
}

#[test]
fn a_length_beyond_the_end_allocates_nothing() {
    let cases: [(&[u8], &str); 10] = [
        (b"X\xff\xff\xff\xffabc", "BINUNICODE"),
        (b"B\xff\xff\xff\xffabc", "BINBYTES"),
        (b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffabc", "BINUNICODE8"),
        (b"\x8e\xff\xff\xff\xff\xff\xff\xff\xffabc", "BINBYTES8"),
        (b"\x96\xff\xff\xff\xff\xff\xff\xff\x7fabc", "BYTEARRAY8"),
        (b"\x8b\xff\xff\xff\x7fabc", "LONG4"),
        (b"T\xff\xff\xff\x7fabc", "BINSTRING"),
        (b"\x95\xff\xff\xff\xff\xff\xff\xff\xffN.", "FRAME"),
        (b"\x95\x03\0\0\0\0\0\0\0N.", "FRAME"),
        (b"Vabc", "UNICODE"),
    ];
    for (body, opcode) in cases {
        assert_eq!(decode_in_a_corner(body), Err(Refused::Truncated { opcode, at: 0 }));
    }
    for body in [b"\x8b\xff\xff\xff\xffabc".as_slice(), b"T\xff\xff\xff\xffabc"] {
        let refused = decode_in_a_corner(body);
        assert!(matches!(refused, Err(Refused::Malformed { at: 0, .. })), "{refused:?}");
    }
}

#[test]
fn floods_end_at_their_limit() {
    let ten_million = 10_000_000;
    assert_eq!(decode_in_a_corner(&b"N".repeat(ten_million)), Err(Refused::StackTooLarge));
    assert_eq!(decode_in_a_corner(&b"(".repeat(ten_million)), Err(Refused::TooDeep));
    assert_eq!(decode_in_a_corner(&b"]".repeat(ten_million)), Err(Refused::TooManyObjects));
    let doubled = [b"N".to_vec(), b"2".repeat(STACK)].concat();
    assert_eq!(decode_in_a_corner(&doubled), Err(Refused::StackTooLarge));
    let named = [b"N".to_vec(), b"\x94".repeat(ten_million)].concat();
    assert_eq!(decode_in_a_corner(&named), Err(Refused::MemoTooLarge));
    let dropped = [b"]0".repeat(ten_million / 2)].concat();
    assert_eq!(decode_in_a_corner(&dropped), Err(Refused::TooManyObjects));
    let called = [b"ca\nB\n".to_vec(), b")R".repeat(ten_million / 2)].concat();
    assert_eq!(decode_in_a_corner(&called), Err(Refused::TooManyObjects));
    // A tuple must not inherit the room of a stack that was high once.
    let high = [b"(".to_vec(), b"N".repeat(100_000), b"1".to_vec(), b"(t0".repeat(50_000)].concat();
    assert_eq!(decode_in_a_corner(&high), Err(Refused::Unstopped));
    // Appending what is on the stack anyway makes no values and goes on to the end.
    let appended = record_with_extra(&[b"]".to_vec(), b"Na".repeat(1_000_000)].concat());
    assert_eq!(decode_in_a_corner(&appended), Ok(()));
}

#[test]
fn a_number_in_the_memo_allocates_nothing() {
    assert_eq!(shown_extra(b"]r\xff\xff\xff\xff0j\xff\xff\xff\xff"), "[]");
    assert_eq!(shown_extra(b"]p4294967295\n0g4294967295\n"), "[]");
    let unknown = Refused::Unremembered { opcode: "BINGET", at: 0 };
    assert_eq!(decode_in_a_corner(b"h\x01."), Err(unknown));
    for wrong in [b"Np4294967296\n.".as_slice(), b"Np-1\n.", b"Npx\n.", b"Np\n."] {
        let refused = decode_in_a_corner(wrong);
        assert!(matches!(refused, Err(Refused::Malformed { opcode: "PUT", .. })), "{refused:?}");
    }
}

#[test]
fn an_opcode_takes_only_what_is_there() {
    let empty: [&[u8]; 16] = [
        b"0", b"2", b".", b"R", b"b", b"a", b"s", b"e", b"t", b"1", b"\x85", b"\x93", b"Q",
        b"\x94", b"\x92", b"q\0",
    ];
    for body in empty {
        let refused = decode_in_a_corner(body);
        assert!(matches!(refused, Err(Refused::Underflow { .. })), "{body:?}: {refused:?}");
        // A mark is a floor.
        let marked = [b"]]](", body].concat();
        if !matches!(body, b"0" | b"e" | b"t" | b"1") {
            let refused = decode_in_a_corner(&marked);
            assert!(matches!(refused, Err(Refused::Underflow { .. })), "{marked:?}: {refused:?}");
        }
    }
    let unfit: [&[u8]; 9] = [
        b"](NNu.",
        b"NNa.",
        b")Na.",
        b"K\x01(Ne.",
        b"]NNs.",
        b"](N\x90.",
        b"K\x01)R.",
        b"]}b.",
        b"NN\x93.",
    ];
    for body in unfit {
        let refused = decode_in_a_corner(body);
        assert!(matches!(refused, Err(Refused::Unfit { .. })), "{body:?}: {refused:?}");
    }
    for body in [b"(Nd.".as_slice(), b"}(NNNu.", b"(o."] {
        let refused = decode_in_a_corner(body);
        assert!(matches!(refused, Err(Refused::Malformed { .. })), "{body:?}: {refused:?}");
    }
}

#[test]
fn integers_beyond_all_use_are_shown_by_their_length() {
    let digits = [b"L".to_vec(), b"9".repeat(1_000_000), b"L\n".to_vec()].concat();
    assert_eq!(shown_extra(&digits), "<integer of 1000000 digits>");
    let bytes = [b"\x8b\x40\x42\x0f\0".to_vec(), b"\x7f".repeat(1_000_000)].concat();
    assert_eq!(shown_extra(&bytes), "<integer of 1000000 bytes>");
    let just_too_long = [b"\x8b\x01\x04\0\0".to_vec(), b"\x7f".repeat(1025)].concat();
    assert_eq!(shown_extra(&just_too_long), "<integer of 1025 bytes>");
    assert_eq!(
        shown_extra(&[b"L".to_vec(), b"9".repeat(4300), b"\n".to_vec()].concat()).len(),
        4300
    );
    for body in [digits, bytes] {
        assert_eq!(decode_in_a_corner(&record_with_extra(&body)), Ok(()));
    }
    assert_eq!(shown_extra(b"\x8a\x09\0\0\0\0\0\0\0\0\x01"), "18446744073709551616");
    for wrong in [b"I\n.".as_slice(), b"I1x\n.", b"L-L\n.", b"F1.2.3\n.", b"L--1\n.", b"I+1\n."] {
        let refused = decode_in_a_corner(wrong);
        assert!(matches!(refused, Err(Refused::Malformed { .. })), "{wrong:?}: {refused:?}");
    }
}

#[test]
fn broken_strings_of_protocol_0_are_refused() {
    let wrong: [&[u8]; 10] = [
        b"S'abc\n.",
        b"Sabc\n.",
        b"S'\n.",
        b"S\n.",
        br"S'\x4'",
        br"S'\xzz'",
        b"S'a\\'\n.",
        b"V\\u12\n.",
        b"V\\uzzzz\n.",
        b"V\\U00110000\n.",
    ];
    for body in wrong {
        let body = [body.strip_suffix(b"\n.").unwrap_or(body), b"\n."].concat();
        let refused = decode_in_a_corner(&body);
        assert!(matches!(refused, Err(Refused::Malformed { .. })), "{body:?}: {refused:?}");
    }
    let entry_of = |value: &[u8]| {
        let body = record_with_extra(value);
        let entry = decode(&body).expect("a record");
        match extra(&entry) {
            Value::Str(text) => text.clone().into_owned(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(entry_of(b"S'\\q\\101\\n\\777'\n"), "\\qA\n\u{fffd}");
    assert_eq!(entry_of(b"V\\\\u0041\\u0041\xe9\\\n"), "\\\\u0041Aé\\");
}

#[test]
fn what_is_no_record_says_what_it_is() {
    let found = |body: &[u8]| match decode_in_a_corner(body) {
        Err(Refused::NoRecord { found }) => found,
        other => panic!("{other:?}"),
    };
    assert_eq!(found(b"N."), "None");
    assert_eq!(found(b"]."), "a list");
    assert_eq!(found(b"clogging\nLogRecord\n)\x81}b."), "an object");
    assert_eq!(found(b"}."), "a dictionary that has no message and no level");
    assert_eq!(decode_in_a_corner(b"\x80\x06N."), Err(Refused::Protocol(6)));
    assert_eq!(decode_in_a_corner(b""), Err(Refused::Unstopped));
    let http = decode_in_a_corner(b"GET / HTTP/1.1\r\n\r\n");
    assert!(http.is_err(), "{http:?}");
    let byte = Refused::UnknownOpcode { byte: 0xff, at: 1 };
    assert_eq!(decode_in_a_corner(b"N\xff"), Err(byte));
    let long = [b"c".to_vec(), b"a".repeat(2000), b"\nb\n.".to_vec()].concat();
    assert!(matches!(decode_in_a_corner(&long), Err(Refused::Malformed { .. })));
}

#[test]
fn values_that_are_dear_to_look_at_are_looked_at_in_proportion() {
    let string = |text: &[u8]| {
        let length = u32::try_from(text.len()).expect("a short string");
        [b"X", length.to_le_bytes().as_slice(), text].concat()
    };
    // Long names with many parts, each called once.
    let name = [string(b"a"), b"q\x01".to_vec(), string(&b"b.".repeat(32)), b"q\x02".to_vec()];
    let calls = [b"](".to_vec(), name.concat(), b"h\x01h\x02\x93)R".repeat(40_000), b"e".to_vec()];
    // An object whose attributes take long to search.
    let state = [b"}(".to_vec(), b"NN".repeat(50_000), b"U\x03intK\x01u".to_vec()].concat();
    let object = [b"](cuuid\nUUID\n)\x81".to_vec(), state, b"bq\x01".to_vec()].concat();
    let objects = [object, b"h\x01".repeat(100_000), b"e".to_vec()].concat();
    // An integer that takes long to convert.
    let integer = [b"](\x8b\0\x04\0\0".to_vec(), b"\x7f".repeat(1024), b"q\x01".to_vec()].concat();
    let integers = [integer, b"h\x01".repeat(100_000), b"e".to_vec()].concat();
    // Nothing at all, very often.
    let nothing = [b"](\x29q\x01".to_vec(), b"h\x01".repeat(100_000), b"e".to_vec()].concat();
    for value in [&calls.concat(), &objects, &integers, &nothing] {
        assert_eq!(decode_in_a_corner(&record_with_extra(value)), Ok(()));
    }
    // And all that a message can ask of them.
    for conversion in ["%.0s", "%.0e", "%d", "%x", "%r", "%.1000f", "%1000d"] {
        let integer = [b"\x8b\0\x04\0\0".to_vec(), b"\x7f".repeat(1024), b"q\x01".to_vec()];
        let args = [integer.concat(), b"0(".to_vec(), b"h\x01".repeat(100_000), b"t".to_vec()];
        let message = string(conversion.repeat(100_000).as_bytes());
        let pairs = [b"U\x03msg".to_vec(), message, b"U\x04args".to_vec(), args.concat()];
        assert_eq!(decode_in_a_corner(&record_with(&pairs.concat())), Ok(()), "{conversion}");
    }
}
