//! What happened to an execution, and its stages' logs.

use axum::Json;
use axum::extract::{Path, Query, State as Shared};
use axum::http::header;
use axum::response::IntoResponse;
use serde::Deserialize;
use shared_model::ExecutionId;
use shared_ports::LogName;
use shared_ports::journal::HistoryEntry;

use super::super::State;
use super::super::request::{Answer, head, outline, reference};
use super::super::schema::Entry;

/// Most of a log that one answer holds.
const LOG_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Entries of history that one answer holds.
pub(super) const HISTORY_ENTRIES_MAX: u32 = 1_000;

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct After {
    /// Only entries with a number above this one.
    #[serde(default)]
    after: u64,
}

/// Lists what happened to an execution, oldest first.
///
/// One answer holds at most 1,000 entries; ask for those after the last one until there are none.
#[utoipa::path(get, path = "/v1/executions/{id}/history", tag = "executions",
    operation_id = "getExecutionHistory",
    params(("id" = String, Path, description = "The execution's id."), After),
    responses(
        (status = 200, description = "What happened.", body = [Entry]),
        (status = 404, description = "There is no such execution.")))]
pub(in super::super) async fn history(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    Query(After { after }): Query<After>,
) -> Answer<Json<Vec<Entry>>> {
    let id = ExecutionId::new(id);
    head(&state, &id).await?;
    let entries = state.scheduler.history(&id, after, HISTORY_ENTRIES_MAX).await?;
    Ok(Json(entries.iter().map(|(number, entry)| shown(*number, entry)).collect()))
}

/// An entry of history as clients see it.
pub(super) fn shown(number: u64, entry: &HistoryEntry) -> Entry {
    let HistoryEntry { at, stage, kind, text, .. } = entry.clone();
    Entry { number, at, stage: stage.map(|stage| stage.to_string()), kind, text }
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct Offset {
    /// The byte to begin with.
    #[serde(default)]
    offset: u64,
}

/// Shows a stage's log, from a byte on.
///
/// One answer holds at most 4 MiB.
#[utoipa::path(get, path = "/v1/executions/{id}/stages/{stage}/log", tag = "executions",
    operation_id = "getStageLog",
    params(
        ("id" = String, Path, description = "The execution's id."),
        ("stage" = String, Path, description = "The stage's `id` or `refId`."),
        Offset),
    responses(
        (status = 200, description = "Its text.", body = String, content_type = "text/plain; charset=utf-8"),
        (status = 404, description = "There is no such execution, or no such stage in it.")))]
pub(in super::super) async fn log(
    Shared(state): Shared<State>,
    Path((id, stage)): Path<(String, String)>,
    Query(Offset { offset }): Query<Offset>,
) -> Answer<impl IntoResponse> {
    let found = outline(&state, &ExecutionId::new(&id)).await?;
    let name = LogName { execution: id, stage: reference(&found, &stage)? };
    let text = state.scheduler.ports().blobs.read(&name, offset, LOG_BYTES_MAX).await?;
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((headers, text))
}
