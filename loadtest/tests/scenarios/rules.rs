//! Handler rules about what stages hold and start, by their ids.

use scheduler::{ControlError, Start};
use serde_json::{Value, json};
use shared_model::ExecutionId;

use crate::scene::{Scene, stage, status_of};

fn variables(reference: &str, key: &str, value: Value) -> Value {
    json!({"refId": reference, "type": "evaluateVariables", "name": reference,
           "variables": [{"key": key, "value": value}]})
}

async fn answer(scene: &Scene, id: &ExecutionId, reference: &str, word: &str) {
    scene.until(id, |found| status_of(found, reference) == "RUNNING").await;
    scene.patch(id, reference, json!({"judgmentStatus": word})).await;
}

#[tokio::test(start_paused = true)]
async fn h11_tasks_are_numbered_and_the_first_and_the_last_say_so() {
    let scene = Scene::new().await;
    scene.save(json!({"name": "child", "id": "child", "stages": []})).await;
    let start = json!({"refId": "1", "type": "pipeline", "name": "1", "pipeline": "child"});
    let id = scene.start(json!({"name": "p", "stages": [start]})).await;
    let ended = scene.ended(&id).await;
    let found = stage(&ended, "1");
    let tasks = found["tasks"].as_array().unwrap();
    let seen: Vec<_> = tasks
        .iter()
        .map(|task| (task["id"].clone(), task["stageStart"].clone(), task["stageEnd"].clone()))
        .collect();
    let expected = [("1", true, false), ("2", false, true)];
    let expected = expected.map(|(id, start, end)| (json!(id), json!(start), json!(end)));
    assert_eq!(seen, expected, "{found:#}");
    assert_eq!((&tasks[0]["loopStart"], &tasks[1]["loopEnd"]), (&json!(false), &json!(false)));
}

#[tokio::test(start_paused = true)]
async fn h16_a_condition_that_does_not_hold_or_means_nothing_skips_all_of_a_stage() {
    let scene = Scene::new().await;
    for condition in ["false", "noSuch.thing", "1 +"] {
        let check = json!({"refId": "1", "type": "checkPreconditions", "name": "1",
            "stageEnabled": {"type": "expression", "expression": condition},
            "preconditions": [{"type": "expression", "context": {"expression": "false"}}]});
        let id = scene.start(json!({"name": "p", "stages": [check]})).await;
        let ended = scene.ended(&id).await;
        assert_eq!(ended["status"], "SUCCEEDED", "{condition}");
        assert_eq!(ended["stages"].as_array().unwrap().len(), 1, "nothing was planned");
        let found = stage(&ended, "1");
        assert_eq!((&found["status"], &found["tasks"]), (&json!("SKIPPED"), &json!([])));
    }
    let document = json!({"application": "app", "name": "t", "stages": [
        {"refId": "1", "type": "wait", "name": "1", "waitTime": 0,
         "stageEnabled": {"type": "expression", "expression": "false"}}]});
    let start = Start { document, is_orchestration: true, ..Start::default() };
    let id = scene.scheduler.submit(start).await.unwrap();
    assert_eq!(
        status_of(&scene.ended(&id).await, "1"),
        "SUCCEEDED",
        "only pipelines have conditions"
    );
}

#[tokio::test(start_paused = true)]
async fn h22_an_alias_says_what_a_stage_is() {
    let scene = Scene::new().await;
    let id = scene
        .start(json!({"name": "p", "stages": [
            {"refId": "1", "type": "ourOwnPause", "alias": "wait", "name": "1", "waitTime": 0},
            {"refId": "2", "type": "wait", "alias": "unheardOf", "name": "2", "waitTime": 0},
        ]}))
        .await;
    let ended = scene.ended(&id).await;
    assert_eq!(ended["status"], "SUCCEEDED", "{ended:#}");
    assert_eq!(stage(&ended, "1")["tasks"][0]["name"], "wait");
    assert_eq!(stage(&ended, "1")["type"], "ourOwnPause", "it is still called so");
}

