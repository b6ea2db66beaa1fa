//! Metrics as text: Prometheus' own format, and OpenMetrics for those who ask for it.

use prometheus::TextEncoder;

use super::Metrics;

/// The type of Prometheus' text.
pub const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
/// The type of OpenMetrics' text.
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

impl Metrics {
    /// Everything that was recorded, in Prometheus' text format.
    pub fn prometheus(&self) -> String {
        // It fails on names that are none, and ours are.
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }

    /// The same as OpenMetrics: a counter's family has the name without `_total`, and an end is marked.
    pub fn open_metrics(&self) -> String {
        let mut text = String::new();
        for line in self.prometheus().lines() {
            text.push_str(&open_line(line));
            text.push('\n');
        }
        text.push_str("# EOF\n");
        text
    }
}

fn open_line(line: &str) -> String {
    let about = line.strip_prefix("# ").and_then(|rest| {
        let (word, rest) = rest.split_once(' ')?;
        let (name, rest) = rest.split_once(' ')?;
        Some(format!("# {word} {} {rest}", name.strip_suffix("_total").unwrap_or(name)))
    });
    about.unwrap_or_else(|| line.to_owned())
}
