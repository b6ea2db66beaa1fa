//! Large pipelines, and limits on how many executions run, through the API of a `capstan dev`.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test fails where it stands, waits by the machine's own clock, and prints what it measured"
)]

#[path = "capstan/dev.rs"]
#[expect(dead_code, reason = "the tests of `dev` use all of it")]
mod dev;
#[path = "capstan/ended.rs"]
#[expect(dead_code, reason = "the tests of `dev` use all of it")]
mod ended;
#[path = "capstan/http.rs"]
mod http;
#[path = "capstan/process.rs"]
mod process;

use std::time::Instant;

use dev::Dev;
use process::wait_for;
use serde_json::{Value, json};

/// Stages that the scheduler carries out by itself.
fn stages(count: usize, before: impl Fn(usize) -> Vec<usize>) -> Value {
    let stage = |at: usize| {
        let before: Vec<String> = before(at).iter().map(ToString::to_string).collect();
        json!({
            "refId": at.to_string(), "type": "evaluateVariables", "name": "Set",
            "requisiteStageRefIds": before, "variables": [{ "key": "a", "value": "b" }],
        })
    };
    Value::Array((0..count).map(stage).collect())
}

fn start(dev: &Dev, application: &str, stages: &Value) -> (u16, Value) {
    let document = json!({ "application": application, "name": "large", "stages": stages });
    dev.send("POST", "/pipelines/start", &document).unwrap()
}

fn started(dev: &Dev, application: &str, stages: &Value) -> String {
    let (status, answer) = start(dev, application, stages);
    assert_eq!(status, 202, "{answer}");
    answer["ref"].as_str().unwrap().trim_start_matches("/pipelines/").to_owned()
}

fn ended(dev: &Dev, id: &str) -> Value {
    wait_for("its end", || {
        let found = dev.get(&format!("/pipelines/{id}"));
        (!found["endTime"].is_null()).then_some(found)
    })
}

fn assert_all_succeed(dev: &Dev, what: &str, stages: &Value) {
    let began = Instant::now();
    let found = ended(dev, &started(dev, "load", stages));
    println!("{what}: {:?}", began.elapsed());
    assert_eq!(found["status"], "SUCCEEDED", "{what}");
    let all = found["stages"].as_array().unwrap();
    assert_eq!(all.len(), stages.as_array().unwrap().len());
    assert!(all.iter().all(|stage| stage["status"] == "SUCCEEDED"), "{what}");
}

#[test]
fn a_dense_pipeline_runs_as_large_as_any_may_be() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    // Ten edges a stage: what the first have less, the last have more.
    let dense =
        stages(2_000, |at| (at.saturating_sub(if at < 1_945 { 10 } else { 11 })..at).collect());
    assert_all_succeed(&dev, "2,000 stages, 20,000 edges", &dense);
    let (status, answer) = start(&dev, "load", &stages(2_001, |_| Vec::new()));
    assert_eq!(status, 400, "{answer}");
    assert!(answer.to_string().contains("the limit is 2000 (stages_max)"), "{answer}");
}

#[test]
fn pipelines_of_ten_thousand_stages_run_where_they_may() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start_with(folder.path(), |command| {
        command.args(["--stages-max", "10000"]);
    });
    assert_all_succeed(
        &dev,
        "a chain",
        &stages(10_000, |at| at.checked_sub(1).into_iter().collect()),
    );
    let fan = stages(10_000, |at| match at {
        0 => Vec::new(),
        9_999 => (1..at).collect(),
        _ => vec![0],
    });
    assert_all_succeed(&dev, "a fan", &fan);
}

fn judged() -> Value {
    json!([{ "refId": "ask", "type": "manualJudgment", "name": "Ask" }])
}

/// What an execution waits for, by kind.
fn waits(dev: &Dev, id: &str) -> Vec<String> {
    let found = dev.get(&format!("/pipelines/{id}"));
    let waits = found["waitingFor"].as_array().cloned().unwrap_or_default();
    waits.iter().map(|wait| wait["kind"].as_str().unwrap().to_owned()).collect()
}

