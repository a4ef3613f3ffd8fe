//! RFC 3164: its examples (5.4) and what a relay makes of them (4.3).

use super::super::rfc3164::Parts;
use super::*;

/// A message's parts as text: PRI's two numbers, TIMESTAMP, HOSTNAME, TAG, pid, CONTENT.
#[derive(Debug, PartialEq)]
struct Texts<'a> {
    priority: (u8, u8),
    timestamp: Option<&'a str>,
    host: Option<&'a str>,
    tag: Option<&'a str>,
    pid: Option<&'a str>,
    content: &'a str,
}

fn parts(message: &str) -> Texts<'_> {
    let text = |bytes| std::str::from_utf8(bytes).expect("the example is text");
    let parts = Parts::of(message.as_bytes());
    Texts {
        priority: (parts.facility, parts.severity),
        timestamp: parts.timestamp.map(|stamp| text(stamp.text)),
        host: parts.host.map(text),
        tag: parts.tag.map(text),
        pid: parts.pid.map(text),
        content: text(parts.content),
    }
}

const DONUTS: &str = "1987 mymachine myproc[10]: %% It's time to make the do-nuts.  %%  \
    Ingredients: Mix=OK, Jelly=OK # Devices: Mixer=OK, Jelly_Injector=OK, Frier=OK # Transport: \
    Conveyer1=OK, Conveyer2=OK # %%";

#[test]
fn example_1_is_a_failed_su() {
    let message = "<34>Oct 11 22:14:15 mymachine su: 'su root' failed for lonvick on /dev/pts/8";
    assert_eq!(
        parts(message),
        Texts {
            priority: (4, 2),
            timestamp: Some("Oct 11 22:14:15"),
            host: Some("mymachine"),
            // The TAG is "su"; the colon is the first character of the CONTENT.
            tag: Some("su"),
            pid: None,
            content: ": 'su root' failed for lonvick on /dev/pts/8",
        }
    );
    let entry = decode(message.as_bytes(), &now());
    assert_eq!(entry.message, "'su root' failed for lonvick on /dev/pts/8");
    assert_eq!(entry.target, "su");
    assert_eq!(entry.host.as_deref(), Some("mymachine"));
    assert_eq!(entry.time, claim("2024-10-11T22:14:15Z"));
    assert_eq!(fields(&entry), ["severity=\"crit\"", "facility=\"auth\""]);
}

#[test]
fn example_2_has_no_priority_and_is_all_content() {
    let content = "Use the BFG!";
    let expected =
        Texts { priority: (1, 5), timestamp: None, host: None, tag: None, pid: None, content };
    assert_eq!(parts(content), expected);
    // What a relay makes of it: PRI 13, and the address in the place of the HOSTNAME.
    assert_eq!(
        parts("<13>Feb  5 17:32:18 10.0.0.99 Use the BFG!"),
        Texts { timestamp: Some("Feb  5 17:32:18"), host: Some("10.0.0.99"), ..expected }
    );
}

#[test]
fn example_3_has_a_zone_where_the_host_must_be() {
    let message = format!("<165>Aug 24 05:34:00 CST {DONUTS}");
    assert_eq!(
        parts(&message),
        Texts {
            // local4, Notice.
            priority: (20, 5),
            timestamp: Some("Aug 24 05:34:00"),
            // The HOSTNAME would be construed to be "CST", the MSG begins with "1987".
            host: Some("CST"),
            tag: None,
            pid: None,
            content: DONUTS,
        }
    );
}

#[test]
fn example_4_has_no_valid_timestamp_and_is_all_content() {
    let content =
        "1990 Oct 22 10:52:01 TZ-6 scapegoat.dmz.example.org 10.1.2.3 sched[0]: That's All Folks!";
    let message = format!("<0>{content}");
    let expected =
        Texts { priority: (0, 0), timestamp: None, host: None, tag: None, pid: None, content };
    assert_eq!(parts(&message), expected);
    // What a relay makes of it.
    let relayed = format!("<0>Oct 22 10:52:12 scapegoat {content}");
    assert_eq!(
        parts(&relayed),
        Texts { timestamp: Some("Oct 22 10:52:12"), host: Some("scapegoat"), ..expected }
    );
}

