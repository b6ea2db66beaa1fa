//! Pipeline templates, version 2.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use shared_model::{Object, Problem, Severity};

use super::super::State;
use super::super::error::ApiError;
use super::super::request::{Acting, Answer, json_object, list as entries, user};
use super::super::schema::{Empty, Pipeline, SavedTemplate, StartedPipeline, Template};
use crate::library::Version;

#[derive(Deserialize, Default, utoipa::IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct Scopes {
    /// Names with commas between them: only templates of these, or of no scope.
    scopes: String,
}

#[derive(Deserialize, Default, utoipa::IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct Which {
    /// `latest` unless said, `stable`, `unstable`, `experimental`, `test` or `canary`.
    tag: Option<String>,
    /// A version by the SHA-256 of what it says, instead.
    digest: Option<String>,
}

/// Lists the templates, one for each of their tags.
#[utoipa::path(get, path = "/v2/pipelineTemplates", tag = "templates",
    operation_id = "listPipelineTemplates", params(Scopes),
    responses((status = 200, description = "By id and tag.", body = [Template])))]
pub(in super::super) async fn list(
    Shared(state): Shared<State>,
    Query(Scopes { scopes }): Query<Scopes>,
) -> Answer<Json<Vec<Object>>> {
    // Some clients send the list as they print it.
    let scopes = entries(scopes.trim_matches(['[', ']']));
    Ok(Json(state.scheduler.library().templates(&scopes).await?))
}

/// Shows a template.
#[utoipa::path(get, path = "/v2/pipelineTemplates/{id}", tag = "templates",
    operation_id = "getPipelineTemplate",
    params(("id" = String, Path, description = "The template's id."), Which),
    responses(
        (status = 200, description = "The template.", body = Template),
        (status = 404, description = "There is none of that id and tag.")))]
pub(in super::super) async fn get(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    Query(Which { tag, digest }): Query<Which>,
) -> Answer<Json<Object>> {
    let found = state.scheduler.library().template(&id, &Version::of(tag, digest)).await?;
    Ok(Json(found.ok_or_else(|| ApiError::not_found(&format!("template `{id}`")))?))
}

/// Lists the pipelines that are made of a template.
#[utoipa::path(get, path = "/v2/pipelineTemplates/{id}/dependents", tag = "templates",
    operation_id = "getPipelineTemplateDependents",
    params(("id" = String, Path, description = "The template's id.")),
    responses((status = 200, description = "The pipelines.", body = [Pipeline])))]
pub(in super::super) async fn dependents(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
) -> Answer<Json<Vec<Object>>> {
    Ok(Json(state.scheduler.library().template_dependents(&id, None).await?))
}

/// Saves a new template.
#[utoipa::path(post, path = "/v2/pipelineTemplates/create", tag = "templates",
    operation_id = "createPipelineTemplate", request_body = Template, params(Which, Acting),
    responses(
        (status = 202, description = "It is saved.", body = SavedTemplate),
        (status = 409, description = "There is one of that id and tag already.")))]
pub(in super::super) async fn create(
    state: Shared<State>,
    which: Query<Which>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer<(StatusCode, Json<Value>)> {
    save(&state, which, json_object(&body)?, true, user(&headers)?).await
}

/// Saves the next version of a template.
#[utoipa::path(post, path = "/v2/pipelineTemplates/update/{id}", tag = "templates",
    operation_id = "updatePipelineTemplate", request_body = Template,
    params(("id" = String, Path, description = "The template's id."), Which, Acting),
    responses(
        (status = 202, description = "It is saved.", body = SavedTemplate),
        (status = 404, description = "There is none of that id and tag.")))]
pub(in super::super) async fn update(
    state: Shared<State>,
    Path(id): Path<String>,
    which: Query<Which>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer<(StatusCode, Json<Value>)> {
    let mut template = json_object(&body)?;
    template.insert("id".into(), id.into());
    save(&state, which, template, false, user(&headers)?).await
}

async fn save(
    state: &State,
    Query(Which { tag, digest: _ }): Query<Which>,
    template: Object,
    is_new: bool,
    by: &str,
) -> Answer<(StatusCode, Json<Value>)> {
    let tag = tag.or_else(|| template.get("tag").and_then(Value::as_str).map(str::to_owned));
    let version = Version::of(tag, None);
    let library = state.scheduler.library();
    let saved = library.save_template(template, &version, is_new, by).await?;
    let told = json!({
        "status": "SUCCEEDED", "id": saved["id"], "tag": saved["tag"], "digest": saved["digest"],
    });
    Ok((StatusCode::ACCEPTED, Json(told)))
}

/// Deletes a version of a template that no pipeline is made of.
#[utoipa::path(delete, path = "/v2/pipelineTemplates/{id}", tag = "templates",
    operation_id = "deletePipelineTemplate",
    params(("id" = String, Path, description = "The template's id."), Which, Acting),
    responses(
        (status = 202, description = "It is gone.", body = Empty),
        (status = 404, description = "There is none of that id and tag."),
        (status = 409, description = "Pipelines are made of it; they are named.")))]
pub(in super::super) async fn delete(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    Query(Which { tag, digest }): Query<Which>,
    headers: HeaderMap,
) -> Answer<(StatusCode, Json<Empty>)> {
    let version = Version::of(tag, digest);
    state.scheduler.library().delete_template(&id, &version, user(&headers)?).await?;
    Ok((StatusCode::ACCEPTED, Json(Empty {})))
}

/// Shows the pipeline that a configuration makes of its template; nothing runs.
///
/// Everything that is wrong is in one answer.
#[utoipa::path(post, path = "/v2/pipelineTemplates/plan", tag = "templates",
    operation_id = "planPipelineTemplate", request_body = StartedPipeline,
    responses((status = 200, description = "The pipeline.", body = Object)))]
pub(in super::super) async fn plan(
    Shared(state): Shared<State>,
    body: Bytes,
) -> Answer<Json<Value>> {
    let made = state.scheduler.library().expanded(json_object(&body)?.into()).await?;
    let problems = state.scheduler.check(&made, None);
    let errors: Vec<Problem> =
        problems.into_iter().filter(|problem| problem.severity == Severity::Error).collect();
    if !errors.is_empty() {
        return Err(ApiError::refused(errors));
    }
    Ok(Json(made))
}
