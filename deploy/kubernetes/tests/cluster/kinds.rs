//! Kind by kind: applied, labelled, waited for.

use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};
use shared_model::TaskAnswer;

use crate::objects::{config_map, deployment, job, job_spec, pod, workload};
use crate::scene::{Scene, has};

#[tokio::test]
async fn a_deployment_rolls_out_and_rolls_on() {
    let scene = Scene::new("deployment").await;
    for (execution, image) in [("first", "nginx:1.26"), ("second", "nginx:1.27")] {
        let context = scene.deploy(execution, &[deployment("web", image, 3)]).await.succeeded();
        let live = scene.live("apps/v1", "Deployment", "web").await;
        for count in ["replicas", "readyReplicas", "updatedReplicas", "availableReplicas"] {
            assert_eq!(live["status"][count], 3, "{execution}: {count}");
        }
        assert_eq!(live["spec"]["template"]["spec"]["containers"][0]["image"], image);
        assert_eq!(
            context["stableManifests"],
            json!([{"manifestName": "deployment web", "location": scene.namespace}])
        );
    }
    scene.end().await;
}

#[tokio::test]
async fn objects_and_pods_are_labelled_and_annotated() {
    let scene = Scene::new("labels").await;
    let context = scene.deploy("first", &[deployment("web", "nginx:1.27", 1)]).await.succeeded();
    let live = scene.live("apps/v1", "Deployment", "web").await;
    for metadata in [&live["metadata"], &live["spec"]["template"]["metadata"]] {
        let labels = &metadata["labels"];
        assert_eq!(labels["app.kubernetes.io/name"], "shop");
        assert_eq!(labels["app.kubernetes.io/managed-by"], "spinnaker");
        let annotations = &metadata["annotations"];
        assert_eq!(annotations["moniker.spinnaker.io/application"], "shop");
        assert_eq!(annotations["moniker.spinnaker.io/cluster"], "deployment web");
        assert_eq!(annotations["artifact.spinnaker.io/type"], "kubernetes/deployment");
        assert_eq!(annotations["artifact.spinnaker.io/name"], "web");
        assert_eq!(annotations["artifact.spinnaker.io/location"], scene.namespace);
    }
    assert_eq!(live["spec"]["selector"], json!({"matchLabels": {"app": "web"}}));
    let key = live["metadata"]["annotations"]["capstan.io/effect-key"].as_str().unwrap();
    has(key, &[&scene.namespace, "first/1/1/1/0"]);
    let created = &context["outputs.createdArtifacts"][0];
    assert_eq!(
        (&created["type"], &created["name"]),
        (&json!("kubernetes/deployment"), &json!("web"))
    );
    assert_eq!(created["location"], scene.namespace);
    assert_eq!(
        context["outputs.manifestNamesByNamespace"],
        json!({ scene.namespace.as_str(): ["deployment web"] })
    );
    scene.end().await;
}

#[tokio::test]
async fn sets_of_pods_are_waited_for() {
    let scene = Scene::new("sets").await;
    let stateful =
        workload("StatefulSet", "db", "postgres:17", &json!({"replicas": 2, "serviceName": "db"}));
    scene.deploy("stateful", &[stateful]).await.succeeded();
    let live = scene.live("apps/v1", "StatefulSet", "db").await;
    assert_eq!(
        (&live["status"]["readyReplicas"], &live["status"]["currentReplicas"]),
        (&json!(2), &json!(2))
    );

    scene
        .deploy("daemon", &[workload("DaemonSet", "agent", "agent:1", &json!({}))])
        .await
        .succeeded();
    let live = scene.live("apps/v1", "DaemonSet", "agent").await;
    let desired = live["status"]["desiredNumberScheduled"].as_i64().unwrap();
    assert!(desired > 0, "the test cluster has no node");
    assert_eq!(live["status"]["numberReady"], desired);

    let set = workload("ReplicaSet", "old", "nginx:1.27", &json!({"replicas": 2}));
    scene.deploy("replicas", &[set]).await.succeeded();
    let live = scene.live("apps/v1", "ReplicaSet", "old").await;
    assert_eq!(live["status"]["availableReplicas"], 2);
    scene.end().await;
}

#[tokio::test]
async fn jobs_and_pods_are_waited_for() {
    let scene = Scene::new("jobs").await;
    scene.deploy("job", &[job("migrate", "migrate:1")]).await.succeeded();
    let live = scene.live("batch/v1", "Job", "migrate").await;
    assert_eq!(live["status"]["succeeded"], 1);

    scene.deploy("pod", &[pod("single", "nginx:1.27")]).await.succeeded();
    let live = scene.live("v1", "Pod", "single").await;
    assert_eq!(live["status"]["phase"], "Running");

    let cron = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "nightly"},
        "spec": {"schedule": "0 3 * * *", "jobTemplate": {"spec": job_spec("clean:1")}},
    });
    let context = scene.deploy("cron", &[cron]).await.succeeded();
    assert_eq!(context["stableManifests"][0]["manifestName"], "cronJob nightly");
    let live = scene.live("batch/v1", "CronJob", "nightly").await;
    assert_eq!(live["spec"]["schedule"], "0 3 * * *");
    scene.end().await;
}

#[tokio::test]
async fn a_failed_job_ends_the_stage_and_says_which_pod() {
    let scene = Scene::new("failing").await;
    let error = scene.deploy("job", &[job("migrate", "failing:1")]).await.terminal();
    assert_eq!(error.kind, "ManifestNotStable");
    has(&error.messages.join("\n"), &["job migrate", "pod migrate-", "ended with code 1"]);
    scene.end().await;
}

