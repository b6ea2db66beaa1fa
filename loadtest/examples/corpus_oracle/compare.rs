//! The comparisons of the corpus: core, and all that is known of a stage's context.

use serde_json::{Map, Value, json};

use crate::case::Case;
use crate::play::{Answer, class};

/// How closely is looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// What happened.
    Core,
    /// And what is kept of it.
    Full,
}

/// What differs; empty if nothing does.
pub(crate) fn all(case: &Case, answer: &Answer, depth: Depth) -> Vec<String> {
    let mut found = submits(case, answer);
    found.extend(answer.calls.iter().cloned());
    found.extend(answer.missed.iter().map(|what| format!("{what} did not come")));
    for (when, statuses) in &answer.moments {
        compare(&mut found, when, &case.observed[*when], &json!(statuses));
    }
    let none = Map::new();
    let others = case.observed["executions"].as_object().unwrap_or(&none);
    if others.is_empty()
        && let (expected @ Value::Object(_), Some(got)) =
            (&case.observed["execution"], answer.executions.first())
    {
        found.extend(execution(expected, got, depth));
    }
    for (number, (name, expected)) in others.iter().enumerate() {
        let got = answer.executions.get(number).unwrap_or(&Value::Null);
        let differences = execution(expected, got, depth);
        found.extend(differences.into_iter().map(|difference| format!("{name} {difference}")));
    }
    found.extend(answer.child.as_ref().and_then(|got| child(&case.observed["child"], got)));
    found
}

fn submits(case: &Case, answer: &Answer) -> Vec<String> {
    let none = Map::new();
    let expected = case.observed["submit"].as_object().unwrap_or(&none);
    let expected = expected.values().map(|submit| submit["http"].as_u64().unwrap_or_default());
    let pairs = expected.zip(&answer.submits);
    let differ = pairs.filter(|(http, (status, _))| {
        class(u16::try_from(*http).unwrap_or_default()) != class(*status)
    });
    differ
        .map(|(http, (status, body))| {
            format!("submit: expected {http}, got {status}: {}", short(body))
        })
        .collect()
}

fn short(text: &str) -> String {
    text.chars().take(400).collect()
}

fn execution(expected: &Value, got: &Value, depth: Depth) -> Vec<String> {
    let mut found = Vec::new();
    compare(&mut found, "status", &expected["status"], &got["status"]);
    let canceled = expected["canceled"].as_bool().unwrap_or_default();
    compare(&mut found, "canceled", &json!(canceled), &json!(got["canceled"] == true));
    if let Some(parameters) = expected.get("trigger.parameters") {
        compare(&mut found, "parameters", parameters, &got["trigger"]["parameters"]);
    }
    if depth == Depth::Full {
        for key in ["canceledBy", "cancellationReason"] {
            compare(&mut found, key, &expected[key], &got[key]);
        }
    }
    stages(&mut found, expected, got, depth);
    found
}

fn stages(found: &mut Vec<String>, expected: &Value, got: &Value, depth: Depth) {
    let (expected, got) = (list(&expected["stages"]), list(&got["stages"]));
    let references = |stages: &[Value]| {
        let mut all: Vec<String> = stages.iter().map(|stage| stage["refId"].to_string()).collect();
        all.sort();
        all
    };
    compare(found, "stages", &json!(references(expected)), &json!(references(got)));
    let mut taken = vec![false; got.len()];
    for stage in expected {
        let same = |(at, other): &(usize, &Value)| !taken[*at] && other["refId"] == stage["refId"];
        let Some((at, other)) = got.iter().enumerate().find(same) else { continue };
        taken[at] = true;
        compare_stage(found, stage, other, got);
        if depth == Depth::Full {
            compare_kept(found, stage, other);
        }
    }
}

fn compare_stage(found: &mut Vec<String>, expected: &Value, got: &Value, all: &[Value]) {
    let at = |what: &str| format!("{} {what}", expected["refId"]);
    for key in ["type", "name", "status"] {
        compare(found, &at(key), &expected[key], &got[key]);
    }
    let parent = all.iter().find(|stage| stage["id"] == got["parentStageId"]);
    let parent = parent.map_or(Value::Null, |parent| parent["refId"].clone());
    compare(found, &at("parent"), &expected["parent"], &parent);
    compare(found, &at("synthetic"), &expected["synthetic"], &got["syntheticStageOwner"]);
    let started = expected["started"].as_bool().unwrap_or(true);
    compare(found, &at("started"), &json!(started), &json!(got["startTime"].is_number()));
    let (tasks, got_tasks) = (named(&expected["tasks"]), statuses(&got["tasks"]));
    compare(found, &at("tasks"), &json!(tasks), &json!(got_tasks));
    let outputs = |stage: &Value| stage.get("outputs").cloned().unwrap_or_else(|| json!({}));
    compare(found, &at("outputs"), &outputs(expected), &outputs(got));
}