#[test]
fn an_unidentifiable_priority_is_content() {
    // 4.3.3 has "<00>" as its example, which a relay sends behind "<13>".
    assert_eq!(parts("<00>...").content, "<00>...");
    assert_eq!(parts("<00>...").priority, (1, 5));
    assert_eq!(parts("<192>Oct 11 22:14:15 h su: m").content, "<192>Oct 11 22:14:15 h su: m");
}

#[test]
fn an_invalid_timestamp_is_content() {
    for header in [
        "Oct 11 24:00:00",
        "Oct 11 22:60:15",
        "Oct 11 22:14:61",
        "Oct 32 22:14:15",
        "Oct 00 22:14:15",
        "oct 11 22:14:15",
        "Okt 11 22:14:15",
        "Oct 11 22:14",
        "Oct  11 22:14:15",
        "Oct 11  22:14:15",
        "Oct 11 2:14:15",
        "Oct 11 22:14:15.",
        "Oct 11 22:14:15.0123456789",
        "Oct 11 22:14:15Z",
        "2003-10-11 22:14:15",
        "2003-10-11T22:14:15+1:00",
    ] {
        let message = format!("<34>{header} mymachine su: m");
        let parts = parts(&message);
        assert_eq!(parts.content, &message[4..], "{header}");
        assert_eq!((parts.timestamp, parts.host, parts.tag), (None, None, None), "{header}");
    }
}

#[test]
fn a_tag_may_have_a_pid_which_is_the_contents_begin() {
    assert_eq!(
        parts("<30>Oct  1 22:14:15 web-1.example sshd[4711]: Accepted"),
        Texts {
            priority: (3, 6),
            timestamp: Some("Oct  1 22:14:15"),
            host: Some("web-1.example"),
            tag: Some("sshd"),
            pid: Some("4711"),
            content: "[4711]: Accepted",
        }
    );
}

#[test]
fn real_tags_are_longer_and_stranger_than_the_rfcs() {
    for tag in [
        "systemd-logind",
        "postfix/smtpd",
        "/usr/sbin/cron",
        "(systemd)",
        "-bash",
        "user@1000",
        "org.gnome.Shell.desktop",
        "docker/web.1/0123456789abcdef0123456789abcdef",
        "a_b",
        "größe",
        "%ASA-6-302013",
        "CRON",
        "c++filt",
        "x",
    ] {
        for (host, before) in [(None, ""), (Some("host"), "host ")] {
            let plain = format!("<14>Nov 22 10:00:00 {before}{tag}: a: b");
            let found = parts(&plain);
            assert_eq!((found.host, found.tag, found.content), (host, Some(tag), ": a: b"));
            let with_pid = format!("<14>Nov 22 10:00:00 {before}{tag}[12]: m");
            let found = parts(&with_pid);
            assert_eq!((found.host, found.tag, found.pid), (host, Some(tag), Some("12")));
        }
    }
}

#[test]
fn what_is_no_tag_stays_in_the_message() {
    for message in [
        "@cee: {\"a\":1}",
        "{\"a\": 1}",
        "[info] x",
        "\"quoted\": x",
        "10: x",
        "10:30 x",
        "a=b: x",
        ": x",
        "[12]: x",
        "-: x",
        "a[1 2]: x",
        "a[]: x",
        "a[1]x: x",
        "a::b: x",
        "",
        " x",
        "word",
    ] {
        for header in ["<14>", "<14>Nov 22 10:00:00 ", "<14>Nov 22 10:00:00 host "] {
            // A colon alone behind the host is Cisco's, which has a test of its own, and a word
            // that nothing follows is no host but what is said.
            if [": x", ""].contains(&message) && header.ends_with("host ") {
                continue;
            }
            let sent = format!("{header}{message}");
            let entry = decode(sent.as_bytes(), &now());
            assert_eq!((&*entry.message, &*entry.target), (message, ""), "{sent:?}");
        }
    }
}

#[test]
fn without_a_timestamp_only_a_colon_makes_a_tag() {
    assert_eq!(parts("<14>array[0] is wrong").tag, None);
    assert_eq!(parts("<14>array[0]: is wrong").tag, Some("array"));
    assert_eq!(parts("<14>Nov 22 10:00:00 sched[0] m").tag, Some("sched"));
}
