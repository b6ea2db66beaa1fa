//! The stage type around a tool that stands in for helm.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

#[path = "guard/scene.rs"]
mod scene;

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use bake::Config;
use base64::Engine as _;
use scene::{Scene, charts, error, manifest};
use serde_json::{Value, json};
use shared_model::{Retry, TaskAnswer};

#[tokio::test]
async fn what_helm_prints_becomes_the_artifact_without_tests() {
    let scene = Scene::new();
    let helm = "printf -- '---\\n# Source: c/templates/a.yaml\\nkind: A\\n\
                ---\\n# Source: c/templates/tests/t.yaml\\nkind: T\\n'";
    let answer = scene.bake(&with_helm(&scene, helm), &shop()).await;
    assert_eq!(manifest(&answer), "---\n# Source: c/templates/a.yaml\nkind: A\n");
    let TaskAnswer::Succeeded { result } = answer else { panic!("it succeeded") };
    assert_eq!(result.artifacts[0].name(), "baked");
}

#[tokio::test]
async fn the_artifact_is_named_by_what_is_expected_or_by_the_release() {
    let cases = [
        (json!({"matchArtifact": {"name": "one"}}), "two", Ok("one")),
        (json!({"matchArtifact": {}}), "two", Ok("two")),
        (json!({}), "", Err("what is baked has no name; set")),
    ];
    for (expected, release, name) in cases {
        let scene = Scene::new();
        let mut context = shop();
        context["expectedArtifacts"] = json!([expected]);
        context["outputName"] = json!(release);
        match (scene.bake(&with_helm(&scene, "echo kind: A"), &context).await, name) {
            (TaskAnswer::Succeeded { result }, Ok(name)) => {
                assert_eq!(result.artifacts[0].name(), name);
            }
            (TaskAnswer::Failed { error, .. }, Err(why)) => {
                assert!(error.messages[0].starts_with(why), "{error:?}");
            }
            (answer, name) => panic!("{name:?}: {answer:?}"),
        }
    }
}

#[tokio::test]
async fn helm_gets_its_arguments_its_files_and_no_home() {
    let scene = Scene::new();
    let helm =
        "for a in \"$@\"; do echo \"<$a>\"; done; cat chart/Chart.yaml values-1.yaml; env | sort";
    let mut context = shop();
    context["namespace"] = json!("prod");
    context["overrides"] = json!({"a": "b,c"});
    let values = base64::engine::general_purpose::STANDARD.encode("replicas: 3\n");
    let values = json!({"type": "embedded/base64", "name": "v", "reference": values});
    context["inputArtifacts"].as_array_mut().unwrap().push(json!({"artifact": values}));
    let printed = manifest(&scene.bake(&with_helm(&scene, helm), &context).await);
    let args = "<template>\n<shop>\n<./chart>\n<--namespace=prod>\n<--values=values-1.yaml>\n\
                <--set-string=a=b\\,c>\n";
    assert!(printed.starts_with(args), "{printed}");
    assert!(printed.contains("\nname: shop\n"), "{printed}");
    assert!(printed.contains("\nreplicas: 3\n"), "{printed}");
    let home = printed.lines().find(|line| line.starts_with("HOME=")).unwrap();
    assert!(home.contains(&*scene.data.path().to_string_lossy()), "{home}");
    assert!(!printed.contains("CARGO"), "{printed}");
}

/// A process that takes over finds the result, though the chart is gone by then.
#[tokio::test]
async fn helm_runs_once_for_one_effect() {
    let scene = Scene::new();
    let runs = scene.data.path().join("runs");
    let mut config = with_helm(&scene, &format!("echo run >> {}; echo kind: A", runs.display()));
    let first = scene.bake(&config, &shop()).await;
    config.artifact_root = "/no/such/root".into();
    let second = scene.bake(&config, &shop()).await;
    assert_eq!(manifest(&first), manifest(&second));
    assert_eq!(std::fs::read_to_string(runs).unwrap(), "run\n");
    assert!(scene.log.all().iter().any(|line| line.contains("had rendered this before")));
}

#[tokio::test]
async fn what_helm_says_is_in_the_log_and_in_the_error() {
    let scene = Scene::new();
    let helm = "echo 'Error: it is broken' >&2; echo half; exit 1";
    let mut context = shop();
    context["overrides"] = json!({"password": "hunter2"});
    let answer = scene.bake(&with_helm(&scene, helm), &context).await;
    assert!(matches!(answer, TaskAnswer::Failed { retry: Retry::Never, .. }));
    let expected = ["helm could not render `shop` (exit code 1)", "Error: it is broken"];
    assert_eq!(error(answer).messages, expected);
    let log = scene.log.all();
    assert_eq!(log[0], "$ helm template shop ./chart --set-string=password=…");
    assert_eq!(log[1..], ["Error: it is broken"]);
}

#[tokio::test]
async fn no_helm_says_what_to_do() {
    let scene = Scene::new();
    let error = error(scene.bake(&scene.config("/no/such/folder"), &shop()).await);
    assert_eq!(error.kind, "ToolNotFound");
    assert!(
        error.messages[0]
            .starts_with("`helm` was not found on the PATH (/no/such/folder); install Helm"),
        "{error:?}"
    );
}

