//! Results on stdout: JSON and YAML as the server sent them, or a table for people.

use std::io::{ErrorKind, Write};

use anyhow::{Context, Result};
use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use jiff::Timestamp;
use serde_json::Value;

use crate::document::NOT_WRITTEN;

/// How a result is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// All of it, as JSON.
    Json,
    /// All of it, as YAML.
    Yaml,
    /// What people look for.
    Table,
}

/// Rows under their titles.
pub(crate) struct Rows {
    pub(crate) titles: &'static [&'static str],
    pub(crate) rows: Vec<Vec<String>>,
}

impl Format {
    /// Writes a result.
    ///
    /// # Errors
    /// If stdout cannot be written to.
    pub(crate) fn print(self, value: &Value, rows: impl FnOnce() -> Rows) -> Result<()> {
        let text = match self {
            Self::Table => rows().text(),
            Self::Json | Self::Yaml => self.document(value)?,
        };
        write(text.as_bytes())
    }

    /// Writes a result that people see as several tables, with an empty line between them.
    ///
    /// # Errors
    /// If stdout cannot be written to.
    pub(crate) fn print_tables(
        self,
        value: &Value,
        tables: impl FnOnce() -> Vec<Rows>,
    ) -> Result<()> {
        let text = match self {
            Self::Table => tables().iter().map(Rows::text).collect::<Vec<_>>().join("\n"),
            Self::Json | Self::Yaml => self.document(value)?,
        };
        write(text.as_bytes())
    }

    /// Writes the result of a change: nothing in a table, its line on stderr is enough.
    ///
    /// # Errors
    /// If stdout cannot be written to.
    pub(crate) fn print_change(self, value: &Value) -> Result<()> {
        match self {
            Self::Table => Ok(()),
            Self::Json | Self::Yaml => write(self.document(value)?.as_bytes()),
        }
    }

    fn document(self, value: &Value) -> Result<String> {
        Ok(match self {
            Self::Yaml => serde_saphyr::to_string(value)?,
            Self::Json | Self::Table => serde_json::to_string_pretty(value)? + "\n",
        })
    }
}

impl Rows {
    fn text(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        // A pipe has no width, and a line per row is what `grep` looks at.
        table.set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(self.titles);
        table.add_rows(self.rows.iter().map(|row| row.iter().map(|cell| plain(cell))));
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        table.trim_fmt() + "\n"
    }
}

/// Writes to stdout; whoever closed it wants no more.
///
/// # Errors
/// If it cannot be written to.
pub(crate) fn write(bytes: &[u8]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context(NOT_WRITTEN),
    }
}

/// Text that may come from anybody, so that it cannot steer a terminal.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A field as text; empty if it is not there.
pub(crate) fn text(value: &Value, key: &str) -> String {
    match &value[key] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            other.to_string()
        }
    }
}

/// A time in milliseconds, for people; empty if it is none.
pub(crate) fn time(value: &Value) -> String {
    // Gate writes times of documents as text.
    let millis = value.as_i64().or_else(|| value.as_str()?.parse().ok());
    let time = millis.and_then(|at| Timestamp::from_millisecond(at).ok());
    time.map(|at| format!("{at:.0}")).unwrap_or_default()
}

/// How long something took, if it has ended.
pub(crate) fn took(value: &Value) -> String {
    let times = value["startTime"].as_i64().zip(value["endTime"].as_i64());
    times.map(|(start, end)| format!("{:.1} s", (end - start) as f64 / 1e3)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_has_its_columns_in_line_and_steers_no_terminal() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let rows = vec![row(["a", "long name"]), row(["\u{1b}[31mb\n", "c"])];
        let text = Rows { titles: &["ID", "NAME"], rows }.text();
        assert_eq!(text, "ID       NAME\na        long name\n [31mb   c\n");
    }

    #[test]
    fn times_are_for_people() {
        assert_eq!(time(&json!(1_700_000_000_123_i64)), "2023-11-14T22:13:20Z");
        assert_eq!(time(&json!("1700000000123")), "2023-11-14T22:13:20Z");
        assert_eq!(took(&json!({"startTime": 1_000, "endTime": 3_500})), "2.5 s");
        assert_eq!((time(&Value::Null), took(&json!({}))), (String::new(), String::new()));
    }
}
