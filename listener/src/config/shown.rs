//! Values as somebody would write them in a configuration.

use std::time::Duration;

use crate::options::{Compression, Period, Sync};

/// The word of `--sync`.
pub(crate) fn sync(sync: Sync) -> String {
    match sync {
        Sync::Never => "never".to_owned(),
        Sync::Always => "always".to_owned(),
        Sync::Every(period) => span(period),
    }
}

/// The word of `--rotation`.
pub(crate) const fn period(period: Period) -> &'static str {
    match period {
        Period::Minutely => "minutely",
        Period::Hourly => "hourly",
        Period::Daily => "daily",
        Period::Weekly => "weekly",
    }
}

/// The word of `--compress`.
pub(crate) const fn compression(compression: Compression) -> &'static str {
    match compression {
        Compression::None => "none",
        Compression::Gzip => "gzip",
        Compression::Zstd => "zstd",
    }
}

fn span(period: Duration) -> String {
    if period.subsec_nanos() == 0 {
        format!("{}s", period.as_secs())
    } else {
        format!("{}ms", period.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn what_is_shown_can_be_given() {
        for value in [Sync::Never, Sync::Always, Sync::Every(Duration::from_millis(1500))] {
            assert_eq!(config::sync(&sync(value)).unwrap(), value);
        }
        for value in [Period::Minutely, Period::Hourly, Period::Daily, Period::Weekly] {
            assert_eq!(config::rotation(period(value)).unwrap(), Some(value));
        }
    }
}
