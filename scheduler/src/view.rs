//! An execution in Gate's JSON (reference §4.5), with what it waits for.

use scheduler_engine::event::StageIndex;
use scheduler_engine::plan::Owner;
use scheduler_engine::{Execution, Pause, waiting_for};
use serde_json::{Value, json};
use shared_model::{Artifact, Capability, ExecutionId, Limits, Object, StageRef, Status};
use shared_ports::journal::{Query, StageBody, Stored};
use shared_ports::{Journal, PortError};
use uuid::Uuid;

use crate::fleet::FleetView;

/// How much of an execution is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// All of it.
    Full,
    /// Stages without their contexts and outputs, which are most of it.
    Outline,
}

/// Reads an execution; `None` if there is none.
///
/// # Errors
/// [`PortError`] if it cannot be read.
pub async fn load(
    journal: &dyn Journal,
    id: &ExecutionId,
    limits: &Limits,
    detail: Detail,
) -> Result<Option<Value>, PortError> {
    // State and bodies are two reads: an append between them is seen by reading again.
    for _ in 0..8 {
        let Some(stored) = journal.load(id).await? else { return Ok(None) };
        if detail == Detail::Outline {
            return outline(id, &stored, limits).map(Some);
        }
        let bodies = journal.bodies(id, &[]).await?;
        let again = journal.load(id).await?;
        if again.is_some_and(|again| again.version == stored.version) {
            let engine = decode(id, &stored, limits)?;
            return Ok(Some(execution(&engine, &stored.document, &bodies)));
        }
    }
    Err(PortError::Unavailable {
        doing: format!("reading execution `{id}`"),
        source: "it changes faster than it can be read".into(),
    })
}

fn outline(id: &ExecutionId, stored: &Stored, limits: &Limits) -> Result<Value, PortError> {
    Ok(execution(&decode(id, stored, limits)?, &stored.document, &[]))
}

fn decode(id: &ExecutionId, stored: &Stored, limits: &Limits) -> Result<Execution, PortError> {
    let engine = Execution::decode(id, &stored.head.state, &stored.stages, limits);
    engine.map_err(|error| PortError::Refused {
        doing: format!("reading the state of execution `{id}`"),
        why: error.to_string(),
    })
}

/// The artifacts of the newest execution that a query finds.
///
/// # Errors
/// [`PortError`] if it cannot be read.
pub async fn artifacts_of_newest(
    journal: &dyn Journal,
    query: &Query,
) -> Result<Vec<Artifact>, PortError> {
    let found = journal.search(query).await?;
    let Some((id, _)) = found.first() else { return Ok(Vec::new()) };
    let bodies = journal.bodies(id, &[]).await?;
    let stored = journal.load(id).await?;
    let trigger = stored.and_then(|stored| stored.document.get("trigger").cloned());
    let outputs = bodies.iter().rev().map(|body| &body.outputs);
    Ok(artifacts_of(outputs, &trigger.unwrap_or_default()))
}

/// Every artifact of an execution: those of its stages, in the order in which these are given, then the
/// trigger's.
pub fn artifacts_of<'a>(
    outputs: impl Iterator<Item = &'a Object>,
    trigger: &'a Value,
) -> Vec<Artifact> {
    let lists = outputs.map(|outputs| outputs.get("artifacts")).chain([trigger.get("artifacts")]);
    let objects =
        lists.flatten().filter_map(Value::as_array).flatten().filter_map(Value::as_object);
    let mut found: Vec<Artifact> = Vec::new();
    for artifact in objects.cloned().map(Artifact) {
        if !found.contains(&artifact) {
            found.push(artifact);
        }
    }
    found
}

/// Gate's id of a stage: derived, so that it is the same however often it is asked for.
pub fn stage_id(execution: &ExecutionId, stage: &StageRef) -> String {
    let name = format!("{execution}/{stage}");
    Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()).to_string()
}

/// The stage that a Gate id, or a `refId`, means.
pub fn find_stage(engine: &Execution, id: &str) -> Option<StageIndex> {
    let by_id = (0..engine.stage_count())
        .find(|index| stage_id(engine.id(), engine.stage(*index).reference()) == id);
    by_id.or_else(|| engine.find(&StageRef::new(id)))
}

