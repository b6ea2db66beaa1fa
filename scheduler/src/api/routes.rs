//! The routes.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{OriginalUri, Path, Query, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use shared_model::{ExecutionId, Object};
use shared_ports::LogName;

use super::State;
use super::error::ApiError;

type Answer<T> = Result<T, ApiError>;
type Parameters = Query<BTreeMap<String, String>>;

/// Most of a log that one answer holds.
const LOG_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Entries of history that one answer holds.
const HISTORY_ENTRIES_MAX: u32 = 1_000;

pub(super) async fn health() -> Json<Value> {
    Json(json!({ "status": "UP" }))
}

pub(super) async fn version() -> Json<Value> {
    Json(json!({ "version": env!("CARGO_PKG_VERSION") }))
}

pub(super) async fn not_found(OriginalUri(uri): OriginalUri) -> ApiError {
    let why = "there is nothing here; see the README for the routes that exist";
    ApiError::new(StatusCode::NOT_FOUND, "no-route", why, uri.path())
}

pub(super) async fn execution(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    OriginalUri(uri): OriginalUri,
) -> Answer<Json<Value>> {
    let found = state.scheduler.execution(&ExecutionId::new(&id)).await;
    let found = found.map_err(|error| ApiError::port(&error, uri.path()))?;
    found.map(Json).ok_or_else(|| ApiError::no_execution(&id, uri.path()))
}

pub(super) async fn cancel(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    Query(parameters): Parameters,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Answer<StatusCode> {
    let reason = parameters.get("reason").cloned().unwrap_or_default();
    let done = state.scheduler.cancel(&ExecutionId::new(id), user(&headers), &reason).await;
    done.map(|()| StatusCode::OK).map_err(|error| ApiError::control(&error, uri.path()))
}

pub(super) async fn patch_stage(
    Shared(state): Shared<State>,
    Path((id, stage)): Path<(String, String)>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> Answer<Json<Value>> {
    let patch: Object = serde_json::from_slice(&body).map_err(|error| {
        let why = format!("the body is no JSON object: {error}");
        ApiError::new(StatusCode::BAD_REQUEST, "invalid-json", why, uri.path())
    })?;
    let id = ExecutionId::new(id);
    let done = state.scheduler.patch_stage(&id, &stage, patch, user(&headers)).await;
    done.map(Json).map_err(|error| ApiError::control(&error, uri.path()))
}

pub(super) async fn history(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    Query(parameters): Parameters,
    OriginalUri(uri): OriginalUri,
) -> Answer<Json<Value>> {
    let after = parameters.get("after").and_then(|text| text.parse().ok()).unwrap_or(0);
    let id = ExecutionId::new(id);
    let entries = state.scheduler.history(&id, after, HISTORY_ENTRIES_MAX).await;
    let entries = entries.map_err(|error| ApiError::port(&error, uri.path()))?;
    let entries = entries.into_iter().map(|(number, entry)| {
        json!({
            "number": number, "at": entry.at, "stage": entry.stage,
            "kind": entry.kind, "text": entry.text,
        })
    });
    Ok(Json(Value::Array(entries.collect())))
}

/// A stage's log as text, from byte `offset` on.
pub(super) async fn log(
    Shared(state): Shared<State>,
    Path((id, stage)): Path<(String, String)>,
    Query(parameters): Parameters,
    OriginalUri(uri): OriginalUri,
) -> Answer<Bytes> {
    let port = |error| ApiError::port(&error, uri.path());
    let execution = state.scheduler.execution(&ExecutionId::new(&id)).await.map_err(port)?;
    let execution = execution.ok_or_else(|| ApiError::no_execution(&id, uri.path()))?;
    let reference = reference(&execution, &stage).ok_or_else(|| {
        let why = format!("no stage `{stage}`");
        ApiError::new(StatusCode::NOT_FOUND, "stage-not-found", why, uri.path())
    })?;
    let offset = parameters.get("offset").and_then(|text| text.parse().ok()).unwrap_or(0);
    let name = LogName { execution: id, stage: reference };
    state.scheduler.ports().blobs.read(&name, offset, LOG_BYTES_MAX).await.map_err(port)
}

/// The `refId` of a stage that is named by its id or its `refId`.
fn reference(execution: &Value, stage: &str) -> Option<String> {
    let stages = execution.get("stages")?.as_array()?;
    let found = stages.iter().find(|found| found["id"] == stage || found["refId"] == stage)?;
    found["refId"].as_str().map(str::to_owned)
}

/// As whom a request acts: on loopback the header is believed.
fn user(headers: &HeaderMap) -> &str {
    let name = headers.get("x-spinnaker-user").and_then(|value| value.to_str().ok());
    name.filter(|name| !name.is_empty()).unwrap_or("anonymous")
}
