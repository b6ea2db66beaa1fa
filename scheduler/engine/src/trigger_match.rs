//! What triggers are told, against what they ask for (reference §1.4).

use fancy_regex::RegexBuilder;
use jsonpath_rust::JsonPath;
use serde_json::Value;
use shared_model::{Artifact, Object};

/// Steps that a pattern may take (D28).
const PATTERN_STEPS_MAX: usize = 100_000;

/// Whether a payload holds what every constraint asks for. A constraint's key is a field or a JSONPath,
/// its value a pattern that is to be found somewhere in the payload's value, or a list of such.
pub fn payload_matches(constraints: &Object, payload: &Value) -> bool {
    constraints.iter().all(|(key, wanted)| {
        let patterns: Vec<&str> = match wanted {
            Value::String(pattern) => vec![pattern],
            Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
        };
        let texts = texts_at(payload, key);
        patterns.iter().any(|pattern| texts.iter().any(|text| is_within(pattern, text)))
    })
}

/// The texts of a payload's value; none for an object, or where the path is none.
fn texts_at(payload: &Value, key: &str) -> Vec<String> {
    let found = match key.starts_with('$') {
        true => payload.query(key).unwrap_or_default(),
        false => payload.get(key).into_iter().collect(),
    };
    let items = found.into_iter().flat_map(|value| match value {
        Value::Array(list) => list.iter().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            vec![value]
        }
    });
    items.filter_map(text).collect()
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn is_within(pattern: &str, text: &str) -> bool {
    let regex = RegexBuilder::new(pattern).backtrack_limit(PATTERN_STEPS_MAX).build();
    regex.is_ok_and(|regex| regex.is_match(text).unwrap_or(false))
}

/// The images that a docker registry tells of: those that were pushed, by tag, else by digest.
pub fn pushed_images(notice: &Value) -> Vec<Artifact> {
    let events = notice["events"].as_array().into_iter().flatten();
    events.filter(|event| event["action"] == "push").filter_map(image).collect()
}

fn image(event: &Value) -> Option<Artifact> {
    let target = &event["target"];
    let (host, repository) = (event["request"]["host"].as_str()?, target["repository"].as_str()?);
    if !target["mediaType"].as_str().is_some_and(|kind| kind.contains("manifest")) {
        return None;
    }
    let name = format!("{host}/{repository}");
    let (version, reference) = match (target["tag"].as_str(), target["digest"].as_str()) {
        (Some(tag), _) => (tag, format!("{name}:{tag}")),
        (None, Some(digest)) => (digest, format!("{name}@{digest}")),
        (None, None) => return None,
    };
    let fields = [("type", "docker/image"), ("name", &name), ("version", version)];
    let fields = fields.into_iter().chain([("reference", reference.as_str())]);
    Some(Artifact(fields.map(|(key, value)| (key.to_owned(), value.into())).collect()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_constraint_must_be_met() {
        let payload = json!({"one": "one", "list": ["a.yml"], "deep": {"ok": true}});
        let matches = |constraints: Value| {
            payload_matches(&constraints.as_object().cloned().unwrap_or_default(), &payload)
        };
        assert!(matches(json!({"one": "o", "list": ".yml", "$.deep.ok": "true"})));
        assert!(!matches(json!({"one": "o", "list": ".json"})));
        assert!(!matches(json!({"deep": "ok"})), "an object never matches");
        assert!(!matches(json!({"$.deep[a]": "ok"})), "a path that is none matches nothing");
    }

    #[test]
    fn a_pull_is_no_push() {
        let event = |action: &str| {
            json!({"action": action, "request": {"host": "h"}, "target": {
                "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
                "repository": "a/b", "tag": "1",
            }})
        };
        let found = pushed_images(&json!({"events": [event("pull"), event("push")]}));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].reference(), "h/a/b:1");
    }
}
