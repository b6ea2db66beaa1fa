//! Tasks: operations that are asked for one by one (`POST /tasks`), outside of pipelines.
//!
//! Those on saved documents are done at once, and kept as documents; those that are stages run as an
//! execution of their own, one after the other (Orca's orchestration).

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use shared_model::{ExecutionId, Object};
use shared_ports::journal::Kind;

use super::super::State;
use super::super::error::ApiError;
use super::super::request::{Acting, Answer, json_object, trace, user};
use super::super::schema::{Job, Operations, Reference};
use crate::library::{LibraryError, Operation};
use crate::start::Start;

/// Asks for operations, outside of pipelines.
///
/// Those on saved documents (`createApplication`, `updateApplication`, `upsertApplication`,
/// `deleteApplication`, `savePipeline`, `deletePipeline`, `createV2PipelineTemplate`,
/// `updateV2PipelineTemplate`, `deleteV2PipelineTemplate`) are done at once; those that are stages run
/// as an execution of their own, one after the other.
#[utoipa::path(post, path = "/tasks", tag = "tasks", operation_id = "task",
    request_body = Operations, params(Acting),
    responses((status = 200, description = "Where to look how it ended.", body = Reference)))]
pub(in super::super) async fn start(
    Shared(state): Shared<State>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer<Json<Reference>> {
    let (asked, by) = (json_object(&body)?, user(&headers)?);
    let jobs = asked.get("job").and_then(Value::as_array).filter(|jobs| !jobs.is_empty());
    let jobs = jobs.ok_or_else(|| ApiError::invalid("`job` is not a list with operations"))?;
    let operations: Vec<Option<Operation>> = jobs.iter().map(Operation::of).collect();
    let id = if operations.iter().all(Option::is_some) {
        at_once(&state, &asked, operations.into_iter().flatten(), by).await?
    } else if operations.iter().all(Option::is_none) {
        as_execution(&state, &asked, jobs, &headers).await?
    } else {
        let why = "`job` mixes operations on saved documents with stages; send them apart";
        return Err(ApiError::invalid(why));
    };
    Ok(Json(Reference::to("tasks", id)))
}

/// Asks for operations, below an application, whose name in the body counts.
#[utoipa::path(post, path = "/applications/{app}/tasks", tag = "tasks",
    operation_id = "taskOfApplication", request_body = Operations,
    params(("app" = String, Path, description = "Anything."), Acting),
    responses((status = 200, description = "Where to look how it ended.", body = Reference)))]
pub(in super::super) async fn start_in(
    state: Shared<State>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer<Json<Reference>> {
    start(state, headers, body).await
}

/// Shows a task.
#[utoipa::path(get, path = "/tasks/{id}", tag = "tasks", operation_id = "getTask",
    params(("id" = String, Path, description = "Its id: the last part of the `ref`.")),
    responses(
        (status = 200, description = "The task.", body = Job),
        (status = 404, description = "There is none of that id.")))]
pub(in super::super) async fn get(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
) -> Answer<Json<Value>> {
    if let Some(task) = state.scheduler.library().task(&id).await? {
        return Ok(Json(Value::Object(task)));
    }
    let found = state.scheduler.execution(&ExecutionId::new(&id)).await?;
    let found = found.filter(|execution| execution["type"] == "ORCHESTRATION");
    let execution = found.ok_or_else(|| ApiError::not_found(&format!("task `{id}`")))?;
    Ok(Json(of_execution(&execution)))
}

/// Removes a task that has ended.
#[utoipa::path(delete, path = "/tasks/{id}", tag = "tasks", operation_id = "deleteTask",
    params(("id" = String, Path, description = "Its id: the last part of the `ref`."), Acting),
    responses(
        (status = 200, description = "It is gone."),
        (status = 404, description = "There is none of that id."),
        (status = 409, description = "It has not ended.")))]
pub(in super::super) async fn delete(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer<StatusCode> {
    let by = user(&headers)?;
    if !state.scheduler.library().remove_task(&id).await? {
        state.scheduler.remove(&ExecutionId::new(&id), Kind::Task).await?;
    }
    tracing::info!(task = id, by, "it was deleted");
    Ok(StatusCode::OK)
}

/// Carries operations out, and keeps how they ended.
async fn at_once(
    state: &State,
    asked: &Object,
    operations: impl Iterator<Item = Operation>,
    by: &str,
) -> Answer<String> {
    let library = state.scheduler.library();
    let mut failure = None;
    for operation in operations {
        match library.carry_out(operation, by).await {
            Ok(()) => {}
            Err(LibraryError::Port(error)) => return Err(error.into()),
            Err(error) => {
                failure = Some(error.to_string());
                break;
            }
        }
    }
    Ok(library.keep_task(asked, failure, by).await?)
}

async fn as_execution(
    state: &State,
    asked: &Object,
    jobs: &[Value],
    headers: &HeaderMap,
) -> Answer<String> {
    let text = |key: &str| asked.get(key).and_then(Value::as_str).unwrap_or_default();
    let known = |job: &Value| job["type"].as_str().is_some_and(|name| state.scheduler.knows(name));
    if let Some(unknown) = jobs.iter().find(|job| !known(job)) {
        let why = format!("`{}` is no operation that is known here", shown(&unknown["type"]));
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "operation-unknown", why));
    }
    let document = json!({
        "application": text("application"), "name": text("description"),
        "description": text("description"), "stages": jobs,
    });
    let (user, trace, is_orchestration) = (user(headers)?.to_owned(), trace(headers), true);
    let start = Start { document, user, trace, is_orchestration, ..Start::default() };
    Ok(state.scheduler.submit(start).await?.to_string())
}

fn shown(value: &Value) -> String {
    value.as_str().unwrap_or_default().chars().filter(|c| !c.is_control()).take(80).collect()
}

/// An execution as a task: its stages' outputs are the variables.
fn of_execution(execution: &Value) -> Value {
    let stages = || execution["stages"].as_array().into_iter().flatten();
    let fields = |key: &'static str| stages().filter_map(move |stage| stage[key].as_object());
    let variables: Vec<Value> = fields("context")
        .chain(fields("outputs"))
        .flatten()
        .map(|(key, value)| json!({ "key": key, "value": value }))
        .collect();
    let steps: Vec<&Value> =
        stages().filter_map(|stage| stage["tasks"].as_array()).flatten().collect();
    json!({
        "id": execution["id"], "name": execution["name"], "application": execution["application"],
        "status": execution["status"], "buildTime": execution["buildTime"],
        "startTime": execution["startTime"], "endTime": execution["endTime"],
        "variables": variables, "steps": steps, "execution": execution,
    })
}
