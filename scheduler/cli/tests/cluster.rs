//! A chart to a real cluster: baked by the real helm, applied to the real API server, judged from
//! outside; then the same killed at seeded moments.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails where it stands, and waits by the machine's own clock"
)]

#[path = "capstan/counted.rs"]
mod counted;
#[path = "capstan/file.rs"]
mod file;
#[path = "capstan/process.rs"]
mod process;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use counted::{counting_helm, is_used};
use file::file;
use process::{capstan, kill, wait_for};
use serde_json::{Value, json};
use shared_testkit::{audit, env};

/// One pipeline in a namespace of its own.
struct Scene {
    folder: tempfile::TempDir,
    namespace: String,
    helm: PathBuf,
}

impl Scene {
    fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let namespace = format!("cli-{name}-{}", std::process::id());
        let helm = counting_helm(folder.path());
        Self { folder, namespace, helm }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn document(&self, image: &str, wait_seconds: f64) -> PathBuf {
        let text = pipeline(&self.namespace, image, wait_seconds).to_string();
        file(self.folder.path(), "pipeline.json", &text)
    }

    fn command(&self) -> Command {
        let mut command = capstan();
        command.arg("run").arg("--data-dir").arg(self.path("data"));
        command.arg("--kubeconfig").arg(env::kubeconfig()).arg("--helm").arg(&self.helm);
        let charts = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/charts");
        command.arg("--artifacts-root").arg(charts).args(["-o", "json", "--user", "tester"]);
        command
    }

    /// Starts it with its words going to files.
    fn start(&self, command: &mut Command) -> Child {
        let out = File::create(self.path("out")).unwrap();
        let err = File::create(self.path("err")).unwrap();
        command.stdout(out).stderr(err).stdin(Stdio::null()).spawn().unwrap()
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.path("err")).unwrap_or_default()
    }

    /// The command that answers the judgment, once it was printed.
    fn answer_command(&self) -> Option<String> {
        let said = self.said();
        let lines: Vec<&str> = said.lines().collect();
        let at = lines.iter().position(|line| line.starts_with("to go on"))?;
        lines.get(at + 1).map(|line| line.trim().to_owned())
    }

    /// Waits for the end, answering judgments as they come.
    fn follow(&self, mut child: Child) -> i32 {
        let mut answered = false;
        wait_for("the end of the run", || {
            if let Some(command) = self.answer_command().filter(|_| !answered) {
                let sent =
                    Command::new("sh").args(["-c", &format!("{command} -s -o /dev/null")]).status();
                answered = sent.unwrap().success();
            }
            child.try_wait().unwrap().map(|status| status.code().unwrap_or(-1))
        })
    }

    fn execution(&self) -> Value {
        serde_json::from_str(&std::fs::read_to_string(self.path("out")).unwrap()).unwrap()
    }

    /// Writes that changed something, by kind and name.
    fn changes(&self) -> BTreeMap<String, usize> {
        let mut changes = BTreeMap::new();
        let mut versions: BTreeMap<String, String> = BTreeMap::new();
        for write in audit::writes(&env::audit_log()).unwrap() {
            let here = write.namespace == self.namespace || write.name == self.namespace;
            let ours = here && write.request_uri.contains("fieldManager=capstan");
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

    fn bakes(&self) -> usize {
        std::fs::read_to_string(self.path("bakes")).unwrap_or_default().lines().count()
    }
}

fn pipeline(namespace: &str, image: &str, wait_seconds: f64) -> Value {
    let space = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
    json!({"application": "shop", "name": "release", "stages": [
        {"refId": "0", "type": "deployManifest", "name": "Namespace", "account": "capstan-test", "manifests": [space]},
        {"refId": "w", "type": "wait", "waitTime": wait_seconds, "requisiteStageRefIds": ["0"]},
        {"refId": "1", "type": "bakeManifest", "name": "Bake", "templateRenderer": "HELM3", "outputName": "shop",
         "namespace": namespace, "requisiteStageRefIds": ["w"], "overrides": {"image": image},
         "inputArtifacts": [{"artifact": {"type": "local/file", "name": "chart", "reference": "shop"}}],
         "expectedArtifacts": [{"id": "m", "matchArtifact": {"type": "embedded/base64", "name": "shop"}}]},
        {"refId": "2", "type": "deployManifest", "name": "Deploy", "account": "capstan-test",
         "moniker": {"app": "shop"}, "source": "artifact", "manifestArtifactId": "m", "requisiteStageRefIds": ["1"]},
        {"refId": "3", "type": "checkPreconditions", "name": "Check", "requisiteStageRefIds": ["2"], "preconditions": [
            {"type": "expression", "context": {"expression": "#stage('Deploy').hasSucceeded"}, "failPipeline": true}]},
        {"refId": "4", "type": "manualJudgment", "name": "Keep it?", "requisiteStageRefIds": ["3"]},
    ]})
}

fn stage<'a>(execution: &'a Value, name: &str) -> &'a Value {
    let stages = execution["stages"].as_array().unwrap();
    stages.iter().find(|stage| stage["name"] == name).unwrap()
}

