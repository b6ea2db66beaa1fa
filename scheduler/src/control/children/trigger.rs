//! What a child is started with (Orca's trigger of type `pipeline`).

use scheduler_engine::event::StageIndex;
use serde_json::{Value, json};
use shared_model::{Limits, Object, TaskError};
use shared_ports::journal::StageBody;

use crate::control::evaluation::Scene;
use crate::control::inputs;
use crate::control::loaded::Content;
use crate::view;

/// A saved pipeline with the trigger that a stage gives it.
pub(super) fn with(mut config: Object, scene: &Scene<'_>, body: &StageBody) -> Object {
    let own = view::stage_id(scene.engine.id(), scene.engine.stage(scene.stage).reference());
    let config_id = text(&config, "id").to_owned();
    let started = scene.engine.start_time().map(jiff::Timestamp::as_millisecond);
    let visible = inputs::visible(scene.engine, scene.content, scene.stage);
    let artifacts = inputs::artifacts(scene.content, &visible);
    let artifacts = artifacts.into_iter().map(|artifact| Value::Object(artifact.0));
    let mut trigger = json!({
        "type": "pipeline",
        "parentExecution": parent(scene),
        "parentPipelineStageId": own,
        "correlationId":
            format!("{}_{own}_{config_id}_{}", scene.engine.id(), started.unwrap_or_default()),
        "expectedArtifactIds": expected(&config, scene.content),
        "parameters": parameters(&config, &body.context),
        "artifacts": artifacts.collect::<Vec<_>>(),
    });
    if scene.content.document.pointer("/trigger/dryRun") == Some(&Value::Bool(true)) {
        trigger["dryRun"] = true.into();
    }
    config.insert("trigger".into(), trigger);
    config
}

fn text<'a>(object: &'a Object, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The parent as it is now. Of its own parents everything but the stages is kept: a chain of
/// pipelines must not carry all of its history in each link.
fn parent(scene: &Scene<'_>) -> Value {
    let bodies: Vec<StageBody> = (0..scene.engine.stage_count())
        .map(|index: StageIndex| scene.content.body(index))
        .collect();
    let mut parent = view::execution(scene.engine, &scene.content.document, &bodies);
    let mut next = parent.pointer_mut("/trigger/parentExecution");
    while let Some(Value::Object(grandparent)) = next {
        grandparent.remove("stages");
        next = grandparent.get_mut("trigger").and_then(|found| found.get_mut("parentExecution"));
    }
    if let Some(parent) = parent.as_object_mut() {
        parent.remove("waitingFor");
    }
    parent
}

/// Which expected artifacts the child's own trigger on its parent asks for.
fn expected(config: &Object, parent: &Content) -> Vec<Value> {
    let of_parent = parent.document.get("pipelineConfigId");
    let triggers = config.get("triggers").and_then(Value::as_array).into_iter().flatten();
    let on_parent = triggers.filter(|trigger| {
        trigger["type"] == "pipeline" && of_parent.is_some_and(|id| trigger["pipeline"] == *id)
    });
    let ids = on_parent.filter_map(|trigger| trigger["expectedArtifactIds"].as_array());
    ids.flatten().cloned().collect()
}

/// The parameters that the stage gives; what it gives as null counts as not given, where the child
/// has a default for it.
fn parameters(config: &Object, context: &Object) -> Object {
    let given = context.get("pipelineParameters").and_then(Value::as_object).cloned();
    let mut given = given.unwrap_or_default();
    let known = config.get("parameterConfig").and_then(Value::as_array).into_iter().flatten();
    for name in known.filter_map(|parameter| parameter["name"].as_str()) {
        if given.get(name).is_some_and(Value::is_null) {
            given.remove(name);
        }
    }
    given
}

/// What a stage asks of its child that is not carried out (D18), and chains that are too long.
///
/// # Errors
/// A [`TaskError`] naming the field or the limit.
pub(super) fn refuse_unsupported(
    parent: &Content,
    context: &Object,
    limits: &Limits,
) -> Result<(), TaskError> {
    let is_strategy = context.get("pipelineParameters").and_then(|given| given.get("strategy"));
    let is_strategy = is_strategy.is_some_and(|value| *value == Value::Bool(true));
    let artifacts = context.get("pipelineArtifacts");
    let has_artifacts = artifacts
        .is_some_and(|value| value.as_array().map_or(!value.is_null(), |list| !list.is_empty()));
    let found =
        [("pipelineParameters.strategy", is_strategy), ("pipelineArtifacts", has_artifacts)];
    if let Some((field, _)) = found.into_iter().find(|(_, asked)| *asked) {
        let why = format!("the stage asks for `{field}`, which is not carried out yet");
        return Err(TaskError::new("UnsupportedField", why).and("remove it from the stage"));
    }
    let depth = depth(&parent.document);
    if depth >= limits.child_depth_max {
        let why = format!(
            "pipelines start each other {depth} deep, the limit is {} (child_depth_max)",
            limits.child_depth_max
        );
        return Err(TaskError::new("ConfigurationException", why)
            .and("does a pipeline start itself? End the chain with a condition (stageEnabled)"));
    }
    Ok(())
}

/// How many executions stand above this one.
fn depth(document: &Value) -> u32 {
    let mut above = document.pointer("/trigger/parentExecution");
    let mut depth = 0;
    while let Some(parent) = above.filter(|parent| parent.is_object()) {
        depth += 1;
        above = parent.pointer("/trigger/parentExecution");
    }
    depth
}
