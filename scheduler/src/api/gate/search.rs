//! Lists of executions. The store finds the rows and only what is shown is loaded, so that a list
//! costs what it shows, whatever was ever run.

use axum::Json;
use axum::extract::{Path, Query as QueryOf, State as Shared};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use shared_model::{ExecutionId, Status};
use shared_ports::journal::{Head, Kind, Query};

use super::super::State;
use super::super::error::ApiError;
use super::super::request::{Answer, list as names, statuses};
use super::super::schema::Execution;
use crate::view::Detail;

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
    /// Whether stages are shown with their contexts and outputs; they are unless said.
    expand: Option<bool>,
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
    start_index: u32,
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
/// Rows that a search passes over for its `startIndex`.
const ROWS_PASSED_MAX: u32 = 10_000;
/// Executions that a search looks at for the types of their triggers, which no row has.
const TRIGGERS_LOOKED_AT_MAX: usize = 2_000;

type Row = (ExecutionId, Head);

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
    let detail = detail(listing.expand.unwrap_or(true));
    match (ids.is_empty(), configs.is_empty()) {
        (false, true) => by_ids(&state, ids, statuses, detail).await.map(Json),
        (true, false) => {
            // Gate's own default is one of each pipeline.
            let limit = listing.limit.unwrap_or(1).min(EXECUTIONS_MAX);
            let query = Query { statuses, limit, ..pipelines() };
            of_configs(&state, &query, configs, detail).await.map(Json)
        }
        (true, true) | (false, false) => {
            let why = "give either `executionIds` or `pipelineConfigIds`";
            Err(ApiError::invalid(why))
        }
    }
}

/// In the order in which they were asked for.
async fn by_ids(
    state: &State,
    ids: Vec<String>,
    statuses: Vec<Status>,
    detail: Detail,
) -> Answer<Vec<Value>> {
    let ids: Vec<_> = ids.into_iter().take(EXECUTIONS_MAX as usize).map(ExecutionId::new).collect();
    let query = Query { ids: ids.clone(), statuses, limit: EXECUTIONS_MAX, ..Query::default() };
    let mut rows = state.scheduler.ports().journal.search(&query).await?;
    rows.sort_by_key(|(id, _)| ids.iter().position(|asked| asked == id));
    shown(state, rows, detail).await
}

async fn of_configs(
    state: &State,
    query: &Query,
    configs: Vec<String>,
    detail: Detail,
) -> Answer<Vec<Value>> {
    let mut rows = Vec::new();
    for id in configs {
        let query = Query { pipeline_config_ids: vec![id], ..query.clone() };
        rows.extend(state.scheduler.ports().journal.search(&query).await?);
        if rows.len() >= EXECUTIONS_MAX as usize {
            break;
        }
    }
    rows.truncate(EXECUTIONS_MAX as usize);
    shown(state, rows, detail).await
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
    let of_each = listing.limit.unwrap_or(OF_PIPELINE).min(EXECUTIONS_MAX);
    let filter = listing.pipeline_name_filter.to_lowercase();
    let query = Query {
        application: Some(app),
        statuses: statuses(&listing.statuses)?,
        of_each: Some(of_each),
        // Names are looked at here, so that those that are not meant take no one's place.
        limit: if filter.is_empty() { EXECUTIONS_MAX } else { ROWS_PASSED_MAX },
        ..pipelines()
    };
    let mut rows = state.scheduler.ports().journal.search(&query).await?;
    rows.retain(|(_, head)| head.name.to_lowercase().contains(&filter));
    rows.truncate(EXECUTIONS_MAX as usize);
    shown(&state, rows, detail(listing.expand.unwrap_or(true))).await.map(Json)
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
    let detail = detail(search.expand == Some(true));
    let query = Query {
        application: (app != "*").then_some(app),
        name: Some(search.pipeline_name).filter(|name| !name.is_empty()),
        statuses: statuses(&search.statuses)?,
        from: boundary(search.trigger_time_start_boundary)?,
        until: boundary(search.trigger_time_end_boundary)?,
        oldest_first: search.reverse,
        ..pipelines()
    };
    if search.start_index > ROWS_PASSED_MAX {
        let why = format!(
            "`startIndex` is more than {ROWS_PASSED_MAX}; go on with `triggerTimeEndBoundary`"
        );
        return Err(ApiError::invalid(why));
    }
    let limit = search.start_index + search.size.unwrap_or(10).min(EXECUTIONS_MAX);
    let types = names(&search.trigger_types);
    if !types.is_empty() {
        let found = by_trigger(&state, query, &types, limit, detail).await?;
        return Ok(Json(found.into_iter().skip(search.start_index as usize).collect()));
    }
    let query = Query { limit, ..query };
    let rows = state.scheduler.ports().journal.search(&query).await?;
    let page = rows.into_iter().skip(search.start_index as usize).collect();
    shown(&state, page, detail).await.map(Json)
}

/// Executions whose trigger is of one of these types, looked for page by page.
async fn by_trigger(
    state: &State,
    mut query: Query,
    types: &[String],
    wanted: u32,
    detail: Detail,
) -> Answer<Vec<Value>> {
    query.limit = 100;
    let (mut found, mut looked_at) = (Vec::new(), 0);
    while found.len() < wanted as usize && looked_at < TRIGGERS_LOOKED_AT_MAX {
        let rows = state.scheduler.ports().journal.search(&query).await?;
        let Some((id, head)) = rows.last() else { break };
        query.after = Some((head.build_time, id.clone()));
        looked_at += rows.len();
        let mut page = shown(state, rows, detail).await?;
        page.retain(|one| types.iter().any(|kind| one["trigger"]["type"] == *kind));
        found.extend(page);
    }
    found.truncate(wanted as usize);
    Ok(found)
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
fn pipelines() -> Query {
    Query { kind: Some(Kind::Pipeline), ..Query::default() }
}

/// Lists need no contexts where nobody asked for them.
fn detail(is_expanded: bool) -> Detail {
    if is_expanded { Detail::Full } else { Detail::Outline }
}

async fn shown(state: &State, rows: Vec<Row>, detail: Detail) -> Answer<Vec<Value>> {
    let mut found = Vec::with_capacity(rows.len());
    for (id, _) in rows {
        found.extend(state.scheduler.look(&id, detail).await?);
    }
    Ok(found)
}
