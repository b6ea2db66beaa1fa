//! Secrets by reference: read from a cluster, and written into the Secrets of another deploy.

use std::collections::BTreeMap;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deploy_kubernetes::{Accounts, ClusterSecrets, DeployManifest};
use serde_json::json;
use shared_plugin::{SecretSource, Secrets};
use shared_testkit::env;

use crate::objects::config_map;
use crate::scene::{ACCOUNT, Scene, has};

struct Vault;

#[async_trait]
impl SecretSource for Vault {
    async fn read(&self, name: &str, _key: Option<&str>) -> Result<secrecy::SecretString, String> {
        match name {
            "db" => Ok("pa55word of the db".into()),
            _ => Err("it is not in the vault".into()),
        }
    }
}

fn accounts() -> Accounts {
    Accounts::of_kubeconfig(&env::kubeconfig(), BTreeMap::new()).unwrap()
}

async fn scene(name: &str) -> Scene {
    let secrets = Secrets::default().with("vault", Vault);
    Scene::new(name).await.with(DeployManifest::new(accounts()).with_secrets(secrets))
}

#[tokio::test]
async fn a_secret_has_what_its_references_mean_and_nothing_else_has_it() {
    let scene = scene("secret").await;
    let encoded = STANDARD.encode("url: secret://vault/db!");
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "db" },
        "stringData": { "password": "secret://vault/db" }, "data": { "url": encoded },
    });
    let map = config_map("plain", &json!({ "password": "secret://vault/db" }));
    let context = scene.deploy("first", &[secret, map]).await.succeeded();
    let live = scene.live("v1", "Secret", "db").await;
    let value = |key: &str| {
        let text = live["data"][key].as_str().unwrap();
        String::from_utf8(STANDARD.decode(text).unwrap()).unwrap()
    };
    assert_eq!(value("password"), "pa55word of the db");
    assert_eq!(value("url"), "url: pa55word of the db!");
    let map = scene.live("v1", "ConfigMap", "plain").await;
    assert_eq!(map["data"]["password"], "secret://vault/db");
    has(&scene.log.text(), &["warning: `configMap plain` has a reference to a secret"]);
    let said = format!("{context:?}{}", scene.log.text());
    assert!(!said.contains("pa55word") && !said.contains(&STANDARD.encode("pa55word of the db")));
    scene.end().await;
}

#[tokio::test]
async fn a_reference_that_means_nothing_ends_the_stage_before_the_object_is_there() {
    let scene = scene("no-secret").await;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "db" },
        "stringData": { "password": "secret://vault/other" },
    });
    let error = scene.deploy("first", &[secret]).await.terminal();
    assert_eq!(error.kind, "SecretUnavailable");
    has(&error.messages.join(" "), &["secret db", "secret://vault/other", "not in the vault"]);
    assert_eq!(scene.get("v1", "Secret", "db").await, None);
    scene.end().await;
}

#[tokio::test]
async fn secrets_of_a_namespace_are_read_as_they_are_now() {
    let scene = Scene::new("cluster-secrets").await;
    let source = ClusterSecrets::new(accounts(), ACCOUNT, &scene.namespace);
    let nobody = ClusterSecrets::new(accounts(), "nobody", &scene.namespace);
    let secrets = Secrets::default().with("kubernetes", source).with("forbidden", nobody);
    let object = json!({
        "kind": "Secret", "metadata": { "name": "slack" },
        "stringData": { "token": "first token" },
    });
    scene.create("v1", object, "test").await;
    let reference = "secret://kubernetes/slack#token";
    assert_eq!(secrets.reveal(reference).await.unwrap(), "first token");
    let other = json!({ "stringData": { "token": "second token" } });
    scene.merge("v1", "Secret", "slack", other, "test").await;
    assert_eq!(secrets.reveal(reference).await.unwrap(), "second token");
    for (reference, parts) in [
        ("secret://kubernetes/slack", ["which key is meant", "slack#key"]),
        ("secret://kubernetes/slack#other", ["has no key `other`", "it has: token"]),
        ("secret://kubernetes/none#token", ["has no Secret `none`", ACCOUNT]),
        ("secret://forbidden/slack#token", ["forbidden", "the verb `get` on `secrets`"]),
    ] {
        let error = secrets.reveal(reference).await.unwrap_err().to_string();
        has(&error, &parts);
        assert!(!error.contains("second token"), "{error}");
    }
    scene.end().await;
}
