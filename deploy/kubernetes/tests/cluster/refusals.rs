//! What is refused: before anything is applied wherever that can be known, and with what to do.

use std::collections::BTreeMap;

use deploy_kubernetes::Account;
use serde_json::{Value, json};
use shared_testkit::env;

use crate::objects::{config_map, deployment, job, pod};
use crate::scene::{ACCOUNT, Scene, has};

#[tokio::test]
async fn unknown_kinds_are_named_before_anything_is_applied() {
    let scene = Scene::new("unknown").await;
    let unknown = |api_version: &str, kind: &str| json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}});
    for (api_version, kind) in
        [("example.com/v1", "Widget"), ("apps/v1", "Deploiment"), ("apps/v9", "Deployment")]
    {
        let manifests = [config_map("settings", &json!({})), unknown(api_version, kind)];
        let error = scene.deploy("first", &manifests).await.terminal();
        assert_eq!(error.kind, "KindUnknown");
        has(&error.messages.join("\n"), &[kind, api_version, ACCOUNT, "CRD"]);
        assert_eq!(scene.writes(), [], "{kind}");
    }
    scene.end().await;
}

#[tokio::test]
async fn what_is_not_carried_out_ends_the_stage_naming_it() {
    let scene = Scene::new("unsupported").await;
    let fields = [
        (
            "trafficManagement",
            json!({"trafficManagement": {"enabled": true, "options": {"strategy": "redblack"}}}),
        ),
        (
            "labelSelectors",
            json!({"labelSelectors": {"selectors": [{"kind": "EQUALS", "key": "a", "values": ["b"]}]}}),
        ),
        ("versioned", json!({"versioned": true})),
    ];
    for (field, mut context) in fields {
        context["manifests"] = json!([config_map("settings", &json!({}))]);
        let error = scene.stage("first", context).await.terminal();
        assert_eq!(error.kind, "UnsupportedField");
        has(&error.messages.join("\n"), &[field, "remove"]);
    }
    let annotations = [
        ("strategy.spinnaker.io/versioned", "true"),
        ("strategy.spinnaker.io/recreate", "true"),
        ("strategy.spinnaker.io/replace", "true"),
        ("strategy.spinnaker.io/max-version-history", "2"),
        ("traffic.spinnaker.io/load-balancers", "[\"service web\"]"),
    ];
    for (key, value) in annotations {
        let mut annotated = config_map("settings", &json!({}));
        annotated["metadata"]["annotations"] = json!({ key: value });
        let error = scene.deploy("first", &[annotated]).await.terminal();
        has(&error.messages.join("\n"), &[key, "configMap settings", "remove"]);
    }
    assert_eq!(scene.writes(), []);
    scene.end().await;
}

#[tokio::test]
async fn fields_that_cannot_change_name_the_object_and_what_to_do() {
    let scene = Scene::new("immutable").await;
    let first = [
        deployment("web", "nginx:1.27", 1),
        job("migrate", "migrate:1"),
        pod("single", "nginx:1.27"),
    ];
    scene.deploy("first", &first).await.succeeded();
    let mut selected = deployment("web", "nginx:1.27", 1);
    selected["spec"]["selector"] = json!({"matchLabels": {"app": "other"}});
    selected["spec"]["template"]["metadata"]["labels"] = json!({"app": "other"});
    let mut moved = pod("single", "nginx:1.27");
    moved["spec"]["hostNetwork"] = json!(true);
    for (what, changed) in [
        ("deployment web", selected),
        ("job migrate", job("migrate", "migrate:2")),
        ("pod single", moved),
    ] {
        let error = scene.deploy("second", &[changed]).await.terminal();
        assert_eq!(error.kind, "ImmutableField", "{error:?}");
        let text = error.messages.join("\n");
        has(&text, &[what, "delete", &scene.namespace, "another name"]);
        assert!(text.len() < 2_000, "{} bytes for one error: {text}", text.len());
    }
    scene.end().await;
}