/// An execution in Gate's shape.
pub fn execution(engine: &Execution, document: &Value, bodies: &[StageBody]) -> Value {
    let mut view = document.as_object().cloned().unwrap_or_default();
    let time = |at: Option<jiff::Timestamp>| at.map(jiff::Timestamp::as_millisecond);
    view.insert("status".into(), engine.status().name().into());
    view.insert("startTime".into(), json!(time(engine.start_time())));
    view.insert("endTime".into(), json!(time(engine.end_time())));
    view.insert("canceled".into(), engine.canceled().is_some().into());
    if let Some(cancel) = engine.canceled() {
        view.insert("canceledBy".into(), cancel.by.clone().into());
        if !cancel.reason.is_empty() {
            view.insert("cancellationReason".into(), cancel.reason.clone().into());
        }
    }
    let empty = StageBody::default();
    if let Some(pause) = engine.pause() {
        view.insert("paused".into(), paused(engine, pause));
    }
    let shown = (0..engine.stage_count()).filter(|index| !engine.stage(*index).is_removed());
    let stages = shown.clone().map(|index| {
        let body = bodies.get(index as usize).unwrap_or(&empty);
        stage(engine, document, index, body)
    });
    view.insert(
        "stages".into(),
        Value::Array(listed(engine, &shown.collect::<Vec<_>>(), stages.collect())),
    );
    view.insert("waitingFor".into(), waiting(engine, document));
    Value::Object(view)
}

/// Orca's words for a pause.
fn paused(engine: &Execution, pause: &Pause) -> Value {
    let (by, at) = pause.resumed.clone().unzip();
    let until = at.or(engine.end_time()).unwrap_or(pause.at);
    json!({
        "pausedBy": pause.by,
        "pauseTime": pause.at.as_millisecond(),
        "resumedBy": by,
        "resumeTime": at.map(jiff::Timestamp::as_millisecond),
        "pausedMs": until.duration_since(pause.at).as_millis() as i64,
        "paused": at.is_none(),
    })
}

/// Synthetic stages stand beside their parent, those before it in front (Orca sorts by `refId`).
fn listed(engine: &Execution, indexes: &[StageIndex], stages: Vec<Value>) -> Vec<Value> {
    let places = indexes.iter().map(|index| place(engine, *index));
    let mut order: Vec<(Vec<u32>, usize)> = places.zip(0..).collect();
    order.sort();
    let mut stages: Vec<Option<Value>> = stages.into_iter().map(Some).collect();
    order.into_iter().filter_map(|(_, index)| stages[index].take()).collect()
}

/// Sort key: the top-level stage's place, then before (0), itself (1), after (2), at each level.
fn place(engine: &Execution, index: StageIndex) -> Vec<u32> {
    match engine.stage(index).synthetic() {
        None => vec![index, 1],
        Some(synthetic) => {
            let mut key = place(engine, synthetic.parent);
            key.pop();
            key.push(match synthetic.owner {
                Owner::Before => 0,
                Owner::After => 2,
            });
            key.extend([index, 1]);
            key
        }
    }
}

fn stage(engine: &Execution, document: &Value, index: StageIndex, body: &StageBody) -> Value {
    let stage = engine.stage(index);
    let written = document.get("stages").and_then(|stages| stages.get(index as usize));
    let written = |key: &str| written.and_then(|stage| stage.get(key)).cloned();
    let (stage_type, name) = match stage.synthetic() {
        Some(synthetic) => (json!(synthetic.stage_type), json!(synthetic.name)),
        None => (written("type").unwrap_or_default(), written("name").unwrap_or_default()),
    };
    let requisites: Vec<&str> =
        stage.requisites().iter().map(|index| engine.stage(*index).reference().as_str()).collect();
    let mut view = json!({
        "id": stage_id(engine.id(), stage.reference()),
        "refId": stage.reference().as_str(),
        "type": stage_type,
        "name": name,
        "status": engine.shown_status(index).name(),
        "startTime": stage.start_time().map(jiff::Timestamp::as_millisecond),
        "endTime": stage.end_time().map(jiff::Timestamp::as_millisecond),
        "context": body.context,
        "outputs": body.outputs,
        "tasks": tasks(engine, index, body),
        "requisiteStageRefIds": requisites,
    });
    if let Some(by) = body.context.get("lastModifiedBy") {
        view["lastModified"] = json!({ "user": by, "allowedAccounts": [] });
    }
    if let (Some(synthetic), Some(view)) = (stage.synthetic(), view.as_object_mut()) {
        let parent = engine.stage(synthetic.parent).reference();
        view.insert("parentStageId".into(), stage_id(engine.id(), parent).into());
        let owner = match synthetic.owner {
            Owner::Before => "STAGE_BEFORE",
            Owner::After => "STAGE_AFTER",
        };
        view.insert("syntheticStageOwner".into(), owner.into());
    }
    view
}

