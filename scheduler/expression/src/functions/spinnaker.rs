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

fn as_text(value: &Val<'_>) -> Option<String> {
    match value {
        Val::Text(text) | Val::Status(text) => Some(text.to_string()),
        _ => None,
    }
}

fn no_stage(by: &str, wanted: &str) -> crate::Error {
    failed(format!("Unable to locate [{wanted}] using the {by} of a stage"))
}

/// A stage by name or id; of equal names the first.
fn stage<'a>(run: &Run<'a>, wanted: &str) -> Result<&'a Object> {
    let stages = run.context.stages();
    let by = |key: &str| stages.iter().copied().find(|stage| text_of(stage, key) == wanted);
    by("name").or_else(|| by("id")).ok_or_else(|| no_stage("name or id", wanted))
}

fn judgment<'a>(run: &mut Run<'a>, wanted: &str) -> Result<Val<'a>> {
    let mut stages = run.context.stages().into_iter();
    let found = stages.find(|stage| {
        text_of(stage, "type") == "manualJudgment" && text_of(stage, "name") == wanted
    });
    let found = found.ok_or_else(|| no_stage("name of a judgment", wanted))?;
    let input = found.get("context").and_then(|context| context.get("judgmentInput"));
    Ok(input.map_or(Val::Null, Val::from_json))
}

fn manifest_label<'a>(run: &Run<'a>, wanted: &str, kind: &str, label: &str) -> Result<Val<'a>> {
    if !["Deployment", "ReplicaSet"].contains(&kind) {
        return Err(failed(format!("Unsupported kind {kind}; use Deployment or ReplicaSet")));
    }
    let mut stages = run.context.stages().into_iter();
    let stage = stages.find(|stage| {
        text_of(stage, "name") == wanted && text_of(stage, "type") == "deployManifest"
    });
    let stage = stage.ok_or_else(|| no_stage("name of a deployManifest", wanted))?;
    let lists =
        [("context", "outputs.manifests"), ("context", "manifests"), ("outputs", "manifests")];
    let mut manifests =
        lists.iter().filter_map(|(part, key)| stage.get(*part)?.get(*key)?.as_array());
    let manifest = manifests.find_map(|list| list.iter().find(|one| one["kind"] == kind));
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

const DEPLOYS: [&str; 7] = [
    "createServerGroup",
    "deploy",
    "cloneServerGroup",
    "rollingPush",
    "copyLastAsg",
    "cloneLastAsg",
    "deployServerGroup",
];

/// What deploy stages put in place, one entry a region.
fn deployed_server_groups<'a>(run: &mut Run<'a>, names: &[&str]) -> Result<Val<'a>> {
    let mut found = Vec::new();
    for stage in run.context.stages() {
        let is_deploy = DEPLOYS.contains(&text_of(stage, "type"));
        let is_asked = names.is_empty() || names.contains(&text_of(stage, "name"));
        let is_done = text_of(stage, "status") == "SUCCEEDED";
        let groups = stage.get("context").and_then(|context| context.get("deploy.server.groups"));
        let groups = groups.and_then(Value::as_object).filter(|_| is_deploy && is_asked && is_done);
        for (region, group) in groups.into_iter().flatten() {
            found.push(Val::from_json(&server_group(run, stage, region, group)));
        }
    }
    Ok(Val::list(found))
}

fn server_group(run: &Run<'_>, stage: &Object, region: &str, group: &Value) -> Value {
    let context = stage.get("context").cloned().unwrap_or_default();
    let details = run.context.line_of_details(stage);
    let here = |detail: &&Value| detail["region"] == region;
    let mut made = details.iter().copied().find(here).cloned().unwrap_or_else(|| json!({}));
    let deployments: Vec<Value> = context["kato.tasks"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|task| task["resultObjects"].as_array())
        .flatten()
        .filter_map(|result| result["deployments"].as_array())
        .flatten()
        .cloned()
        .collect();
    let account = context.get("account").or_else(|| context.get("deploy.account.name"));
    made["account"] = account.cloned().unwrap_or_default();
    made["capacity"] = context["capacity"].clone();
    made["parentStage"] = stage.get("parentStageId").cloned().unwrap_or_default();
    made["region"] = region.into();
    made["serverGroup"] = group.get(0).cloned().unwrap_or_default();
    made["deployments"] = Value::Array(deployments);
    made
}

fn service_key<'a>(run: &Run<'a>, wanted: &str) -> Result<Val<'a>> {
    let mut stages = run.context.stages().into_iter();
    let stage = stages.find(|stage| {
        text_of(stage, "type") == "createServiceKey" && text_of(stage, "name") == wanted
    });
    let key = stage.and_then(|stage| {
        let parts = ["outputs", "context"];
        parts
            .into_iter()
            .find_map(|part| stage.get(part)?.get("serviceKey"))
            .or_else(|| stage.get("context")?.pointer("/kato.tasks/0/resultObjects/0/serviceKey"))
    });
    Ok(key.map_or_else(|| Val::Map(Rc::default()), Val::from_json))
}

fn outside<'a>(run: &mut Run<'a>, name: &str, args: &[Val<'a>], texts: &[&str]) -> Result<Val<'a>> {
    let (outside, execution) = (run.context.outside, run.context.execution);
    let own = execution.map(|execution| text_of(execution, "application")).unwrap_or_default();
    let known = |id: Option<String>| id.map_or(Val::Null, Val::text);
    match (name, texts) {
        ("fetchReference", [reference]) => outside.stored(reference).map(Val::text).map_err(failed),
        ("pipelineId", [wanted]) => {
            let id = outside.pipeline_id(own, wanted).map_err(failed)?;
            id.map(Val::text).ok_or_else(|| failed(format!("Pipeline '{wanted}' not found")))
        }
        ("pipelineIdOrNull", [wanted]) => {
            outside.pipeline_id(own, wanted).map(known).map_err(failed)
        }
        ("pipelineIdInApplication", [wanted, application]) => {
            outside.pipeline_id(application, wanted).map(known).map_err(failed)
        }
        ("applicationMetadata", [wanted]) => {
            let found = outside.application(wanted).map_err(failed)?;
            Ok(found.map_or(Val::Null, |found| Val::from_json(&found)))
        }
        ("canaryConfigNameToId", [wanted, application]) => {
            let id = outside.canary_config_id(wanted, application).map_err(failed)?;
            id.map(Val::text).ok_or_else(|| failed(format!("Canary config '{wanted}' not found")))
        }
        _ => Err(unknown(name, args.len())),
    }
}
