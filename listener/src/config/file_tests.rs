//! Good and bad configuration files.

use std::time::Duration;

use super::*;
use crate::options::Sync;

fn mistakes(text: &str) -> Vec<String> {
    match parse(text) {
        Ok(settings) => panic!("{text:?} was taken: {settings:?}"),
        Err(mistakes) => mistakes.iter().map(ToString::to_string).collect(),
    }
}

/// Asserts that the file has exactly one mistake, at this place and with these words.
fn refused(text: &str, place: &str, words: &[&str]) {
    let said = mistakes(text);
    assert_eq!(said.len(), 1, "{text:?}: {said:?}");
    assert!(said[0].starts_with(&format!("{place}: ")), "{text:?}: {said:?} is not at {place}");
    for word in words {
        assert!(said[0].contains(word), "{text:?}: {said:?} lacks {word:?}");
    }
}

#[test]
fn a_file_with_every_key_is_read() {
    let settings = parse(
        r#"
        [listener]
        run_dir = "/run/fleet"
        socket_mode = "0660"
        allow_uid = ["root", 33]
        allow_gid = 4
        rate_limit_burst = 10_000
        rate_limit_interval = "10s"
        sync = "1s"
        exit_with_last_worker = true
        timezone = "local"
        diagnostics_dir = "/var/log/fleetlog"

        [[file]]
        path = "/var/log/apps.log"

        [[file]]
        path = "-"
        format = "json"
        filter = "warn"
        mode = 0o600
        "#,
    )
    .unwrap();
    assert_eq!(settings.run_dir, Some("/run/fleet".into()));
    assert_eq!(settings.socket_mode, Some(0o660));
    assert_eq!(settings.allow_uid, [Uid::from_raw(0), Uid::from_raw(33)]);
    assert_eq!(settings.allow_gid, [Gid::from_raw(4)]);
    assert_eq!(settings.rate_limit_burst, Some(10_000));
    assert_eq!(settings.rate_limit_interval, Some(Duration::from_secs(10)));
    assert_eq!(settings.sync, Some(Sync::Every(Duration::from_secs(1))));
    assert_eq!(settings.exit_with_last_worker, Some(true));
    assert_eq!(settings.timezone, Some(Timezone::Local));
    assert_eq!(settings.diagnostics_dir, Some("/var/log/fleetlog".into()));
    assert_eq!(settings.files.len(), 2);
    assert_eq!(settings.files[0].target, SinkTarget::File("/var/log/apps.log".into()));
    assert!(settings.files[0].rules.format.is_none());
    assert_eq!(settings.files[1].target, SinkTarget::Stdout);
    assert!(settings.files[1].rules.format.is_some() && settings.files[1].rules.filter.is_some());
    assert_eq!(settings.files[1].rules.file_mode, Some(0o600));
}

