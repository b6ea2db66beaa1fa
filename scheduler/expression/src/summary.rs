//! What was evaluated and failed: Orca's `expressionEvaluationSummary`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Error;

/// How bad it is. Both count as failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// The value was null.
    Info,
    /// It could not be evaluated.
    Error,
}

/// One failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SummaryEntry {
    /// What happened, and where.
    pub description: String,
    /// The exception's class in Spinnaker; `None` for a null.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exception_type: Option<String>,
    /// When, in milliseconds.
    pub timestamp: i64,
    /// How bad it is.
    pub level: Level,
}

/// Failures by expression (without delimiters), and how many texts were looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Failures.
    pub failures: BTreeMap<String, Vec<SummaryEntry>>,
    /// Texts that held expressions.
    pub evaluated: u32,
    /// Of these, how many failed.
    pub failed: u32,
}

impl Summary {
    pub(crate) fn null(&mut self, expression: String, place: &str, at: Timestamp) {
        let description = format!("Failed to evaluate [{place}] {expression} not found");
        self.add(expression, description, None, Level::Info, at);
    }

    pub(crate) fn error(&mut self, expression: String, place: &str, error: &Error, at: Timestamp) {
        let description = format!("Failed to evaluate [{place}] {error}");
        let kind = Some(error.exception_type().to_owned());
        self.add(expression, description, kind, Level::Error, at);
    }

    fn add(
        &mut self,
        expression: String,
        description: String,
        exception_type: Option<String>,
        level: Level,
        at: Timestamp,
    ) {
        let timestamp = at.as_millisecond();
        let entry = SummaryEntry { description, exception_type, timestamp, level };
        self.failures.entry(expression).or_default().push(entry);
    }

    /// The summary as a stage's context shows it, in place of an earlier one: an entry goes when its
    /// expression succeeds later.
    pub fn to_json(&self) -> Value {
        let entries = self.failures.iter().map(|(expression, entries)| {
            (expression.clone(), serde_json::to_value(entries).unwrap_or_default())
        });
        Value::Object(entries.collect::<Map<String, Value>>())
    }

    /// Adds another evaluation's.
    pub fn merge(&mut self, other: Summary) {
        self.failures.extend(other.failures);
        self.evaluated += other.evaluated;
        self.failed += other.failed;
    }
}
