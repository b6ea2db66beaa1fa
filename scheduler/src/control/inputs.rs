//! What a task needs to know, and the messages that carry it.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use scheduler_engine::event::{AttemptKey, StageIndex};
use serde_json::Value;
use shared_model::{
    Artifact, AttemptId, Capability, Epoch, ExpectedArtifact, Object, Status, WorkerId,
};
use shared_plugin::secrets::SCHEME;
use shared_ports::messages::{
    AttemptReady, Control, INPUTS_INLINE_BYTES_MAX, Inputs, MESSAGE_VERSION, TaskInput,
};
use shared_ports::{Outgoing, PortError, Queue};

use super::evaluation::Shell;
use super::loaded::{Content, Loaded};
use super::traces::Trace;
use super::turn::Work;

/// Names an attempt outside its execution.
pub(crate) fn attempt_id(loaded: &Loaded, attempt: AttemptKey) -> AttemptId {
    AttemptId {
        execution: loaded.id.clone(),
        stage: loaded.engine.stage(attempt.stage).reference().clone(),
        run: attempt.run,
        task: attempt.task,
        number: attempt.number,
    }
}

/// The message that hands an attempt out.
///
/// # Errors
/// [`PortError`] if what the task needs could not be read, or its blob not be stored.
pub(crate) async fn message(
    shell: &Shell,
    work: &mut Work,
    attempt: AttemptKey,
    epoch: Epoch,
    capability: Capability,
    deadline: Option<Timestamp>,
) -> Result<AttemptReady, PortError> {
    super::expressions::refresh(shell, work, attempt.stage).await?;
    let input = task_input(shell, &mut work.loaded, attempt).await?;
    let id = attempt_id(&work.loaded, attempt);
    let traceparent = work.loaded.content.as_ref().map(|content| {
        let trace = Trace::of(&id.execution, &content.document);
        trace.stage(&id.execution, id.stage.as_str(), id.run).to_string()
    });
    Ok(AttemptReady {
        v: MESSAGE_VERSION,
        effect_key: id.effect(0),
        attempt: id,
        epoch,
        capability: shell.reach.queue(&capability),
        tenant: work.loaded.label.application.clone(),
        priority: 0,
        deadline,
        shard: shell.receiving.shard_for(&work.loaded.id, shell.shards),
        joins: shell.writes.joined_reports(),
        traceparent,
        needs_grant: false,
        to_end: false,
        sent_at: None,
        inputs: inputs(shell, input).await?,
    })
}

async fn inputs(shell: &Shell, mut input: TaskInput) -> Result<Inputs, PortError> {
    if shell.writes.references() && shell.reach.all_take_out() {
        shell.shelf.put_away_inputs(&mut input).await?;
    }
    let json = encode(&input)?;
    if json.len() <= INPUTS_INLINE_BYTES_MAX {
        return Ok(Inputs::Inline(Box::new(input)));
    }
    Ok(Inputs::Blob(shell.ports.blobs.put(json).await?))
}

async fn task_input(
    shell: &Shell,
    loaded: &mut Loaded,
    attempt: AttemptKey,
) -> Result<TaskInput, PortError> {
    loaded.content(&*shell.ports.journal).await?;
    let Loaded { engine, content, label, .. } = loaded;
    let empty = Content::default();
    let content = content.as_ref().unwrap_or(&empty);
    let body = content.body(attempt.stage);
    let visible = visible(engine, content, attempt.stage);
    Ok(TaskInput {
        application: label.application.clone(),
        pipeline: label.name.clone(),
        user: acting_user(engine, content, attempt.stage),
        stage_type: content.stage_type(engine, attempt.stage),
        stage_name: content.name(engine, attempt.stage),
        task: engine.stage(attempt.stage).task(attempt.task).name.clone(),
        checkpoint: body.checkpoints.get(&attempt.task).cloned(),
        artifacts: artifacts(content, &visible),
        bound: bound(content, &visible),
        made: if names_secrets(&body.context) { body.evaluated } else { Vec::new() },
        context: body.context,
    })
}

