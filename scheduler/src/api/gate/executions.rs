//! One execution: look at it, end it, answer it.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use shared_model::ExecutionId;

use super::super::State;
use super::super::error::ApiError;
use super::super::request::{self, Answer, json_object, user};

/// Length of the reason for a cancellation.
const REASON_BYTES_MAX: usize = 4 * 1024;

pub(in super::super) async fn get(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
) -> Answer<Json<Value>> {
    Ok(Json(request::execution(&state, &ExecutionId::new(id)).await?))
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(in super::super) struct Cancel {
    reason: String,
}

pub(in super::super) async fn cancel(
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

/// The same below an application, which `spin` does not fill in: the id counts. It wants an object.
pub(in super::super) async fn cancel_in(
    state: Shared<State>,
    Path((_, id)): Path<(String, String)>,
    query: Query<Cancel>,
    headers: HeaderMap,
) -> Answer<Json<Value>> {
    cancel(state, Path(id), query, headers).await?;
    Ok(Json(json!({})))
}

pub(in super::super) async fn patch_stage(
    Shared(state): Shared<State>,
    Path((id, stage)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer<Json<Value>> {
    let patch = json_object(&body)?;
    let id = ExecutionId::new(id);
    Ok(Json(state.scheduler.patch_stage(&id, &stage, patch, user(&headers)?).await?))
}
