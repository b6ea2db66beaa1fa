//! Scenarios and handler rules of the corpus that need the scheduler's shell: expressions, windows,
//! children, room. By their ids.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "scenarios/control.rs"]
mod control;
#[path = "scenarios/ids.rs"]
mod ids;
#[path = "scenarios/rules.rs"]
mod rules;
#[path = "scenarios/scene.rs"]
mod scene;
#[path = "scenarios/windows.rs"]
mod windows;

use serde_json::json;

use crate::scene::{Scene, stage, status_of};

#[tokio::test(start_paused = true)]
async fn s10_a_child_is_cancelled_at_once() {
    let scene = Scene::new().await;
    let child = json!([{"refId": "wait", "type": "wait", "name": "wait", "waitTime": 60}]);
    let child = scene.start(json!({"name": "child", "stages": child})).await;
    let parent = scene
        .start(json!({"name": "parent", "stages": [
            {"refId": "1a", "type": "wait", "name": "1a", "waitTime": 2},
            {"refId": "1b", "type": "pipeline", "name": "1b", "requisiteStageRefIds": ["1a"],
             "executionId": child.as_str()},
        ]}))
        .await;
    scene.until(&parent, |found| status_of(found, "1b") == "RUNNING").await;
    scene.scheduler.cancel(&parent, "anonymous", "").await.unwrap();
    let (parent, child) = (scene.ended(&parent).await, scene.ended(&child).await);
    assert_eq!((&child["canceled"], &child["status"]), (&json!(true), &json!("CANCELED")));
    assert_eq!(parent["status"], "CANCELED");
    let waited = stage(&child, "wait");
    let time = |key: &str| waited[key].as_i64().unwrap();
    assert_eq!(waited["status"], "CANCELED");
    assert!(time("endTime") - time("startTime") < 10_000, "{waited:#}");
}

#[tokio::test(start_paused = true)]
async fn s14_expressions_are_evaluated_and_stored() {
    let scene = Scene::new().await;
    let id = scene
        .start(json!({"name": "p", "stages": [
            {"refId": "1", "type": "wait", "name": "1", "waitTime": 0,
             "expr": "${1 == 1}", "key": {"expr": "${1 == 1}"}},
        ]}))
        .await;
    let ended = scene.ended(&id).await;
    assert_eq!(ended["status"], "SUCCEEDED");
    let context = &stage(&ended, "1")["context"];
    assert_eq!((&context["expr"], &context["key"]["expr"]), (&json!(true), &json!(true)));
}

#[tokio::test(start_paused = true)]
async fn s16_a_condition_on_outputs() {
    let scene = Scene::new().await;
    let on = |reference: &str, wanted: &str| {
        let condition = format!("${{foo == {wanted}}}");
        json!({"refId": reference, "type": "wait", "name": reference, "waitTime": 0,
               "requisiteStageRefIds": ["1"],
               "stageEnabled": {"type": "expression", "expression": condition}})
    };
    let id = scene
        .start(json!({"name": "p", "spelEvaluator": "v4", "stages": [
            {"refId": "1", "type": "evaluateVariables", "name": "1",
             "variables": [{"key": "foo", "value": false}]},
            on("2a", "true"), on("2b", "false"),
        ]}))
        .await;
    let ended = scene.ended(&id).await;
    assert_eq!(ended["status"], "SUCCEEDED");
    let statuses = ["1", "2a", "2b"].map(|reference| status_of(&ended, reference));
    assert_eq!(statuses, ["SUCCEEDED", "SKIPPED", "SUCCEEDED"]);
}

#[tokio::test(start_paused = true)]
async fn h17_a_stage_that_comes_too_late_is_skipped() {
    let scene = Scene::new().await;
    let id = scene
        .start(json!({"name": "p", "stages": [
            {"refId": "1", "type": "wait", "name": "1", "startTimeExpiry": 1_000},
            {"refId": "2", "type": "wait", "name": "2", "startTimeExpiry": "99999999999999"},
        ]}))
        .await;
    let ended = scene.ended(&id).await;
    assert_eq!(["1", "2"].map(|reference| status_of(&ended, reference)), ["SKIPPED", "SUCCEEDED"]);
}

#[tokio::test(start_paused = true)]
async fn h05_an_execution_that_comes_too_late_is_cancelled() {
    let scene = Scene::new().await;
    let id = scene.start(json!({"name": "p", "startTimeExpiry": 1_000, "stages": []})).await;
    let ended = scene.ended(&id).await;
    assert_eq!((&ended["status"], &ended["canceledBy"]), (&json!("CANCELED"), &json!("spinnaker")));
}

#[tokio::test(start_paused = true)]
async fn h04_h73_whoever_leaves_the_line_or_ends_lets_the_next_begin() {
    let scene = Scene::new().await;
    let document = json!({
        "name": "p", "id": "limited", "limitConcurrent": true, "keepWaitingPipelines": true,
        "stages": [{"refId": "1", "type": "wait", "name": "1", "waitTime": 100}],
    });
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(scene.start(document.clone()).await);
        scene.pass(1).await;
    }
    let statuses = async || {
        let mut found = Vec::new();
        for id in &ids {
            found.push(scene.execution(id).await["status"].as_str().unwrap().to_owned());
        }
        found
    };
    assert_eq!(statuses().await, ["RUNNING", "NOT_STARTED", "NOT_STARTED", "NOT_STARTED"]);
    scene.scheduler.cancel(&ids[1], "me", "").await.unwrap();
    scene.pass(1).await;
    assert_eq!(statuses().await, ["RUNNING", "CANCELED", "NOT_STARTED", "NOT_STARTED"]);
    scene.scheduler.cancel(&ids[0], "me", "").await.unwrap();
    scene.pass(1).await;
    assert_eq!(statuses().await, ["CANCELED", "CANCELED", "RUNNING", "NOT_STARTED"]);
    scene.ended(&ids[3]).await;
    assert_eq!(statuses().await[2..], ["SUCCEEDED", "SUCCEEDED"]);
}
