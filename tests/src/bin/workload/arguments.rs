//! Arguments of the form `--name value`.

use std::collections::BTreeMap;
use std::str::FromStr;

pub(crate) struct Arguments {
    scenario: String,
    named: BTreeMap<String, String>,
}

impl Arguments {
    pub(crate) fn of_process() -> Self {
        let mut words = std::env::args().skip(1);
        let scenario = words.next().expect("a scenario");
        let mut named = BTreeMap::new();
        while let Some(name) = words.next() {
            let name = name.strip_prefix("--").expect("--name").to_owned();
            named.insert(name, words.next().expect("a value"));
        }
        Self { scenario, named }
    }

    pub(crate) fn scenario(&self) -> String {
        self.scenario.clone()
    }

    /// Takes an argument, or its default.
    pub(crate) fn take<T: FromStr>(&mut self, name: &str, default: T) -> T {
        let Some(value) = self.named.remove(name) else { return default };
        value.parse().ok().unwrap_or_else(|| panic!("--{name} {value} can't be read"))
    }

    pub(crate) fn demand_empty(&self) {
        assert!(self.named.is_empty(), "unknown arguments: {:?}", self.named.keys());
    }
}
