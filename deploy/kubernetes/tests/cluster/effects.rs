//! One effect per key, however often it is run.

use serde_json::{Value, json};

use crate::objects::{config_map, deployment, job};
use crate::scene::Scene;

fn manifests() -> Vec<Value> {
    let mut generated = job("", "migrate:1");
    generated["metadata"] = json!({"generateName": "migrate-"});
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login"},
        "stringData": {"password": "correct horse"},
    });
    vec![
        config_map("settings", &json!({"a": "b"})),
        secret,
        deployment("web", "nginx:1.27", 2),
        generated,
    ]
}

async fn versions(scene: &Scene) -> Vec<String> {
    let mut found = Vec::new();
    for (api_version, kind, name) in [("v1", "ConfigMap", "settings"), ("v1", "Secret", "login")] {
        let live = scene.live(api_version, kind, name).await;
        found.push(live["metadata"]["resourceVersion"].as_str().unwrap().to_owned());
    }
    // Its status may still move; its generation only when somebody changes what is asked for.
    let live = scene.live("apps/v1", "Deployment", "web").await;
    found.push(live["metadata"]["generation"].to_string());
    found
}

#[tokio::test]
async fn the_same_key_and_content_is_applied_once() {
    let scene = Scene::new("once").await;
    scene.deploy("first", &manifests()).await.succeeded();
    let (before, writes) = (versions(&scene).await, scene.writes().len());
    assert_eq!(writes, 4, "{:#?}", scene.writes());
    for _ in 0..3 {
        scene.deploy("first", &manifests()).await.succeeded();
    }
    assert_eq!(versions(&scene).await, before);
    assert_eq!(scene.writes().len(), writes, "{:#?}", scene.writes());
    assert_eq!(scene.names("batch/v1", "Job").await.len(), 1);
    eprintln!("{}: {writes} writes for 4 objects, 0 for three repetitions", scene.namespace);
    scene.end().await;
}

#[tokio::test]
async fn another_key_or_other_content_is_applied_again() {
    let scene = Scene::new("again").await;
    let blue = [config_map("settings", &json!({"color": "blue"}))];
    let red = [config_map("settings", &json!({"color": "red"}))];
    scene.deploy("first", &blue).await.succeeded();
    scene.deploy("first", &red).await.succeeded();
    assert_eq!(scene.live("v1", "ConfigMap", "settings").await["data"], json!({"color": "red"}));
    scene.deploy("second", &red).await.succeeded();
    assert_eq!(scene.writes().len(), 3);
    // A field that a manifest no longer has goes away.
    scene.deploy("third", &[config_map("settings", &json!({"size": "1"}))]).await.succeeded();
    assert_eq!(scene.live("v1", "ConfigMap", "settings").await["data"], json!({"size": "1"}));
    scene.end().await;
}

#[tokio::test]
async fn a_generated_name_is_made_anew_by_another_execution() {
    let scene = Scene::new("names").await;
    let generated = manifests().split_off(3);
    scene.deploy("first", &generated).await.succeeded();
    let context = scene.deploy("second", &generated).await.succeeded();
    let names = scene.names("batch/v1", "Job").await;
    assert_eq!(names.len(), 2, "{names:?}");
    let made = context["outputs.createdArtifacts"][0]["name"].as_str().unwrap();
    assert!(names.iter().any(|name| name == made), "{made} is none of {names:?}");
    scene.end().await;
}

#[tokio::test]
async fn a_deploy_that_stopped_midway_goes_on_where_it_stopped() {
    let scene = Scene::new("midway").await;
    scene.create("v1", config_map("b", &json!({"color": "blue"})), "somebody").await;
    let manifests = ["a", "b", "c"].map(|name| config_map(name, &json!({"color": "red"})));
    scene.deploy("first", &manifests).await.terminal();
    scene.delete("v1", "ConfigMap", "b").await;
    scene.deploy("first", &manifests).await.succeeded();
    let written: Vec<String> = scene.writes().into_iter().map(|write| write.name).collect();
    assert_eq!(written, ["a", "b", "c"]);
    scene.end().await;
}
