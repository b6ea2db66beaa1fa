//! Credentials that change while a worker runs, and every way to come by them.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use deploy_kubernetes::{Accounts, DeployManifest, ServiceAccount};
use serde_json::{Value, json};
use shared_testkit::env;
use tempfile::TempDir;

use crate::objects::config_map;
use crate::scene::{ACCOUNT, Scene, has};

/// The test cluster's kubeconfig.
fn of_stack() -> Value {
    serde_json::from_str(&std::fs::read_to_string(env::kubeconfig()).unwrap()).unwrap()
}

fn token(user: &str) -> String {
    let config = of_stack();
    let users = config["users"].as_array().unwrap();
    let found = users.iter().find(|one| one["name"] == user).unwrap();
    found["user"]["token"].as_str().unwrap().to_owned()
}

/// A kubeconfig whose one context has these credentials.
fn kubeconfig(folder: &TempDir, user: &Value) -> PathBuf {
    let mut config = of_stack();
    config["users"] = json!([{ "name": "own", "user": user }]);
    config["contexts"] =
        json!([{ "name": ACCOUNT, "context": { "cluster": "capstan-test", "user": "own" } }]);
    let file = folder.path().join("kubeconfig");
    std::fs::write(&file, config.to_string()).unwrap();
    file
}

fn program(file: &Path, text: &str) {
    std::fs::write(file, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn plugin(file: &Path) -> Value {
    json!({ "exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "command": file,
        "interactiveMode": "Never", "env": null, "args": null,
    } })
}

/// What a plugin prints.
fn credential(token: &str) -> String {
    let status = json!({ "token": token });
    json!({
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status,
    })
    .to_string()
}

async fn scene(name: &str, file: &Path) -> Scene {
    let scene = Scene::with_accounts(name, file, |_| BTreeMap::new()).await;
    let space = json!({ "kind": "Namespace", "metadata": { "name": scene.namespace } });
    scene.create("v1", space, "test").await;
    scene
}

/// Refused as one, then taken as the other, by the same stage type.
async fn renewed(scene: Scene, renew: impl FnOnce()) {
    let first = scene.deploy("first", &[config_map("one", &json!({}))]).await.terminal();
    assert_eq!(first.kind, "Forbidden", "{first:?}");
    renew();
    scene.deploy("second", &[config_map("two", &json!({}))]).await.succeeded();
    scene.live("v1", "ConfigMap", "two").await;
    scene.end().await;
}

#[tokio::test]
async fn a_kubeconfig_that_is_written_anew_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = kubeconfig(&folder, &json!({ "token": token("nobody") }));
    let scene = scene("kubeconfig", &file).await;
    renewed(scene, || drop(kubeconfig(&folder, &json!({ "token": token(ACCOUNT) })))).await;
}

#[tokio::test]
async fn a_token_file_that_is_written_anew_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("token");
    std::fs::write(&tokens, token("nobody")).unwrap();
    let file = kubeconfig(&folder, &json!({ "tokenFile": tokens }));
    let scene = scene("token-file", &file).await;
    renewed(scene, || std::fs::write(&tokens, token(ACCOUNT)).unwrap()).await;
}

#[tokio::test]
async fn the_cluster_that_a_pod_runs_in_is_reached_by_its_service_account() {
    let (config, folder) = (of_stack(), tempfile::tempdir().unwrap());
    let cluster = &config["clusters"][0]["cluster"];
    let file = |name: &str| folder.path().join(name);
    std::fs::copy(cluster["certificate-authority"].as_str().unwrap(), file("ca.crt")).unwrap();
    std::fs::write(file("token"), token("nobody")).unwrap();
    let service_account = ServiceAccount::new(cluster["server"].as_str().unwrap(), folder.path());
    let own = Accounts::none().and_own_cluster(ACCOUNT, &service_account).unwrap();
    let taken = own.clone().and_own_cluster(ACCOUNT, &service_account);
    has(&taken.err().unwrap().to_string(), &[ACCOUNT, "another name"]);
    assert_eq!(own.names().collect::<Vec<_>>(), [ACCOUNT]);
    let scene = scene("in-cluster", &env::kubeconfig()).await.with(DeployManifest::new(own));
    renewed(scene, || std::fs::write(file("token"), token(ACCOUNT)).unwrap()).await;
    std::fs::remove_file(file("token")).unwrap();
    let missing = Accounts::none().and_own_cluster("own", &service_account).err().unwrap();
    has(&missing.to_string(), &["token", "automountServiceAccountToken"]);
}

#[tokio::test]
async fn a_plugin_comes_up_with_credentials() {
    let folder = tempfile::tempdir().unwrap();
    let login = folder.path().join("login");
    program(&login, &format!("echo '{}'", credential(&token(ACCOUNT))));
    let file = kubeconfig(&folder, &plugin(&login));
    let scene = scene("plugin", &file).await;
    scene.deploy("first", &[config_map("one", &json!({}))]).await.succeeded();
    scene.end().await;
}

#[tokio::test]
async fn a_plugin_that_fails_is_said_without_what_it_printed() {
    let folder = tempfile::tempdir().unwrap();
    let login = folder.path().join("login");
    let file = kubeconfig(&folder, &plugin(&login));
    let scene = scene("plugin-fails", &file).await;
    let secret = "s3cr3t-t0ken";
    let cases = [
        (format!("echo {secret}; echo 'log in first' >&2; exit 3"), "log in first"),
        (format!("echo '{{ \"token: {secret}'"), "no ExecCredential"),
        (format!("echo 'token: {secret}'"), "no ExecCredential"),
    ];
    for (text, part) in cases {
        program(&login, &text);
        let error = scene.deploy("first", &[config_map("one", &json!({}))]).await.terminal();
        let said = format!("{error:?}{}", scene.log.text());
        has(&said, &[part, login.to_str().unwrap(), ACCOUNT]);
        assert!(!said.contains(secret), "{said}");
    }
    std::fs::remove_file(&login).unwrap();
    let error = scene.deploy("first", &[config_map("one", &json!({}))]).await.terminal();
    has(&error.messages.join(" "), &["cannot be run", login.to_str().unwrap()]);
    scene.end().await;
}
