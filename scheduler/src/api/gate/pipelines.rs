//! Saved pipelines, and their starts.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use shared_model::Object;

use super::super::State;
use super::super::error::ApiError;
use super::super::request::{Answer, json_object, named_user, optional_object, trace, user};
use crate::Start;

/// Versions that one answer holds.
const HISTORY_MAX: u32 = 100;

type Started = (StatusCode, Json<Value>);

pub(in super::super) async fn list(
    Shared(state): Shared<State>,
    Path(app): Path<String>,
) -> Answer<Json<Vec<Object>>> {
    Ok(Json(state.scheduler.library().pipelines(&app).await?))
}

pub(in super::super) async fn get(
    Shared(state): Shared<State>,
    Path((app, name)): Path<(String, String)>,
) -> Answer<Json<Object>> {
    Ok(Json(saved(&state, &app, &name).await?))
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(in super::super) struct Save {
    stale_check: bool,
}

pub(in super::super) async fn save(
    Shared(state): Shared<State>,
    Query(Save { stale_check }): Query<Save>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer<Json<Object>> {
    let (document, by) = (json_object(&body)?, user(&headers)?);
    Ok(Json(state.scheduler.library().save_pipeline(document, stale_check, by).await?))
}

/// `PUT /pipelines/{id}`: the id of the path counts, and something of that id must be there.
pub(in super::super) async fn update(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    Query(Save { stale_check }): Query<Save>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer<Json<Object>> {
    let (mut document, by) = (json_object(&body)?, user(&headers)?);
    if state.scheduler.library().pipeline_by_id(&id).await?.is_none() {
        return Err(ApiError::not_found(&format!("pipeline `{id}`")));
    }
    document.insert("id".into(), id.into());
    Ok(Json(state.scheduler.library().save_pipeline(document, stale_check, by).await?))
}

pub(in super::super) async fn delete(
    Shared(state): Shared<State>,
    Path((app, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answer<StatusCode> {
    state.scheduler.library().delete_pipeline(&app, &name, user(&headers)?).await?;
    Ok(StatusCode::OK)
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(in super::super) struct Limit {
    limit: Option<u32>,
}

pub(in super::super) async fn history(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    Query(Limit { limit }): Query<Limit>,
) -> Answer<Json<Vec<Object>>> {
    let limit = limit.unwrap_or(20).min(HISTORY_MAX);
    Ok(Json(state.scheduler.library().pipeline_history(&id, limit).await?))
}

/// `POST /pipelines/{app}/{nameOrId}`: the body is the trigger, bare or as `{"trigger": …}`.
pub(in super::super) async fn execute(
    Shared(state): Shared<State>,
    Path((app, name)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer<Started> {
    let mut trigger = optional_object(&body)?;
    if let Some(Value::Object(wrapped)) = trigger.remove("trigger") {
        trigger = wrapped;
    }
    let mut document = saved(&state, &app, &name).await?;
    if document.get("disabled") == Some(&Value::Bool(true)) {
        let why = format!("pipeline `{name}` is disabled; save it with `disabled: false` first");
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "pipeline-disabled", why));
    }
    trigger.entry("type").or_insert_with(|| "manual".into());
    if let Some(user) = named_user(&headers)? {
        trigger.insert("user".into(), user.into());
    }
    document.insert("trigger".into(), trigger.into());
    submit(&state, document, &headers).await
}

/// `POST /pipelines/start`: a pipeline that nobody saved.
pub(in super::super) async fn start(
    Shared(state): Shared<State>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer<Started> {
    submit(&state, json_object(&body)?, &headers).await
}

async fn submit(state: &State, document: Object, headers: &HeaderMap) -> Answer<Started> {
    let (document, user) = (Value::Object(document), user(headers)?.to_owned());
    let trace = trace(headers);
    let id = state.scheduler.submit(Start { document, user, trace, ..Start::default() }).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "ref": format!("/pipelines/{id}") }))))
}

async fn saved(state: &State, app: &str, name: &str) -> Answer<Object> {
    let found = state.scheduler.library().pipeline(app, name).await?;
    found.ok_or_else(|| ApiError::not_found(&format!("pipeline `{name}` of application `{app}`")))
}