fn names_secrets(context: &Object) -> bool {
    fn found(value: &Value) -> bool {
        match value {
            Value::String(text) => text.contains(SCHEME),
            Value::Array(list) => list.iter().any(found),
            Value::Object(map) => names_secrets(map),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }
    context.values().any(found)
}

/// A stage and its ancestors, nearest first, as far as their outputs hold anything.
pub(crate) fn visible(
    engine: &scheduler_engine::Execution,
    content: &Content,
    stage: StageIndex,
) -> Vec<StageIndex> {
    let producers = &content.producers;
    if producers.is_empty() {
        return Vec::new();
    }
    let line = std::iter::once(stage).chain(engine.ancestors(stage));
    // Behind the last one there are only stages without outputs, which may be thousands.
    line.filter(|index| producers.contains(index)).take(producers.len()).collect()
}

/// Every artifact that the stage can see: its own and its ancestors', then the trigger's.
pub(crate) fn artifacts(content: &Content, visible: &[StageIndex]) -> Vec<Artifact> {
    let produced = visible.iter().flat_map(|index| {
        let list = content.bodies.get(index).and_then(|body| body.outputs.get("artifacts"));
        list.and_then(Value::as_array).into_iter().flatten()
    });
    let received = content.document.pointer("/trigger/artifacts").and_then(Value::as_array);
    let mut found: Vec<Artifact> = Vec::new();
    for artifact in produced.chain(received.into_iter().flatten()) {
        let artifact = artifact.as_object().cloned().map(Artifact);
        found.extend(artifact.filter(|artifact| !found.contains(artifact)));
    }
    found
}

/// Expected artifacts by id, as far as they are bound: by the nearest ancestor, else the trigger.
pub(crate) fn bound(content: &Content, visible: &[StageIndex]) -> BTreeMap<String, Artifact> {
    const KEY: &str = "resolvedExpectedArtifacts";
    let produced = visible.iter().flat_map(|index| {
        let list = content.bodies.get(index).and_then(|body| body.outputs.get(KEY));
        list.and_then(Value::as_array).into_iter().flatten()
    });
    let trigger = content.document.pointer(&format!("/trigger/{KEY}")).and_then(Value::as_array);
    let mut found = BTreeMap::new();
    for expected in produced.chain(trigger.into_iter().flatten()) {
        let Some(expected) = expected.as_object().cloned().map(ExpectedArtifact) else { continue };
        if let Some(artifact) = expected.bound() {
            found.entry(expected.id().to_owned()).or_insert(artifact);
        }
    }
    found
}

/// As whom a stage acts: as whoever answered the nearest judgment before it that passes its answerer's
/// rights on (`propagateAuthenticationContext`), else as whoever started the execution.
pub(crate) fn acting_user(
    engine: &scheduler_engine::Execution,
    content: &Content,
    stage: StageIndex,
) -> String {
    let answered = |index: StageIndex| {
        let by = content.answered.get(&index)?;
        let is_judgment = content.stage_type(engine, index) == "manualJudgment";
        // One that was skipped was answered by nobody, whatever its document says.
        let was_answered = engine.stage(index).status() == Status::Succeeded;
        (is_judgment && was_answered).then(|| by.clone())
    };
    // Most executions have none, and thousands of stages to look for one.
    let mut above = (!content.answered.is_empty()).then(|| engine.ancestors(stage));
    let answered = above.as_mut().and_then(|above| above.find_map(answered));
    answered.unwrap_or_else(|| text_at(&content.document, "/authentication/user"))
}

fn text_at(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The message that rings the bell for an attempt.
///
/// # Errors
/// [`PortError::Refused`] if it is not JSON, which no document can cause.
pub(crate) fn bell(ready: &AttemptReady) -> Result<Outgoing, PortError> {
    Ok(Outgoing {
        queue: Queue::Ready(ready.capability.clone()),
        id: format!("{}@{}", ready.attempt, ready.epoch),
        body: encode(ready)?,
    })
}

/// The message that ends an attempt at its worker.
pub(crate) fn abort(worker: &WorkerId, attempt: AttemptId, epoch: Epoch) -> Outgoing {
    let id = format!("abort:{attempt}@{epoch}");
    let control = Control::Abort { v: MESSAGE_VERSION, attempt, epoch, taken_over: false };
    let body = encode(&control).unwrap_or_default();
    Outgoing { queue: Queue::Control(worker.clone()), id, body }
}

/// The message that ends an attempt at a worker, for another one goes on with it.
pub(crate) fn taken_over(worker: &WorkerId, attempt: AttemptId, epoch: Epoch) -> Outgoing {
    let id = format!("taken-over:{attempt}@{epoch}");
    let control = Control::Abort { v: MESSAGE_VERSION, attempt, epoch, taken_over: true };
    let body = encode(&control).unwrap_or_default();
    Outgoing { queue: Queue::Control(worker.clone()), id, body }
}

/// The message that lets an attempt begin at its worker.
pub(crate) fn grant(worker: &WorkerId, attempt: AttemptId, epoch: Epoch) -> Outgoing {
    let id = format!("grant:{attempt}@{epoch}");
    let control = Control::Grant { v: MESSAGE_VERSION, attempt, epoch };
    let body = encode(&control).unwrap_or_default();
    Outgoing { queue: Queue::Control(worker.clone()), id, body }
}

fn encode(value: &impl serde::Serialize) -> Result<Bytes, PortError> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|error| PortError::Refused {
        doing: "writing a message".into(),
        why: error.to_string(),
    })
}

/// The artifacts among a stage's outputs.
pub(crate) fn own_artifacts(outputs: &Object) -> Vec<Artifact> {
    let list = outputs.get("artifacts").and_then(Value::as_array);
    let objects = list.into_iter().flatten().filter_map(Value::as_object);
    objects.cloned().map(Artifact).collect()
}
