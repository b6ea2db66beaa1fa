//! Applications, pipelines and tasks over HTTP.

use serde_json::{Value, json};

use super::{Reply, Scene};

fn pipeline() -> Value {
    json!({
        "application": "Shop", "name": "Release", "whatever": {"kept": [1, null]},
        "parameterConfig": [{"name": "tag", "required": true}],
        "stages": [{"refId": 1, "type": "wait", "waitTime": 0, "name": "${parameters.tag}"}],
    })
}

impl Scene {
    pub(super) async fn save(&self, pipeline: &Value) -> Reply {
        self.send("POST", "/pipelines", &pipeline.to_string()).await
    }

    /// The execution behind a `ref`, once it has ended.
    pub(super) async fn ended(&self, started: &Reply) -> Value {
        assert_eq!(started.status, 202, "{}", started.body);
        let path = started.json()["ref"].as_str().unwrap().to_owned();
        for _ in 0..1_000 {
            let found = self.send("GET", &path, "").await.json();
            if !found["endTime"].is_null() {
                return found;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("{path} did not end");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_is_saved_found_run_and_deleted() {
    let scene = Scene::new().await;
    let saved = scene.save(&pipeline()).await;
    assert_eq!(saved.status, 200, "{}", saved.body);
    let id = saved.json()["id"].as_str().unwrap().to_owned();
    let found = scene.send("GET", "/applications/shop/pipelineConfigs/Release", "").await.json();
    assert_eq!(found, saved.json());
    for (key, value) in pipeline().as_object().unwrap() {
        assert_eq!(&found[key], value, "{key}");
    }
    let listed = scene.send("GET", "/applications/SHOP/pipelineConfigs", "").await.json();
    assert_eq!(listed, json!([found]));
    let application = scene.send("GET", "/applications/shop", "").await.json();
    assert_eq!(application["attributes"]["name"], "Shop", "it appeared with its first pipeline");

    let missing = scene.send("POST", "/pipelines/shop/Release", "{}").await;
    assert!(missing.is_error(400, "invalid-request"), "{}", missing.body);
    assert!(missing.body.contains("Required parameter tag is missing"), "{}", missing.body);
    for trigger in
        [json!({"parameters": {"tag": "1"}}), json!({"trigger": {"parameters": {"tag": "1"}}})]
    {
        let started =
            scene.send("POST", &format!("/pipelines/shop/{id}"), &trigger.to_string()).await;
        let execution = scene.ended(&started).await;
        assert_eq!(execution["status"], "SUCCEEDED");
        assert_eq!(execution["pipelineConfigId"], id.as_str());
        assert_eq!(execution["trigger"]["type"], "manual");
        assert_eq!(execution["trigger"]["parameters"]["tag"], "1");
    }
    let path = format!("/executions?pipelineConfigIds={id}&limit=9&statuses=SUCCEEDED");
    assert_eq!(scene.send("GET", &path, "").await.json().as_array().unwrap().len(), 2);
    let path = format!("/executions?pipelineConfigIds={id}");
    assert_eq!(scene.send("GET", &path, "").await.json().as_array().unwrap().len(), 1);
    let path = "/applications/shop/executions/search?pipelineName=Release&statuses=SUCCEEDED";
    assert_eq!(scene.send("GET", path, "").await.json().as_array().unwrap().len(), 2);
    let path = "/applications/shop/executions/search?triggerTimeStartBoundary=70368744177664";
    assert_eq!(scene.send("GET", path, "").await.json(), json!([]), "the year 4199");
    let path = "/applications/shop/pipelines?limit=1&expand=false";
    let newest = scene.send("GET", path, "").await.json();
    assert_eq!(newest.as_array().unwrap().len(), 2, "one of each pipeline: {newest:#}");

    assert_eq!(scene.send("DELETE", "/pipelines/shop/Release", "").await.status, 200);
    let gone = scene.send("GET", "/applications/shop/pipelineConfigs/Release", "").await;
    assert!(gone.is_error(404, "not-found"), "{}", gone.body);
    let history = scene.send("GET", &format!("/pipelineConfigs/{id}/history"), "").await.json();
    assert_eq!(history, json!([found]), "its history stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_unique_and_edits_do_not_overwrite() {
    let scene = Scene::new().await;
    let first = scene.save(&pipeline()).await.json();
    let twin = scene.save(&pipeline()).await;
    assert!(twin.is_error(409, "conflict"), "{}", twin.body);
    let mut renamed = first.clone();
    renamed["name"] = "Renamed".into();
    assert_eq!(scene.save(&renamed).await.status, 200);
    assert_eq!(scene.save(&pipeline()).await.status, 200, "the old name is free again");
    let stale = scene.send("POST", "/pipelines?staleCheck=true", &first.to_string()).await;
    assert!(stale.is_error(409, "conflict"), "{}", stale.body);
    let why = stale.json()["message"].as_str().unwrap().to_owned();
    assert!(why.contains("`/name` is \"Renamed\" there and"), "it says what differs: {why}");
    let id = first["id"].as_str().unwrap();
    let kept = scene.send("GET", &format!("/pipelineConfigs/{id}/history"), "").await.json();
    assert_eq!(kept[0]["name"], "Renamed", "nothing was overwritten");
    let path = format!("/pipelines/{}", first["id"].as_str().unwrap());
    assert_eq!(scene.send("PUT", &path, &renamed.to_string()).await.status, 200);
    let unknown = scene.send("PUT", "/pipelines/none", &renamed.to_string()).await;
    assert!(unknown.is_error(404, "not-found"), "{}", unknown.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_wrong_with_a_document_is_listed() {
    let scene = Scene::new().await;
    let bad = json!({"application": "shop", "stages": [
        {"refId": "1", "type": "wait", "requisiteStageRefIds": ["2"]},
        {"refId": "2", "type": "wait", "requisiteStageRefIds": ["1"]},
        {"refId": "3", "type": "wait"}, {"refId": "3", "type": "wait"},
    ]});
    let refused = scene.save(&bad).await;
    assert!(refused.is_error(400, "invalid-request"), "{}", refused.body);
    let errors = refused.json()["errors"].as_array().unwrap().clone();
    let codes: Vec<&str> = errors.iter().filter_map(|error| error["code"].as_str()).collect();
    assert!(codes.contains(&"field-missing") && codes.len() >= 3, "{codes:?}");
    let validated = scene.send("POST", "/v1/pipelines/validate", &bad.to_string()).await;
    assert_eq!(validated.status, 200);
    assert!(validated.json()["problems"].as_array().unwrap().len() >= 2, "{}", validated.body);
    let hostile = json!({"application": "../x\u{7}", "name": "p", "stages": []});
    assert_eq!(scene.save(&hostile).await.status, 400);
    for path in [
        "/executions",
        "/executions?executionIds=a&pipelineConfigIds=b",
        "/executions?executionIds=a&statuses=NO",
    ] {
        let refused = scene.send("GET", path, "").await;
        assert!(refused.is_error(400, "invalid-request"), "{path}: {}", refused.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_pipeline_is_not_started() {
    let scene = Scene::new().await;
    let mut disabled = pipeline();
    disabled["disabled"] = true.into();
    assert_eq!(scene.save(&disabled).await.status, 200);
    let refused =
        scene.send("POST", "/pipelines/shop/Release", r#"{"parameters":{"tag":"1"}}"#).await;
    assert!(refused.is_error(400, "pipeline-disabled"), "{}", refused.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_do_what_spin_asks_for() {
    let scene = Scene::new().await;
    let job = |kind: &str, application: Value| json!({"application": "web", "description": "d", "job": [{"type": kind, "application": application}]});
    let status = async |task: Value| {
        let asked = scene.send("POST", "/tasks", &task.to_string()).await;
        assert_eq!(asked.status, 200, "{}", asked.body);
        let path = asked.json()["ref"].as_str().unwrap().to_owned();
        scene.send("GET", &path, "").await.json()
    };
    let made = status(job(
        "createApplication",
        json!({"name": "Web", "email": "a@b", "cloudProviders": "local"}),
    ))
    .await;
    assert_eq!(made["status"], "SUCCEEDED", "{made}");
    let again = status(job("createApplication", json!({"name": "web", "email": "c@d"}))).await;
    assert_eq!(again["status"], "SUCCEEDED", "{again}");
    let found = scene.send("GET", "/applications/WEB?expand=false", "").await.json();
    assert_eq!((&found["attributes"]["email"], &found["name"]), (&json!("c@d"), &json!("Web")));
    let deleted = status(job("deleteApplication", json!({"name": "web"}))).await;
    assert_eq!(deleted["status"], "SUCCEEDED");
    let failed = status(job("deleteApplication", json!({"name": "web"}))).await;
    assert_eq!(failed["status"], "TERMINAL");
    assert!(failed["variables"].to_string().contains("was not found"), "{failed}");
    let unknown = scene.send("POST", "/tasks", r#"{"job":[{"type":"bake me"}]}"#).await;
    assert!(unknown.is_error(400, "operation-unknown"), "{}", unknown.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_of_stages_runs_and_is_no_pipeline() {
    let scene = Scene::new().await;
    let task = json!({"application": "ops", "description": "rest", "job": [{"type": "wait", "waitTime": 0}]});
    let asked = scene.send("POST", "/tasks", &task.to_string()).await;
    let path = asked.json()["ref"].as_str().unwrap().to_owned();
    for _ in 0..1_000 {
        if scene.send("GET", &path, "").await.json()["status"] == "SUCCEEDED" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let ended = scene.send("GET", &path, "").await.json();
    assert_eq!((&ended["status"], &ended["name"]), (&json!("SUCCEEDED"), &json!("rest")));
    assert_eq!(scene.send("GET", "/applications/ops/pipelines", "").await.json(), json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn events_go_on_where_a_client_left_off() {
    let scene = Scene::new().await;
    let started = scene
        .send(
            "POST",
            "/pipelines/start",
            r#"{"application":"a","name":"p","stages":[{"refId":"1","type":"wait","waitTime":1}]}"#,
        )
        .await;
    let id = started.json()["ref"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let path = format!("/v1/executions/{id}/events");
    let all = scene.send("GET", &path, "").await;
    assert!(all.head.contains("content-type: text/event-stream"), "{}", all.head);
    let count = all.body.matches("event: history").count();
    assert!(count >= 2 && all.body.contains("event: end"), "{}", all.body);
    assert!(all.body.contains(r#"{"status":"SUCCEEDED"}"#), "{}", all.body);
    let head = format!("Host: {}\r\nLast-Event-ID: 1\r\n", scene.address);
    let rest = scene.raw("GET", &path, &head, "").await;
    assert_eq!(rest.body.matches("event: history").count(), count - 1, "{}", rest.body);
    let head = format!("Host: {}\r\nLast-Event-ID: x\r\n", scene.address);
    assert!(scene.raw("GET", &path, &head, "").await.is_error(400, "invalid-request"));
    let log = scene.send("GET", &format!("/v1/executions/{id}/stages/1/log/stream"), "").await;
    assert!(log.body.contains("event: end"), "{}", log.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_names_what_it_looked_at() {
    let scene = Scene::new().await;
    let ready = scene.send("GET", "/readyz", "").await;
    assert_eq!(ready.status, 200, "{}", ready.body);
    let names: Vec<Value> = ready.json()["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| check["name"].clone())
        .collect();
    assert_eq!(names, ["journal", "documents", "blobs", "driver", "broker", "leases"]);
    assert_eq!(scene.send("GET", "/livez", "").await.status, 200);
}
