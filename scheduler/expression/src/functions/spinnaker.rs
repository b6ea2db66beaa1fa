//! Functions that know about executions.

use std::rc::Rc;

use serde_json::{Value, json};

use super::{Object, failed, text_of, unknown};
use crate::eval::{Result, Run};
use crate::value::Val;

pub(super) fn call<'a>(run: &mut Run<'a>, name: &str, args: &[Val<'a>]) -> Result<Val<'a>> {
    let texts: Option<Vec<String>> = args.iter().map(as_text).collect();
    let texts = texts.unwrap_or_default();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    match (name, texts.as_slice()) {
        ("stage", [wanted]) => stage(run, wanted).map(Val::Stage),
        ("stageByRefId", [wanted]) => {
            let found =
                run.context.stages().into_iter().find(|stage| text_of(stage, "refId") == *wanted);
            found.map(Val::Stage).ok_or_else(|| no_stage("refId", wanted))
        }
        ("stageExists", []) if matches!(args, [Val::Null]) => Ok(Val::Bool(false)),
        ("stageExists", [wanted]) => Ok(Val::Bool(stage(run, wanted).is_ok())),
        ("currentStage", []) if args.is_empty() => {
            let found = run.context.stage.and_then(|reference| run.context.stage_of(reference));
            found.map(Val::Stage).ok_or_else(|| failed("no stage is running in this evaluation"))
        }
        ("currentUser", []) if args.is_empty() => Ok(Val::text(run.context.user)),
        ("judgment" | "judgement", [wanted]) => judgment(run, wanted),
        ("manifestLabelValue", [stage, kind, label]) => manifest_label(run, stage, kind, label),
        ("triggerResolvedArtifact", [wanted]) => trigger_artifact(run, "name", wanted),
        ("triggerResolvedArtifactByType", [wanted]) => trigger_artifact(run, "type", wanted),
        ("resolvedArtifacts", []) if args.is_empty() => resolved_artifacts(run),
        ("deployedServerGroups", names) => deployed_server_groups(run, names),
        ("cfServiceKey", [wanted]) => service_key(run, wanted),
        _ => outside(run, name, args, &texts),
    }
}

/// An argument as the text that these functions take: numbers too, but not null.
fn as_text(value: &Val<'_>) -> Option<String> {
    match value {
        Val::Null => None,
        value => crate::walk::within_text(value).ok(),
    }
}

/// What Orca's `stage.context[key]` is: the stage's own, else its nearest ancestor's output.
fn in_context<'a>(run: &Run<'a>, stage: &'a Object, key: &str) -> Option<&'a Value> {
    let own = stage.get("context").and_then(|context| context.get(key));
    let outputs = || {
        let line = run.context.line_of(stage).into_iter();
        line.filter_map(|stage| stage.get("outputs")?.get(key)).next()
    };
    own.or_else(outputs)
}

fn no_stage(by: &str, wanted: &str) -> crate::Error {
    failed(format!("Unable to locate [{wanted}] using the {by} of a stage"))
}

fn has_name_or_id(stage: &Object, wanted: &str) -> bool {
    text_of(stage, "name") == wanted || text_of(stage, "id") == wanted
}

/// The first stage of a name or an id.
fn stage<'a>(run: &Run<'a>, wanted: &str) -> Result<&'a Object> {
    let mut stages = run.context.stages().into_iter();
    let found = stages.find(|stage| has_name_or_id(stage, wanted));
    found.ok_or_else(|| no_stage("name or id", wanted))
}

/// What was chosen in the first judgment of a name in which something was.
fn judgment<'a>(run: &mut Run<'a>, wanted: &str) -> Result<Val<'a>> {
    let stages = run.context.stages().into_iter().filter(|stage| {
        text_of(stage, "type") == "manualJudgment" && text_of(stage, "name") == wanted
    });
    let inputs = stages.filter_map(|stage| in_context(run, stage, "judgmentInput"));
    let input = inputs.filter(|input| !input.is_null()).map(Val::from_json).next();
    input.ok_or_else(|| no_stage("name of a judgment that has an input", wanted))
}

