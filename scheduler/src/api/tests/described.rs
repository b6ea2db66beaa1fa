//! Whether the description of the API is true: every answer of every test is held against it.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use axum::http::Method;
use serde_json::{Value, json};

use super::{Reply, Scene};
use crate::api::openapi;

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(openapi::text()).unwrap());

/// What a router answers for itself, and what stands before it: for a path that nobody described. 0 is
/// no answer, to what is no HTTP.
const UNDESCRIBED: [u16; 7] = [0, 401, 403, 404, 405, 415, 431];

/// Holds an answer against the description: its status, its type, its body.
pub(super) fn check((method, path): &(String, String), reply: &Reply) {
    let Reply { status, head, body } = reply;
    let path = path.split('?').next().unwrap();
    let Some(operation) = operation(method, path) else {
        assert!(UNDESCRIBED.contains(status), "{method} {path}: {status}, and no description");
        return;
    };
    // hyper says by itself what is no HTTP.
    if !head.contains("content-type") && *status == 400 {
        return;
    }
    let response = resolved(&operation["responses"][status.to_string()]);
    assert!(response.is_object(), "{method} {path} answers {status}, which is not described");
    let kind = head.lines().find_map(|line| line.strip_prefix("content-type: "));
    let Some(contents) = response["content"].as_object() else {
        assert_eq!((kind, body.as_str()), (None, ""), "{method} {path}: no body is described");
        return;
    };
    // With its parameters, where they are described.
    let named = [kind.unwrap(), kind.unwrap().split(';').next().unwrap()];
    let content = named.iter().find_map(|kind| contents.get(*kind));
    let content = content.unwrap_or_else(|| panic!("{method} {path}: {head}"));
    if kind.unwrap().contains("json") {
        let found = faults(&content["schema"], &serde_json::from_str(body).unwrap());
        assert_eq!(found, Vec::<String>::new(), "{method} {path} {status}: {body}");
    }
}

/// What a body has that its schema forbids.
fn faults(schema: &Value, body: &Value) -> Vec<String> {
    let whole = json!({ "allOf": [schema], "components": DOCUMENT["components"] });
    let validator = jsonschema::draft202012::new(&whole).unwrap();
    validator.iter_errors(body).map(|fault| format!("{}: {fault}", fault.instance_path())).collect()
}

fn resolved(response: &Value) -> &Value {
    match response["$ref"].as_str() {
        Some(reference) => DOCUMENT.pointer(reference.trim_start_matches('#')).unwrap(),
        None => response,
    }
}

/// The description of what a request asks for; a path that is written out wins over a pattern.
fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let paths = DOCUMENT["paths"].as_object().unwrap().iter();
    let fitting = paths.filter(|(pattern, _)| fits(pattern, path));
    let named = fitting.filter_map(|(pattern, item)| {
        Some((pattern.matches('{').count(), item.get(method.to_ascii_lowercase())?))
    });
    Some(named.min_by_key(|(open, _)| *open)?.1)
}

fn fits(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<_>, Vec<_>) =
        (pattern.split('/').collect(), path.split('/').collect());
    pattern.len() == path.len()
        && pattern.iter().zip(path).all(|(part, given)| part.starts_with('{') || *part == given)
}

#[test]
fn what_is_checked_in_is_what_the_routes_say() {
    let kept = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json"));
    let is_same = kept.unwrap_or_default() == openapi::text();
    assert!(
        is_same,
        "scheduler/openapi.json is not what the routes say: make it again with \
         `cargo run -- openapi > scheduler/openapi.json`, and look at what changed"
    );
}

/// A wrong answer has to be found, or the checks above are worth nothing.
#[test]
fn a_false_answer_is_found() {
    let health = json!({ "$ref": "#/components/schemas/Health" });
    assert!(faults(&health, &json!({ "status": "UP" })).is_empty());
    assert!(!faults(&health, &json!({ "status": 1 })).is_empty());
    assert!(!faults(&health, &json!({})).is_empty());
    assert!(operation("GET", "/pipelines/x").is_some() && operation("GET", "/x").is_none());
    let start = operation("POST", "/pipelines/start").unwrap();
    assert_eq!(start["operationId"], "start");
}

/// Every route is described, because it is made of its description: nothing else may add one.
#[test]
fn no_route_goes_past_the_description() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/api");
    let mut folders = vec![std::path::PathBuf::from(folder)];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("tests") {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                seen += text.matches("routes!(").count();
                assert!(!text.contains(".route("), "{}: use `routes!`", path.display());
            }
        }
    }
    assert!(seen > 20, "{seen}: the routes were not found");
}

#[test]
fn names_of_operations_are_unique_and_everything_is_told() {
    let mut names = BTreeSet::new();
    for (path, item) in DOCUMENT["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap();
            assert!(names.insert(name), "{name} twice");
            let said = ["summary", "tags", "security", "responses"];
            let missing: Vec<_> = said.iter().filter(|key| operation[**key].is_null()).collect();
            assert!(missing.is_empty(), "{method} {path} does not say {missing:?}");
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let in_path = parameters.filter(|parameter| parameter["in"] == "path");
            assert_eq!(in_path.count(), path.matches('{').count(), "{method} {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_described_is_routed() {
    let scene = Scene::new().await;
    for (path, item) in DOCUMENT["paths"].as_object().unwrap() {
        let open = path.contains('{');
        let asked = path.replace(['{', '}'], "");
        for method in item.as_object().unwrap().keys() {
            let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes()).unwrap();
            let reply = scene.send(method.as_str(), &asked, "{}").await;
            let is_routed = reply.status != 405 && !reply.body.contains("no-route");
            assert!(is_routed, "{method} {path}: {} {}", reply.status, reply.body);
            assert!(open || reply.status != 404, "{method} {path}");
        }
    }
    let served = scene.send("GET", "/v1/openapi.json", "").await;
    assert_eq!(served.body, openapi::text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_may_have_the_name_of_a_route() {
    let scene = Scene::new().await;
    let document = json!({"application": "shop", "name": "cancel", "stages": []});
    assert_eq!(scene.send("POST", "/pipelines", &document.to_string()).await.status, 200);
    assert_eq!(scene.send("POST", "/pipelines/shop/cancel", "{}").await.status, 202);
    assert_eq!(scene.send("DELETE", "/pipelines/shop/cancel", "").await.status, 200);
    let gone = scene.send("POST", "/pipelines/shop/cancel", "{}").await;
    assert!(gone.is_error(404, "not-found"), "{}", gone.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_listed_and_shown() {
    let scene = Scene::new().await;
    let listed = scene.send("GET", "/credentials?expand=true", "").await.json();
    assert_eq!(listed[0]["name"], "local");
    for key in ["type", "cloudProvider", "accountType", "environment"] {
        assert_eq!(listed[0][key], "local", "{key}");
    }
    assert_eq!(scene.send("GET", "/credentials/local", "").await.json(), listed[0]);
    let missing = scene.send("GET", "/credentials/none", "").await;
    assert!(missing.is_error(404, "not-found"), "{}", missing.body);
}