fn until_waiting(dev: &Dev, id: &str, kinds: &[&str]) {
    wait_for(&format!("{kinds:?}"), || (waits(dev, id) == kinds).then_some(()));
}

#[test]
fn executions_wait_for_room_of_their_application_and_of_all_and_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start_with(folder.path(), |command| {
        command.args(["--executions-running-max", "2"]);
        command.args(["--executions-running-per-application-max", "1"]);
    });
    let cancel = |id: &str| {
        let path = format!("/pipelines/{id}/cancel");
        assert_eq!(dev.send("PUT", &path, &Value::Null).unwrap().0, 200);
    };
    let first = started(&dev, "shop", &judged());
    until_waiting(&dev, &first, &["judgment"]);
    let second = started(&dev, "Shop", &judged());
    until_waiting(&dev, &second, &["applicationSlot"]);
    let found = dev.get(&format!("/pipelines/{second}"));
    let wait = &found["waitingFor"][0];
    assert_eq!(found["status"], "NOT_STARTED");
    assert!(wait["since"].is_string(), "{wait}");
    assert!(wait["unblock"].as_str().unwrap().contains("of which there may be 1"), "{wait}");
    // One application that is full keeps no other waiting.
    let other = started(&dev, "bank", &judged());
    until_waiting(&dev, &other, &["judgment"]);
    let third = started(&dev, "garden", &judged());
    until_waiting(&dev, &third, &["globalSlot"]);
    // First in, first out, of those that may begin.
    cancel(&other);
    until_waiting(&dev, &third, &["judgment"]);
    until_waiting(&dev, &second, &["applicationSlot", "globalSlot"]);
    cancel(&first);
    until_waiting(&dev, &second, &["judgment"]);
    // One that was cancelled while it waited takes nobody's place.
    let never = started(&dev, "shop", &judged());
    until_waiting(&dev, &never, &["applicationSlot", "globalSlot"]);
    cancel(&never);
    assert_eq!(ended(&dev, &never)["status"], "CANCELED");
}

#[test]
fn what_a_stage_starts_does_not_wait_for_the_room_that_its_parent_has() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start_with(folder.path(), |command| {
        command.args(["--executions-running-max", "1"]);
    });
    let child =
        json!({ "application": "shop", "name": "child", "stages": stages(1, |_| Vec::new()) });
    assert_eq!(dev.send("POST", "/pipelines", &child).unwrap().0, 200);
    let saved = dev.get("/applications/shop/pipelineConfigs/child");
    let parent = json!([{
        "refId": "1", "type": "pipeline", "name": "child", "application": "shop",
        "pipeline": saved["id"], "waitForCompletion": true,
    }]);
    let id = started(&dev, "shop", &parent);
    assert_eq!(ended(&dev, &id)["status"], "SUCCEEDED");
    // Begun again, both have room, too: the parent first, and its child beside it.
    let path = format!("/pipelines/{id}/stages/1/restart");
    assert_eq!(dev.send("PUT", &path, &Value::Null).unwrap().0, 200);
    assert_eq!(ended(&dev, &id)["status"], "SUCCEEDED");
}

#[test]
fn whoever_only_says_that_a_stage_started_it_waits_for_room() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start_with(folder.path(), |command| {
        command.args(["--executions-running-max", "1"]);
    });
    let first = started(&dev, "shop", &judged());
    until_waiting(&dev, &first, &["judgment"]);
    let claims = json!({
        "application": "shop", "name": "claims", "stages": judged(),
        "trigger": { "type": "pipeline", "parentExecution": { "id": "01JD0000000000000000000000" } },
    });
    let (status, answer) = dev.send("POST", "/pipelines/start", &claims).unwrap();
    assert_eq!(status, 202, "{answer}");
    let id = answer["ref"].as_str().unwrap().trim_start_matches("/pipelines/").to_owned();
    until_waiting(&dev, &id, &["globalSlot"]);
}
