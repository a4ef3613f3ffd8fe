//! The pages name no flag, no key and no command line that does not exist.

use std::collections::BTreeSet;
use std::process::Command;

use fleetlog::config::Settings;
use fleetlog_tests::binaries;

use crate::{parses, read};

const MIGRATION: &str = "docs/migration.md";

/// Every `--flag` of a text.
fn flags_in(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_lowercase() || c == '-';
    let mut flags = BTreeSet::new();
    for (at, _) in text.match_indices("--") {
        let before = text[..at].chars().next_back();
        let name: String = text[at + 2..].chars().take_while(|c| is_part(*c)).collect();
        if name.starts_with(|c: char| c.is_ascii_lowercase())
            && !before.is_some_and(|c| c.is_alphanumeric() || c == '-')
        {
            flags.insert(format!("--{}", name.trim_end_matches('-')));
        }
    }
    flags
}

/// The flags that a command's own help names as options.
fn flags_of(command: &str) -> BTreeSet<String> {
    let output = Command::new(binaries!().fleetlog).args([command, "--help"]).output();
    let help = String::from_utf8(output.expect("the command").stdout).expect("UTF-8");
    let options = help.lines().filter(|line| line.trim_start().starts_with('-'));
    options.flat_map(flags_in).collect()
}

/// The fenced blocks of a language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let opening = format!("```{language}\n");
    let starts = text.split(&opening).skip(1);
    starts.map(|rest| rest.split("```").next().unwrap_or_default().to_owned()).collect()
}

/// The arguments of each `fleetlog` command line in a shell's block.
fn command_lines(block: &str) -> Vec<Vec<String>> {
    let lines = block.replace("\\\n", " ");
    let lines = lines.lines().map(|line| line.split(" #").next().unwrap_or_default());
    let commands = lines.filter_map(|line| line.split_once("fleetlog ").map(|(_, it)| it));
    commands
        .map(|line| line.split_whitespace().map(|word| word.replace('\'', "")).collect())
        .collect()
}

#[test]
fn flags_are_found_in_prose_and_in_help() {
    let text = "`--max-size 5M`, --file=x; a--b, --- and `--follow`";
    let expected = ["--file", "--follow", "--max-size"].map(str::to_owned);
    assert_eq!(flags_in(text), BTreeSet::from(expected));
    assert!(flags_of("listen").contains("--max-total-size"));
    assert!(!flags_of("listen").contains("--tee"));
}

#[test]
fn every_flag_on_the_migration_page_exists() {
    let known: BTreeSet<String> =
        ["listen", "run", "pipe", "logs", "stop"].into_iter().flat_map(flags_of).collect();
    let named = flags_in(&read(MIGRATION));
    assert!(named.len() > 12, "{named:?}");
    let unknown: Vec<_> = named.difference(&known).collect();
    assert!(unknown.is_empty(), "{MIGRATION} names {unknown:?}");
}

#[test]
fn every_setting_on_the_migration_page_is_one_that_a_listener_takes() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("fleetlog.toml");
    let blocks = blocks(&read(MIGRATION), "toml");
    assert!(blocks.len() >= 3, "{}", blocks.len());
    for block in blocks {
        std::fs::write(&file, &block).expect("a file");
        let read = Settings::from_file(&file).map(Settings::into_options);
        assert!(matches!(read, Ok(Ok(_))), "{read:?} in\n{block}");
    }
    std::fs::write(&file, "[[file]]\npath = \"a\"\nmax_seize = \"5M\"\n").expect("a file");
    assert!(Settings::from_file(&file).is_err(), "a mistake would be found");
}

#[test]
fn every_key_on_the_migration_page_exists() {
    let page = read(MIGRATION);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("fleetlog.toml");
    let is_taken = |setting: &str| {
        ["[[file]]", "[[file]]\npath = \"a\"", "[listener]"].into_iter().any(|section| {
            std::fs::write(&file, format!("{section}\n{setting}\n")).expect("a file");
            Settings::from_file(&file).is_ok()
        })
    };
    // In code spans of tables and prose; blocks are looked at as a whole.
    let prose: String = page.split("```").step_by(2).collect();
    let spans = prose.split('`').skip(1).step_by(2);
    let settings: Vec<_> = spans.filter(|span| span.contains(" = ")).collect();
    assert!(settings.len() >= 8, "{settings:?}");
    for setting in settings {
        assert!(is_taken(setting), "`{setting}`");
    }
    assert!(!is_taken("max_seize = \"5M\""), "a mistake would be found");
}

#[test]
fn every_command_line_of_the_pages_is_accepted() {
    for page in [MIGRATION] {
        let lines: Vec<_> =
            blocks(&read(page), "sh").iter().flat_map(|block| command_lines(block)).collect();
        assert!(!lines.is_empty(), "{page}");
        for line in lines {
            // What stands behind `--` is the job's.
            let own: Vec<_> = line.iter().take_while(|word| *word != "--").collect();
            assert_eq!(parses(&own), Ok(()), "{page}: {own:?}");
        }
    }
}
