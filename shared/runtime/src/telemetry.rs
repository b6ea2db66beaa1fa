//! Logs to stderr, and spans to a collector.
//!
//! Spans are made whole, with the times and ids that they are to have ([`Span`]), and not by
//! `tracing`: an execution outlives processes, so its spans' ids follow from what is stored
//! ([`TraceContext`]), and whoever sees the end of a thing exports its span.

mod context;
mod export;
mod json;
mod settings;
mod span;

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

pub use context::{TraceContext, current, within};
pub use export::{is_exporting, start as start_export};
pub use json::line as json_line;
pub use span::{Running, Span};

/// How logs look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Sends logs at or above `level` (a `tracing` filter, e.g. `info` or `worker=debug`) to stderr.
///
/// # Errors
/// If the filter cannot be read or logs are sent somewhere already.
pub fn start(level: &str, format: Format) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(level)
        .map_err(|error| anyhow::anyhow!("`{level}` is not a log level: {error}"))?;
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // It would say so on the stderr that is gone, and panic.
    let logs = logs.log_internal_errors(false);
    // On a terminal in colour, unless `NO_COLOR` says otherwise.
    let logs = if std::io::stderr().is_terminal() { logs } else { logs.with_ansi(false) };
    let started = match format {
        Format::Text => logs.compact().try_init(),
        Format::Json => logs.json().with_ansi(false).event_format(json::Lines).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("logs cannot be started: {error}"))
}