/// A label as the cluster has it: that of the manifest that a finished stage applied.
fn manifest_label<'a>(run: &Run<'a>, wanted: &str, kind: &str, label: &str) -> Result<Val<'a>> {
    if !["Deployment", "ReplicaSet"].contains(&kind) {
        return Err(failed(format!("Unsupported kind {kind}; use Deployment or ReplicaSet")));
    }
    let mut stages = run.context.stages().into_iter();
    let stage = stages.find(|stage| {
        let is = |key: &str, value: &str| text_of(stage, key) == value;
        is("name", wanted) && is("type", "deployManifest") && is("status", "SUCCEEDED")
    });
    let stage = stage.ok_or_else(|| no_stage("name of a deployManifest that succeeded", wanted))?;
    let manifests = in_context(run, stage, "outputs.manifests").and_then(Value::as_array);
    let manifest = manifests.and_then(|list| list.iter().find(|one| one["kind"] == kind));
    let manifest = manifest.ok_or_else(|| failed(format!("No manifest of kind {kind} found")))?;
    let labels = manifest.pointer("/spec/template/metadata/labels");
    let value = labels.and_then(|labels| labels.get(label));
    value.map(Val::from_json).ok_or_else(|| failed(format!("No label of key {label} found")))
}

fn trigger_artifacts<'a>(run: &Run<'a>) -> Vec<&'a Value> {
    let trigger = run.context.execution.and_then(|execution| execution.get("trigger"));
    let trigger = trigger.or_else(|| run.context.root.get("trigger"));
    let list = trigger.and_then(|trigger| trigger.get("resolvedExpectedArtifacts"));
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|expected| expected.get("boundArtifact")).collect()
}

fn trigger_artifact<'a>(run: &Run<'a>, key: &str, wanted: &str) -> Result<Val<'a>> {
    let found = trigger_artifacts(run).into_iter().find(|artifact| artifact[key] == wanted);
    let none = || failed(format!("Unable to locate a resolved artifact with {key} {wanted}"));
    found.map(Val::from_json).ok_or_else(none)
}

/// The artifacts that stages put out.
fn resolved_artifacts<'a>(run: &mut Run<'a>) -> Result<Val<'a>> {
    let stages = run.context.stages().into_iter();
    let lists = stages.filter_map(|stage| stage.get("outputs")?.get("artifacts")?.as_array());
    Ok(Val::list(lists.flatten().map(Val::from_json).collect()))
}

const DEPLOYS: [&str; 4] = ["deploy", "createServerGroup", "cloneServerGroup", "rollingPush"];

/// What finished deploy stages put in place, one entry a stage that knows its region.
fn deployed_server_groups<'a>(run: &mut Run<'a>, names: &[&str]) -> Result<Val<'a>> {
    let mut found = Vec::new();
    for stage in run.context.stages() {
        let is_asked = names.is_empty() || names.iter().any(|name| has_name_or_id(stage, name));
        let is_done = text_of(stage, "status") == "SUCCEEDED";
        if !DEPLOYS.contains(&text_of(stage, "type")) || !is_asked || !is_done {
            continue;
        }
        let groups = in_context(run, stage, "deploy.server.groups");
        let region = groups.and_then(|groups| Some((groups, region_of(run, stage)?)));
        found.extend(region.map(|(groups, region)| server_group(run, stage, region, groups)));
    }
    Ok(Val::list(found.iter().map(Val::from_json).collect()))
}

fn region_of<'a>(run: &Run<'a>, stage: &'a Object) -> Option<&'a str> {
    let region = in_context(run, stage, "region").and_then(Value::as_str);
    region.or_else(|| {
        let zones = in_context(run, stage, "availabilityZones")?.as_object()?;
        zones.keys().next().map(String::as_str)
    })
}