fn tasks(engine: &Execution, index: StageIndex, body: &StageBody) -> Vec<Value> {
    let stage = engine.stage(index);
    let count = stage.task_count();
    let is_held = engine.shown_status(index) == Status::Paused;
    let status = |own| if is_held && own == Status::Running { Status::Paused } else { own };
    let task = |task: usize| {
        let found = stage.task(task as u16);
        let mut view = json!({
            "id": (task + 1).to_string(),
            "name": found.name,
            "implementingClass": found.name,
            "status": status(found.status).name(),
            "startTime": found.start_time.map(jiff::Timestamp::as_millisecond),
            "endTime": found.end_time.map(jiff::Timestamp::as_millisecond),
            "stageStart": task == 0,
            "stageEnd": task + 1 == count,
            "loopStart": false,
            "loopEnd": false,
        });
        if let Some(failure) = body.failures.get(&(task as u16)) {
            view["taskExceptionDetails"] = json!({ "exception": failure });
        }
        view
    };
    (0..count).map(task).collect()
}

fn waiting(engine: &Execution, document: &Value) -> Value {
    let built = document.get("buildTime").and_then(Value::as_i64);
    let built = built.and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
    let list = waiting_for(engine).into_iter().map(|waiting| {
        let mut view = json!({
            "kind": waiting.kind.to_string(),
            // What the execution as a whole waits for it waits for since it was made.
            "since": waiting.since.or(built.filter(|_| waiting.stage.is_none())),
            "until": waiting.until,
            "unblock": waiting.unblock,
            "capability": waiting.capability,
        });
        if let (Some(index), Some(view)) = (waiting.stage, view.as_object_mut()) {
            let stage = engine.stage(index).reference();
            view.insert("stage".into(), stage.as_str().into());
            view.insert("stageId".into(), stage_id(engine.id(), stage).into());
        }
        view
    });
    Value::Array(list.collect())
}

/// Whether a view says that workers are waited for.
pub(crate) fn waits_for_workers(view: &Value) -> bool {
    let list = view.get("waitingFor").and_then(Value::as_array);
    list.is_some_and(|list| list.iter().any(|wait| wait["capability"].is_string()))
}

/// Says which workers there are wherever none can do what waits, and why none begins anything.
pub(crate) fn tell_workers(view: &mut Value, fleet: Result<&FleetView, &PortError>) {
    let list = view.get_mut("waitingFor").and_then(Value::as_array_mut);
    for wait in list.into_iter().flatten() {
        let Some(capability) = wait["capability"].as_str().map(Capability::new) else { continue };
        let told = match fleet {
            Ok(fleet) => [fleet.who_cannot(&capability), fleet.held_up.clone()],
            Err(error) => [None, Some(error.with_causes())],
        };
        if let Some(Value::String(unblock)) = wait.get_mut("unblock") {
            for why in told.into_iter().flatten() {
                unblock.push_str("; ");
                unblock.push_str(&why);
            }
        }
    }
}

/// The fields of a view that expressions see as `execution`.
pub(crate) fn for_expressions(
    engine: &Execution,
    document: &Value,
    bodies: &[StageBody],
) -> Object {
    let mut view = execution(engine, document, bodies).as_object().cloned().unwrap_or_default();
    // Nobody in particular has no name there.
    if let Some(who) = view.get_mut("authentication").and_then(Value::as_object_mut)
        && who.get("user") == Some(&json!("anonymous"))
    {
        who.remove("user");
    }
    if let Some(stages) = view.get_mut("stages").and_then(Value::as_array_mut) {
        // Orca's stores list them so, and `#stage` takes the first of a name.
        let reference = |stage: &Value| stage["refId"].as_str().unwrap_or_default().to_owned();
        stages.sort_by_cached_key(reference);
    }
    view
}
