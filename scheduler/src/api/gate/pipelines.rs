//! Saved pipelines, and their starts.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use shared_model::Object;

use super::super::State;
use super::super::error::ApiError;
use super::super::request::{
    Acting, Answer, json_object, named_user, optional_object, trace, user,
};
use super::super::schema::{NewPipeline, Pipeline, Reference, StartedPipeline, Trigger};
use crate::Start;

/// Versions that one answer holds.
const HISTORY_MAX: u32 = 100;
/// The last part of a route that a pipeline's name may also be.
const CANCEL: &str = "cancel";

type Started = (StatusCode, Json<Reference>);

/// Lists the saved pipelines of an application.
#[utoipa::path(get, path = "/applications/{app}/pipelineConfigs", tag = "pipelines",
    operation_id = "getPipelineConfigsForApplication",
    params(("app" = String, Path, description = "The application; case does not matter.")),
    responses((status = 200, description = "By `index`, then name.", body = [Pipeline])))]
pub(in super::super) async fn list(
    Shared(state): Shared<State>,
    Path(app): Path<String>,
) -> Answer<Json<Vec<Object>>> {
    Ok(Json(state.scheduler.library().pipelines(&app).await?))
}

/// Shows a saved pipeline.
#[utoipa::path(get, path = "/applications/{app}/pipelineConfigs/{name}", tag = "pipelines",
    operation_id = "getPipelineConfig",
    params(
        ("app" = String, Path, description = "The application; case does not matter."),
        ("name" = String, Path, description = "The pipeline's name, or its id.")),
    responses(
        (status = 200, description = "The pipeline.", body = Pipeline),
        (status = 404, description = "There is none of that name.")))]
pub(in super::super) async fn get(
    Shared(state): Shared<State>,
    Path((app, name)): Path<(String, String)>,
) -> Answer<Json<Object>> {
    Ok(Json(saved(&state, &app, &name).await?))
}

#[derive(Deserialize, Default, utoipa::IntoParams)]
#[serde(default, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(in super::super) struct Save {
    /// Refuse the document if its `updateTs` is not that of the saved one.
    stale_check: bool,
}

/// Saves a pipeline: a new one, or the next version of the one with its `id`.
#[utoipa::path(post, path = "/pipelines", tag = "pipelines", operation_id = "savePipeline",
    request_body = NewPipeline, params(Save, Acting),
    responses(
        (status = 200, description = "What was saved.", body = Pipeline),
        (status = 409, description = "Another pipeline has that name, or somebody saved it meanwhile.")))]
pub(in super::super) async fn save(
    Shared(state): Shared<State>,
    Query(Save { stale_check }): Query<Save>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer<Json<Object>> {
    let (document, by) = (json_object(&body)?, user(&headers)?);
    Ok(Json(state.scheduler.library().save_pipeline(document, stale_check, by).await?))
}

/// Saves the next version of a pipeline.
///
/// The id of the path counts, and something of that id must be there.
#[utoipa::path(put, path = "/pipelines/{id}", tag = "pipelines", operation_id = "updatePipeline",
    request_body = NewPipeline,
    params(("id" = String, Path, description = "The pipeline's id."), Save, Acting),
    responses(
        (status = 200, description = "What was saved.", body = Pipeline),
        (status = 404, description = "There is none of that id."),
        (status = 409, description = "Another pipeline has that name, or somebody saved it meanwhile.")))]
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

/// Deletes a pipeline; its history stays.
#[utoipa::path(delete, path = "/pipelines/{app}/{name}", tag = "pipelines",
    operation_id = "deletePipeline",
    params(
        ("app" = String, Path, description = "The application; case does not matter."),
        ("name" = String, Path, description = "The pipeline's name, or its id."),
        Acting),
    responses(
        (status = 200, description = "It is gone."),
        (status = 404, description = "There is none of that name."),
        (status = 409, description = "Somebody saved it meanwhile.")))]
pub(in super::super) async fn delete(
    Shared(state): Shared<State>,
    Path((app, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answer<StatusCode> {
    state.scheduler.library().delete_pipeline(&app, &name, user(&headers)?).await?;
    Ok(StatusCode::OK)
}

#[derive(Deserialize, Default, utoipa::IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct Limit {
    /// How many, 20 unless said, at most 100.
    limit: Option<u32>,
}

/// Lists the versions of a pipeline, newest first.
#[utoipa::path(get, path = "/pipelineConfigs/{id}/history", tag = "pipelines",
    operation_id = "getPipelineConfigHistory",
    params(("id" = String, Path, description = "The pipeline's id."), Limit),
    responses((status = 200, description = "Its versions; none for an id that nobody used.", body = [Pipeline])))]
pub(in super::super) async fn history(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    Query(Limit { limit }): Query<Limit>,
) -> Answer<Json<Vec<Object>>> {
    let limit = limit.unwrap_or(20).min(HISTORY_MAX);
    Ok(Json(state.scheduler.library().pipeline_history(&id, limit).await?))
}

/// Starts a saved pipeline.
///
/// The body is the trigger, bare or as `{"trigger": …}`; none is needed.
#[utoipa::path(post, path = "/pipelines/{app}/{name}", tag = "pipelines",
    operation_id = "invokePipelineConfig", request_body = Trigger,
    params(
        ("app" = String, Path, description = "The application; case does not matter."),
        ("name" = String, Path, description = "The pipeline's name, or its id."),
        Acting),
    responses(
        (status = 202, description = "It is stored and starts.", body = Reference),
        (status = 404, description = "There is no such pipeline.")))]
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

/// Starts a pipeline that nobody saved.
#[utoipa::path(post, path = "/pipelines/start", tag = "pipelines", operation_id = "start",
    request_body = StartedPipeline, params(Acting),
    responses((status = 202, description = "It is stored and starts.", body = Reference)))]
pub(in super::super) async fn start(
    Shared(state): Shared<State>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer<Started> {
    submit(&state, json_object(&body)?, &headers).await
}

/// A pipeline of the name `cancel` stands where executions are cancelled.
pub(in super::super) async fn execute_cancel(
    state: Shared<State>,
    Path(app): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer<Started> {
    execute(state, Path((app, CANCEL.into())), headers, body).await
}

/// See [`execute_cancel`].
pub(in super::super) async fn delete_cancel(
    state: Shared<State>,
    Path(app): Path<String>,
    headers: HeaderMap,
) -> Answer<StatusCode> {
    delete(state, Path((app, CANCEL.into())), headers).await
}

async fn submit(state: &State, document: Object, headers: &HeaderMap) -> Answer<Started> {
    let (document, user) = (Value::Object(document), user(headers)?.to_owned());
    let trace = trace(headers);
    let id = state.scheduler.submit(Start { document, user, trace, ..Start::default() }).await?;
    Ok((StatusCode::ACCEPTED, Json(Reference::to("pipelines", id))))
}

async fn saved(state: &State, app: &str, name: &str) -> Answer<Object> {
    let found = state.scheduler.library().pipeline(app, name).await?;
    found.ok_or_else(|| ApiError::not_found(&format!("pipeline `{name}` of application `{app}`")))
}
