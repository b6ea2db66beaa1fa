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
        let (expression, timestamp) = (with_execution(&expression), at.as_millisecond());
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

/// Functions that Spinnaker hands the execution as a first argument, which its summaries show.
const OF_EXECUTION: [&str; 17] = [
    "canaryConfigNameToId",
    "cfServiceKey",
    "currentStage",
    "currentUser",
    "deployedServerGroups",
    "judgement",
    "judgment",
    "manifestLabelValue",
    "pipelineId",
    "pipelineIdInApplication",
    "pipelineIdOrNull",
    "resolvedArtifacts",
    "stage",
    "stageByRefId",
    "stageExists",
    "triggerResolvedArtifact",
    "triggerResolvedArtifactByType",
];

/// An expression as Spinnaker's summaries name it.
fn with_execution(expression: &str) -> String {
    let (mut shown, mut rest) = (String::new(), expression);
    while let Some((before, after)) = rest.split_once('#') {
        shown.push_str(before);
        shown.push('#');
        let end = after.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(after.len());
        let (name, behind) = after.split_at(end);
        shown.push_str(name);
        rest = match behind.strip_prefix('(') {
            Some(arguments) if OF_EXECUTION.contains(&name) => {
                let is_empty = arguments.starts_with(')');
                shown.push_str(if is_empty { "( #root.execution" } else { "( #root.execution, " });
                arguments
            }
            Some(_) | None => behind,
        };
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_names_the_execution_that_functions_are_handed() {
        let shown = with_execution("#stage('a').x == #toInt('1')");
        assert_eq!(shown, "#stage( #root.execution, 'a').x == #toInt('1')");
        assert_eq!(with_execution("#currentStage().name"), "#currentStage( #root.execution).name");
        assert_eq!(with_execution("a # b"), "a # b");
    }
}
