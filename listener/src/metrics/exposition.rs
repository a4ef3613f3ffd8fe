//! The text of the metrics, in two formats that differ in details.
//!
//! `prometheus-client` writes OpenMetrics 1.0. The older text format of Prometheus, 0.0.4, names a
//! counter's family as its samples, `_total` included, and knows neither units nor an end.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

/// A format of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    OpenMetrics,
    Prometheus,
}

impl Format {
    /// The format for an `Accept` header: the older one, unless the newer one is asked for.
    pub(super) fn accepted(header: &str) -> Self {
        let wants = header.split(',').any(|kind| {
            kind.split(';').next().unwrap_or_default().trim() == "application/openmetrics-text"
        });
        if wants { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// Its `Content-Type`.
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// The metrics that a collector has, as text.
pub(super) fn text(collector: Box<dyn Collector>, format: Format) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("fleetlog");
    registry.register_collector(collector);
    let mut text = String::new();
    encode(&mut text, &registry)?;
    match format {
        Format::OpenMetrics => Ok(text),
        Format::Prometheus => older(&text),
    }
}

fn older(text: &str) -> Result<String, fmt::Error> {
    let counters: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut out = String::with_capacity(text.len() + 1024);
    for line in text.lines() {
        if line == "# EOF" || line.starts_with("# UNIT ") {
            continue;
        }
        let described = ["# HELP ", "# TYPE "].into_iter().find_map(|word| {
            let (name, rest) = line.strip_prefix(word)?.split_once(' ')?;
            counters.contains(name).then_some((word, name, rest))
        });
        match described {
            Some((word, name, rest)) => writeln!(out, "{word}{name}_total {rest}")?,
            None => writeln!(out, "{line}")?,
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newer_format_is_for_those_who_ask_for_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3,*/*";
        assert_eq!(Format::accepted(prometheus), Format::OpenMetrics);
        for other in ["", "*/*", "text/plain", "application/openmetrics-textual"] {
            assert_eq!(Format::accepted(other), Format::Prometheus);
        }
    }

    #[test]
    fn a_counter_has_the_name_of_its_samples_in_the_older_format() {
        let newer = "# HELP a_bytes What.\n# TYPE a_bytes counter\n# UNIT a_bytes bytes\n\
                     a_bytes_total 1\n# HELP b B.\n# TYPE b gauge\nb 2\n# EOF\n";
        let expected = "# HELP a_bytes_total What.\n# TYPE a_bytes_total counter\na_bytes_total 1\n\
                        # HELP b B.\n# TYPE b gauge\nb 2\n";
        assert_eq!(older(newer).unwrap(), expected);
    }
}
