//! Conditions: whether a stage runs, whether a precondition holds.

use serde_json::{Map, Value};

use crate::Context;
use crate::eval;
use crate::value::Val;

/// Whether a stage runs, by its `stageEnabled` (reference §2.3, §4.9): an expression that fails or is
/// neither true nor false skips it; none, an empty one, or one of another type lets it run.
pub fn is_enabled(enabled: Option<&Value>, context: &Context<'_>) -> bool {
    let Some(enabled) = enabled.and_then(Value::as_object) else { return true };
    let kind = enabled.get("type").and_then(Value::as_str).unwrap_or_default();
    if !kind.eq_ignore_ascii_case("expression") {
        return true;
    }
    match enabled.get("expression") {
        None | Some(Value::Null) => true,
        Some(Value::Bool(truth)) => *truth,
        Some(Value::String(text)) if text.trim().is_empty() => true,
        Some(Value::String(text)) => condition(text, context) == Some(true),
        Some(Value::Number(_) | Value::Array(_) | Value::Object(_)) => false,
    }
}

/// A condition's value; delimiters around it are allowed. `None` if it has none that is a boolean.
fn condition(text: &str, context: &Context<'_>) -> Option<bool> {
    match value(text, context)? {
        Val::Bool(truth) => Some(truth),
        Val::Text(text) => text.to_ascii_lowercase().parse().ok(),
        _ => None,
    }
}

fn value<'a>(text: &str, context: &Context<'a>) -> Option<Val<'a>> {
    let trimmed = text.trim();
    let inner = trimmed.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    eval::evaluate(inner.unwrap_or(trimmed).trim(), context).ok()
}

/// A precondition's expression: whether it holds, and Orca's `expressionResult` (its text where it
/// could not be evaluated).
pub fn check_expression(text: &str, context: &Context<'_>) -> (bool, String) {
    match value(text, context) {
        None | Some(Val::Null) => (text.trim().eq_ignore_ascii_case("true"), text.to_owned()),
        Some(value) => {
            let shown = value.to_text();
            (shown.eq_ignore_ascii_case("true"), shown)
        }
    }
}

/// A stage's context without what an evaluation must not see as text.
pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    }
}
