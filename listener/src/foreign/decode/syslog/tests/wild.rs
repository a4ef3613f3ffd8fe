//! What programs and devices send, each line as it arrives.

use super::*;

/// What of an entry these tests compare.
#[derive(Debug, PartialEq)]
struct Seen<'a> {
    level: Level,
    host: Option<&'a str>,
    target: &'a str,
    pid: Option<u32>,
    time: Option<Claim>,
    message: &'a str,
}

#[track_caller]
fn check(message: &str, expected: &Seen<'_>) {
    let entry = decode(message.as_bytes(), &now());
    let seen = Seen {
        level: entry.level,
        host: entry.host.as_deref(),
        target: &entry.target,
        pid: entry.pid,
        time: entry.time,
        message: &entry.message,
    };
    assert_eq!(&seen, expected, "{message:?}");
}

/// A message at ten o'clock of that day.
fn seen<'a>(target: &'a str, message: &'a str) -> Seen<'a> {
    let time = claim("2024-11-22T10:00:00Z");
    Seen { level: Level::Info, host: None, target, pid: None, time, message }
}

#[test]
fn syslog_3_of_glibc_has_no_host() {
    let expected = Seen { pid: Some(812), ..seen("sshd", "Server listening on :: port 22.") };
    check("<38>Nov 22 10:00:00 sshd[812]: Server listening on :: port 22.", &expected);
    check("<38>Nov 22 10:00:00 sshd[812]: Server listening on :: port 22.\0", &expected);
    check("<14>Nov 22 10:00:00 tool: done", &seen("tool", "done"));
    // Who gave no name and whose process has none.
    check("<14>Nov 22 10:00:00 : done", &seen("", ": done"));
}

#[test]
fn logger_1_speaks_both() {
    check("<13>Nov 22 10:00:00 root: hello world", &seen("root", "hello world"));
    check(
        "<13>Nov 22 10:00:00 web1 root[77]: hello",
        &Seen { host: Some("web1"), pid: Some(77), ..seen("root", "hello") },
    );
    check(
        "<13>1 2024-11-22T11:00:00.846095+01:00 web1 root - - \
         [timeQuality tzKnown=\"1\" isSynced=\"1\" syncAccuracy=\"4500\"] hello",
        &Seen {
            host: Some("web1"),
            time: claim_within("2024-11-22T10:00:00.846095Z", 1_000),
            ..seen("root", "hello")
        },
    );
}

#[test]
fn busybox_sends_as_glibc_does() {
    check(
        "<78>Nov 22 10:00:00 crond[9]: USER root pid 12 cmd true",
        &Seen { pid: Some(9), ..seen("crond", "USER root pid 12 cmd true") },
    );
}

#[test]
fn nginx_has_a_host_and_no_pid() {
    let line = "192.0.2.1 - - [22/Nov/2024:10:00:00 +0000] \"GET / HTTP/1.1\" 200 612 \"-\"";
    check(
        &format!("<190>Nov 22 10:00:00 hostname nginx: {line}"),
        &Seen { host: Some("hostname"), ..seen("nginx", line) },
    );
    check(&format!("<190>Nov 22 10:00:00 nginx: {line}"), &seen("nginx", line));
}

#[test]
fn haproxy_has_a_pid_and_no_host() {
    let line = "127.0.0.1:33320 [22/Nov/2024:10:00:00.101] front back/s1 0/0/0/1/1 200 145";
    check(
        &format!("<134>Nov 22 10:00:00 haproxy[123]: {line}\n"),
        &Seen { pid: Some(123), ..seen("haproxy", line) },
    );
}

#[test]
fn python_has_no_header_at_all() {
    let bare = |target, message| Seen { time: None, ..seen(target, message) };
    check("<14>message\0", &bare("", "message"));
    check("<14>two words\0", &bare("", "two words"));
    check("<11>app: it failed\0", &Seen { level: Level::Error, ..bare("app", "it failed") });
    check("<15>app[9]: x", &Seen { level: Level::Debug, pid: Some(9), ..bare("app", "x") });
    check("<14>{\"event\": \"x\"}\0", &bare("", "{\"event\": \"x\"}"));
    check("<14>\0", &bare("", ""));
    // An RFC 3164 formatter of its users puts a byte order mark; it is text.
    check("<14>\u{feff}message\0", &bare("", "\u{feff}message"));
}

