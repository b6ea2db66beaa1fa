//! A server with a helm that can be held, and pipelines for it.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::dev::Dev;
use crate::file::file;
use crate::http;
use crate::process::wait_for;

/// A helm that waits for as long as there is a file `hold`, and says when it does.
const HELM: &str = "\
#!/bin/sh
echo begun >> \"${0%/*}/begun\"
while [ -e \"${0%/*}/hold\" ]; do sleep 0.05; done
echo 'kind: A'
";

/// Folder, chart and helm.
pub(crate) struct Scene {
    pub(crate) folder: TempDir,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let helm = file(folder.path(), "helm", HELM);
        std::fs::set_permissions(helm, PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::create_dir(folder.path().join("chart")).unwrap();
        let chart = "apiVersion: v2\nname: shop\nversion: 0.1.0\n";
        file(&folder.path().join("chart"), "Chart.yaml", chart);
        Self { folder }
    }

    /// A server, with further words and variables.
    pub(crate) fn start(&self, words: &[&str], variables: &[(&str, &str)]) -> Dev {
        let folder = self.folder.path();
        Dev::start_with(folder, |command| {
            command.arg("--helm").arg(folder.join("helm")).arg("--artifacts-root").arg(folder);
            command.env("OTEL_BSP_SCHEDULE_DELAY", "50");
            command.args(words).envs(variables.iter().copied());
        })
    }

    pub(crate) fn place(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn hold(&self) {
        file(self.folder.path(), "hold", "");
    }

    pub(crate) fn let_go(&self) {
        std::fs::remove_file(self.place("hold")).unwrap();
    }
}

/// Waits until helm runs, and it is stored that its worker is at it: what is lost before is begun again
/// as if nobody had had it.
pub(crate) fn wait_until_at_work(scene: &Scene, dev: &Dev, id: &str) {
    wait_for("a run of helm", || scene.place("begun").exists().then_some(()));
    wait_for("the history to tell of it", || {
        let history = dev.get(&format!("/v1/executions/{id}/history"));
        let all = history.as_array().unwrap();
        all.iter().any(|entry| entry["kind"] == "attempt-started").then_some(())
    });
}

/// A wait, variables, and a run of helm.
pub(crate) fn pipeline(name: &str) -> Value {
    let chart = json!({ "type": "local/file", "name": "chart", "reference": "chart" });
    json!({
        "application": "shop", "name": name,
        "stages": [
            {"refId": "1", "type": "wait", "waitTime": 0, "name": "Pause"},
            {"refId": "2", "requisiteStageRefIds": ["1"], "type": "evaluateVariables",
             "name": "Say", "variables": [{"key": "a", "value": "b"}]},
            {"refId": "3", "requisiteStageRefIds": ["2"], "type": "bakeManifest", "name": "Bake",
             "templateRenderer": "HELM3", "outputName": "shop",
             "inputArtifacts": [{ "artifact": chart }],
             "expectedArtifacts":
                [{ "id": "m", "matchArtifact": { "type": "embedded/base64", "name": "shop" } }]},
        ],
    })
}

/// Variables alone: it ends at once.
pub(crate) fn quick(name: &str) -> Value {
    json!({
        "application": name, "name": name,
        "stages": [{"refId": "1", "type": "evaluateVariables", "name": name,
                    "variables": [{"key": "a", "value": "b"}]}],
    })
}

/// Starts a document; the execution's id.
pub(crate) fn start(dev: &Dev, headers: &str, document: &Value) -> String {
    let text = document.to_string();
    let sent = http::send_with(&dev.address, "POST", "/pipelines/start", headers, &text);
    let (status, _, body) = sent.unwrap();
    assert_eq!(status, 202, "{body}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    answer["ref"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
}

/// The execution, once it has ended.
pub(crate) fn ended(dev: &Dev, id: &str) -> Value {
    wait_for("the end of an execution", || {
        Some(dev.get(&format!("/pipelines/{id}"))).filter(|found| !found["endTime"].is_null())
    })
}
