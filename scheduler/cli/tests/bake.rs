//! An image from a recipe to a real cluster: baked by the real Packer in the real docker, pushed to a
//! registry, and bound into a manifest that the real API server takes; then the same killed.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails where it stands, and waits by the machine's own clock"
)]

#[path = "capstan/baking.rs"]
mod baking;
#[path = "capstan/file.rs"]
mod file;
#[path = "capstan/process.rs"]
mod process;

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use baking::{docker, recipe};
use file::file;
use process::{capstan, kill, wait_for};
use serde_json::{Value, json};
use shared_testkit::env;

/// One pipeline in a namespace and with an image of its own.
struct Scene {
    folder: tempfile::TempDir,
    name: String,
}

impl Scene {
    fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        recipe(folder.path(), "post-processor \"docker-push\" {}");
        Self { folder, name: format!("bake-{name}-{}", std::process::id()) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn repository(&self) -> String {
        format!("{}/{}", env::registry(), self.name)
    }

    fn command(&self) -> Command {
        let mut command = capstan();
        command.arg("run").arg("--data-dir").arg(self.path("data"));
        command.arg("--kubeconfig").arg(env::kubeconfig()).args(["-o", "json", "--user", "tester"]);
        command.arg("--artifacts-root").arg(self.folder.path());
        command.env("DOCKER_HOST", env::docker_host());
        command
    }

    fn start(&self, command: &mut Command) -> Child {
        let out = File::create(self.path("out")).unwrap();
        let err = File::create(self.path("err")).unwrap();
        command.stdout(out).stderr(err).stdin(Stdio::null()).spawn().unwrap()
    }

    fn end(&self, mut child: Child) -> i32 {
        wait_for("the end of the run", || {
            child.try_wait().unwrap().map(|status| status.code().unwrap_or(-1))
        })
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.path("err")).unwrap_or_default()
    }

    fn execution(&self) -> Value {
        serde_json::from_str(&std::fs::read_to_string(self.path("out")).unwrap()).unwrap()
    }

    fn document(&self, seconds: f64) -> PathBuf {
        let (namespace, repository) = (&self.name, self.repository());
        let space =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "shop", "namespace": namespace},
            "spec": {"selector": {"matchLabels": {"app": "shop"}}, "template": {
                "metadata": {"labels": {"app": "shop"}},
                "spec": {"containers": [{"name": "shop", "image": repository}]}}}});
        let text = json!({"application": "shop", "name": "release", "stages": [
            {"refId": "1", "type": "bake", "name": "Bake", "cloudProviderType": "docker",
             "templateFileName": "shop.pkr.hcl", "package": "shop",
             "extendedAttributes": {"repository": repository, "tag": "1.7", "seconds": seconds},
             "expectedArtifacts": [
                {"id": "image", "matchArtifact": {"type": "docker/image", "name": repository}}]},
            {"refId": "2", "type": "deployManifest", "name": "Deploy", "account": "capstan-test",
             "moniker": {"app": "shop"}, "requisiteStageRefIds": ["1"],
             "requiredArtifactIds": ["image"], "manifests": [space, deployment]},
        ]});
        file(self.folder.path(), "pipeline.json", &text.to_string())
    }

    /// The image of the deployment as the API server has it.
    fn deployed(&self) -> String {
        let execution = self.execution();
        let stages = execution["stages"].as_array().unwrap();
        let deploy = stages.iter().find(|stage| stage["name"] == "Deploy").unwrap();
        let manifests = deploy["outputs"]["manifests"].as_array().unwrap();
        let deployment = manifests.iter().find(|object| object["kind"] == "Deployment").unwrap();
        assert!(deployment["metadata"]["resourceVersion"].is_string(), "it is the server's object");
        deployment["spec"]["template"]["spec"]["containers"][0]["image"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    fn containers(&self) -> usize {
        let listed = docker(&["ps", "--all", "--no-trunc", "--format={{.Mounts}}"]);
        listed.lines().filter(|line| line.contains(&*self.folder.path().to_string_lossy())).count()
    }
}

#[test]
fn a_baked_image_is_deployed_by_the_same_pipeline() {
    let scene = Scene::new("good");
    let child = scene.start(scene.command().arg(scene.document(0.0)));
    assert_eq!(scene.end(child), 0, "{}", scene.said());
    let image = format!("{}:1.7", scene.repository());
    assert_eq!(scene.deployed(), image);
    assert!(scene.said().contains("docker.shop: half-way"), "{}", scene.said());
    // What the registry has is what was baked.
    docker(&["rmi", &image]);
    let version = docker(&["run", "--rm", "--entrypoint=/bin/busybox", &image, "cat", "/version"]);
    assert_eq!(version.trim(), "1.7");
    docker(&["rmi", &image]);
}

#[test]
fn killed_in_the_middle_of_a_bake_it_bakes_again_and_leaves_nothing() {
    let scene = Scene::new("killed");
    let mut child = scene.start(scene.command().arg(scene.document(8.0)));
    wait_for("the middle of the bake", || {
        scene.said().contains("docker.shop: half-way").then_some(())
    });
    assert_eq!(scene.containers(), 1);
    kill(child.id());
    child.wait().unwrap();
    // Its guard lets Packer go on for five seconds, and asks it to end then.
    let resumed = scene.start(scene.command().arg("--resume"));
    assert_eq!(scene.end(resumed), 0, "{}", scene.said());
    let image = format!("{}:1.7", scene.repository());
    assert_eq!(scene.deployed(), image);
    assert_eq!(scene.containers(), 0);
    let images = docker(&["images", "--quiet", "--no-trunc", &scene.repository()]);
    assert_eq!(images.lines().count(), 1, "exactly one image: {images}");
    docker(&["rmi", &image]);
}

#[test]
fn folders_and_tools_that_are_not_there_are_named_before_anything_is_made() {
    let scene = Scene::new("flags");
    for (flag, part) in
        [("--recipes", "the folder of recipes"), ("--packer", "the packer `/nowhere/x`")]
    {
        let mut command = scene.command();
        let child = scene.start(command.args([flag, "/nowhere/x"]).arg(scene.document(0.0)));
        assert_eq!(scene.end(child), 2, "{}", scene.said());
        assert!(scene.said().contains(part) && scene.said().contains(flag), "{}", scene.said());
        assert!(!scene.path("data").exists());
    }
    let mut command = scene.command();
    let child =
        scene.start(command.args(["--packer-env", "NO_SUCH_NAME"]).arg(scene.document(0.0)));
    assert_eq!(scene.end(child), 2, "{}", scene.said());
    assert!(scene.said().contains("`NO_SUCH_NAME`"), "{}", scene.said());
}
