//! What the listener says about itself: events of `tracing` with a mark by which a worker's layer in
//! the same process knows that they are not to be drained.
//!
//! Every event of this crate is made by these macros, and none by `tracing`'s own; the test below
//! holds that.

macro_rules! define {
    ($d:tt $($name:ident)*) => {$(
        macro_rules! $name {
            ($d($d arguments:tt)*) => {
                ::tracing::$name!(name: ::fleetlog_protocol::diagnostics::NAME, $d($d arguments)*)
            };
        }
        pub(crate) use $name;
    )*};
}

define! { $ error info debug trace }

macro_rules! warning {
    ($($arguments:tt)*) => {
        ::tracing::warn!(name: ::fleetlog_protocol::diagnostics::NAME, $($arguments)*)
    };
}
// `warn` itself is the name of an attribute, which a macro of a crate can't be called.
pub(crate) use warning as warn;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    /// Adds what stands in the files of a folder to `found`, line by line, where it makes an event.
    fn find_events(folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).expect("the folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                find_events(&path, found);
                continue;
            }
            let text = fs::read_to_string(&path).expect("a source file");
            let is_event = |line: &&str| {
                ["error", "warn", "info", "debug", "trace", "event"]
                    .iter()
                    .any(|macro_name| line.contains(&format!("tracing::{macro_name}!(")))
            };
            let lines = text.lines().filter(is_event);
            found.extend(lines.map(|line| format!("{}: {}", path.display(), line.trim())));
        }
    }

    #[test]
    fn every_event_of_this_crate_carries_the_mark() {
        let mut found = Vec::new();
        find_events(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        // Of these modules' own lines, and of tests of what `tracing` itself writes.
        found.retain(|line| !line.contains("/tests/") && !line.contains("/diagnostic.rs"));
        assert!(found.is_empty(), "use `crate::diagnostic`: {found:#?}");
        let mut all = Vec::new();
        find_events(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/format"), &mut all);
        assert!(!all.is_empty(), "the search finds nothing at all");
    }
}