#[tokio::test]
async fn too_much_is_no_manifest() {
    let scene = Scene::new();
    let mut config = with_helm(&scene, "yes");
    config.tools.limits.stdout_bytes_max = 1_000;
    let error = error(scene.bake(&config, &shop()).await);
    assert!(error.messages[0].contains("more than 1000 bytes (stdout_bytes_max)"), "{error:?}");
}

#[tokio::test]
async fn a_cancelled_bake_ends_soon() {
    let scene = Scene::new();
    let (config, context) = (with_helm(&scene, "echo up >&2; sleep 300"), shop());
    let ending = async {
        while !scene.log.all().iter().any(|line| line == "up") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        scene.end.cancel();
    };
    let both = async { tokio::join!(scene.bake(&config, &context), ending) };
    let (answer, ()) = tokio::time::timeout(Duration::from_secs(20), both).await.unwrap();
    assert!(matches!(answer, TaskAnswer::Canceled { .. }), "{answer:?}");
}

#[tokio::test]
async fn a_bake_whose_worker_stops_is_begun_again() {
    let scene = Scene::new();
    let (config, context) = (with_helm(&scene, "echo up >&2; sleep 300"), shop());
    let ending = async {
        while !scene.log.all().iter().any(|line| line == "up") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        scene.end.hand_over();
    };
    let both = async { tokio::join!(scene.bake(&config, &context), ending) };
    let (answer, ()) = tokio::time::timeout(Duration::from_secs(20), both).await.unwrap();
    assert!(matches!(answer, TaskAnswer::HandedOver { .. }), "{answer:?}");
}

#[tokio::test]
async fn documents_that_ask_for_what_there_is_not_are_told() {
    let embedded = json!({"type": "embedded/base64", "name": "c", "reference": "bm8gYXJjaGl2ZQ=="});
    let github = json!({"type": "github/file", "name": "c", "reference": "https://example.test"});
    let cases: [(&str, Value, &str); 9] = [
        ("/templateRenderer", json!("KUSTOMIZE"), "`templateRenderer: KUSTOMIZE` is not carried"),
        ("/expectedArtifacts", json!([]), "a bakeManifest stage makes exactly one artifact, but"),
        ("/expectedArtifacts", json!([{}, {}]), "a bakeManifest stage makes exactly one artifact"),
        ("/inputArtifacts", json!([]), "`inputArtifacts` is empty"),
        ("/inputArtifacts", json!([{}]), "`inputArtifacts[0]` must be an object with the `id`"),
        ("/inputArtifacts/0", json!({"id": "x"}), "`inputArtifacts[0].id` refers to the expected"),
        ("/inputArtifacts/0/artifact", github, "`inputArtifacts[0]` has the type `github/file`"),
        ("/inputArtifacts/0/artifact", embedded, "`c` is no chart archive (tar, gzip)"),
        ("/inputArtifacts/0/artifact/reference", json!("../stage.rs"), "`../stage.rs` leads out"),
    ];
    for (pointer, value, expected) in cases {
        let scene = Scene::new();
        let mut context = shop();
        *context.pointer_mut(pointer).unwrap() = value;
        let answer = scene.bake(&with_helm(&scene, "echo kind: A"), &context).await;
        assert!(matches!(answer, TaskAnswer::Failed { retry: Retry::Never, .. }), "{answer:?}");
        let error = error(answer);
        assert!(error.messages[0].starts_with(expected), "{error:?}");
    }
}

#[tokio::test]
async fn a_packed_chart_is_baked_from_the_root_and_from_the_document() {
    let mut builder =
        tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), Default::default()));
    builder.append_dir_all("shop", charts().join("shop")).unwrap();
    let packed = builder.into_inner().unwrap().finish().unwrap();
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("shop-1.0.0.tgz"), &packed).unwrap();
    let content = base64::engine::general_purpose::STANDARD.encode(&packed);
    for artifact in [
        json!({"type": "local/file", "reference": "shop-1.0.0.tgz"}),
        json!({"type": "embedded/base64", "reference": content}),
    ] {
        let scene = Scene::new();
        let mut config = with_helm(&scene, "echo $3; cat $3/Chart.yaml");
        config.artifact_root = root.path().to_owned();
        let mut context = shop();
        context["inputArtifacts"][0]["artifact"] = artifact;
        let printed = manifest(&scene.bake(&config, &context).await);
        assert!(printed.starts_with("./chart/shop\napiVersion: v2\nname: shop\n"), "{printed}");
    }
}

/// A context that bakes the chart `shop`.
fn shop() -> Value {
    json!({
        "templateRenderer": "HELM3",
        "outputName": "shop",
        "inputArtifacts": [{"artifact": {"type": "local/file", "reference": "shop"}}],
        "expectedArtifacts": [{"matchArtifact": {"type": "embedded/base64", "name": "baked"}}],
    })
}

/// A script as `helm` on the path.
fn with_helm(scene: &Scene, script: &str) -> Config {
    let folder = scene.data.path().join("bin");
    std::fs::create_dir_all(&folder).unwrap();
    let helm = folder.join("helm");
    std::fs::write(&helm, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&helm, PermissionsExt::from_mode(0o755)).unwrap();
    scene.config(&format!("{}:/usr/bin:/bin", folder.display()))
}
