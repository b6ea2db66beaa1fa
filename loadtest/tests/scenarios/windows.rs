//! Execution windows.

use serde_json::{Value, json};

use crate::scene::{Scene, stage, status_of};

const WINDOW: &str = "restrictExecutionDuringTimeWindow";

/// A window that opens in so many hours, for less than one.
fn window(scene: &Scene, hours: i8) -> Value {
    let hour = (scene.now().hour() + hours).rem_euclid(24);
    json!({"days": [1, 2, 3, 4, 5, 6, 7], "whitelist": [
        {"startHour": hour, "startMin": 0, "endHour": hour, "endMin": 59}]})
}

#[tokio::test(start_paused = true)]
async fn s12_inside_its_window_a_stage_begins_at_once() {
    let scene = Scene::new().await;
    let id = scene
        .start(json!({"name": "p", "stages": [
            {"refId": "1", "type": "wait", "name": "1", "waitTime": 0, WINDOW: true,
             "restrictedExecutionWindow": window(&scene, 0)}]}))
        .await;
    let ended = scene.ended(&id).await;
    assert_eq!(ended["status"], "SUCCEEDED");
    let stages = ended["stages"].as_array().unwrap();
    let seen: Vec<_> = stages.iter().map(|one| (&one["refId"], &one["type"])).collect();
    assert_eq!(seen, [(&json!("1<1"), &json!(WINDOW)), (&json!("1"), &json!("wait"))]);
    assert!(stages.iter().all(|one| one["status"] == "SUCCEEDED"));
}

#[tokio::test(start_paused = true)]
async fn h18_outside_it_waits_before_everything_else_and_its_time_does_not_count() {
    let scene = Scene::new().await;
    let began = scene.now();
    let id = scene
        .start(json!({"name": "p", "stages": [
            {"refId": "1", "type": "checkPreconditions", "name": "1", WINDOW: true,
             "restrictedExecutionWindow": window(&scene, 3), "stageTimeoutMs": 60_000,
             "preconditions": [{"type": "expression", "context": {"expression": "1 < 2"}}]}]}))
        .await;
    let waiting = scene.until(&id, |found| status_of(found, "1<1") == "RUNNING").await;
    assert_eq!(status_of(&waiting, "1<2"), "NOT_STARTED", "it follows the window");
    let context = &stage(&waiting, "1<1")["context"];
    for gone in [WINDOW, "stageTimeoutMs", "alias"] {
        assert!(context.get(gone).is_none(), "{gone}: {context}");
    }
    assert!(context["restrictedExecutionWindow"].is_object());
    assert_eq!(waiting["waitingFor"][0]["kind"], "wait", "{waiting:#}");
    let ended = scene.ended(&id).await;
    assert_eq!(ended["status"], "SUCCEEDED", "hours of waiting are not the stage's: {ended:#}");
    let child = stage(&ended, "1<2");
    assert!(child["context"].get(WINDOW).is_none());
    assert!(child["context"].get("restrictedExecutionWindow").is_none());
    let passed = scene.now().timestamp().duration_since(began.timestamp());
    assert!((2..=3).contains(&passed.as_hours()), "{passed}");
}

#[tokio::test(start_paused = true)]
async fn a_person_does_not_wait_for_the_window() {
    let scene = Scene::new().await;
    let id = scene
        .start(json!({"name": "p", "stages": [
            {"refId": "1", "type": "wait", "name": "1", "waitTime": 0, WINDOW: true,
             "restrictedExecutionWindow": window(&scene, 5)}]}))
        .await;
    scene.until(&id, |found| status_of(found, "1<1") == "RUNNING").await;
    let asked = scene.now();
    scene.patch(&id, "1<1", json!({"skipRemainingWait": true})).await;
    assert_eq!(scene.ended(&id).await["status"], "SUCCEEDED");
    assert!(scene.now().timestamp().duration_since(asked.timestamp()).as_secs() < 10);
}

#[tokio::test(start_paused = true)]
async fn an_impossible_window_is_refused_and_one_of_an_expression_ends_its_stage() {
    let scene = Scene::new().await;
    let with = |days: Value| {
        json!({"name": "p", "application": "app", "stages": [
            {"refId": "1", "type": "wait", "name": "1", WINDOW: true,
             "restrictedExecutionWindow": {"days": days}}]})
    };
    let start = scheduler::Start { document: with(json!([9])), ..Default::default() };
    let refused = scene.scheduler.submit(start).await.unwrap_err().to_string();
    assert!(refused.contains("days` is 9"), "{refused}");
    let ended = scene.start(with(json!(["${4 + 5}"]))).await;
    let ended = scene.ended(&ended).await;
    assert_eq!(ended["status"], "TERMINAL");
    let told = stage(&ended, "1")["context"]["exception"].to_string();
    assert!(told.contains("days` is 9"), "{told}");
}
