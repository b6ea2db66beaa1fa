//! Real templates through the real Packer and docker.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

#[path = "packer/docker.rs"]
mod docker;
#[path = "guard/scene.rs"]
#[expect(dead_code, reason = "the tests of helm use the rest of it")]
mod scene;
#[path = "packer/templates.rs"]
mod templates;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use bake::{Bake, PackerConfig};
use base64::Engine as _;
use docker::{containers, docker, processes, tags_in_registry, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use scene::{Scene, error, guard};
use secrecy::SecretString;
use serde_json::{Value, json};
use shared_model::{TaskAnswer, TaskError, TaskResult};
use shared_plugin::{SecretSource, Secrets, StageType};
use shared_runtime::Tools;
use shared_runtime::tool::GuardCommand;
use shared_testkit::env;
use templates::{hcl, recipes};

fn config(scene: &Scene, recipes: &Path) -> PackerConfig {
    let guard = GuardCommand { program: guard(), args: vec!["guard".into()] };
    let path = "/usr/bin:/bin".into();
    let tools = Tools::new(guard, &scene.data.path().join("tools"), path).unwrap();
    let mut config = PackerConfig::new(tools, recipes.into(), recipes.into());
    config.env = vec![("DOCKER_HOST".into(), env::docker_host())];
    config
}

async fn bake(scene: &Scene, config: &PackerConfig, context: &Value) -> TaskAnswer {
    Bake::new(config.clone()).run("createBake", &scene.context(context)).await
}

fn result(answer: TaskAnswer) -> TaskResult {
    let TaskAnswer::Succeeded { result } = answer else { panic!("it failed: {answer:?}") };
    result
}

/// A repository of this test alone.
fn repository(name: &str) -> String {
    format!("example.test/{name}-{}", std::process::id())
}

/// Packer, but it notes each time what it is told.
fn noting_packer(folder: &Path) -> (String, PathBuf) {
    let (program, noted) = (folder.join("noting-packer"), folder.join("noted"));
    let script = format!("#!/bin/sh\necho \"$@\" >> '{}'\nexec packer \"$@\"\n", noted.display());
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    (program.to_string_lossy().into_owned(), noted)
}

#[tokio::test]
async fn the_example_bakes_in_both_languages() {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let example = std::fs::read(crate_folder.join("examples/bake.json")).unwrap();
    let example: Value = serde_json::from_slice(&example).unwrap();
    for (file, pull, tags) in [
        ("shop.pkr.hcl", json!(false), json!(["1.2", "latest"])),
        ("shop.json", json!(false), json!("1.2,latest")),
    ] {
        let (scene, repository) = (Scene::new(), repository("example"));
        let mut stage = example["stages"][0].clone();
        stage["templateFileName"] = json!(file);
        stage["package"] = json!(format!("made by {file}"));
        stage["extendedAttributes"] =
            json!({"base": env::BASE_IMAGE, "pull": pull, "repository": repository, "tags": tags});
        let config = config(&scene, &crate_folder.join("examples/recipes"));
        let result = result(bake(&scene, &config, &stage).await);
        let tagged = format!("{repository}:1.2");
        assert_eq!(docker(&["run", "--rm", &tagged]), format!("made by {file}"));
        let artifact = &result.artifacts[0];
        assert_eq!((artifact.kind(), artifact.name()), ("docker/image", repository.as_str()));
        assert_eq!((artifact.version(), artifact.reference()), ("1.2", tagged.as_str()));
        let detail = &result.outputs["deploymentDetails"][0];
        assert_eq!(detail["imageId"], json!(tagged));
        assert_eq!(
            (&detail["region"], &detail["cloudProvider"]),
            (&json!("global"), &json!("docker"))
        );
        let log = scene.log.all();
        assert!(
            log.iter().any(|line| line.contains(&format!("installing made by {file}"))),
            "{log:?}"
        );
        assert!(containers(scene.data.path()).is_empty());
        docker(&["rmi", &tagged, &format!("{repository}:latest")]);
    }
}

/// Knows one secret.
struct Shop;

#[async_trait]
impl SecretSource for Shop {
    async fn read(&self, name: &str, key: Option<&str>) -> Result<SecretString, String> {
        match (name, key) {
            ("shop", Some("token")) => Ok("s3cret-0f-7he-shop".into()),
            _ => Err("there is none of that name".to_owned()),
        }
    }
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_is_named() {
    let scene = Scene::new();
    let recipes = recipes(scene.data.path(), &[("t.pkr.hcl", &hcl("true", "none", "1"))]);
    let context = json!({"templateFileName": "t.pkr.hcl",
        "extendedAttributes": {"token": "secret://test/other#token"}});
    let stage =
        Bake::new(config(&scene, &recipes)).with_secrets(Secrets::default().with("test", Shop));
    let TaskAnswer::Failed { error, .. } = stage.run("createBake", &scene.context(&context)).await
    else {
        panic!("it baked")
    };
    for part in ["extendedAttributes.token", "secret://test/other#token", "none of that name"] {
        assert!(error.messages[0].contains(part), "{error:?}");
    }
}

#[tokio::test]
async fn values_go_by_file_and_nowhere_else() {
    let (scene, repository) = (Scene::new(), repository("secret"));
    let template =
        hcl("echo the token has $(echo -n $TOKEN | busybox wc -c) bytes", &repository, "1");
    let recipes = recipes(scene.data.path(), &[("t.pkr.hcl", &template)]);
    let mut config = config(&scene, &recipes);
    let noted;
    (config.packer, noted) = noting_packer(scene.data.path());
    let context = json!({"templateFileName": "t.pkr.hcl",
        "extendedAttributes": {"token": "secret://test/shop#token", "unknown": "als0-s3cret"}});
    let stage = Bake::new(config.clone()).with_secrets(Secrets::default().with("test", Shop));
    let result = result(stage.run("createBake", &scene.context(&context)).await);
    let log = scene.log.all().join("\n");
    assert!(log.contains("the token has 18 bytes"), "{log}");
    assert!(log.contains("does not declare: unknown"), "{log}");
    let noted = std::fs::read_to_string(noted).unwrap();
    assert!(noted.starts_with("build -machine-readable"), "{noted}");
    for text in [&log, &noted, &serde_json::to_string(&result).unwrap()] {
        assert!(!text.contains("s3cret"), "{text}");
    }
    let left = config.tools.runs;
    let found =
        std::process::Command::new("grep").args(["-r", "s3cret"]).arg(left).output().unwrap();
    assert!(found.stdout.is_empty(), "{}", String::from_utf8_lossy(&found.stdout));
    docker(&["rmi", &format!("{repository}:1")]);
}

#[tokio::test]
async fn an_image_is_pushed_to_the_registry() {
    let (scene, name) = (Scene::new(), format!("pushed-{}", std::process::id()));
    let repository = format!("{}/{name}", env::registry());
    let template = hcl("echo made > /made", &repository, "3");
    let push = "tags       = [\"3\"]\n}\npost-processor \"docker-push\" {";
    let sequence = template
        .replace(
            "post-processor \"docker-tag\"",
            "post-processors {\npost-processor \"docker-tag\"",
        )
        .replace("tags       = [\"3\"]", push)
        + "\n}";
    let recipes = recipes(scene.data.path(), &[("t.pkr.hcl", &sequence)]);
    let context = json!({"templateFileName": "t.pkr.hcl"});
    let result = result(bake(&scene, &config(&scene, &recipes), &context).await);
    let tagged = format!("{repository}:3");
    assert_eq!(result.artifacts[0].reference(), tagged);
    let known = tags_in_registry(&name);
    assert!(known.contains("[\"3\"]"), "{known}");
    docker(&["rmi", &tagged]);
    docker(&["pull", "--quiet", &tagged]);
    docker(&["rmi", &tagged]);
}

#[tokio::test]
async fn each_region_is_baked_once_and_found_again() {
    let (scene, repository) = (Scene::new(), repository("regions"));
    let template = hcl("echo for ${var.region}", &repository, "${var.region}")
        + "variable \"region\" { type = string }\n";
    let recipes = recipes(scene.data.path(), &[("t.pkr.hcl", &template)]);
    let mut config = config(&scene, &recipes);
    let noted;
    (config.packer, noted) = noting_packer(scene.data.path());
    let context = json!({"templateFileName": "t.pkr.hcl", "regions": ["eu", "us"], "rebake": true});
    let first = result(bake(&scene, &config, &context).await);
    let again = result(bake(&scene, &config, &context).await);
    assert_eq!(first, again);
    let details = first.outputs["deploymentDetails"].as_array().unwrap();
    let regions: Vec<&Value> = details.iter().map(|detail| &detail["region"]).collect();
    assert_eq!(regions, ["eu", "us"]);
    assert_eq!(details[1]["imageId"], json!(format!("{repository}:us")));
    assert_eq!(first.artifacts.len(), 2);
    let noted = std::fs::read_to_string(noted).unwrap();
    assert_eq!(noted.lines().count(), 2, "each region once: {noted}");
    docker(&["rmi", &format!("{repository}:eu"), &format!("{repository}:us")]);
}

#[tokio::test]
async fn a_template_may_come_as_an_artifact_if_that_is_on() {
    let (scene, repository) = (Scene::new(), repository("artifact"));
    let template = hcl("true", &repository, "1");
    let content = base64::engine::general_purpose::STANDARD.encode(template);
    let context =
        json!({"packerTemplate": {"type": "embedded/base64", "name": "t", "reference": content}});
    let mut config = config(&scene, Path::new("/nowhere"));
    config.artifact_templates = false;
    let TaskError { messages, .. } = error(bake(&scene, &config, &context).await);
    assert!(messages[0].contains("templates from artifacts are off"), "{messages:?}");
    config.artifact_templates = true;
    let result = result(bake(&scene, &config, &context).await);
    assert_eq!(result.artifacts[0].name(), repository);
    docker(&["rmi", &format!("{repository}:1")]);
}

#[tokio::test]
async fn what_goes_wrong_is_said_once_and_clearly() {
    let fails = hcl("echo on the way; exit 7", "example.test/never", "1");
    let files = [
        ("fails.pkr.hcl", fails.as_str()),
        ("unknown.json", r#"{"builders": [{"type": "hovercraft"}]}"#),
        ("torn.json", r#"{"builders": ["#),
        ("torn.pkr.hcl", "source \"docker\" {"),
        (
            "unset.pkr.hcl",
            "variable \"a\" { type = string }\nsource \"null\" \"x\" { communicator = var.a }\nbuild { sources = [\"source.null.x\"] }",
        ),
        ("none.json", r#"{"builders": [{"type": "null", "communicator": "none"}]}"#),
    ];
    for (template, kind, part) in [
        (
            "fails.pkr.hcl",
            "ImageNotBaked",
            "docker.shop: Script exited with non-zero exit status: 7",
        ),
        ("unknown.json", "ImageNotBaked", "Unknown builder hovercraft"),
        ("torn.json", "ImageNotBaked", "Error parsing JSON"),
        ("torn.pkr.hcl", "ImageNotBaked", "on ./torn.pkr.hcl line"),
        ("unset.pkr.hcl", "ImageNotBaked", "Unset variable \"a\""),
        ("none.json", "ImageNotBaked", "did not say that `none.json` made an image"),
        ("nothing.json", "BakeRecipe", "`templateFileName: nothing.json` is no file in the folder"),
        ("../secret.json", "BakeRecipe", "leads out of"),
    ] {
        let scene = Scene::new();
        let recipes = recipes(scene.data.path(), &files);
        let context = json!({"templateFileName": template});
        let error = error(bake(&scene, &config(&scene, &recipes), &context).await);
        assert_eq!(error.kind, kind, "{template}: {error:?}");
        let found = error.messages.iter().filter(|line| line.contains(part)).count();
        assert_eq!(found, 1, "{template}: {error:?}");
        assert!(containers(scene.data.path()).is_empty(), "{template}");
    }
}

#[tokio::test]
async fn a_packer_that_is_not_there_and_a_docker_that_does_not_answer_are_named() {
    let scene = Scene::new();
    let recipes = recipes(scene.data.path(), &[("t.pkr.hcl", &hcl("true", "example.test/x", "1"))]);
    let mut config = config(&scene, &recipes);
    let context =
        json!({"templateFileName": "t.pkr.hcl", "extendedAttributes": {"token": "s3cret"}});
    config.packer = "/nowhere/packer".into();
    let missing = error(bake(&scene, &config, &context).await);
    assert_eq!(missing.kind, "ToolNotFound");
    assert!(missing.messages[0].contains("--packer"), "{missing:?}");
    let run = config.tools.run_folder(scene.context(&context).effect(0).as_str());
    wait_for("the removal of what was brought", || (!run.join("work").exists()).then_some(()));
    config.packer = "packer".into();
    config.env = vec![("DOCKER_HOST".into(), "unix:///nowhere/docker.sock".into())];
    let error = error(bake(&scene, &config, &context).await);
    assert!(error.messages.join("\n").contains("/nowhere/docker.sock"), "{error:?}");
}

/// Starts a bake that takes long, and gives it to `meddle` once it is half-way.
async fn meddled(
    scene: &Scene,
    config: PackerConfig,
    context: &Value,
    meddle: impl FnOnce() + Send + 'static,
) -> TaskAnswer {
    let log = std::sync::Arc::clone(&scene.log);
    let meddling = tokio::task::spawn_blocking(move || {
        wait_for("the middle of the bake", || {
            log.all().iter().any(|line| line.ends_with("half-way")).then_some(())
        });
        meddle();
    });
    let answer = bake(scene, &config, context).await;
    meddling.await.unwrap();
    answer
}

/// That its words are seen half-way is also the test that they come while it runs.
#[tokio::test]
async fn a_cancelled_bake_leaves_no_container_and_no_process() {
    let scene = Scene::new();
    let template = hcl("echo half-way; busybox sleep 300", "example.test/never", "1");
    let recipes = recipes(scene.data.path(), &[("t.pkr.hcl", &template)]);
    let (folder, cancel) = (scene.data.path().to_owned(), scene.end.clone());
    let context = json!({"templateFileName": "t.pkr.hcl"});
    let answer = meddled(&scene, config(&scene, &recipes), &context, move || {
        assert_eq!(containers(&folder).len(), 1);
        cancel.cancel();
    });
    // Packer needs less than a second.
    let answer = tokio::time::timeout(Duration::from_secs(30), answer).await.unwrap();
    assert!(matches!(answer, TaskAnswer::Canceled { .. }), "{answer:?}");
    assert_eq!(containers(scene.data.path()), [""; 0]);
    wait_for("the end of its processes", || processes(scene.data.path()).is_empty().then_some(()));
}

/// Killed before it removed its container: we do.
#[tokio::test]
async fn a_packer_that_does_not_end_when_it_is_asked_to_leaves_nothing() {
    let scene = Scene::new();
    let template = hcl("echo half-way; busybox sleep 300", "example.test/never", "1");
    let recipes = recipes(scene.data.path(), &[("t.pkr.hcl", &template)]);
    let mut config = config(&scene, &recipes);
    config.tools.limits.kill_grace = Duration::from_millis(1);
    let cancel = scene.end.clone();
    let context = json!({"templateFileName": "t.pkr.hcl"});
    let answer = meddled(&scene, config, &context, move || cancel.cancel()).await;
    assert!(matches!(answer, TaskAnswer::Canceled { .. }), "{answer:?}");
    assert_eq!(containers(scene.data.path()), [""; 0]);
    wait_for("the end of its processes", || processes(scene.data.path()).is_empty().then_some(()));
}

#[tokio::test]
async fn a_bake_that_takes_too_long_leaves_nothing_either() {
    let scene = Scene::new();
    let template = hcl("echo half-way; busybox sleep 300", "example.test/never", "1");
    let recipes = recipes(scene.data.path(), &[("t.pkr.hcl", &template)]);
    let mut config = config(&scene, &recipes);
    // Long enough for a first start of all its parts on a busy machine.
    config.timeout = Duration::from_secs(15);
    let answer = bake(&scene, &config, &json!({"templateFileName": "t.pkr.hcl"})).await;
    let error = error(answer);
    assert!(error.messages[0].contains("did not end within 15s"), "{error:?}");
    assert_eq!(containers(scene.data.path()), [""; 0]);
    assert!(scene.log.all().iter().any(|line| line.ends_with("half-way")));
}

/// It cannot remove its container: we do.
#[tokio::test]
async fn a_killed_packer_leaves_no_container() {
    let scene = Scene::new();
    let template = hcl("echo half-way; busybox sleep 300", "example.test/never", "1");
    let recipes = recipes(scene.data.path(), &[("t.pkr.hcl", &template)]);
    let folder = scene.data.path().to_owned();
    let context = json!({"templateFileName": "t.pkr.hcl"});
    let answer = meddled(&scene, config(&scene, &recipes), &context, move || {
        for (pid, line) in processes(&folder) {
            if line.contains("packer ") {
                let _gone = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
    });
    let killed = error(answer.await);
    assert!(killed.messages[0].contains("was ended by signal 9"), "{killed:?}");
    assert_eq!(containers(scene.data.path()), [""; 0]);
    let log = scene.log.all();
    assert!(log.iter().any(|line| line.starts_with("removed 1 container(s)")), "{log:?}");
}