#[test]
fn an_empty_file_says_nothing() {
    let settings = parse("# nothing\n").unwrap();
    assert!(settings.run_dir.is_none() && settings.files.is_empty());
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_one() {
    refused("[listener]\nsocket-mode = '0600'", "2:1", &["`socket-mode`", "mean `socket_mode`?"]);
    refused("[listener]\nrundir = '/x'", "2:1", &["in [listener]", "mean `run_dir`?"]);
    refused("[[file]]\npath = '-'\n  fromat = 'json'", "3:3", &["in [[file]]", "`format`?"]);
    refused("[listner]\nsync = '1s'", "1:2", &["`listner`", "mean `listener`?"]);
    refused("[[files]]\npath = '-'", "1:3", &["`files`", "mean `file`?"]);
}

#[test]
fn a_key_that_resembles_none_is_refused_with_all_that_are_known() {
    refused("[listener]\ncolour = 1", "2:1", &["known are run_dir, socket_mode, allow_uid"]);
    refused("[forward]\nto = 'nats'", "1:2", &["known are [listener], [worker] and [[file]]"]);
}

#[test]
fn the_size_of_lanes_is_a_size_within_its_range() {
    for (text, place) in [("64K", "2:12"), ("1G", "2:12"), ("much", "2:12")] {
        refused(&format!("[worker]\nlane_max = '{text}'"), place, &["`lane_max`"]);
    }
    refused("lane_max = '1M'", "1:1", &["it belongs under [worker]"]);
    let settings = parse("[worker]\nlane_max = '4M'").expect("a size");
    assert_eq!(settings.lane_max, Some(4 << 20));
}

#[test]
fn a_key_in_the_wrong_section_is_sent_to_its_own() {
    refused("[listener]\nformat = 'json'", "2:1", &["it belongs under [[file]]"]);
    refused("[[file]]\npath = '-'\nsync = '1s'", "3:1", &["it belongs under [listener]"]);
    refused("run_dir = '/x'", "1:1", &["it belongs under [listener]"]);
}

#[test]
fn a_bad_value_is_refused_with_its_place_and_what_was_expected() {
    refused("[listener]\nrun_dir = 7", "2:11", &["`run_dir`", "a path in quotes, found 7"]);
    refused("[listener]\nrun_dir = ''", "2:11", &["found an empty text"]);
    refused("[listener]\nsync = 'often'", "2:8", &["\"often\"", "never, always"]);
    refused("[listener]\nsync = true", "2:8", &["a text in quotes, found true"]);
    refused("[listener]\ntimezone = 'CET'", "2:12", &["expected utc or local"]);
    refused("[listener]\nexit_with_last_worker = 'yes'", "2:25", &["true or false", "\"yes\""]);
    refused("[listener]\nsocket_mode = '0690'", "2:15", &["not an octal number"]);
    refused("[listener]\nallow_uid = ['nobody-knows-me']", "2:13", &["no such user"]);
    refused("[listener]\nrate_limit_interval = '0s'", "2:23", &["takes some time"]);
    refused("[listener]\nsocket_mode = 600", "2:15", &["not written as octal", "0o640"]);
    refused("[listener]\nsocket_mode = 0x1ff", "2:15", &["not written as octal"]);
    refused("[[file]]\npath = '-'\nmode = 0o440", "3:8", &["locks itself out"]);
    refused("[[file]]\npath = ['a', 'b']", "2:8", &["found a list"]);
    refused("[[file]]\npath = '-'\nformat = {}", "3:10", &["found a table"]);
    refused("[[file]]\npath = '-'\nfilter = 'a=b=c=d'", "3:10", &["`filter`"]);
}

#[test]
fn a_section_of_the_wrong_shape_is_refused() {
    refused("[file]\npath = '-'", "1:2", &["write [[file]], with two brackets"]);
    refused("file = ['a.log']", "1:9", &["write [[file]], with two brackets"]);
    refused("listener = 3", "1:1", &["write [listener]"]);
    refused("[[listener]]\nsync = '1s'", "1:3", &["write [listener]"]);
    refused("[[file]]\nformat = 'json'", "1:1", &["no `path`", "standard output"]);
}

#[test]
fn a_file_that_is_not_toml_is_refused_with_the_place() {
    refused("[listener\n", "1:10", &[]);
    refused("[listener]\nsync = 1s\n", "2:8", &["must be quoted"]);
    refused("[listener]\nsync = '1s'\nsync = '2s'\n", "3:1", &["duplicate key"]);
    refused("[listener]\nsync = \"1s\n", "2:11", &[]);
    refused("[listener]\nrun_dir = \n", "2:11", &[]);
}

#[test]
fn columns_count_characters_and_not_bytes() {
    refused("file = [{ path = 'ärger', mod = '0600' }]", "1:27", &["mean `mode`?"]);
}

#[test]
fn all_mistakes_are_named_at_once_in_the_order_of_the_file() {
    let said = mistakes("[listener]\nsync = 1\nrun_dri = ''\n[[file]]\nmode = 1\n");
    assert_eq!(said.len(), 4, "{said:?}");
    for (said, place) in said.iter().zip(["2:8", "3:1", "4:1", "5:8"]) {
        assert!(said.starts_with(place), "{said} is not at {place}");
    }
}

#[test]
fn a_hostile_key_can_not_drive_the_terminal() {
    let said = mistakes("\"\\u001b[31m\" = 1").join("");
    assert!(!said.contains('\u{1b}') && said.contains("\\u{1b}"), "{said:?}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let said = read(Path::new("/nowhere/fleet.toml")).unwrap_err().to_string();
    assert!(said.contains("/nowhere/fleet.toml can't be read: No such file"), "{said}");
}

#[test]
fn the_path_stands_before_every_mistake() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fleet.toml");
    std::fs::write(&path, "a = 1\nb = 2\n").unwrap();
    let said = read(&path).unwrap_err().to_string();
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with(&format!("{}:1:1: ", path.display())), "{said}");
    assert!(lines[1].starts_with(&format!("{}:2:1: ", path.display())), "{said}");
}