#[tokio::test]
async fn a_namespace_that_is_not_allowed_is_named_before_anything_is_applied() {
    let only = |namespace: &str| {
        let (context, namespaces) = (ACCOUNT.to_owned(), vec![format!("{namespace}-a")]);
        BTreeMap::from([(
            "narrow".to_owned(),
            Account { context, namespaces, ..Account::default() },
        )])
    };
    let scene = Scene::with_accounts("narrow", &env::kubeconfig(), only).await;
    let inside = |name: &str, namespace: &str| {
        let mut object = config_map(name, &json!({}));
        object["metadata"]["namespace"] = namespace.into();
        object
    };
    let allowed = format!("{}-a", scene.namespace);
    let manifests = [inside("a", &allowed), inside("b", "kube-system")];
    let context = json!({"account": "narrow", "namespaceOverride": "", "manifests": manifests});
    let error = scene.stage("first", context).await.terminal();
    assert_eq!(error.kind, "NamespaceNotAllowed");
    has(&error.messages.join("\n"), &["configMap b", "kube-system", "narrow"]);
    // Had it been tried, the missing namespace of the first would have been the error.
    assert_eq!(scene.writes(), []);
}

#[tokio::test]
async fn a_missing_namespace_is_said() {
    let scene = Scene::without_namespace("missing").await;
    let error = scene.deploy("first", &[config_map("settings", &json!({}))]).await.terminal();
    assert_eq!(error.kind, "NotFound");
    has(&error.messages.join("\n"), &["configMap settings", &scene.namespace, "namespace"]);
}

#[tokio::test]
async fn a_manifest_that_the_server_refuses_says_which_field() {
    let scene = Scene::new("invalid").await;
    let mut negative = deployment("web", "nginx:1.27", 1);
    negative["spec"]["replicas"] = json!(-1);
    let mut unknown = deployment("web", "nginx:1.27", 1);
    unknown["spec"]["replicaz"] = json!(1);
    let mut typed = deployment("web", "nginx:1.27", 1);
    typed["spec"]["replicas"] = json!("many");
    let mut twice = deployment("web", "nginx:1.27", 1);
    let container = &mut twice["spec"]["template"]["spec"]["containers"][0];
    container["env"] =
        json!([{"name": "COLOR", "value": "red"}, {"name": "COLOR", "value": "blue"}]);
    let mut amount = deployment("web", "nginx:1.27", 1);
    let container = &mut amount["spec"]["template"]["spec"]["containers"][0];
    container["resources"] = json!({"limits": {"cpu": "much"}});
    for (field, manifest) in [
        ("spec.replicas", negative),
        ("replicaz", unknown),
        ("replicas", typed),
        ("COLOR", twice),
        ("quantities", amount),
    ] {
        let error = scene.deploy("first", &[manifest]).await.terminal();
        assert_eq!(error.kind, "InvalidManifest", "{error:?}");
        has(&error.messages.join("\n"), &["deployment web", field, "mend the manifest"]);
    }
    assert_eq!(scene.writes(), []);
    scene.end().await;
}

#[tokio::test]
async fn labels_that_are_no_labels_are_refused_and_not_replaced() {
    let scene = Scene::new("odd").await;
    let mut text = config_map("settings", &json!({}));
    text["metadata"]["labels"] = json!("app=web");
    let mut template = deployment("web", "nginx:1.27", 1);
    template["spec"]["template"]["metadata"]["annotations"] = json!(["a"]);
    let mut number = config_map("settings", &json!({}));
    number["metadata"]["labels"] = json!({"version": 2});
    for (field, manifest) in [
        ("metadata.labels", text),
        ("spec.template.metadata.annotations", template),
        ("metadata.labels.version", number),
    ] {
        let error = scene.deploy("first", &[manifest]).await.terminal();
        assert_eq!(error.kind, "InvalidManifest");
        has(&error.messages.join("\n"), &[field]);
    }
    assert_eq!(scene.writes(), []);
    scene.end().await;
}

#[tokio::test]
async fn a_secret_that_the_server_refuses_does_not_show_its_data() {
    let scene = Scene::new("leak").await;
    let secret = |field: &str, value: Value| {
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login"}, field: {"pin": value},
        })
    };
    for manifest in [
        secret("stringData", json!(48_151_623)),
        secret("data", json!("hunter48151623!!")),
        secret("data", json!({"nested": "hunter48151623"})),
    ] {
        let error = scene.deploy("first", &[manifest]).await.terminal();
        let text = format!("{error:?}\n{}", scene.log.text());
        assert!(!text.contains("48151623"), "the data shows: {text}");
        has(&text, &["secret login", "base64"]);
    }
    scene.end().await;
}

#[tokio::test]
async fn a_service_account_that_is_missing_is_said() {
    let scene = Scene::new("account").await;
    let mut robot = pod("single", "nginx:1.27");
    robot["spec"]["serviceAccountName"] = "robot".into();
    let error = scene.deploy("first", &[robot]).await.terminal();
    has(&error.messages.join("\n"), &["pod single", "robot", "service account"]);
    scene.end().await;
}
