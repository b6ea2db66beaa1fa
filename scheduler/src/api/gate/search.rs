//! Lists of executions.

use axum::Json;
use axum::extract::{Path, Query as QueryOf, State as Shared};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use shared_model::{ExecutionId, Status};
use shared_ports::journal::Query;

use super::super::State;
use super::super::error::ApiError;
use super::super::request::{Answer, list as names, statuses};
use super::super::schema::Execution;

/// Which executions to list; one of the two kinds of ids is needed.
#[derive(Deserialize, Default, utoipa::IntoParams)]
#[serde(default, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(in super::super) struct Chosen {
    /// Ids of executions, with commas between them.
    execution_ids: String,
    /// Ids of saved pipelines, with commas between them.
    pipeline_config_ids: String,
    /// Executions of each pipeline, 1 unless said.
    limit: Option<u32>,
    /// Only those of these statuses, with commas between them.
    statuses: String,
}

/// Which executions of an application to list.
#[derive(Deserialize, Default, utoipa::IntoParams)]
#[serde(default, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(in super::super) struct Newest {
    /// Executions of each pipeline, 5 unless said.
    limit: Option<u32>,
    /// Only those of these statuses, with commas between them.
    statuses: String,
    /// Whether stages are shown with their contexts and outputs; they are unless said.
    expand: Option<bool>,
    /// Only those of pipelines with this in their name; case does not matter.
    pipeline_name_filter: String,
}

/// What to search for.
#[derive(Deserialize, Default, utoipa::IntoParams)]
#[serde(default, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(in super::super) struct Search {
    /// The pipeline's name.
    pipeline_name: String,
    /// Statuses, with commas between them.
    statuses: String,
    /// Types of triggers, with commas between them.
    trigger_types: String,
    /// Not before this time, in milliseconds since 1970.
    trigger_time_start_boundary: Option<i64>,
    /// Not after this time, in milliseconds since 1970.
    trigger_time_end_boundary: Option<i64>,
    /// How many to leave out at the front.
    start_index: usize,
    /// How many to show, 10 unless said, at most 500.
    size: Option<u32>,
    /// Whether the oldest come first.
    reverse: bool,
    /// Whether stages are shown with their contexts and outputs.
    expand: Option<bool>,
}

/// Executions that one answer holds.
const EXECUTIONS_MAX: u32 = 500;
/// Executions of one pipeline that a list of an application holds, unless it says otherwise.
const OF_PIPELINE: u32 = 5;

/// Lists executions by their own ids, or those of saved pipelines.
#[utoipa::path(get, path = "/executions", tag = "executions",
    operation_id = "getLatestExecutionsByConfigIds", params(Chosen),
    responses((status = 200, description = "The executions that there are.", body = [Execution])))]
pub(in super::super) async fn list(
    Shared(state): Shared<State>,
    QueryOf(listing): QueryOf<Chosen>,
) -> Answer<Json<Vec<Value>>> {
    let (ids, configs) = (names(&listing.execution_ids), names(&listing.pipeline_config_ids));
    let statuses = statuses(&listing.statuses)?;
    match (ids.is_empty(), configs.is_empty()) {
        (false, true) => by_ids(&state, ids, &statuses).await.map(Json),
        (true, false) => {
            // Gate's own default is one of each pipeline.
            let limit = listing.limit.unwrap_or(1);
            let query = Query { statuses, limit, ..Query::default() };
            of_configs(&state, &query, configs).await.map(Json)
        }
        (true, true) | (false, false) => {
            let why = "give either `executionIds` or `pipelineConfigIds`";
            Err(ApiError::invalid(why))
        }
    }
}

async fn by_ids(state: &State, ids: Vec<String>, statuses: &[Status]) -> Answer<Vec<Value>> {
    let mut found = Vec::new();
    for id in ids.into_iter().take(EXECUTIONS_MAX as usize) {
        found.extend(state.scheduler.execution(&ExecutionId::new(id)).await?);
    }
    let named =
        |execution: &Value| statuses.iter().any(|status| execution["status"] == status.name());
    found.retain(|execution| statuses.is_empty() || named(execution));
    Ok(found)
}

async fn of_configs(state: &State, query: &Query, configs: Vec<String>) -> Answer<Vec<Value>> {
    let mut found = Vec::new();
    for id in configs {
        let query = Query { pipeline_config_ids: vec![id], ..query.clone() };
        found.extend(search_in(state, query).await?);
    }
    Ok(found)
}