#[tokio::test]
async fn an_autoscaler_is_stable_once_it_has_scaled() {
    let scene = Scene::new("hpa").await;
    let scaler = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "minReplicas": 3, "maxReplicas": 5,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}],
        },
    });
    let context =
        scene.deploy("first", &[scaler, deployment("web", "nginx:1.27", 1)]).await.succeeded();
    let stable: Vec<&Value> = context["stableManifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["manifestName"])
        .collect();
    assert_eq!(stable, ["deployment web", "horizontalPodAutoscaler web"]);
    let live = scene.live("autoscaling/v2", "HorizontalPodAutoscaler", "web").await;
    assert_eq!(
        (&live["status"]["currentReplicas"], &live["status"]["desiredReplicas"]),
        (&json!(3), &json!(3))
    );
    scene.end().await;
}

#[tokio::test]
async fn config_maps_and_secrets_keep_their_names_and_warn() {
    let scene = Scene::new("config").await;
    let password = "correct horse battery staple";
    let encoded = base64::engine::general_purpose::STANDARD.encode("another one entirely");
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login"},
        "stringData": {"password": password}, "data": {"token": encoded},
    });
    let manifests = [config_map("settings", &json!({"color": "blue"})), secret];
    let ended = scene.deploy("first", &manifests).await;
    let shown = format!("{:?}\n{}", ended.answer, scene.log.text());
    let context = ended.succeeded();
    let warnings = context["warnings"].to_string();
    has(&warnings, &["configMap settings", "secret login", "without a version"]);
    has(&scene.log.text(), &["warning: `configMap settings`", "configMap settings created"]);
    let live = scene.live("v1", "Secret", "login").await;
    assert_eq!(live["data"]["token"], encoded);
    let made = base64::engine::general_purpose::STANDARD.encode(password);
    assert_eq!(live["data"]["password"], made);
    let outputs = context["outputs.manifests"].to_string();
    for text in [shown, outputs] {
        for secret in [password, &made, &encoded, "another one entirely"] {
            assert!(!text.contains(secret), "`{secret}` shows in {text}");
        }
    }
    scene.end().await;
}

#[tokio::test]
async fn a_namespace_and_what_is_in_it_come_in_one_deploy() {
    let scene = Scene::without_namespace("whole").await;
    let manifests = [
        deployment("web", "nginx:1.27", 1),
        pod("single", "nginx:1.27"),
        config_map("settings", &json!({"a": "b"})),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}}),
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": scene.namespace}}),
    ];
    let context = scene.deploy("first", &manifests).await.succeeded();
    let log = scene.log.text();
    let place = |line: &str| log.find(line).unwrap_or_else(|| panic!("no `{line}` in\n{log}"));
    let order = [
        "namespace deploy-whole",
        "serviceAccount robot",
        "configMap settings",
        "deployment web",
        "pod single",
    ];
    let places: Vec<usize> = order.map(|what| place(&format!("\n{what}"))).to_vec();
    assert!(places.is_sorted(), "{order:?}\n{log}");
    assert_eq!(context["stableManifests"].as_array().unwrap().len(), 2);
    scene.end().await;
}

#[tokio::test]
async fn a_service_account_that_comes_a_moment_later_is_waited_for() {
    let scene = Scene::new("moment").await;
    let mut robot = pod("single", "nginx:1.27");
    robot["spec"]["serviceAccountName"] = "robot".into();
    let manifests = [robot];
    let later = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let account = json!({"kind": "ServiceAccount", "metadata": {"name": "robot"}});
        scene.create("v1", account, "somebody").await;
    };
    let (ended, ()) = tokio::join!(scene.deploy("first", &manifests), later);
    ended.succeeded();
    assert_eq!(scene.live("v1", "Pod", "single").await["status"]["phase"], "Running");
    scene.end().await;
}

#[tokio::test]
async fn an_object_of_the_whole_cluster_has_no_namespace() {
    let scene = Scene::new("role").await;
    // Charts give every object a namespace.
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": scene.namespace, "namespace": scene.namespace},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}],
    });
    let ended = scene.deploy("first", &[role]).await;
    let live = scene.get("rbac.authorization.k8s.io/v1", "ClusterRole", &scene.namespace).await;
    if live.is_some() {
        scene.delete("rbac.authorization.k8s.io/v1", "ClusterRole", &scene.namespace).await;
    }
    let context = ended.succeeded();
    has(&scene.log.text(), &["created in the cluster"]);
    assert_eq!(context["outputs.createdArtifacts"][0]["location"], "");
    assert_eq!(live.unwrap()["rules"][0]["verbs"], json!(["get"]));
    scene.end().await;
}

#[tokio::test]
async fn a_kind_and_an_object_of_it_come_in_one_deploy() {
    let scene = Scene::new("crd").await;
    let group = format!("{}.example.com", scene.namespace);
    let name = format!("widgets.{group}");
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": name},
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {"kind": "Widget", "plural": "widgets", "singular": "widget"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema":
                {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}],
        },
    });
    let widget = json!({
        "apiVersion": format!("{group}/v1"), "kind": "Widget", "metadata": {"name": "gear"},
        "spec": {"teeth": 12},
    });
    let ended = scene.deploy("first", &[widget, definition]).await;
    let succeeded = matches!(ended.answer, TaskAnswer::Succeeded { .. });
    let api_version = format!("{group}/v1");
    let live = match succeeded {
        true => scene.get(&api_version, "Widget", "gear").await,
        false => None,
    };
    scene.delete("apiextensions.k8s.io/v1", "CustomResourceDefinition", &name).await;
    ended.succeeded();
    assert_eq!(live.unwrap()["spec"]["teeth"], 12);
    scene.end().await;
}