#[tokio::test(start_paused = true)]
async fn h28_a_time_limit_is_never_an_output() {
    let scene = Scene::new().await;
    let mut limit = variables("1", "stageTimeoutMs", json!(1));
    let other = json!({"key": "other", "value": 2});
    limit["variables"].as_array_mut().unwrap().push(other);
    let mut behind = json!({"refId": "2", "type": "wait", "name": "2", "waitTime": 60});
    behind["requisiteStageRefIds"] = json!(["1"]);
    let id = scene.start(json!({"name": "p", "stages": [limit, behind]})).await;
    let ended = scene.ended(&id).await;
    assert_eq!(stage(&ended, "1")["outputs"], json!({"other": 2}));
    assert_eq!(status_of(&ended, "2"), "SUCCEEDED", "it would be over at once");
}

#[tokio::test(start_paused = true)]
async fn h59_what_could_not_be_evaluated_is_told() {
    let scene = Scene::new().await;
    let bad = json!({"refId": "1", "type": "wait", "name": "1", "waitTime": 0,
        "one": "${noSuch.thing}", "other": "${#noSuch()}"});
    let id = scene.start(json!({"name": "p", "stages": [bad]})).await;
    let ended = scene.ended(&id).await;
    assert_eq!(ended["status"], "SUCCEEDED");
    let context = &stage(&ended, "1")["context"];
    let errors = context["exception"]["details"]["errors"].as_array().unwrap();
    let summary = context["expressionEvaluationSummary"].as_object().unwrap();
    for (expression, found) in summary {
        let description = &found[0]["description"];
        assert!(errors.contains(description), "{expression}: {errors:?}");
    }
    assert_eq!(summary.len(), 2, "{summary:?}");
}

#[tokio::test(start_paused = true)]
async fn h80_what_waited_for_an_execution_begins_again_with_it() {
    let scene = Scene::new().await;
    scene
        .save(json!({"name": "child", "id": "child", "stages": [
            {"refId": "ask", "type": "manualJudgment", "name": "ask"}]}))
        .await;
    scene
        .save(json!({"name": "middle", "id": "middle", "stages": [
            {"refId": "m", "type": "pipeline", "name": "m", "pipeline": "child"}]}))
        .await;
    let top = scene
        .start(json!({"name": "top", "id": "top", "stages": [
            {"refId": "t", "type": "pipeline", "name": "t", "pipeline": "middle"},
            {"refId": "next", "type": "wait", "name": "next", "waitTime": 0,
             "requisiteStageRefIds": ["t"]}]}))
        .await;
    let middle = scene.child(&top, "t").await;
    let child = scene.child(&middle, "m").await;
    answer(&scene, &child, "ask", "stop").await;
    assert_eq!(scene.ended(&top).await["status"], "TERMINAL");
    scene.pass(60).await;

    scene.scheduler.restart_stage(&child, "ask", "alice").await.unwrap();
    for (id, reference) in [(&middle, "m"), (&top, "t")] {
        let again = scene.until(id, |found| status_of(found, reference) == "RUNNING").await;
        assert_eq!(again["status"], "RUNNING");
        let context = &stage(&again, reference)["context"];
        assert_eq!(context["restartDetails"]["restartedBy"], "alice");
        assert!(context.get("_skipPipelineRestart").is_none(), "{context:#}");
    }
    assert_eq!(scene.child(&middle, "m").await, child, "it waits for the same one");
    assert_eq!(scene.child(&top, "t").await, middle);
    answer(&scene, &child, "ask", "continue").await;
    for id in [&child, &middle, &top] {
        assert_eq!(scene.ended(id).await["status"], "SUCCEEDED");
    }
    assert_eq!(status_of(&scene.ended(&top).await, "next"), "SUCCEEDED");

    scene.scheduler.restart_stage(&middle, "m", "bob").await.unwrap();
    let other = scene.until(&middle, |found| {
        let id = &stage(found, "m")["context"]["executionId"];
        id.is_string() && id != child.as_str()
    });
    other.await;
    assert_ne!(scene.child(&middle, "m").await, child, "by itself it starts another");
}

