//! Fields that somebody else owns, and those that `kubectl apply` owned.

use serde_json::{Value, json};
use shared_model::TaskAnswer;

use crate::objects::{config_map, deployment};
use crate::scene::{Scene, has};

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const KUBECTL: &str = "kubectl-client-side-apply";

#[tokio::test]
async fn a_conflict_names_object_manager_and_field_and_what_was_done() {
    let scene = Scene::new("conflict").await;
    scene.create("v1", config_map("b", &json!({"color": "blue"})), "somebody").await;
    let manifests = ["a", "b", "c"].map(|name| config_map(name, &json!({"color": "red"})));
    let ended = scene.deploy("first", &manifests).await;
    let TaskAnswer::Failed { result, .. } = &ended.answer else { panic!("{:?}", ended.answer) };
    let applied = &result.context["outputs.manifests"];
    assert_eq!(applied.as_array().unwrap().len(), 1);
    assert_eq!(applied[0]["metadata"]["name"], "a");
    let error = ended.terminal();
    assert_eq!(error.kind, "FieldConflict");
    has(
        &error.messages.join("\n"),
        &[
            "configMap b",
            "somebody",
            ".data.color",
            "force-conflicts",
            "applied before it: configMap a",
            "not applied: configMap b, configMap c",
        ],
    );
    assert_eq!(scene.live("v1", "ConfigMap", "b").await["data"]["color"], "blue");
    assert_eq!(scene.get("v1", "ConfigMap", "c").await, None);
    scene.end().await;
}

#[tokio::test]
async fn an_annotation_takes_fields_over() {
    let scene = Scene::new("force").await;
    scene.create("v1", config_map("b", &json!({"color": "blue"})), "somebody").await;
    let mut forced = config_map("b", &json!({"color": "red"}));
    forced["metadata"]["annotations"] =
        json!({"strategy.spinnaker.io/server-side-apply": "force-conflicts"});
    scene.deploy("first", &[forced]).await.succeeded();
    assert_eq!(scene.live("v1", "ConfigMap", "b").await["data"]["color"], "red");
    scene.end().await;
}

#[tokio::test]
async fn replicas_that_an_autoscaler_owns_are_a_conflict_and_may_be_left_out() {
    let scene = Scene::new("scaled").await;
    scene.deploy("first", &[deployment("web", "nginx:1.26", 1)]).await.succeeded();
    scene.merge("apps/v1", "Deployment", "web", json!({"spec": {"replicas": 3}}), "scaler").await;
    let error = scene.deploy("second", &[deployment("web", "nginx:1.27", 1)]).await.terminal();
    has(&error.messages.join("\n"), &["deployment web", "scaler", ".spec.replicas"]);
    let mut without = deployment("web", "nginx:1.27", 1);
    without["spec"].as_object_mut().unwrap().remove("replicas");
    scene.deploy("third", &[without]).await.succeeded();
    assert_eq!(scene.live("apps/v1", "Deployment", "web").await["status"]["readyReplicas"], 3);
    scene.end().await;
}

/// What `kubectl apply` leaves: the annotation, and the fields under its name.
fn of_kubectl(data: &Value) -> Value {
    let mut object = config_map("settings", data);
    object["metadata"]["annotations"] =
        json!({LAST_APPLIED: config_map("settings", data).to_string()});
    object["metadata"]["labels"] = json!({"old": "label"});
    object
}

fn managers(live: &Value) -> Vec<String> {
    let entries = live["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    entries
        .iter()
        .map(|entry| {
            format!(
                "{} {}",
                entry["manager"].as_str().unwrap(),
                entry["operation"].as_str().unwrap()
            )
        })
        .collect()
}

#[tokio::test]
async fn fields_of_client_side_apply_go_when_the_manifest_drops_them() {
    let scene = Scene::new("migrate").await;
    scene.create("v1", of_kubectl(&json!({"kept": "1", "dropped": "1"})), KUBECTL).await;
    scene.deploy("first", &[config_map("settings", &json!({"kept": "2"}))]).await.succeeded();
    let live = scene.live("v1", "ConfigMap", "settings").await;
    assert_eq!(live["data"], json!({"kept": "2"}));
    assert_eq!(live["metadata"]["labels"]["old"], Value::Null);
    assert_eq!(live["metadata"]["annotations"][LAST_APPLIED], Value::Null);
    assert_eq!(managers(&live), ["capstan Apply"]);
    scene.end().await;
}

#[tokio::test]
async fn fields_of_client_side_apply_after_our_own_go_too() {
    let scene = Scene::new("migrate-later").await;
    scene.deploy("first", &[config_map("settings", &json!({"ours": "1"}))]).await.succeeded();
    scene.merge("v1", "ConfigMap", "settings", of_kubectl(&json!({"theirs": "1"})), KUBECTL).await;
    let both = scene.live("v1", "ConfigMap", "settings").await;
    assert_eq!(managers(&both).len(), 2, "{both:#}");
    scene.deploy("second", &[config_map("settings", &json!({"ours": "2"}))]).await.succeeded();
    let live = scene.live("v1", "ConfigMap", "settings").await;
    assert_eq!(live["data"], json!({"ours": "2"}));
    assert_eq!(managers(&live), ["capstan Apply"]);
    scene.end().await;
}