/// Names of tasks, who changed it last, and every key of the context.
fn compare_kept(found: &mut Vec<String>, expected: &Value, got: &Value) {
    let at = |what: &str| format!("{} {what}", expected["refId"]);
    let name = |task: &Value| match task.as_str() {
        Some(text) => text.rsplit_once(':').map_or(text, |(name, _)| name).to_owned(),
        None => task["name"].as_str().unwrap_or_default().to_owned(),
    };
    let names = |tasks: &Value| json!(list(tasks).iter().map(name).collect::<Vec<_>>());
    compare(found, &at("task names"), &names(&expected["tasks"]), &names(&got["tasks"]));
    let user = |stage: &Value| stage["lastModified"]["user"].clone();
    compare(found, &at("lastModified.user"), &user(expected), &user(got));
    let (expected, got) = (&expected["context"], &got["context"]);
    let none = Map::new();
    let keys = |context: &Value| context.as_object().unwrap_or(&none).keys().cloned().collect();
    let (mut all, others): (Vec<String>, Vec<String>) = (keys(expected), keys(got));
    all.extend(others.into_iter().filter(|key| expected.get(key).is_none()));
    for key in all {
        let (one, other) = (told(&key, &expected[&key]), told(&key, &got[&key]));
        compare(found, &at(&format!("context.{key}")), &one, &other);
    }
}

/// A value of a context without the texts that are not compared.
fn told(key: &str, value: &Value) -> Value {
    let mut value = value.clone();
    match key {
        "exception" => {
            if let Some(exception) = value.as_object_mut() {
                exception.remove("timestamp");
                if let Some(details) = exception.get_mut("details").and_then(Value::as_object_mut) {
                    details.remove("errors");
                    details.remove("stackTrace");
                }
            }
        }
        "expressionEvaluationSummary" => {
            let lists = value.as_object_mut().into_iter().flatten();
            let entries = lists.filter_map(|(_, list)| list.as_array_mut()).flatten();
            for entry in entries.filter_map(Value::as_object_mut) {
                entry.retain(|key, _| key == "exceptionType" || key == "level");
            }
        }
        // The stub's own.
        "webhook" => {
            if let Some(webhook) = value.as_object_mut() {
                webhook.remove("headers");
            }
        }
        _ => {}
    }
    value
}

/// The child execution is the one that Orca showed.
fn child(expected: &Value, got: &Value) -> Option<String> {
    let stages = list(&got["stages"])
        .iter()
        .map(|stage| json!([stage["refId"], stage["name"], stage["status"], stage["outputs"]]));
    let mut seen = json!({
        "status": got["status"], "name": got["name"], "application": got["application"],
        "stages": stages.collect::<Vec<_>>(),
        "trigger.parentExecution.name": got["trigger"]["parentExecution"]["name"],
    });
    let mut keys = vec!["type", "user", "parameters", "artifacts", "strategy", "dryRun"];
    keys.extend(["expectedArtifactIds", "resolvedExpectedArtifacts", "rebake", "notifications"]);
    let of = |trigger: &Value| keys.iter().map(|key| trigger[*key].clone()).collect::<Vec<_>>();
    let trigger = of(&got["trigger"]);
    seen["trigger"] = expected["trigger"].clone();
    (seen != *expected || trigger != of(&expected["trigger"]))
        .then(|| format!("the child is {seen} with {}", got["trigger"]))
}

/// The statuses in `name:STATUS`.
fn named(tasks: &Value) -> Vec<&str> {
    let texts = list(tasks).iter().filter_map(Value::as_str);
    texts.map(|task| task.rsplit(':').next().unwrap_or_default()).collect()
}

fn statuses(tasks: &Value) -> Vec<&str> {
    list(tasks).iter().map(|task| task["status"].as_str().unwrap_or_default()).collect()
}

/// Equal, but for what was scrubbed.
fn alike(expected: &Value, got: &Value) -> bool {
    match (expected, got) {
        (Value::String(text), _) if is_scrubbed(text) => true,
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| alike(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(key, value)| other.get(key).is_some_and(|found| alike(value, found)))
        }
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        _ => expected == got,
    }
}

/// Whether a text holds what differs from run to run.
fn is_scrubbed(text: &str) -> bool {
    const SCRUBBED: [&str; 8] =
        ["<EXEC", "<CHILD", "<stage:", "<ULID>", "<TS>", "<MS>", "<HASH>", "<LIST>"];
    SCRUBBED.iter().any(|mark| text.contains(mark))
}

fn compare(found: &mut Vec<String>, what: &str, expected: &Value, got: &Value) {
    if !alike(expected, got) {
        let (expected, got) = (expected.to_string(), got.to_string());
        found.push(format!("{what}: expected {}, got {}", short(&expected), short(&got)));
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_scrubbed_is_anything_and_the_rest_is_not() {
        let expected = json!({"id": "<ULID>", "list": [1, 2.0]});
        assert!(alike(&expected, &json!({"id": "01J", "list": [1.0, 2]})));
        assert!(!alike(&expected, &json!({"id": "01J", "list": [1, 3]})));
        assert!(!alike(&expected, &json!({"id": "01J", "list": [1, 2], "more": 1})));
    }

    #[test]
    fn a_context_differs_only_where_all_is_compared() {
        let stage = |context: Value| {
            json!({"status": "SUCCEEDED", "stages": [{"refId": "1", "id": "i", "startTime": 1, "tasks": [],
                "context": context, "outputs": {}}]})
        };
        let (one, other) = (stage(json!({"a": 1})), stage(json!({"a": 1, "b": 2})));
        assert!(execution(&one, &other, Depth::Core).is_empty());
        assert_eq!(
            execution(&one, &other, Depth::Full),
            ["\"1\" context.b: expected null, got 2".to_owned()]
        );
    }
}