#[test]
fn rsyslog_forwards_with_its_own_timestamp() {
    check(
        "<86>2024-11-22T11:00:00.123456+01:00 web1 sudo:  alice : TTY=pts/0 ; COMMAND=/bin/ls",
        &Seen {
            host: Some("web1"),
            time: claim_within("2024-11-22T10:00:00.123456Z", 1_000),
            ..seen("sudo", " alice : TTY=pts/0 ; COMMAND=/bin/ls")
        },
    );
}

#[test]
fn go_and_others_send_an_iso_time_in_the_old_place() {
    let host = Seen { host: Some("web1"), pid: Some(5), ..seen("app", "m") };
    check("<14>2024-11-22T10:00:00Z web1 app[5]: m", &host);
    check("<14>2024-11-22T11:00:00+0100 web1 app[5]: m", &host);
    // Without an offset it is the time of here.
    check("<14>2024-11-22T10:00:00 web1 app[5]: m", &host);
    check(
        "<14>2024-11-22T10:00:00.123456789Z web1 app[5]: m",
        &Seen { time: claim_within("2024-11-22T10:00:00.123456789Z", 1), ..host },
    );
    // A second that only some clocks show is a time, but no moment.
    let entry = decode(b"<14>2016-12-31T23:59:60Z web1 app: m", &now());
    assert_eq!((entry.time, &*entry.target), (None, "app"));
    assert_eq!(fields(&entry), ["timestamp=\"2016-12-31T23:59:60Z\""]);
}

#[test]
fn a_host_may_be_an_address_of_either_kind() {
    for host in ["10.0.0.99", "2001:db8::1", "::1", "fe80::1%eth0", "s_net@relay/web-1"] {
        let message = format!("<14>Nov 22 10:00:00 {host} app: m");
        check(&message, &Seen { host: Some(host), ..seen("app", "m") });
    }
}

#[test]
fn ciscos_devices_have_colons_of_their_own() {
    let built = "Built outbound TCP connection 1 for outside:192.0.2.1/80";
    let expected = seen("%ASA-6-302013", built);
    check(&format!("<166>Nov 22 2024 10:00:00: %ASA-6-302013: {built}"), &expected);
    let expected = Seen { host: Some("fw1"), ..expected };
    check(&format!("<166>Nov 22 2024 10:00:00 fw1 : %ASA-6-302013: {built}"), &expected);
    let expected = Seen { host: None, time: None, ..expected };
    check(&format!("<166>%ASA-6-302013: {built}"), &expected);
    // A router's counter stands before its time: nothing of it is taken for something else.
    let line = "29: *Nov 22 10:00:00.123: %SYS-5-CONFIG_I: Configured from console";
    check(&format!("<189>{line}"), &Seen { time: None, ..seen("", line) });
    check(
        "<187>Nov 22 10:00:00.123: %LINK-3-UPDOWN: Interface Gi0/1 is down",
        &Seen {
            level: Level::Error,
            time: claim_within("2024-11-22T10:00:00.123Z", 1_000_000),
            ..seen("%LINK-3-UPDOWN", "Interface Gi0/1 is down")
        },
    );
}

#[test]
fn a_process_in_brackets_may_have_a_name() {
    let entry = decode(b"<14>Nov 22 10:00:00 app[main]: m", &now());
    assert_eq!((&*entry.target, entry.pid), ("app", None));
    assert_eq!(fields(&entry), ["procid=\"main\""]);
}

#[test]
fn a_message_of_json_behind_a_tag_is_left_alone() {
    check("<14>Nov 22 10:00:00 app: @cee: {\"a\":1}", &seen("app", "@cee: {\"a\":1}"));
}
