//! One execution: look at it, end it, answer it.

use axum::body::Bytes;
use axum::extract::{Path, Query, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::Value;
use shared_model::ExecutionId;
use shared_ports::journal::Kind;

use super::super::State;
use super::super::error::ApiError;
use super::super::login::Roles;
use super::super::request::{self, Acting, Answer, USER_BYTES_MAX, json_object, user};
use super::super::schema::{Empty, Execution, StagePatch};
use crate::Caller;

/// Length of the reason for a cancellation.
const REASON_BYTES_MAX: usize = 4 * 1024;

/// Shows an execution, with what it waits for.
#[utoipa::path(get, path = "/pipelines/{id}", tag = "executions", operation_id = "getPipeline",
    params(("id" = String, Path, description = "The execution's id.")),
    responses(
        (status = 200, description = "The execution.", body = Execution),
        (status = 404, description = "There is none of that id.")))]
pub(in super::super) async fn get(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
) -> Answer<Json<Value>> {
    Ok(Json(request::execution(&state, &ExecutionId::new(id)).await?))
}

/// Removes an execution that has ended, with its logs.
#[utoipa::path(delete, path = "/pipelines/{id}", tag = "executions",
    operation_id = "deleteExecution",
    params(("id" = String, Path, description = "The execution's id."), Acting),
    responses(
        (status = 200, description = "It is gone."),
        (status = 404, description = "There is none of that id."),
        (status = 409, description = "It has not ended, or one that started it has not.")))]
pub(in super::super) async fn delete(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer<StatusCode> {
    let (id, by) = (ExecutionId::new(id), user(&headers)?);
    state.scheduler.remove(&id, Kind::Pipeline).await?;
    tracing::info!(execution = %id, by, "it was deleted");
    Ok(StatusCode::OK)
}

#[derive(Deserialize, Default, utoipa::IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct Cancel {
    /// Why; at most 4,096 bytes.
    reason: String,
    /// Whether at once, whatever workers do: they are told, and not waited for.
    force: bool,
}

/// Ends an execution.
#[utoipa::path(put, path = "/pipelines/{id}/cancel", tag = "executions",
    operation_id = "cancelPipeline",
    params(("id" = String, Path, description = "The execution's id."), Cancel, Acting),
    responses(
        (status = 200, description = "It ends."),
        (status = 404, description = "There is none of that id."),
        (status = 409, description = "It has ended already.")))]
pub(in super::super) async fn cancel(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    Query(Cancel { reason, force }): Query<Cancel>,
    headers: HeaderMap,
) -> Answer<StatusCode> {
    check_reason(&reason)?;
    let (id, by) = (ExecutionId::new(id), user(&headers)?);
    match force {
        true => state.scheduler.force_cancel(&id, by, &reason).await?,
        false => state.scheduler.cancel(&id, by, &reason).await?,
    }
    Ok(StatusCode::OK)
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(in super::super) struct ForceCancel {
    /// The execution's id.
    execution_id: String,
    /// `PIPELINE` or `ORCHESTRATION`; the id alone counts.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    #[expect(dead_code, reason = "read only to be refused where it is none")]
    execution_type: Option<ExecutionType>,
    /// Who is to be named for it; the caller unless said.
    #[serde(default)]
    canceled_by: Option<String>,
    /// Why; at most 4,096 bytes.
    #[serde(default)]
    reason: String,
}

/// The kinds of executions, in Orca's words.
#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(in super::super) enum ExecutionType {
    /// Stages of a pipeline.
    Pipeline,
    /// Operations that were asked for one by one.
    Orchestration,
}

/// Ends an execution at once, whatever workers do; they are told, and not waited for.
#[utoipa::path(put, path = "/admin/forceCancelExecution", tag = "executions",
    operation_id = "forceCancelExecution", params(ForceCancel, Acting),
    responses(
        (status = 200, description = "It has ended."),
        (status = 404, description = "There is none of that id."),
        (status = 409, description = "It had ended already.")))]
pub(in super::super) async fn force_cancel(
    Shared(state): Shared<State>,
    Query(asked): Query<ForceCancel>,
    headers: HeaderMap,
) -> Answer<StatusCode> {
    let ForceCancel { execution_id, execution_type: _, canceled_by, reason } = asked;
    check_reason(&reason)?;
    let named = canceled_by.filter(|name| !name.is_empty());
    if named.as_ref().is_some_and(|name| name.len() > USER_BYTES_MAX) {
        let why = format!("canceledBy is longer than {USER_BYTES_MAX} bytes (user_bytes_max)");
        return Err(ApiError::invalid(why));
    }
    // The header is refused where it is none, also where somebody else is named.
    let caller = user(&headers)?;
    let by = named.as_deref().unwrap_or(caller);
    state.scheduler.force_cancel(&ExecutionId::new(execution_id), by, &reason).await?;
    Ok(StatusCode::OK)
}

