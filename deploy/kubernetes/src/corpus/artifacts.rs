//! Runs those cases of artifacts that are about manifests; the scheduler runs the others.

use std::path::Path;

use serde_json::{Value, json};
use shared_model::Artifact;

use super::CaseResult;
use crate::bind::{self, Target};
use crate::manifest::Manifest;
use crate::{progress, version};

/// The kinds of case that are ours.
pub const KINDS: [&str; 6] =
    ["bind", "find", "image-name", "key-equal", "next-version", "to-artifact"];
/// A registry's port is no tag, which Spinnaker takes it for where there is no tag behind it.
const BETTER: (&str, &str) = ("image-name-13", "reg:5000/r/j");

/// Runs every case of ours.
///
/// # Errors
/// If the file cannot be read, or a line of it is no JSON.
pub fn run(file: &Path) -> std::io::Result<Vec<CaseResult>> {
    let text = std::fs::read_to_string(file)?;
    let mut found = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let case: Value = serde_json::from_str(line)?;
        if case["kind"].as_str().is_some_and(|kind| KINDS.contains(&kind)) {
            found.push(one(&case));
        }
    }
    Ok(found)
}

fn one(case: &Value) -> CaseResult {
    let (input, mut expected) = (&case["input"], case["expect"].clone());
    if case["id"] == BETTER.0 {
        expected["name"] = BETTER.1.into();
    }
    let got = match case["kind"].as_str().unwrap_or_default() {
        "bind" => bound(input),
        "find" => json!({ "artifacts": found(&input["manifest"]) }),
        "image-name" => image(input),
        "key-equal" => {
            json!({ "equal": artifact(&input["a"]).is_same_thing(&artifact(&input["b"])) })
        }
        "next-version" => next_version(input),
        "to-artifact" => made(input),
        other => Value::from(format!("no case of kind `{other}` is run here")),
    };
    let passed = includes(&got, &expected);
    let id = case["id"].as_str().unwrap_or_default().to_owned();
    CaseResult { id, expected: expected.to_string(), got: got.to_string(), passed }
}

fn bound(input: &Value) -> Value {
    let mut manifests = [Manifest { value: input["manifest"].clone() }];
    let artifacts: Vec<Artifact> =
        input["artifacts"].as_array().into_iter().flatten().map(artifact).collect();
    let text = |key: &str| input[key].as_str().unwrap_or_default();
    let target = Target {
        account: text("account"),
        namespace: text("namespace"),
        names_only: text("mode") == "match-name-only",
    };
    let bound = bind::bind(&mut manifests, &artifacts, target);
    let [Manifest { value }] = manifests;
    let (mut images, mut init_images) = (Vec::new(), Vec::new());
    let (mut maps, mut secrets) = (Vec::new(), Vec::new());
    names(&value, "containers", &mut |key, name| match key {
        "image" => images.push(name.clone()),
        "configMap" | "configMapRef" | "configMapKeyRef" => maps.push(name["name"].clone()),
        "secret" | "secretRef" | "secretKeyRef" => {
            secrets.push(name.get("secretName").unwrap_or(&name["name"]).clone());
        }
        _ => {}
    });
    names(&value, "initContainers", &mut |key, name| {
        if key == "image" {
            init_images.push(name.clone());
        }
    });
    let images: Vec<Value> = images.into_iter().filter(|one| !init_images.contains(one)).collect();
    json!({
        "images": images, "initImages": init_images, "envFromConfigMap": maps.first(),
        "configMaps": maps, "secrets": secrets, "scaleTarget": value["spec"]["scaleTargetRef"]["name"],
        "bound": bound,
    })
}

/// Every field of a value below a list of containers, or anywhere for `containers`, in order.
fn names(value: &Value, within: &str, see: &mut dyn FnMut(&str, &Value)) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let is_inside = within == "containers" || key == within;
                match is_inside {
                    true => {
                        see(key, value);
                        names(value, "containers", see);
                    }
                    false => names(value, within, see),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|value| names(value, within, see)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn found(manifest: &Value) -> Vec<Artifact> {
    bind::find(&mut Manifest { value: manifest.clone() })
}

/// The artifact of an image, in every list of containers that it may stand in.
fn image(input: &Value) -> Value {
    let image = &input["image"];
    let lists = input["where"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut artifacts = lists.flat_map(|list| {
        let spec = json!({ list: [{ "name": "c", "image": image }] });
        found(&json!({ "kind": "Deployment", "spec": { "template": { "spec": spec } } }))
    });
    let first = artifacts.next();
    match artifacts.all(|other| Some(&other) == first.as_ref()) {
        true => json!(first),
        false => json!("it is another one in another list of containers"),
    }
}

fn next_version(input: &Value) -> Value {
    let applied = input["existingLastApplied"].as_array().into_iter().flatten();
    if let Some(reuse) = version::same_content(&input["manifest"], applied) {
        return json!({ "reuse": reuse });
    }
    let existing = input["existing"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let next = version::next(existing);
    json!({ "next": next, "nextName": version::name(next) })
}

fn made(input: &Value) -> Value {
    let manifest = Manifest { value: input["manifest"].clone() };
    let account = input["account"].as_str().unwrap_or_default();
    let (name, namespace) = (manifest.name().to_owned(), manifest.namespace().to_owned());
    json!({ "artifact": progress::created(account, &manifest, &name, &namespace) })
}

fn artifact(value: &Value) -> Artifact {
    Artifact(value.as_object().cloned().unwrap_or_default())
}

/// Whether everything that is expected is there; only fields that are named are compared.
fn includes(got: &Value, expected: &Value) -> bool {
    match (got, expected) {
        (Value::Object(got), Value::Object(expected)) => expected
            .iter()
            .all(|(key, value)| got.get(key).is_some_and(|found| includes(found, value))),
        (Value::Array(got), Value::Array(expected)) => {
            got.len() == expected.len()
                && got.iter().zip(expected).all(|(got, expected)| includes(got, expected))
        }
        _ => got == expected,
    }
}
