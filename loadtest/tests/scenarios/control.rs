//! What people do to executions.

use scheduler::ControlError;
use serde_json::{Value, json};
use shared_model::ExecutionId;

use crate::scene::{Scene, stage, status_of};

fn wait(reference: &str, seconds: u32, after: &[&str]) -> Value {
    json!({"refId": reference, "type": "wait", "name": reference, "waitTime": seconds,
           "requisiteStageRefIds": after})
}

fn judgment(reference: &str, after: &[&str]) -> Value {
    json!({"refId": reference, "type": "manualJudgment", "name": reference,
           "requisiteStageRefIds": after})
}

async fn judge(scene: &Scene, id: &ExecutionId, reference: &str, word: &str) {
    scene.until(id, |found| status_of(found, reference) == "RUNNING").await;
    scene.patch(id, reference, json!({"judgmentStatus": word})).await;
}

fn is_conflict<T>(answer: Result<T, ControlError>) -> bool {
    matches!(answer, Err(ControlError::Conflict { .. }))
}

#[tokio::test(start_paused = true)]
async fn h34_h83_h84_what_is_paused_shows_it_and_goes_on() {
    let scene = Scene::new().await;
    let stages = json!([judgment("1", &[]), wait("2", 0, &["1"])]);
    let id = scene.start(json!({"name": "p", "stages": stages})).await;
    scene.until(&id, |found| status_of(found, "1") == "RUNNING").await;
    scene.scheduler.pause(&id, "me").await.unwrap();
    assert!(is_conflict(scene.scheduler.pause(&id, "me").await), "it is paused already");
    let held = scene.execution(&id).await;
    assert_eq!((&held["status"], &held["paused"]["paused"]), (&json!("PAUSED"), &json!(true)));
    assert_eq!(["1", "2"].map(|reference| status_of(&held, reference)), ["PAUSED", "NOT_STARTED"]);
    assert_eq!(stage(&held, "1")["tasks"][0]["status"], "PAUSED");
    assert_eq!(held["waitingFor"][0]["kind"], "pause", "{held:#}");
    scene.patch(&id, "1", json!({"judgmentStatus": "continue"})).await;
    scene.pass(100).await;
    let held = scene.execution(&id).await;
    assert_eq!(status_of(&held, "1"), "SUCCEEDED", "a person may answer");
    assert_eq!(status_of(&held, "2"), "NOT_STARTED", "nothing begins");
    scene.scheduler.resume(&id, "you").await.unwrap();
    scene.scheduler.resume(&id, "you").await.ok();
    let ended = scene.ended(&id).await;
    assert_eq!(ended["status"], "SUCCEEDED");
    let paused = &ended["paused"];
    assert_eq!((&paused["pausedBy"], &paused["resumedBy"]), (&json!("me"), &json!("you")));
    assert!(paused["pausedMs"].as_i64().unwrap() >= 100_000, "{paused}");
}

#[tokio::test(start_paused = true)]
async fn h37_paused_time_is_not_the_stage_s() {
    let scene = Scene::new().await;
    let mut limited = judgment("1", &[]);
    limited["stageTimeoutMs"] = 60_000.into();
    let id = scene.start(json!({"name": "p", "stages": [limited]})).await;
    scene.until(&id, |found| status_of(found, "1") == "RUNNING").await;
    scene.pass(30).await;
    scene.scheduler.pause(&id, "me").await.unwrap();
    scene.pass(500).await;
    assert_eq!(scene.execution(&id).await["status"], "PAUSED");
    scene.scheduler.resume(&id, "me").await.unwrap();
    scene.pass(20).await;
    assert_eq!(scene.execution(&id).await["status"], "RUNNING", "half of its time is left");
    scene.pass(20).await;
    assert_eq!(scene.execution(&id).await["status"], "TERMINAL", "and no more than that");
}

