//! Applications, as Gate shows them.

use axum::Json;
use axum::extract::{Path, State as Shared};
use serde_json::{Value, json};
use shared_model::Object;

use super::super::State;
use super::super::error::ApiError;
use super::super::request::Answer;

pub(in super::super) async fn list(Shared(state): Shared<State>) -> Answer<Json<Vec<Object>>> {
    Ok(Json(state.scheduler.library().applications().await?))
}

pub(in super::super) async fn get(
    Shared(state): Shared<State>,
    Path(app): Path<String>,
) -> Answer<Json<Value>> {
    let found = state.scheduler.library().application(&app).await?;
    let found = found.ok_or_else(|| ApiError::not_found(&format!("application `{app}`")))?;
    Ok(Json(json!({ "name": found.get("name"), "attributes": found, "clusters": {} })))
}
