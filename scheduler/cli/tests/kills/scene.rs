//! The pipeline that is killed, and what the outside world saw of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use shared_testkit::http_server::{Asked, HttpServer, Reply};
use shared_testkit::{audit, env};

use crate::baking::{docker, recipe};
use crate::counted::{counting_helm, is_used};
use crate::dev::Dev;
use crate::process::wait_for;

pub(crate) struct Scene {
    folder: tempfile::TempDir,
    name: String,
    helm: PathBuf,
    target: HttpServer,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        recipe(folder.path(), "");
        let charts = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/charts/shop");
        copy(&charts, &folder.path().join("shop"));
        let helm = counting_helm(folder.path());
        let name = format!("kills-{}", std::process::id());
        let target = HttpServer::start(answer).unwrap();
        Self { folder, name, helm, target }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn dev(&self) -> Dev {
        Dev::start_with(self.folder.path(), |command| {
            command.arg("--kubeconfig").arg(env::kubeconfig()).arg("--helm").arg(&self.helm);
            command.arg("--artifacts-root").arg(self.folder.path());
            command.args(["--allow-url", "127.0.0.1"]);
            command.env("DOCKER_HOST", env::docker_host());
        })
    }

    /// Saves both pipelines.
    pub(crate) fn save(&self, dev: &Dev) {
        let child = json!({
            "application": "kills", "name": "child", "id": "child", "stages": [
                {"refId": "w", "type": "wait", "waitTime": 1, "name": "wait"},
                {"refId": "1", "type": "webhook", "name": "call", "requisiteStageRefIds": ["w"],
                 "method": "PUT", "url": self.target.url("/child/${trigger.parentExecution.id}")},
            ],
        });
        for document in [child, self.parent()] {
            let (status, answer) = dev.send("POST", "/pipelines", &document).unwrap();
            assert_eq!(status, 200, "{answer}");
        }
    }

    fn parent(&self) -> Value {
        let namespace = &self.name;
        let space =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        let chart = json!({"type": "local/file", "name": "chart", "reference": "shop"});
        let baked = json!({"type": "embedded/base64", "name": "${parameters.release}"});
        json!({"application": "kills", "name": "parent", "id": "parent", "stages": [
            {"refId": "0", "type": "deployManifest", "name": "Namespace",
             "account": "capstan-test", "manifests": [space]},
            {"refId": "1", "type": "bakeManifest", "name": "Bake", "templateRenderer": "HELM3",
             "outputName": "${parameters.release}", "namespace": namespace,
             "requisiteStageRefIds": ["0"], "overrides": {"image": "nginx:1.27"},
             "inputArtifacts": [{"artifact": chart}],
             "expectedArtifacts": [{"id": "m", "matchArtifact": baked}]},
            {"refId": "2", "type": "deployManifest", "name": "Deploy", "account": "capstan-test",
             "source": "artifact", "manifestArtifactId": "m", "requisiteStageRefIds": ["1"]},
            {"refId": "image", "type": "bake", "name": "Image", "cloudProviderType": "docker",
             "templateFileName": "shop.pkr.hcl", "package": "shop",
             "extendedAttributes": {"repository": self.name, "tag": "${parameters.release}",
                                    "seconds": 0.3}},
            {"refId": "child", "type": "pipeline", "name": "Child", "application": "kills",
             "pipeline": "child"},
            {"refId": "once", "type": "webhook", "name": "Once",
             "url": self.target.url("/once/${execution.id}")},
            {"refId": "keyed", "type": "webhook", "name": "Keyed", "idempotent": true,
             "requisiteStageRefIds": ["once"], "url": self.target.url("/keyed/${execution.id}")},
        ]})
    }

    /// Starts it; where its execution is.
    pub(crate) fn start(&self, dev: &Dev, round: u64) -> String {
        let body = json!({ "parameters": { "release": release(round) } });
        let (status, answer) = dev.send("POST", "/pipelines/kills/parent", &body).unwrap();
        assert_eq!(status, 202, "{answer}");
        answer["ref"].as_str().unwrap().to_owned()
    }

    /// What the target was asked for an execution.
    pub(crate) fn requests(&self, kind: &str, execution: &str) -> Vec<Asked> {
        let path = format!("/{kind}/{execution}");
        self.target.asked().into_iter().filter(|asked| asked.path == path).collect()
    }

    /// Everything took place, and once.
    pub(crate) fn check(&self, dev: &Dev, round: u64, execution: &Value) {
        let id = execution["id"].as_str().unwrap();
        assert_eq!(self.requests("once", id).len(), 1, "round {round}: a webhook without keys");
        for kind in ["keyed", "child"] {
            let asked = self.requests(kind, id);
            let keys: BTreeSet<_> =
                asked.iter().map(|asked| asked.header("idempotency-key")).collect();
            assert_eq!(keys.len(), 1, "round {round}: {kind} {keys:?}");
        }
        let children = dev.get("/executions?pipelineConfigIds=child&limit=1000&statuses=SUCCEEDED");
        let of_parent = children.as_array().unwrap().iter();
        let of_parent = of_parent.filter(|child| child["trigger"]["parentExecution"]["id"] == *id);
        assert_eq!(of_parent.count(), 1, "round {round}: {children:#}");
        let bakes = std::fs::read_to_string(self.folder.path().join("bakes")).unwrap();
        let bakes = bakes.lines().filter(|line| *line == release(round)).count();
        assert_eq!(bakes, 1, "round {round}: a finished bake was repeated");
        let changes = self.changes(&release(round));
        assert!(changes.len() >= 3 && changes.values().all(|times| *times == 1), "{changes:?}");
        let image = format!("{}:{}", self.name, release(round));
        let images = docker(&["images", "--quiet", "--no-trunc", &image]);
        assert_eq!(images.lines().count(), 1, "round {round}: {images}");
        docker(&["rmi", &image]);
    }

    /// Writes that changed an object of a release, by kind and name.
    fn changes(&self, release: &str) -> BTreeMap<String, usize> {
        let (mut changes, mut versions) = (BTreeMap::new(), BTreeMap::new());
        for write in audit::writes(&env::audit_log()).unwrap() {
            let ours = write.namespace == self.name
                && write.name == release
                && write.request_uri.contains("fieldManager=capstan");
            if !ours || write.status >= 300 {
                continue;
            }
            let key = format!("{} {}", write.resource, write.name);
            let version = write.resource_version.clone();
            if versions.insert(key.clone(), version.clone()) != Some(version) {
                *changes.entry(key).or_default() += 1;
            }
        }
        changes
    }

    /// No tool, guard or container of it is left.
    pub(crate) fn leaves_nothing(&self) {
        let data = self.folder.path().join("data").display().to_string();
        wait_for("the end of every process", || (!is_used(&data)).then_some(()));
        let mounts = docker(&["ps", "--all", "--no-trunc", "--format={{.Mounts}}"]);
        assert!(!mounts.contains(&data), "{mounts}");
    }
}

/// A target that takes its time with what it cannot recognise: time to be killed in.
fn answer(asked: &Asked) -> Reply {
    if asked.path.starts_with("/once/") {
        std::thread::sleep(Duration::from_millis(400));
    }
    Reply::json(200, &json!({ "taken": true }))
}

fn release(round: u64) -> String {
    format!("shop-{round}")
}

fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-r").arg(from).arg(to).status().unwrap();
    assert!(done.success());
}
