//! Any text, as an expression, as a condition, and as variables: each comes to an end, within its
//! limits, and without a panic. libFuzzer itself watches time and memory.

#![no_main]

use std::collections::BTreeSet;
use std::sync::LazyLock;

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use scheduler_expression::{Context, Limits, check_expression, evaluate, stage_root, variables};
use serde_json::{Map, Value, json};

static LIMITS: LazyLock<Limits> = LazyLock::new(Limits::default);

/// An execution with something of each kind in it.
static EXECUTION: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    let execution = json!({
        "id": "01JD0000000000000000000000", "application": "app", "name": "p",
        "status": "RUNNING", "startTime": 1, "authentication": {"user": "u"},
        "trigger": {
            "type": "manual", "user": "u", "parameters": {"a": "1", "b": true, "c": [1, 2]},
            "buildInfo": {"number": 3, "artifacts": [{"fileName": "a_1.2.deb"}]},
            "artifacts": [{"type": "docker/image", "name": "n", "version": "v", "reference": "n:v"}],
        },
        "stages": [
            {"id": "s1", "refId": "1", "type": "bake", "name": "one", "status": "SUCCEEDED",
             "context": {"n": 1.5, "list": [3, 1, 2], "map": {"k": "v", "null": null}},
             "outputs": {"ami": "i-1", "text": "some text"}, "requisiteStageRefIds": []},
            {"id": "s2", "refId": "2", "type": "deploy", "name": "two", "status": "RUNNING",
             "context": {"deploy.server.groups": {"eu": ["app-v001"]}}, "outputs": {},
             "requisiteStageRefIds": ["1"]},
        ],
    });
    execution.as_object().cloned().unwrap_or_default()
});

static ROOT: LazyLock<Map<String, Value>> = LazyLock::new(|| stage_root(&EXECUTION, Some("2")));

fuzz_target!(|text: &str| {
    let context = Context::new(&ROOT, Some(&EXECUTION), Some("2"), Timestamp::UNIX_EPOCH, &LIMITS);
    let whole = format!("${{{text}}}");
    let keep = BTreeSet::new();
    // As it is, and in the brackets that a mutation would have to find by itself.
    let found = evaluate(&json!({"a": text, "b": [whole], text: 1}), &context, &keep);
    // What came of it can be told to somebody.
    let _told = (found.value.to_string(), found.summary.to_json().to_string());
    let _enabled = check_expression(text, &context);
    let _made = variables(&[json!({"key": "k", "value": whole, "description": text})], &context);
});
