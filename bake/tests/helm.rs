//! Real charts through the real helm 3 and 4.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

#[path = "guard/scene.rs"]
mod scene;

use std::path::Path;

use base64::Engine as _;
use scene::{Scene, error, manifest};
use serde_json::{Value, json};
use shared_model::{TaskAnswer, TaskError};
use shared_testkit::env::{helm3, helm4};

/// Overrides that helm's own language would take apart, and what comes out of them.
const TEXTS: [(&str, &str); 11] = [
    ("plain", "plain"),
    ("a,b", "a,b"),
    ("a,image.tag=evil", "a,image.tag=evil"),
    (r"a\,b", "a,b"),
    ("a=b", "a=b"),
    ("-v --debug", "-v --debug"),
    ("007", "007"),
    ("true", "true"),
    ("{half", "{half"),
    ("two\nlines", "two\nlines"),
    ("ü \"quoted\" 'twice' $HOME `id`", "ü \"quoted\" 'twice' $HOME `id`"),
];

#[tokio::test]
async fn every_field_takes_effect() {
    let values =
        base64::engine::general_purpose::STANDARD.encode("replicas: 3\nmotd: of the file\n");
    let more = base64::engine::general_purpose::STANDARD.encode("motd: of the second file\n");
    for helm in [helm3(), helm4()] {
        let mut context = shop();
        context["namespace"] = json!("prod");
        context["includeCRDs"] = json!(true);
        context["apiVersions"] = json!(["shop.example.test/v1"]);
        context["kubeVersion"] = json!("1.33.7");
        context["overrides"] = json!({"image.tag": "1.20", "secret": 42});
        for values in [&values, &more] {
            let artifact = json!({"type": "embedded/base64", "name": "v", "reference": values});
            context["inputArtifacts"].as_array_mut().unwrap().push(json!({"artifact": artifact}));
        }
        let baked = baked(&helm, &context).await;
        for line in [
            "kind: CustomResourceDefinition",
            "  name: shop",
            "  namespace: prod",
            "  replicas: 3",
            "          image: \"example.test/shop:1.20\"",
            "  motd: \"\\\"of the second file\\\"\"",
            "  secret: \"\\\"42\\\"\"",
            "  kube-version: \"v1.33.7\"",
            "  has-api: \"true\"",
            "  name: part",
        ] {
            assert!(baked.lines().any(|found| found == line), "{helm:?}: no `{line}` in\n{baked}");
        }
    }
}

#[tokio::test]
async fn tests_of_a_chart_and_of_its_parts_are_left_out() {
    for helm in [helm3(), helm4()] {
        let baked = baked(&helm, &shop()).await;
        assert!(baked.contains("# Source: shop/charts/part/templates/part.yaml"), "{baked}");
        assert!(baked.contains("kind: Deployment"), "{baked}");
        for absent in ["/tests/", "ping", "for-the-test-only", "test-of-part", "CustomResource"] {
            assert!(!baked.contains(absent), "{helm:?}: `{absent}` in\n{baked}");
        }
    }
}

#[tokio::test]
async fn one_override_sets_one_value() {
    for helm in [helm3(), helm4()] {
        for (written, expected) in TEXTS {
            let mut context = shop();
            context["overrides"] = json!({"motd": written});
            let baked = baked(&helm, &context).await;
            let (motd, _) = value_of(&baked, "motd");
            assert_eq!(motd, json!(expected), "{helm:?}: {written}");
            assert!(baked.contains("example.test/shop:1.0\""), "{helm:?}: {written}");
        }
    }
}

#[tokio::test]
async fn raw_overrides_have_types_and_lists_are_lists() {
    let cases = [
        (true, "3", json!(3)),
        (true, "true", json!(true)),
        (true, "{1,b}", json!([1, "b"])),
        (true, "a,b", json!("a,b")),
        (false, "3", json!("3")),
        (false, "{1,b}", json!(["1", "b"])),
    ];
    for helm in [helm3(), helm4()] {
        for (raw, written, expected) in &cases {
            let mut context = shop();
            context["rawOverrides"] = json!(raw);
            context["overrides"] = json!({"motd": written});
            let baked = baked(&helm, &context).await;
            assert_eq!(value_of(&baked, "motd").0, *expected, "{helm:?}: {raw} {written}");
        }
    }
}

#[tokio::test]
async fn a_chart_that_does_not_render_is_explained_by_helm() {
    for helm in [helm3(), helm4()] {
        let mut context = shop();
        context["inputArtifacts"][0]["artifact"]["reference"] = json!("broken");
        let TaskError { kind, messages } = error(bake(&helm, &context).await);
        assert_eq!(kind, "ChartNotRendered");
        assert_eq!(messages[0], "helm could not render `broken` (exit code 1)", "{helm:?}");
        assert!(messages[1..].concat().contains("a name is needed"), "{helm:?}: {messages:?}");
        assert!(messages[1..].concat().contains("broken/templates/a.yaml"), "{messages:?}");
    }
}

#[tokio::test]
async fn a_bad_version_is_helms_error_and_no_option() {
    for helm in [helm3(), helm4()] {
        let mut context = shop();
        context["kubeVersion"] = json!("--help");
        let error = error(bake(&helm, &context).await);
        assert!(error.messages.concat().contains("--help"), "{helm:?}: {error:?}");
    }
}

#[tokio::test]
async fn the_example_pipeline_bakes() {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let example = std::fs::read(crate_folder.join("examples/bake-manifest.json")).unwrap();
    let example: Value = serde_json::from_slice(&example).unwrap();
    for helm in [helm3(), helm4()] {
        let scene = Scene::new();
        let mut config = scene.config("/usr/bin:/bin");
        config.helm = helm.to_string_lossy().into_owned();
        config.artifact_root = crate_folder.to_owned();
        let baked = manifest(&scene.bake(&config, &example["stages"][0]).await);
        assert!(baked.contains("image: \"example.test/shop:1.2\""), "{helm:?}:\n{baked}");
        let shown = "$ helm template shop ./chart --namespace=prod --set-string=image.tag=…";
        assert_eq!(scene.log.all(), [shown], "{helm:?}");
    }
}

async fn baked(helm: &Path, context: &Value) -> String {
    manifest(&bake(helm, context).await)
}

async fn bake(helm: &Path, context: &Value) -> TaskAnswer {
    let scene = Scene::new();
    let mut config = scene.config("/usr/bin:/bin");
    config.helm = helm.to_string_lossy().into_owned();
    scene.bake(&config, context).await
}

/// A value that the chart saw, as its ConfigMap shows it: JSON, quoted once more. And its line.
fn value_of(baked: &str, key: &str) -> (Value, String) {
    let start = format!("  {key}: ");
    let line = baked.lines().find_map(|line| line.strip_prefix(&start)).unwrap();
    let text: String = serde_json::from_str(line).unwrap();
    (serde_json::from_str(&text).unwrap(), line.to_owned())
}

fn shop() -> Value {
    json!({
        "templateRenderer": "HELM3",
        "outputName": "shop",
        "inputArtifacts": [{"artifact": {"type": "local/file", "reference": "shop"}}],
        "expectedArtifacts": [{"matchArtifact": {"type": "embedded/base64", "name": "baked"}}],
    })
}
