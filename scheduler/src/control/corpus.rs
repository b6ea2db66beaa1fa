//! Runs the cases of artifacts, but for those that are about manifests.

use std::collections::BTreeSet;
use std::path::Path;

use jiff::Timestamp;
use scheduler_engine::{Execution, artifact_match, graph, trigger_match};
use scheduler_expression::{Context, Limits as ExpressionLimits};
use serde_json::{Value, json};
use shared_model::{Artifact, ExecutionId, ExpectedArtifact, Limits, Object, Pipeline, StageRef};
use shared_ports::journal::StageBody;

use super::inputs;
use super::loaded::Content;
use crate::view;

/// What one case came to.
#[derive(Debug, Clone)]
pub struct CaseResult {
    /// The case's name.
    pub id: String,
    /// What it should come to.
    pub expected: Value,
    /// What it came to.
    pub got: Value,
    /// Whether they agree.
    pub passed: bool,
}

/// Runs every case whose kind is not among `others`.
///
/// # Errors
/// If the file cannot be read, or a line of it is no JSON.
pub fn artifacts(file: &Path, others: &[&str]) -> std::io::Result<Vec<CaseResult>> {
    let text = std::fs::read_to_string(file)?;
    let mut found = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let case: Value = serde_json::from_str(line)?;
        if !case["kind"].as_str().is_some_and(|kind| others.contains(&kind)) {
            found.push(one(&case));
        }
    }
    Ok(found)
}

fn one(case: &Value) -> CaseResult {
    let (input, expected) = (&case["input"], case["expect"].clone());
    let got = match case["kind"].as_str().unwrap_or_default() {
        "match" => {
            let matches = artifact_match::matches(
                &artifact(&input["matchArtifact"]),
                &artifact(&input["artifact"]),
            );
            json!({ "matches": matches })
        }
        "resolve" => resolved(input),
        "pipeline-start" => started(input),
        "stage-artifacts" => of_stage(input),
        "execution-artifacts" => of_execution(input),
        "bound-by-id" => bound_by_id(input),
        "with-account" => {
            let account = input["account"].as_str().unwrap_or_default();
            json!(artifact(&input["artifact"]).with_account(account))
        }
        "inline-artifact" => evaluated(input),
        "decode" => json!(artifact(&input["json"]).normal()),
        "artifact-equal" => {
            json!({ "equal": artifact(&input["a"]).normal() == artifact(&input["b"]).normal() })
        }
        "payload-constraint" => {
            let constraints = input["constraints"].as_object().cloned().unwrap_or_default();
            json!({ "matches": trigger_match::payload_matches(&constraints, &input["payload"]) })
        }
        "registry-event" => json!({ "artifacts": trigger_match::pushed_images(input) }),
        other => Value::from(format!("cases of kind `{other}` are not known")),
    };
    let passed = agrees(&got, &expected);
    CaseResult { id: text(&case["id"]), expected, got, passed }
}

/// Equal; where types are expected without an order, sorted first.
fn agrees(got: &Value, expected: &Value) -> bool {
    let Some(unordered) = expected["typesUnordered"].as_array() else { return got == expected };
    let sorted = |list: &[Value]| {
        let mut texts: Vec<String> = list.iter().map(text).collect();
        texts.sort();
        texts
    };
    got["types"].as_array().is_some_and(|types| sorted(types) == sorted(unordered))
}

fn resolved(input: &Value) -> Value {
    let unique = input["requireUniqueMatches"] == true;
    let (current, prior) = (list(&input["current"]), list(&input["prior"]));
    match artifact_match::resolve_each(&expected(&input["expected"]), &current, &prior, unique) {
        Err(_) => json!({ "error": true }),
        Ok(found) => {
            let bound: Vec<Artifact> = found.iter().filter_map(ExpectedArtifact::bound).collect();
            let mut resolved: Vec<Artifact> = Vec::new();
            for artifact in &bound {
                if !resolved.contains(artifact) {
                    resolved.push(artifact.clone());
                }
            }
            json!({ "resolved": resolved, "bound": bound })
        }
    }
}