#[test]
fn a_chart_is_baked_deployed_checked_and_judged() {
    let scene = Scene::new("good");
    let child = scene.start(scene.command().arg(scene.document("nginx:1.27", 0.0)));
    assert_eq!(scene.follow(child), 0, "{}", scene.said());
    let execution = scene.execution();
    assert_eq!(execution["status"], "SUCCEEDED");
    let manifests = stage(&execution, "Deploy")["outputs"]["manifests"].as_array().unwrap();
    let deployment = manifests.iter().find(|object| object["kind"] == "Deployment").unwrap();
    let labels = &deployment["metadata"]["labels"];
    assert_eq!(labels["app.kubernetes.io/name"], "shop");
    assert_eq!(labels["app.kubernetes.io/managed-by"], "spinnaker");
    assert!(deployment["metadata"]["resourceVersion"].is_string(), "it is the server's object");
    assert_eq!(stage(&execution, "Keep it?")["context"]["lastModifiedBy"], "anonymous");
    assert_eq!(scene.changes().get("deployments shop"), Some(&1));
}

#[test]
fn a_broken_image_ends_terminal_and_says_what_to_do() {
    let scene = Scene::new("bad");
    let child = scene.start(scene.command().arg(scene.document("nginx:does-not-exist", 0.0)));
    assert_eq!(scene.follow(child), 1, "{}", scene.said());
    let said = scene.said();
    for part in [
        "deployment shop",
        "ImagePullBackOff",
        "check the image's name and tag",
        "progress deadline",
    ] {
        assert!(said.contains(part), "`{part}` is missing in:\n{said}");
    }
    assert_eq!(scene.execution()["status"], "TERMINAL");
}

#[test]
fn forbidden_verbs_and_an_unreachable_cluster_are_told_apart() {
    let scene = Scene::new("no");
    let document = |account: &str| {
        let text = json!({"application": "a", "name": "p", "stages": [{
            "refId": "1", "type": "deployManifest", "account": account, "manifests": [
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "default"}}]}]});
        file(scene.folder.path(), "p.json", &text.to_string())
    };
    let child = scene.start(scene.command().arg(document("nobody")));
    assert_eq!(scene.follow(child), 1);
    assert!(scene.said().contains("forbids"), "{}", scene.said());
    let config = std::fs::read_to_string(env::kubeconfig()).unwrap();
    let at = config.find("https://127.0.0.1:").unwrap() + "https://127.0.0.1:".len();
    let port: String = config[at..].chars().take_while(char::is_ascii_digit).collect();
    let dead = config.replace(&format!("127.0.0.1:{port}"), "127.0.0.1:1");
    let dead = file(scene.folder.path(), "dead", &dead);
    let mut command = capstan();
    command.arg("run").arg("--data-dir").arg(scene.path("data2")).arg("--kubeconfig").arg(dead);
    let child = scene.start(command.arg(document("capstan-test")).args(["-o", "json"]));
    assert_eq!(scene.follow(child), 1);
    assert!(scene.said().contains("cannot be reached"), "{}", scene.said());
}

#[test]
fn killed_at_any_moment_it_finishes_and_does_nothing_twice() {
    const SEEDS: u64 = 20;
    let (mut killed_while_running, mut finished) = (0, 0);
    for seed in 0..SEEDS {
        let scene = Scene::new(&format!("kill{seed}"));
        let mut child = scene.start(scene.command().arg(scene.document("nginx:1.27", 0.3)));
        // Spread over all stages; the last seeds are killed in the judgment.
        std::thread::sleep(Duration::from_millis(60 + seed * 73));
        killed_while_running += u32::from(child.try_wait().unwrap().is_none());
        kill(child.id());
        child.wait().unwrap();
        let mut resumed = scene.start(scene.command().arg("--resume"));
        // A second kill, so that the way back is killed as well.
        std::thread::sleep(Duration::from_millis((seed * 37) % 400));
        kill(resumed.id());
        resumed.wait().unwrap();
        finished += u32::from(finish(&scene, seed));
    }
    assert!(finished >= 15, "only {finished} of {SEEDS} executions were there to be resumed");
    assert!(
        killed_while_running >= 15,
        "only {killed_while_running} of {SEEDS} were killed in time"
    );
}

/// Resumes to the end and counts what was done; whether there was anything to resume.
fn finish(scene: &Scene, seed: u64) -> bool {
    let was_begun = scene.path("data").exists();
    let child = scene.start(scene.command().arg("--resume"));
    let code = scene.follow(child);
    if !was_begun {
        // On a slow machine it was killed before it made its folder; resuming says so.
        assert_eq!((code, scene.bakes()), (2, 0), "seed {seed}: {}", scene.said());
        return false;
    }
    assert_eq!(code, 0, "seed {seed}: {}", scene.said());
    if scene.said().contains("nothing to resume") {
        // It was killed before anything was acknowledged, or it had ended.
        assert!(scene.bakes() <= 1, "seed {seed}");
        return false;
    }
    let execution = scene.execution();
    assert_eq!(execution["status"], "SUCCEEDED", "seed {seed}: {}", scene.said());
    assert_eq!(scene.bakes(), 1, "seed {seed}: a finished bake was repeated");
    let changes = scene.changes();
    for name in ["deployments shop", "services shop", "configmaps shop"] {
        assert_eq!(changes.get(name), Some(&1), "seed {seed}: {changes:?}");
    }
    let judged = scene.said().matches(" judged ").count();
    assert_eq!(judged, 1, "seed {seed}: {}", scene.said());
    let data = scene.path("data").display().to_string();
    wait_for("the end of every process", || (!is_used(&data)).then_some(()));
    true
}