fn check_reason(reason: &str) -> Answer<()> {
    if reason.len() > REASON_BYTES_MAX {
        let why = format!("the reason is longer than {REASON_BYTES_MAX} bytes (reason_bytes_max)");
        return Err(ApiError::invalid(why));
    }
    Ok(())
}

/// Holds an execution: what workers have goes on to its end, nothing else begins.
#[utoipa::path(put, path = "/pipelines/{id}/pause", tag = "executions",
    operation_id = "pausePipeline",
    params(("id" = String, Path, description = "The execution's id."), Acting),
    responses(
        (status = 200, description = "It is paused."),
        (status = 404, description = "There is none of that id."),
        (status = 409, description = "It does not run.")))]
pub(in super::super) async fn pause(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer<StatusCode> {
    state.scheduler.pause(&ExecutionId::new(id), user(&headers)?).await?;
    Ok(StatusCode::OK)
}

/// Lets an execution go on.
#[utoipa::path(put, path = "/pipelines/{id}/resume", tag = "executions",
    operation_id = "resumePipeline",
    params(("id" = String, Path, description = "The execution's id."), Acting),
    responses(
        (status = 200, description = "It runs."),
        (status = 404, description = "There is none of that id."),
        (status = 409, description = "It has ended.")))]
pub(in super::super) async fn resume(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer<StatusCode> {
    state.scheduler.resume(&ExecutionId::new(id), user(&headers)?).await?;
    Ok(StatusCode::OK)
}

/// Begins a stage, and what has ended behind it, again.
#[utoipa::path(put, path = "/pipelines/{id}/stages/{stage}/restart", tag = "executions",
    operation_id = "restartStage",
    params(
        ("id" = String, Path, description = "The execution's id."),
        ("stage" = String, Path, description = "The stage's `id` or `refId`."),
        Acting),
    responses(
        (status = 200, description = "The execution.", body = Execution),
        (status = 404, description = "There is no such execution, or no such stage in it."),
        (status = 409, description = "The stage runs, or the execution is paused or ends.")))]
pub(in super::super) async fn restart_stage(
    Shared(state): Shared<State>,
    Path((id, stage)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answer<Json<Value>> {
    let id = ExecutionId::new(id);
    Ok(Json(state.scheduler.restart_stage(&id, &stage, user(&headers)?).await?))
}

/// Ends an execution, below an application.
///
/// The id alone counts: `spin` does not fill in the application. It wants an object.
#[utoipa::path(put, path = "/applications/{app}/pipelines/{id}/cancel", tag = "executions",
    operation_id = "cancelPipelineOfApplication",
    params(
        ("app" = String, Path, description = "Anything."),
        ("id" = String, Path, description = "The execution's id."),
        Cancel, Acting),
    responses(
        (status = 200, description = "It ends.", body = Empty),
        (status = 404, description = "There is none of that id."),
        (status = 409, description = "It has ended already.")))]
pub(in super::super) async fn cancel_in(
    state: Shared<State>,
    Path((_app, id)): Path<(String, String)>,
    query: Query<Cancel>,
    headers: HeaderMap,
) -> Answer<Json<Empty>> {
    cancel(state, Path(id), query, headers).await?;
    Ok(Json(Empty {}))
}

/// Answers a stage: its judgment, or the end of a wait.
///
/// The fields of the body go into the stage's context.
#[utoipa::path(patch, path = "/pipelines/{id}/stages/{stage}", tag = "executions",
    operation_id = "patchStage", request_body = StagePatch,
    params(
        ("id" = String, Path, description = "The execution's id."),
        ("stage" = String, Path, description = "The stage's `id` or `refId`."),
        Acting),
    responses(
        (status = 200, description = "The execution.", body = Execution),
        (status = 403, description = "The judgment wants a role that the caller is known not to have (`judgment-role-missing`), or the token does not reach so far."),
        (status = 404, description = "There is no such execution, or no such stage in it."),
        (status = 409, description = "The stage has ended, or was judged already.")))]
pub(in super::super) async fn patch_stage(
    Shared(state): Shared<State>,
    Path((id, stage)): Path<(String, String)>,
    headers: HeaderMap,
    roles: Option<Extension<Roles>>,
    body: Bytes,
) -> Answer<Json<Value>> {
    let patch = json_object(&body)?;
    let (id, Roles(roles)) = (ExecutionId::new(id), roles.unwrap_or_default().0);
    let by = Caller { name: user(&headers)?.to_owned(), roles };
    Ok(Json(state.scheduler.patch_stage(&id, &stage, patch, by).await?))
}
