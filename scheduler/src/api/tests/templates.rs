//! Templates and expressions over HTTP.

use serde_json::{Value, json};

use super::Scene;

fn template() -> Value {
    json!({
        "schema": "v2", "id": "waiter", "metadata": {"name": "Waiter", "scopes": ["shop"]},
        "variables": [{"name": "seconds", "type": "int"}, {"name": "who", "type": "string"}],
        "pipeline": {"stages": [{"refId": "1", "type": "wait", "name": "${templateVariables.who}",
            "waitTime": "${templateVariables.seconds}"}]},
    })
}

fn config(variables: &Value) -> Value {
    json!({
        "schema": "v2", "type": "templatedPipeline", "application": "shop", "name": "made",
        "template": {"reference": "spinnaker://waiter:stable"}, "variables": variables,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_is_saved_planned_run_and_kept_while_it_is_needed() {
    let scene = Scene::new().await;
    let at = "/v2/pipelineTemplates";
    assert_eq!(scene.send("GET", &format!("{at}/waiter?tag=stable"), "").await.status, 404);
    let update = format!("{at}/update/waiter?tag=stable");
    assert_eq!(scene.send("POST", &update, &template().to_string()).await.status, 404);
    let create = format!("{at}/create?tag=stable");
    let saved = scene.send("POST", &create, &template().to_string()).await;
    assert_eq!(saved.status, 202, "{}", saved.body);
    assert_eq!(saved.json()["status"], "SUCCEEDED");
    let again = scene.send("POST", &create, &template().to_string()).await;
    assert!(again.is_error(409, "conflict"), "{}", again.body);
    let digest = saved.json()["digest"].as_str().unwrap().to_owned();
    let found = scene.send("GET", &format!("{at}/waiter?digest=sha256:{digest}"), "").await;
    assert_eq!(found.json()["pipeline"], template()["pipeline"]);
    let listed = scene.send("GET", &format!("{at}?scopes=[shop]"), "").await.json();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(scene.send("GET", &format!("{at}?scopes=other"), "").await.json(), json!([]));

    let plan = format!("{at}/plan");
    let wrong = scene.send("POST", &plan, &config(&json!({"seconds": "x"})).to_string()).await;
    assert!(wrong.is_error(400, "invalid-request"), "{}", wrong.body);
    assert_eq!(wrong.json()["errors"].as_array().unwrap().len(), 2, "all at once: {}", wrong.body);
    let good = config(&json!({"seconds": 0, "who": "me"}));
    let planned = scene.send("POST", &plan, &good.to_string()).await;
    assert_eq!(planned.status, 200, "{}", planned.body);
    assert_eq!(planned.json()["stages"][0]["name"], "me");

    assert_eq!(scene.save(&good).await.status, 200);
    let started = scene.send("POST", "/pipelines/shop/made", "{}").await;
    let execution = scene.ended(&started).await;
    assert_eq!(execution["status"], "SUCCEEDED");
    assert_eq!(execution["stages"][0]["name"], "me");
    let dependents = scene.send("GET", &format!("{at}/waiter/dependents"), "").await.json();
    assert_eq!(dependents[0]["name"], "made");
    let delete = format!("{at}/waiter?tag=stable");
    let refused = scene.send("DELETE", &delete, "").await;
    assert!(refused.is_error(409, "conflict"), "{}", refused.body);
    assert!(refused.body.contains("shop/made"), "{}", refused.body);
    assert_eq!(scene.send("DELETE", "/pipelines/shop/made", "").await.status, 200);
    assert_eq!(scene.send("DELETE", &delete, "").await.status, 202);
    let gone = scene.send("POST", &plan, &good.to_string()).await;
    assert!(gone.body.contains("there is no template"), "{}", gone.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn templates_are_saved_and_deleted_as_tasks_too() {
    use base64::Engine as _;
    let scene = Scene::new().await;
    let task = async |job: Value| {
        let asked = json!({"application": "shop", "description": "d", "job": [job]});
        let asked = scene.send("POST", "/tasks", &asked.to_string()).await;
        assert_eq!(asked.status, 200, "{}", asked.body);
        let path = asked.json()["ref"].as_str().unwrap().to_owned();
        scene.send("GET", &path, "").await.json()
    };
    let written =
        |template: &Value| base64::engine::general_purpose::STANDARD.encode(template.to_string());
    let create = json!({"type": "createV2PipelineTemplate", "tag": "stable",
        "pipelineTemplate": written(&template())});
    let made = task(create.clone()).await;
    assert_eq!(made["status"], "SUCCEEDED", "{made}");
    let twice = task(create).await;
    assert_eq!(twice["status"], "TERMINAL", "it is there: {twice}");
    let mut next = template();
    next["metadata"]["name"] = "Waiter 2".into();
    let update = json!({"type": "updateV2PipelineTemplate", "id": "waiter", "tag": "stable",
        "pipelineTemplate": written(&next)});
    assert_eq!(task(update).await["status"], "SUCCEEDED");
    let at = "/v2/pipelineTemplates/waiter?tag=stable";
    assert_eq!(scene.send("GET", at, "").await.json()["metadata"]["name"], "Waiter 2");
    let delete = |tag: &str| json!({"type": "deleteV2PipelineTemplate", "pipelineTemplateId": "waiter", "tag": tag});
    let missing = task(delete("canary")).await;
    assert_eq!(missing["status"], "TERMINAL");
    assert!(missing["variables"].to_string().contains("was not found"), "{missing}");
    assert_eq!(task(delete("stable")).await["status"], "SUCCEEDED");
    assert_eq!(scene.send("GET", at, "").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn expressions_are_evaluated_as_an_execution_sees_them() {
    let scene = Scene::new().await;
    let pipeline = json!({
        "application": "shop", "name": "values", "trigger": {"parameters": {"p": 2}},
        "stages": [{"refId": "1", "type": "evaluateVariables", "name": "v",
            "variables": [{"key": "x", "value": "5"}]}],
    });
    let started = scene.send("POST", "/pipelines/start", &pipeline.to_string()).await;
    let execution = scene.ended(&started).await;
    let at = format!("/pipelines/{}", execution["id"].as_str().unwrap());
    let ask = |path: &str, text: &str| format!("{at}{path}?expression={text}");
    let of_trigger = ask("/evaluateExpression", "$%7Bparameters.p%20%2B%201%7D");
    assert_eq!(scene.send("GET", &of_trigger, "").await.json()["result"], 3);
    let own = ask("/1/evaluateExpression", "$%7Bx%7D");
    assert_eq!(scene.send("GET", &own, "").await.json()["result"], "5");
    let wrong = scene.send("GET", &ask("/evaluateExpression", "$%7BnoSuch.x%7D"), "").await.json();
    assert_eq!(wrong["result"], "${noSuch.x}");
    assert_eq!(wrong["detail"]["noSuch.x"][0]["level"], "ERROR");
    let asked = json!([{"key": "a", "value": "${x}1"}, {"key": "b", "value": "${a}2"}]).to_string();
    let variables = format!("{at}/evaluateVariables?requisiteStageRefIds=1");
    let found = scene.send("POST", &variables, &asked).await.json();
    assert_eq!([&found["result"][0]["value"], &found["result"][1]["value"]], ["51", "512"]);
    let nowhere = scene.send("GET", "/pipelines/none/evaluateExpression?expression=1", "").await;
    assert_eq!(nowhere.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn artifacts_of_another_execution_are_found() {
    let scene = Scene::new().await;
    let image = json!({"type": "docker/image", "name": "web", "reference": "web:7"});
    let maker = json!({"application": "shop", "name": "maker", "id": "maker-id",
        "trigger": {"artifacts": [image]}, "stages": [{"refId": "1", "type": "wait", "waitTime": 0}]});
    let made = scene.send("POST", "/pipelines/start", &maker.to_string()).await;
    assert_eq!(scene.ended(&made).await["status"], "SUCCEEDED");
    let finder = |name: &str| {
        json!({"application": "shop", "name": "finder", "stages": [{
            "refId": "1", "type": "findArtifactFromExecution", "application": "shop",
            "pipeline": "maker-id", "executionOptions": {"successful": true},
            "expectedArtifacts": [{"id": "x", "matchArtifact": {"type": "docker/image", "name": name}}],
        }]})
        .to_string()
    };
    let found = scene.send("POST", "/pipelines/start", &finder("web")).await;
    let found = scene.ended(&found).await;
    assert_eq!(found["status"], "SUCCEEDED");
    let outputs = &found["stages"][0]["outputs"];
    assert_eq!(outputs["artifacts"][0]["reference"], "web:7");
    assert_eq!(outputs["resolvedExpectedArtifacts"][0]["boundArtifact"]["reference"], "web:7");
    let missing = scene.send("POST", "/pipelines/start", &finder("other")).await;
    let missing = scene.ended(&missing).await;
    assert_eq!(missing["status"], "TERMINAL");
    let why =
        missing["stages"][0]["context"]["exception"]["details"]["errors"][0].as_str().unwrap();
    assert!(why.contains("Unmatched expected artifact"), "{why}");
}
