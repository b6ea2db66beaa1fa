//! PURE: pipeline templates, version 2: a template and a configuration make a pipeline (reference §2.7).

mod stages;
mod variables;

use std::collections::BTreeSet;

use jiff::Timestamp;
use scheduler_expression::{Context, Limits, evaluate};
use serde_json::Value;
use shared_model::{Object, Problem};

pub use self::stages::with_injected;
pub use self::variables::{effective, missing};

/// What configurations say that is of no use in the pipeline that they make.
const OF_CONFIG_ONLY: [&str; 8] =
    ["schema", "type", "template", "variables", "exclude", "parameters", "stages", "metadata"];
/// The lists that a pipeline inherits: its field, the same in a configuration, and what tells two
/// entries of it apart.
const LISTS: [(&str, &str, &str); 4] = [
    ("triggers", "triggers", "id"),
    ("parameterConfig", "parameters", "name"),
    ("notifications", "notifications", "id"),
    ("expectedArtifacts", "expectedArtifacts", "id"),
];

/// Whether a document is a configuration of a template of this version.
pub fn is_configuration(document: &Object) -> bool {
    document.get("schema").and_then(Value::as_str) == Some("v2")
        && (document.get("type").and_then(Value::as_str) == Some("templatedPipeline")
            || document.contains_key("template"))
}

/// The pipeline that a configuration makes of its template.
///
/// # Errors
/// Everything that is wrong with it: missing variables, values of another type, stages that cannot be
/// put in.
pub fn expand(template: &Object, config: &Object) -> Result<Object, Vec<Problem>> {
    let declared = list(template, "variables");
    let given = object(config, "variables");
    let mut problems = missing(&declared, &given);
    problems.extend(protected(template, config));
    let values = match effective(&declared, &given, config) {
        Ok(values) => values,
        Err(wrong) => {
            problems.extend(wrong);
            Object::new()
        }
    };
    let pipeline = object(template, "pipeline");
    let stages = match with_injected(&list(&pipeline, "stages"), &list(config, "stages")) {
        Ok(stages) => stages,
        Err(found) => {
            problems.extend(found);
            Vec::new()
        }
    };
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut made = pipeline;
    made.insert("stages".into(), stages.into());
    inherit(&mut made, config);
    let own = config.iter().filter(|(key, _)| !OF_CONFIG_ONLY.contains(&key.as_str()));
    for (key, value) in own.filter(|(key, _)| !is_list(key)) {
        made.insert(key.clone(), value.clone());
    }
    let mut made = filled(made, &values);
    made.insert("templateVariables".into(), values.into());
    Ok(made)
}

/// The stages of a protected template are not a configuration's to replace or to add to.
fn protected(template: &Object, config: &Object) -> Option<Problem> {
    let is_protected = template.get("protect") == Some(&Value::Bool(true));
    (is_protected && !list(config, "stages").is_empty()).then(|| {
        let why = "the template is protected: its stages are neither replaced nor added to";
        let hint = "remove `stages` from the configuration, or make it of another template";
        Problem::error("template-protected", "/stages", why, hint)
    })
}

fn is_list(key: &str) -> bool {
    LISTS.iter().any(|(field, written, _)| [*field, *written].contains(&key))
}

/// Puts the lists together: the template's unless the configuration excludes them, then its own.
fn inherit(made: &mut Object, config: &Object) {
    let excluded = list(config, "exclude");
    for (field, written, key) in LISTS {
        let is_excluded = excluded.iter().any(|name| name == field || name == written);
        let inherited = if is_excluded { Vec::new() } else { list(made, field) };
        let mut all: Vec<Value> = inherited.into_iter().map(|entry| marked(&entry)).collect();
        let mut own = list(config, written);
        if field != written {
            own.extend(list(config, field));
        }
        for entry in own {
            let same = |old: &Value| !entry[key].is_null() && old[key] == entry[key];
            match all.iter().position(same) {
                Some(at) => all[at] = entry,
                None if all.contains(&entry) => {}
                None => all.push(entry),
            }
        }
        if !all.is_empty() || made.contains_key(field) {
            made.insert(field.into(), all.into());
        }
    }
}

/// An entry that says that it is the template's.
fn marked(entry: &Value) -> Value {
    let mut entry = entry.clone();
    if let Some(fields) = entry.as_object_mut() {
        fields.insert("inherited".into(), true.into());
    }
    entry
}

/// Fills variables in. Everything else that is an expression waits until the pipeline runs.
fn filled(made: Object, values: &Object) -> Object {
    let root = Object::from_iter([("templateVariables".to_owned(), values.clone().into())]);
    let limits = Limits::default();
    let context = Context::new(&root, None, None, Timestamp::UNIX_EPOCH, &limits);
    let fill = |(key, value): (String, Value)| {
        let value = within(&value, &context);
        (key, value)
    };
    made.into_iter().map(fill).collect()
}

fn within(value: &Value, context: &Context<'_>) -> Value {
    match value {
        Value::String(text) if text.contains("templateVariables") => {
            evaluate(value, context, &BTreeSet::new()).value
        }
        Value::Array(items) => items.iter().map(|item| within(item, context)).collect(),
        Value::Object(fields) => {
            let fields = fields.iter();
            fields.map(|(key, value)| (key.clone(), within(value, context))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// Everything that is wrong with a template itself.
pub fn check(template: &Object) -> Vec<Problem> {
    let mut problems = Vec::new();
    let text = |key: &str| template.get(key).and_then(Value::as_str).unwrap_or_default();
    let mut wrong = |pointer: &str, why: &str, hint: &str| {
        problems.push(Problem::error("template-invalid", pointer, why, hint));
    };
    if text("schema") != "v2" {
        wrong("/schema", "the template's schema is not `v2`", "set `schema` to \"v2\"");
    }
    let id = text("id");
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ['-', '_', '.'].contains(&c);
    if id.is_empty() || id.len() > 200 || !id.chars().all(is_plain) {
        let why = "the template's id is not 1 to 200 letters, digits, `-`, `_` and `.`";
        wrong("/id", why, "choose another id");
    }
    let name = template.get("metadata").and_then(|metadata| metadata["name"].as_str());
    let may = |c: char| c.is_ascii_alphanumeric() || ['-', '&', ' '].contains(&c);
    if name.is_none_or(|name| name.is_empty() || !name.chars().all(may)) {
        let why =
            "metadata.name is missing, or holds more than letters, digits, `-`, `&` and blanks";
        wrong("/metadata/name", why, "give the template such a name");
    }
    if !template.get("pipeline").is_some_and(Value::is_object) {
        wrong("/pipeline", "the template has no `pipeline`", "add it, as an object with `stages`");
    }
    problems.extend(variables::check(&list(template, "variables")));
    problems
}

fn list(object: &Object, key: &str) -> Vec<Value> {
    object.get(key).and_then(Value::as_array).cloned().unwrap_or_default()
}

fn object(object: &Object, key: &str) -> Object {
    object.get(key).and_then(Value::as_object).cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests;
