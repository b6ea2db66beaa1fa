//! What is told of a violation: enough to look into it, and to have it happen again.

use std::fmt::Write as _;

use anyhow::Result;
use serde_json::Value;

use super::check::Violation;
use super::history::Known;
use super::ledger::Line;
use super::site::{Site, lock};

/// Everything that is known of the execution that a violation concerns.
pub(super) fn story(
    site: &Site,
    violation: &Violation,
    known: Option<&Known>,
    execution: Option<&Value>,
    lines: &[Line],
) -> Result<String> {
    let mut text = format!("{}\n", violation.what);
    let id = known.and_then(|known| known.id.as_deref());
    let id = id.or(lines.first().map(|line| line.execution.as_str()));
    if let Some(number) = violation.number {
        writeln!(text, "execution {} (number {number})", id.unwrap_or("of no id"))?;
    }
    if let Some(known) = known {
        writeln!(text, "\nWhat people asked and saw:")?;
        for asked in &known.story {
            writeln!(text, "  {}", serde_json::to_string(asked)?)?;
        }
    }
    writeln!(text, "\nWhat the target saw:")?;
    for line in lines {
        let Line { at, what, key, epoch, worker, stage, run, .. } = line;
        writeln!(text, "  {at} {what:?} {key} epoch {epoch}, {worker}, stage {stage}, run {run}")?;
    }
    if let Some(id) = id {
        writeln!(text, "\nWhat the journal holds:\n{}", history(site, id)?)?;
    }
    if let Some(execution) = execution {
        writeln!(text, "\nWhat the API tells:\n{execution:#}")?;
    }
    Ok(text)
}

fn history(site: &Site, id: &str) -> Result<String> {
    let id = id.replace('\'', "''");
    lock(&site.store).sql(
        "postgres",
        &format!(
            "SELECT number, at, coalesce(stage, '-'), kind, message FROM history \
             WHERE execution = '{id}' ORDER BY number"
        ),
    )
}