fn server_group<'a>(run: &Run<'a>, stage: &'a Object, region: &str, groups: &Value) -> Value {
    let mut made = json!({ "region": region });
    for key in ["account", "capacity", "parentStage"] {
        made[key] = in_context(run, stage, key).cloned().unwrap_or_default();
    }
    let details = in_context(run, stage, "deploymentDetails").and_then(Value::as_array);
    let here = details.into_iter().flatten().filter(|detail| detail["region"] == region);
    for (key, value) in here.filter_map(Value::as_object).flatten() {
        made[key.as_str()] = value.clone();
    }
    if let Some(first) = groups.get(region).and_then(|groups| groups.get(0)) {
        made["serverGroup"] = first.clone();
    }
    made["deployments"] = Value::Array(deployments(in_context(run, stage, "kato.tasks")));
    made
}

fn deployments(tasks: Option<&Value>) -> Vec<Value> {
    let tasks = tasks.and_then(Value::as_array).into_iter().flatten();
    let results = tasks.filter_map(|task| task["resultObjects"].as_array()).flatten();
    results.filter_map(|result| result["deployments"].as_array()).flatten().cloned().collect()
}

/// The key of the first stage of a name or an id that made one; empty if there is none.
fn service_key<'a>(run: &Run<'a>, wanted: &str) -> Result<Val<'a>> {
    let mut stages = run.context.stages().into_iter();
    let stage = stages.find(|stage| {
        let is = |key: &str, value: &str| text_of(stage, key) == value;
        is("type", "createServiceKey") && is("status", "SUCCEEDED") && has_name_or_id(stage, wanted)
    });
    let tasks = stage.and_then(|stage| in_context(run, stage, "kato.tasks"));
    let key = tasks.and_then(|tasks| tasks.pointer("/0/resultObjects/0/serviceKey"));
    Ok(key.map_or_else(|| Val::Map(Rc::default()), Val::from_json))
}

fn outside<'a>(run: &mut Run<'a>, name: &str, args: &[Val<'a>], texts: &[&str]) -> Result<Val<'a>> {
    let (outside, execution) = (run.context.outside, run.context.execution);
    let own = execution.map(|execution| text_of(execution, "application")).unwrap_or_default();
    let known = |id: Option<String>| id.map_or(Val::Null, Val::text);
    let needs_names = ["pipelineId", "pipelineIdOrNull", "canaryConfigNameToId"].contains(&name);
    if needs_names && texts.contains(&"") {
        return Err(failed(format!("#{name} needs names that are not empty")));
    }
    match (name, texts) {
        ("fetchReference", [reference]) => outside.stored(reference).map(Val::text).map_err(failed),
        ("pipelineId", [wanted]) => {
            let id = outside.pipeline_id(own, wanted).map_err(failed)?;
            id.map(Val::text).ok_or_else(|| failed(format!("Pipeline '{wanted}' not found")))
        }
        ("pipelineIdOrNull", [wanted]) => {
            outside.pipeline_id(own, wanted).map(known).map_err(failed)
        }
        ("pipelineIdInApplication", [_, ""]) => {
            Err(failed("#pipelineIdInApplication needs an application"))
        }
        ("pipelineIdInApplication", [wanted, application]) => {
            outside.pipeline_id(application, wanted).map(known).map_err(failed)
        }
        ("applicationMetadata", [wanted]) => {
            let found = outside.application(wanted).map_err(failed)?;
            let found = found.as_ref().map(Val::from_json);
            found.ok_or_else(|| failed(format!("Application '{wanted}' not found")))
        }
        ("canaryConfigNameToId", [wanted, application]) => {
            let id = outside.canary_config_id(wanted, application).map_err(failed)?;
            id.map(Val::text).ok_or_else(|| failed(format!("Canary config '{wanted}' not found")))
        }
        _ => Err(unknown(name, args.len())),
    }
}