#[tokio::test(start_paused = true)]
async fn h74_what_is_paused_is_cancelled() {
    let scene = Scene::new().await;
    let id = scene.start(json!({"name": "p", "stages": [wait("1", 60, &[])]})).await;
    scene.until(&id, |found| status_of(found, "1") == "RUNNING").await;
    scene.scheduler.pause(&id, "me").await.unwrap();
    scene.scheduler.cancel(&id, "me", "enough").await.unwrap();
    let ended = scene.ended(&id).await;
    assert_eq!(
        (&ended["status"], status_of(&ended, "1").as_str()),
        (&json!("CANCELED"), "CANCELED")
    );
    assert!(is_conflict(scene.scheduler.pause(&id, "me").await));
    assert!(is_conflict(scene.scheduler.resume(&id, "me").await));
}

#[tokio::test(start_paused = true)]
async fn h35_h46_what_is_skipped_by_hand_lets_the_next_begin() {
    let scene = Scene::new().await;
    let mut before = wait("3", 60, &["2"]);
    before["manualSkip"] = true.into();
    let stages = json!([judgment("1", &[]), wait("2", 0, &["1"]), before]);
    let id = scene.start(json!({"name": "p", "stages": stages})).await;
    scene.until(&id, |found| status_of(found, "1") == "RUNNING").await;
    scene.patch(&id, "1", json!({"manualSkip": true})).await;
    let ended = scene.ended(&id).await;
    let statuses = ["1", "2", "3"].map(|reference| status_of(&ended, reference));
    assert_eq!(statuses, ["SKIPPED", "SUCCEEDED", "SKIPPED"]);
    assert_eq!(ended["status"], "SUCCEEDED");
}

#[tokio::test(start_paused = true)]
async fn a_forced_cancel_ends_what_waits_for_its_end() {
    let scene = Scene::new().await;
    let child = scene.start(json!({"name": "child", "stages": [judgment("1", &[])]})).await;
    let monitor =
        json!({"refId": "1", "type": "pipeline", "name": "1", "executionId": child.as_str()});
    let id = scene.start(json!({"name": "p", "stages": [monitor]})).await;
    scene.until(&id, |found| status_of(found, "1") == "RUNNING").await;
    scene.scheduler.force_cancel(&id, "me", "now").await.unwrap();
    let ended = scene.execution(&id).await;
    assert_eq!((&ended["status"], &ended["canceledBy"]), (&json!("CANCELED"), &json!("me")));
    assert_eq!(status_of(&ended, "1"), "CANCELED");
    assert!(is_conflict(scene.scheduler.force_cancel(&id, "me", "again").await));
    assert_eq!(scene.ended(&child).await["status"], "CANCELED", "its child is told");
}

#[tokio::test(start_paused = true)]
async fn h76_a_stage_begins_again_and_what_followed_it() {
    let scene = Scene::new().await;
    let stages = json!([
        wait("0", 0, &[]),
        judgment("1", &["0"]),
        wait("2", 0, &["1"]),
        wait("side", 0, &["0"]),
        wait("join", 0, &["2", "side"])
    ]);
    let id = scene.start(json!({"name": "p", "stages": stages})).await;
    judge(&scene, &id, "1", "stop").await;
    let failed = scene.ended(&id).await;
    assert_eq!(failed["status"], "TERMINAL");
    let began = stage(&failed, "0")["startTime"].clone();
    scene.pass(10).await;
    scene.scheduler.restart_stage(&id, "1", "alice").await.unwrap();
    assert!(is_conflict(scene.scheduler.restart_stage(&id, "1", "bob").await), "it runs");
    judge(&scene, &id, "1", "continue").await;
    let ended = scene.ended(&id).await;
    assert_eq!(ended["status"], "SUCCEEDED", "{ended:#}");
    for reference in ["0", "1", "2", "side", "join"] {
        assert_eq!(status_of(&ended, reference), "SUCCEEDED", "{reference}");
    }
    assert_eq!(stage(&ended, "0")["startTime"], began, "what is before it is untouched");
    let details = &stage(&ended, "1")["context"]["restartDetails"];
    assert_eq!(details["restartedBy"], "alice");
    let refused = scene.scheduler.patch_stage(
        &id,
        "1",
        json!({"judgmentStatus": "stop"}).as_object().cloned().unwrap(),
        "me",
    );
    assert!(is_conflict(refused.await), "it has ended");
}

