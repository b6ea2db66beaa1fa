//! The core comparison of the corpus.

use serde_json::{Value, json};

use crate::case::Case;
use crate::orca::Answer;

/// What differs in the core, and in what a webhook leaves behind; empty if nothing does.
pub(crate) fn all(case: &Case, answer: &Answer) -> Vec<String> {
    let mut found = core(case, answer);
    for stage in list(&case.observed["execution"]["stages"]) {
        let got = list(&answer.execution["stages"]);
        let got = got.iter().find(|other| other["refId"] == stage["refId"]);
        let (expected, got) = (webhook(&stage), webhook(got.unwrap_or(&Value::Null)));
        if !expected.is_null() && !alike(&expected, &got) {
            found.push(format!("{} webhook: expected {expected}, got {got}", stage["refId"]));
        }
    }
    found
}

/// What is known of a webhook but for the headers, which are the stub's own.
fn webhook(stage: &Value) -> Value {
    let mut webhook = stage["context"]["webhook"].clone();
    if let Some(webhook) = webhook.as_object_mut() {
        webhook.remove("headers");
    }
    webhook
}

/// What differs in the core; empty if nothing does.
fn core(case: &Case, answer: &Answer) -> Vec<String> {
    let expected = &case.observed["execution"];
    let taken = case.observed["submit"]["main"]["http"] == 200;
    if taken != answer.taken {
        return vec![format!("submit: expected taken={taken}, got {}", answer.execution)];
    }
    if !taken {
        return Vec::new();
    }
    let mut found = answer.calls.clone();
    let got = &answer.execution;
    compare(&mut found, "status", &expected["status"], &got["status"]);
    let canceled = expected["canceled"].as_bool().unwrap_or_default();
    compare(&mut found, "canceled", &json!(canceled), &json!(got["canceled"] == true));
    if let Some(parameters) = expected.pointer("/trigger/parameters") {
        compare(&mut found, "parameters", parameters, &got["trigger"]["parameters"]);
    }
    stages(&mut found, expected, got);
    found
}

fn stages(found: &mut Vec<String>, expected: &Value, got: &Value) {
    let (expected, got) = (list(&expected["stages"]), list(&got["stages"]));
    let references = |stages: &[Value]| {
        let mut all: Vec<String> = stages.iter().map(|stage| stage["refId"].to_string()).collect();
        all.sort();
        all
    };
    compare(found, "stages", &json!(references(&expected)), &json!(references(&got)));
    let mut taken = vec![false; got.len()];
    for stage in &expected {
        let same = |(at, other): &(usize, &Value)| !taken[*at] && other["refId"] == stage["refId"];
        let Some((at, other)) = got.iter().enumerate().find(same) else { continue };
        taken[at] = true;
        compare_stage(found, stage, other, &got);
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
    compare(
        found,
        &at("tasks"),
        &json!(named(&expected["tasks"])),
        &json!(statuses(&got["tasks"])),
    );
    let outputs = |stage: &Value| stage.get("outputs").cloned().unwrap_or_else(|| json!({}));
    let (expected_outputs, got_outputs) = (outputs(expected), outputs(got));
    if !alike(&expected_outputs, &got_outputs) {
        found.push(format!("{}: expected {expected_outputs}, got {got_outputs}", at("outputs")));
    }
}

/// The statuses in `name:STATUS`.
fn named(tasks: &Value) -> Vec<String> {
    let texts = list(tasks);
    let texts = texts.iter().filter_map(Value::as_str);
    texts.map(|task| task.rsplit(':').next().unwrap_or_default().to_owned()).collect()
}

fn statuses(tasks: &Value) -> Vec<String> {
    let tasks = list(tasks);
    tasks.iter().map(|task| task["status"].as_str().unwrap_or_default().to_owned()).collect()
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
    const SCRUBBED: [&str; 7] = ["<EXEC", "<CHILD", "<stage:", "<ULID>", "<TS>", "<MS>", "<HASH>"];
    SCRUBBED.iter().any(|mark| text.contains(mark))
}

fn compare(found: &mut Vec<String>, what: &str, expected: &Value, got: &Value) {
    if !alike(expected, got) {
        found.push(format!("{what}: expected {expected}, got {got}"));
    }
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}
