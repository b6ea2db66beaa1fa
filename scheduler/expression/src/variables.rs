//! `evaluateVariables`: variables of a stage, one after another where the document asks for v4.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::stage::object;
use crate::summary::Summary;
use crate::{Context, evaluate};

/// Evaluates variables one after another (v4): each sees the values of those before it; only a
/// variable's own text is evaluated, not texts inside a list or a map (reference §4.9).
pub fn variables(list: &[Value], context: &Context<'_>) -> (Vec<Value>, Summary) {
    let (mut root, mut summary, mut made) = (context.root.clone(), Summary::default(), Vec::new());
    for variable in list {
        let (variable, found) = one(variable, &Context { root: &root, ..*context });
        if found.failed == 0
            && let Some(key) = variable.get("key").and_then(Value::as_str)
        {
            root.insert(key.to_owned(), variable["value"].clone());
        }
        summary.merge(found);
        made.push(variable);
    }
    (made, summary)
}

fn one(variable: &Value, context: &Context<'_>) -> (Value, Summary) {
    let none = BTreeSet::new();
    let source = variable.get("value").cloned().unwrap_or_default();
    let (value, mut summary) = match &source {
        Value::String(_) => {
            let found = evaluate(&source, context, &none);
            (found.value, found.summary)
        }
        _ => (source.clone(), Summary::default()),
    };
    // A description may name the variables before it.
    let description = variable.get("description").cloned().unwrap_or_default();
    let described = evaluate(&description, context, &none);
    summary.merge(described.summary);
    let source = match source {
        Value::String(text) => json!(text.replace("${", "{")),
        other => other,
    };
    let key = variable.get("key").cloned().unwrap_or_default();
    let made = json!({
        "key": key, "value": value, "sourceValue": source, "description": described.value,
    });
    (made, summary)
}

/// The outputs of a stage that evaluates variables: those that have a key and a value.
pub fn variable_outputs(list: &[Value]) -> Map<String, Value> {
    let named = list.iter().filter_map(|variable| {
        let key = variable.get("key")?.as_str().filter(|key| !key.is_empty())?;
        let value = variable.get("value").filter(|value| !value.is_null())?;
        Some((key.to_owned(), value.clone()))
    });
    object(Value::Object(named.collect()))
}