#[tokio::test(start_paused = true)]
async fn h80_a_parent_that_runs_is_left_alone() {
    let scene = Scene::new().await;
    scene
        .save(json!({"name": "child", "id": "child", "stages": [
            {"refId": "ask", "type": "manualJudgment", "name": "ask"}]}))
        .await;
    let parent = scene
        .start(json!({"name": "p", "stages": [
            {"refId": "1", "type": "pipeline", "name": "1", "pipeline": "child"},
            {"refId": "2", "type": "manualJudgment", "name": "2", "requisiteStageRefIds": ["1"]}]}))
        .await;
    let child = scene.child(&parent, "1").await;
    answer(&scene, &child, "ask", "continue").await;
    scene.until(&parent, |found| status_of(found, "2") == "RUNNING").await;
    scene.scheduler.restart_stage(&child, "ask", "me").await.unwrap();
    scene.pass(30).await;
    let found = scene.execution(&parent).await;
    assert_eq!(["1", "2"].map(|one| status_of(&found, one)), ["SUCCEEDED", "RUNNING"]);
    answer(&scene, &child, "ask", "continue").await;
    answer(&scene, &parent, "2", "continue").await;
    assert_eq!(scene.ended(&parent).await["status"], "SUCCEEDED");
}

#[tokio::test(start_paused = true)]
async fn h81_the_oldest_begins_where_all_are_kept_and_else_only_the_newest() {
    for (keeps, expected) in [
        (true, ["SUCCEEDED", "RUNNING", "NOT_STARTED", "NOT_STARTED"]),
        (false, ["SUCCEEDED", "CANCELED", "CANCELED", "RUNNING"]),
    ] {
        let scene = Scene::new().await;
        let document = json!({"name": "p", "id": "limited", "limitConcurrent": true,
            "keepWaitingPipelines": keeps,
            "stages": [{"refId": "1", "type": "manualJudgment", "name": "1"}]});
        let mut ids = Vec::new();
        for _ in 0..4 {
            ids.push(scene.start(document.clone()).await);
            scene.pass(1).await;
        }
        answer(&scene, &ids[0], "1", "continue").await;
        scene.ended(&ids[0]).await;
        scene.pass(2).await;
        let mut found = Vec::new();
        for id in &ids {
            found.push(scene.execution(id).await["status"].as_str().unwrap().to_owned());
        }
        assert_eq!(found, expected, "keepWaitingPipelines {keeps}");
    }
}

#[tokio::test(start_paused = true)]
async fn h86_what_is_not_there_is_said_and_a_type_nobody_knows_ends_its_execution() {
    let scene = Scene::new().await;
    let none = ExecutionId::new("none");
    let unknown = scene.scheduler.cancel(&none, "me", "").await;
    assert!(matches!(unknown, Err(ControlError::NotFound { .. })), "{unknown:?}");
    let unknown = scene.scheduler.restart_stage(&none, "1", "me").await;
    assert!(matches!(unknown, Err(ControlError::NotFound { .. })));
    let id = scene
        .start(json!({"name": "p", "stages": [
            {"refId": "1", "type": "unheardOf", "name": "1", "continuePipeline": true},
            {"refId": "2", "type": "manualJudgment", "name": "2"}]}))
        .await;
    let ended = scene.ended(&id).await;
    let statuses = ["1", "2"].map(|one| status_of(&ended, one));
    assert_eq!((&ended["status"], statuses[0].as_str()), (&json!("TERMINAL"), "TERMINAL"));
    let unknown = scene.scheduler.restart_stage(&id, "nowhere", "me").await;
    assert!(matches!(unknown, Err(ControlError::NotFound { .. })));
    assert_eq!(scene.execution(&id).await, ended, "nothing changed");
}

#[tokio::test(start_paused = true)]
async fn who_judges_passes_the_right_to_act_on_where_the_judgment_says_so() {
    for (passes_on, expected) in [(true, "me"), (false, "anonymous")] {
        let scene = Scene::new().await;
        scene
            .save(json!({"name": "child", "id": "child", "stages": [
                {"refId": "1", "type": "wait", "name": "1", "waitTime": 0}]}))
            .await;
        let id = scene
            .start(json!({"name": "p", "stages": [
                {"refId": "1", "type": "manualJudgment", "name": "1",
                 "propagateAuthenticationContext": passes_on},
                {"refId": "2", "type": "wait", "name": "2", "waitTime": 0,
                 "requisiteStageRefIds": ["1"]},
                {"refId": "3", "type": "pipeline", "name": "3", "pipeline": "child",
                 "requisiteStageRefIds": ["2"]}]}))
            .await;
        answer(&scene, &id, "1", "continue").await;
        assert_eq!(scene.ended(&id).await["status"], "SUCCEEDED");
        let child = scene.execution(&scene.child(&id, "3").await).await;
        assert_eq!(child["authentication"]["user"], expected, "{passes_on}");
    }
}
