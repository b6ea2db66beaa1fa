//! Pipelines that start pipelines, over HTTP.

use serde_json::{Value, json};

use super::{Reply, Scene};

impl Scene {
    /// Saves a pipeline of one stage under its name as id.
    async fn have(&self, name: &str, stage: Value) {
        let mut stage = stage;
        stage["refId"] = json!("1");
        stage["name"] = json!("do");
        let pipeline = json!({
            "application": "kids", "name": name, "id": name, "stages": [stage],
            "parameterConfig": [{"name": "needed", "required": true}],
        });
        let saved = self.save(&pipeline).await;
        assert_eq!(saved.status, 200, "{}", saved.body);
    }

    /// Starts a pipeline whose one stage starts the pipeline `child`.
    async fn call(&self, child: &str, more: Value) -> Reply {
        let mut stage = json!({
            "refId": "call", "type": "pipeline", "name": "call it", "application": "kids",
            "pipeline": child,
        });
        stage.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        let document = json!({"application": "shop", "name": "caller", "stages": [stage]});
        self.send("POST", "/pipelines/start", &document.to_string()).await
    }

    async fn at(&self, started: &Reply, is: impl Fn(&Value) -> bool) -> Value {
        let path = started.json()["ref"].as_str().unwrap().to_owned();
        self.until(&path, is).await
    }

    async fn until(&self, path: &str, is: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..1_000 {
            let found = self.send("GET", path, "").await.json();
            if is(&found) {
                return found;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("{path}: {}", self.send("GET", path, "").await.body);
    }

    async fn child_of(&self, execution: &Value) -> Value {
        let id = execution["stages"][0]["context"]["executionId"].as_str().unwrap();
        self.send("GET", &format!("/pipelines/{id}"), "").await.json()
    }
}

fn has_child(execution: &Value) -> bool {
    execution["stages"][0]["context"]["executionId"].is_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_runs_with_what_its_parent_gives_and_hands_back_its_outputs() {
    let scene = Scene::new().await;
    let variable = json!([{"key": "made", "value": "of ${parameters.from}"}]);
    scene.have("make", json!({"type": "evaluateVariables", "variables": variable})).await;
    let more = json!({"pipelineParameters": {"from": "${1 + 1}"}});
    let ended = scene.ended(&scene.call("make", more).await).await;
    assert_eq!(ended["status"], "SUCCEEDED", "{ended:#}");
    assert_eq!(ended["stages"][0]["outputs"]["made"], "of 2");
    assert_eq!(ended["stages"][0]["context"]["executionName"], "make");
    let child = scene.child_of(&ended).await;
    assert_eq!(child["trigger"]["type"], "pipeline");
    assert_eq!(child["trigger"]["parentExecution"]["id"], ended["id"]);
    assert_eq!(child["trigger"]["parentPipelineStageId"], ended["stages"][0]["id"]);
    let path = format!("/v1/executions/{}/history", ended["id"].as_str().unwrap());
    let history = scene.send("GET", &path, "").await.body;
    assert!(history.contains("it started execution"), "{history}");

    let more = json!({"pipelineParameters": {"from": "me"}, "skipDownstreamOutput": true});
    let ended = scene.ended(&scene.call("make", more).await).await;
    assert_eq!(ended["stages"][0]["outputs"], json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_that_is_cancelled_cancels_its_child_and_its_child_s_child() {
    let scene = Scene::new().await;
    scene.have("grand", json!({"type": "manualJudgment"})).await;
    scene
        .have("middle", json!({"type": "pipeline", "application": "kids", "pipeline": "grand"}))
        .await;
    let started = scene.call("middle", json!({})).await;
    let parent = scene.at(&started, has_child).await;
    assert_eq!(parent["waitingFor"][0]["kind"], "execution", "{parent:#}");
    let middle = format!("/pipelines/{}", scene.child_of(&parent).await["id"].as_str().unwrap());
    let middle = scene.until(&middle, has_child).await;
    let cancel = format!("/pipelines/{}/cancel", parent["id"].as_str().unwrap());
    assert_eq!(scene.send("PUT", &cancel, "").await.status, 200);
    assert_eq!(scene.ended(&started).await["status"], "CANCELED");
    for child in [scene.child_of(&parent).await, scene.child_of(&middle).await] {
        assert_eq!(child["status"], "CANCELED", "{child:#}");
        assert_eq!(child["canceledBy"], "parent pipeline");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_is_not_waited_for_goes_on_alone() {
    let scene = Scene::new().await;
    scene.have("ask", json!({"type": "manualJudgment"})).await;
    let ended = scene.ended(&scene.call("ask", json!({"waitForCompletion": "false"})).await).await;
    assert_eq!(ended["status"], "SUCCEEDED");
    assert_eq!(scene.child_of(&ended).await["status"], "RUNNING");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_may_wait_for_an_execution_that_runs_already() {
    let scene = Scene::new().await;
    let more = json!({"executionId": scene.id.as_str()});
    let started = scene.call("nothing", more).await;
    scene.at(&started, |found| found["waitingFor"][0]["kind"] == "execution").await;
    let cancel = format!("{}/cancel", scene.pipeline());
    assert_eq!(scene.send("PUT", &cancel, "").await.status, 200);
    let ended = scene.ended(&started).await;
    assert_eq!(ended["status"], "CANCELED", "{ended:#}");
    assert_eq!(ended["stages"][0]["context"]["status"], "CANCELED");
    // One that has ended, and one that never was.
    let again =
        scene.ended(&scene.call("x", json!({"executionId": scene.id.as_str()})).await).await;
    assert_eq!(again["status"], "CANCELED");
    let none = scene.ended(&scene.call("x", json!({"executionId": "nobody"})).await).await;
    assert_eq!(none["status"], "TERMINAL");
    assert!(none.to_string().contains("`nobody`, which the stage waits for, does not exist"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_started_is_said() {
    let scene = Scene::new().await;
    scene.have("named", json!({"type": "noop"})).await;
    let saved = json!({"application": "kids", "name": "by name", "stages": []});
    let id = scene.save(&saved).await.json()["id"].as_str().unwrap().to_owned();
    for (pipeline, more, words) in [
        ("nosuch", json!({}), "The referenced pipeline cannot be located".to_owned()),
        ("by name", json!({}), format!("write its id, `{id}`")),
        ("named", json!({"pipelineArtifacts": [{}]}), "`pipelineArtifacts`".to_owned()),
        ("named", json!({"application": "shop"}), "of application `shop`".to_owned()),
    ] {
        let ended = scene.ended(&scene.call(pipeline, more).await).await;
        assert_eq!(ended["status"], "TERMINAL");
        assert!(ended.to_string().contains(&words), "{words}: {ended:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_that_starts_itself_ends() {
    let scene = Scene::new().await;
    let own = json!({"type": "pipeline", "application": "kids", "pipeline": "loop"});
    scene.have("loop", own).await;
    let ended = scene.ended(&scene.call("loop", json!({})).await).await;
    assert_eq!(ended["status"], "TERMINAL");
    assert!(ended.to_string().contains("child_depth_max"), "{ended:#}");
}