/// Lists the newest executions of each pipeline of an application.
///
/// Those of pipelines that nobody saved count by their name.
#[utoipa::path(get, path = "/applications/{app}/pipelines", tag = "executions",
    operation_id = "getPipelines",
    params(("app" = String, Path, description = "The application."), Newest),
    responses((status = 200, description = "Newest first.", body = [Execution])))]
pub(in super::super) async fn of_application(
    Shared(state): Shared<State>,
    Path(app): Path<String>,
    QueryOf(listing): QueryOf<Newest>,
) -> Answer<Json<Vec<Value>>> {
    let limit = listing.limit.unwrap_or(OF_PIPELINE);
    let application = Some(app.clone());
    let statuses = statuses(&listing.statuses)?;
    let query = Query { application, statuses, limit: EXECUTIONS_MAX, ..Query::default() };
    let mut of_each = std::collections::BTreeMap::<String, u32>::new();
    let mut found = search_in(&state, query).await?;
    found.retain(|execution| {
        let name = execution["pipelineConfigId"].as_str().or(execution["name"].as_str());
        let count = of_each.entry(name.unwrap_or_default().to_owned()).or_default();
        *count += 1;
        *count <= limit
    });
    let filter = listing.pipeline_name_filter.to_lowercase();
    let name = |found: &Value| found["name"].as_str().unwrap_or_default().to_lowercase();
    found.retain(|execution| name(execution).contains(&filter));
    if listing.expand == Some(false) {
        found.iter_mut().for_each(without_details);
    }
    Ok(Json(found))
}

/// Lists need no contexts where nobody asked for them.
fn without_details(execution: &mut Value) {
    for stage in execution["stages"].as_array_mut().into_iter().flatten() {
        stage["context"] = Value::Object(shared_model::Object::new());
        stage["outputs"] = Value::Object(shared_model::Object::new());
    }
}

/// Searches executions, newest first; the application `*` means all of them.
#[utoipa::path(get, path = "/applications/{app}/executions/search", tag = "executions",
    operation_id = "searchForPipelineExecutionsByTrigger",
    params(("app" = String, Path, description = "The application, or `*`."), Search),
    responses((status = 200, description = "Those that fit everything.", body = [Execution])))]
pub(in super::super) async fn search(
    Shared(state): Shared<State>,
    Path(app): Path<String>,
    QueryOf(search): QueryOf<Search>,
) -> Answer<Json<Vec<Value>>> {
    let size = search.size.unwrap_or(10).min(EXECUTIONS_MAX) as usize;
    let query = Query {
        application: (app != "*").then_some(app),
        name: Some(search.pipeline_name).filter(|name| !name.is_empty()),
        statuses: statuses(&search.statuses)?,
        from: boundary(search.trigger_time_start_boundary)?,
        until: boundary(search.trigger_time_end_boundary)?,
        limit: EXECUTIONS_MAX,
        ..Query::default()
    };
    let types = names(&search.trigger_types);
    let mut found = search_in(&state, query).await?;
    found
        .retain(|one| types.is_empty() || types.iter().any(|kind| one["trigger"]["type"] == *kind));
    if search.reverse {
        found.reverse();
    }
    let mut page: Vec<Value> = found.into_iter().skip(search.start_index).take(size).collect();
    if search.expand != Some(true) {
        page.iter_mut().for_each(without_details);
    }
    Ok(Json(page))
}

/// A time to search from or until. Stores keep nanoseconds in 64 bits, so nothing lies outside of those.
fn boundary(milliseconds: Option<i64>) -> Answer<Option<Timestamp>> {
    let time = |at: i64| {
        let kept = at.clamp(i64::MIN / 1_000_000 + 1, i64::MAX / 1_000_000 - 1);
        Timestamp::from_millisecond(at)
            .and_then(|_| Timestamp::from_millisecond(kept))
            .map_err(|_| ApiError::invalid(format!("{at} is no time in milliseconds")))
    };
    milliseconds.map(time).transpose()
}

/// Executions of pipelines; ad-hoc tasks are none.
async fn search_in(state: &State, query: Query) -> Answer<Vec<Value>> {
    let query = Query { limit: query.limit.min(EXECUTIONS_MAX), ..query };
    let mut found = Vec::new();
    for (id, _) in state.scheduler.ports().journal.search(&query).await? {
        found.extend(state.scheduler.execution(&id).await?);
    }
    found.retain(|execution| execution["type"] == "PIPELINE");
    Ok(found)
}
