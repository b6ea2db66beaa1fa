//! The routes.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{OriginalUri, Path, Query, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::{Value, json};
use shared_model::{ExecutionId, Limits, parse};
use shared_ports::LogName;

use super::State;
use super::error::ApiError;

type Answer<T> = Result<T, ApiError>;

/// Most of a log that one answer holds.
const LOG_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Entries of history that one answer holds.
const HISTORY_ENTRIES_MAX: u32 = 1_000;
/// Length of the reason for a cancellation.
const REASON_BYTES_MAX: usize = 4 * 1024;
/// Length of a user's name.
const USER_BYTES_MAX: usize = 250;

pub(super) async fn health() -> Json<Value> {
    Json(json!({ "status": "UP" }))
}

pub(super) async fn version() -> Json<Value> {
    Json(json!({ "version": env!("CARGO_PKG_VERSION") }))
}

pub(super) async fn not_found(OriginalUri(uri): OriginalUri) -> ApiError {
    let why = format!("there is no route `{}`", uri.path());
    ApiError::new(StatusCode::NOT_FOUND, "no-route", why)
}

pub(super) async fn execution(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
) -> Answer<Json<Value>> {
    Ok(Json(find(&state, &ExecutionId::new(id)).await?))
}

#[derive(Deserialize)]
pub(super) struct Cancel {
    #[serde(default)]
    reason: String,
}

pub(super) async fn cancel(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    Query(Cancel { reason }): Query<Cancel>,
    headers: HeaderMap,
) -> Answer<StatusCode> {
    if reason.len() > REASON_BYTES_MAX {
        let why = format!("the reason is longer than {REASON_BYTES_MAX} bytes (reason_bytes_max)");
        return Err(ApiError::invalid(why));
    }
    state.scheduler.cancel(&ExecutionId::new(id), user(&headers)?, &reason).await?;
    Ok(StatusCode::OK)
}

pub(super) async fn patch_stage(
    Shared(state): Shared<State>,
    Path((id, stage)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer<Json<Value>> {
    let text = std::str::from_utf8(&body).map_err(|_| ApiError::invalid("it is not UTF-8"))?;
    let patch = parse::json(text, &Limits::default())
        .map_err(|problem| ApiError::invalid(problem.to_string()))?;
    let Value::Object(patch) = patch else {
        return Err(ApiError::invalid("the body is not a JSON object"));
    };
    let id = ExecutionId::new(id);
    Ok(Json(state.scheduler.patch_stage(&id, &stage, patch, user(&headers)?).await?))
}

#[derive(Deserialize)]
pub(super) struct After {
    #[serde(default)]
    after: u64,
}

pub(super) async fn history(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    Query(After { after }): Query<After>,
) -> Answer<Json<Value>> {
    let id = ExecutionId::new(id);
    find(&state, &id).await?;
    let entries = state.scheduler.history(&id, after, HISTORY_ENTRIES_MAX).await?;
    let entries = entries.into_iter().map(|(number, entry)| {
        json!({
            "number": number, "at": entry.at, "stage": entry.stage,
            "kind": entry.kind, "text": entry.text,
        })
    });
    Ok(Json(Value::Array(entries.collect())))
}

#[derive(Deserialize)]
pub(super) struct Offset {
    #[serde(default)]
    offset: u64,
}

pub(super) async fn log(
    Shared(state): Shared<State>,
    Path((id, stage)): Path<(String, String)>,
    Query(Offset { offset }): Query<Offset>,
) -> Answer<impl IntoResponse> {
    let execution = find(&state, &ExecutionId::new(&id)).await?;
    let stage = reference(&execution, &stage)
        .ok_or_else(|| ApiError::not_found(&format!("stage `{stage}`")))?;
    let name = LogName { execution: id, stage };
    let text = state.scheduler.ports().blobs.read(&name, offset, LOG_BYTES_MAX).await?;
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((headers, text))
}

async fn find(state: &State, id: &ExecutionId) -> Answer<Value> {
    let found = state.scheduler.execution(id).await?;
    found.ok_or_else(|| ApiError::not_found(&format!("execution `{id}`")))
}

/// The `refId` of a stage that is named by its id or its `refId`.
fn reference(execution: &Value, stage: &str) -> Option<String> {
    let stages = execution.get("stages")?.as_array()?;
    let found = stages.iter().find(|found| found["id"] == stage || found["refId"] == stage)?;
    found["refId"].as_str().map(str::to_owned)
}

/// As whom a request acts: on loopback the header is believed.
fn user(headers: &HeaderMap) -> Answer<&str> {
    let Some(name) = headers.get("x-spinnaker-user") else { return Ok("anonymous") };
    let name = name.to_str().unwrap_or_default();
    if name.is_empty() || name.len() > USER_BYTES_MAX {
        let why = format!("X-Spinnaker-User is not 1 to {USER_BYTES_MAX} visible characters");
        return Err(ApiError::invalid(why));
    }
    Ok(name)
}