#[tokio::test(start_paused = true)]
async fn h77_h78_a_running_stage_is_not_restarted_and_a_synthetic_one_is_its_parent() {
    let scene = Scene::new().await;
    let check = json!({"refId": "1", "type": "checkPreconditions", "name": "1", "preconditions": [
        {"type": "expression", "context": {"expression": "1 < 2"}}]});
    let id = scene.start(json!({"name": "p", "stages": [check, judgment("2", &["1"])]})).await;
    scene.until(&id, |found| status_of(found, "2") == "RUNNING").await;
    assert!(is_conflict(scene.scheduler.restart_stage(&id, "2", "me").await));
    judge(&scene, &id, "2", "continue").await;
    scene.ended(&id).await;
    scene.scheduler.restart_stage(&id, "1<1", "me").await.unwrap();
    judge(&scene, &id, "2", "continue").await;
    let ended = scene.ended(&id).await;
    let seen: Vec<_> =
        ended["stages"].as_array().unwrap().iter().map(|one| &one["refId"]).collect();
    assert_eq!(seen, ["1<1", "1", "2"], "the synthetic stage is there once");
    assert_eq!(stage(&ended, "1")["context"]["restartDetails"]["restartedBy"], "me");
    assert!(stage(&ended, "2")["context"]["restartDetails"].is_null());
}

#[tokio::test(start_paused = true)]
async fn of_two_restarts_at_once_one_is_done() {
    let scene = Scene::new().await;
    let stages = json!([judgment("1", &[]), wait("2", 0, &["1"])]);
    let id = scene.start(json!({"name": "p", "stages": stages})).await;
    judge(&scene, &id, "1", "continue").await;
    scene.ended(&id).await;
    let restart = |by: &'static str| scene.scheduler.restart_stage(&id, "1", by);
    let (one, other) = tokio::join!(restart("alice"), restart("bob"));
    let refused = [one.is_err(), other.is_err()].iter().filter(|is_err| **is_err).count();
    assert_eq!(refused, 1, "{one:?} {other:?}");
    judge(&scene, &id, "1", "continue").await;
    let ended = scene.ended(&id).await;
    assert_eq!(["1", "2"].map(|reference| status_of(&ended, reference)), ["SUCCEEDED"; 2]);
    let history = scene.scheduler.history(&id, 0, 1_000).await.unwrap();
    let restarts = history.iter().filter(|(_, entry)| entry.kind.contains("restart")).count();
    assert_eq!(restarts, 1, "{history:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_judgment_of_a_stage_that_has_ended_changes_nothing() {
    let scene = Scene::new().await;
    let stages = json!([judgment("1", &[]), judgment("2", &["1"])]);
    let id = scene.start(json!({"name": "p", "stages": stages})).await;
    judge(&scene, &id, "1", "continue").await;
    scene.until(&id, |found| status_of(found, "2") == "RUNNING").await;
    let before = scene.execution(&id).await;
    let stop = json!({"judgmentStatus": "stop"}).as_object().cloned().unwrap();
    assert!(is_conflict(scene.scheduler.patch_stage(&id, "1", stop, "me").await));
    assert_eq!(scene.execution(&id).await, before);
}

#[tokio::test(start_paused = true)]
async fn a_restarted_execution_waits_for_room() {
    let scene = Scene::new().await;
    let document = json!({"name": "p", "id": "limited", "limitConcurrent": true,
        "keepWaitingPipelines": true, "stages": [judgment("1", &[])]});
    let first = scene.start(document.clone()).await;
    judge(&scene, &first, "1", "continue").await;
    scene.ended(&first).await;
    let second = scene.start(document).await;
    scene.until(&second, |found| found["status"] == "RUNNING").await;
    scene.scheduler.restart_stage(&first, "1", "me").await.unwrap();
    scene.pass(10).await;
    let waiting = scene.execution(&first).await;
    assert_eq!(waiting["status"], "NOT_STARTED");
    assert_eq!(waiting["waitingFor"][0]["kind"], "slot");
    judge(&scene, &second, "1", "continue").await;
    judge(&scene, &first, "1", "continue").await;
    assert_eq!(scene.ended(&first).await["status"], "SUCCEEDED");
}