fn started(input: &Value) -> Value {
    let asked = input["trigger"]["expectedArtifactIds"].as_array();
    let asked: Vec<&str> = asked.into_iter().flatten().filter_map(Value::as_str).collect();
    let mut received = list(&input["receivedArtifacts"]);
    received.extend(list(&input["trigger"]["artifacts"]));
    let prior = input["priorExecutionStageArtifacts"].as_array().into_iter().flatten();
    let prior: Vec<Artifact> = prior.flat_map(list).collect();
    let wanted = expected(&input["expectedArtifacts"]);
    match artifact_match::resolve_at_start(&wanted, &asked, &received, &prior) {
        Err(_) => json!({ "error": true }),
        Ok(found) => {
            let bound: Vec<Artifact> =
                found.expected.iter().filter_map(ExpectedArtifact::bound).collect();
            let mut got = json!({ "bound": bound });
            // Only some of the cases count.
            if !input["trigger"]["type"].is_null() && asked.is_empty() {
                got["triggerArtifactsCount"] = found.artifacts.len().into();
                got["triggerExpectedArtifactsCount"] = found.expected.len().into();
                got["triggerResolvedCount"] = found.expected.len().into();
            }
            got
        }
    }
}

/// A real execution of the case's stages, with their outputs.
fn execution(input: &Value) -> Option<(Execution, Content)> {
    let mut document = input.clone();
    for stage in document["stages"].as_array_mut()? {
        stage["type"] = "wait".into();
    }
    let pipeline = Pipeline::from_value(document.clone())?;
    let limits = Limits::default();
    let graph = graph::graph(&pipeline, &limits).0?;
    let id = ExecutionId::new("corpus");
    let (engine, _) = Execution::submit(id, &graph, &limits, Timestamp::UNIX_EPOCH);
    let mut bodies = Vec::new();
    for stage in document["stages"].as_array()? {
        let outputs = stage["outputs"].as_object().cloned().unwrap_or_default();
        bodies.push(StageBody { outputs, ..StageBody::default() });
    }
    Some((engine, Content::new(document, bodies)))
}

fn of_stage(input: &Value) -> Value {
    let Some((engine, content)) = execution(input) else { return json!("it cannot be planned") };
    let Some(stage) = engine.find(&StageRef::new(text(&input["stage"]))) else {
        return json!("there is no such stage");
    };
    let visible = inputs::visible(&engine, &content, stage);
    json!({ "types": types(&inputs::artifacts(&content, &visible)) })
}

fn of_execution(input: &Value) -> Value {
    let stages = input["stages"].as_array().cloned().unwrap_or_default();
    let kept = stages.iter().rev().filter(|stage| stage["refId"] != input["withoutStageRef"]);
    let outputs: Vec<Object> =
        kept.map(|stage| stage["outputs"].as_object().cloned().unwrap_or_default()).collect();
    json!({ "types": types(&view::artifacts_of(outputs.iter(), &input["trigger"])) })
}

fn bound_by_id(input: &Value) -> Value {
    let mut input = input.clone();
    if let Some(resolved) = input.get("stageResolvedExpectedArtifacts").cloned() {
        let outputs = json!({ "resolvedExpectedArtifacts": resolved });
        input["stages"] = json!([{ "refId": "1", "requisiteStageRefIds": [], "outputs": outputs }]);
        input["stage"] = "1".into();
    }
    let Some((engine, content)) = execution(&input) else { return json!("it cannot be planned") };
    let Some(stage) = engine.find(&StageRef::new(text(&input["stage"]))) else {
        return json!("there is no such stage");
    };
    let visible = inputs::visible(&engine, &content, stage);
    let bound = inputs::bound(&content, &visible);
    json!({ "artifact": bound.get(&text(&input["artifactId"])) })
}

fn evaluated(input: &Value) -> Value {
    let root = Object::from_iter([("trigger".to_owned(), input["trigger"].clone())]);
    let limits = ExpressionLimits::default();
    let context = Context::new(&root, None, None, Timestamp::UNIX_EPOCH, &limits);
    let found = scheduler_expression::evaluate(&input["artifact"], &context, &BTreeSet::new());
    json!({ "artifact": found.value })
}

fn types(artifacts: &[Artifact]) -> Vec<&str> {
    artifacts.iter().map(Artifact::kind).collect()
}

fn list(value: &Value) -> Vec<Artifact> {
    value.as_array().into_iter().flatten().map(artifact).collect()
}

fn expected(value: &Value) -> Vec<ExpectedArtifact> {
    let objects = value.as_array().into_iter().flatten().filter_map(Value::as_object);
    objects.cloned().map(ExpectedArtifact).collect()
}

fn artifact(value: &Value) -> Artifact {
    Artifact(value.as_object().cloned().unwrap_or_default())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
