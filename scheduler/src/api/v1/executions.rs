//! What happened to an execution, and its stages' logs.

use axum::Json;
use axum::extract::{Path, Query, State as Shared};
use axum::http::header;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::{Value, json};
use shared_model::ExecutionId;
use shared_ports::LogName;
use shared_ports::journal::HistoryEntry;

use super::super::State;
use super::super::request::{Answer, head, outline, reference};

/// Most of a log that one answer holds.
const LOG_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Entries of history that one answer holds.
pub(super) const HISTORY_ENTRIES_MAX: u32 = 1_000;

#[derive(Deserialize)]
pub(in super::super) struct After {
    #[serde(default)]
    after: u64,
}

pub(in super::super) async fn history(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    Query(After { after }): Query<After>,
) -> Answer<Json<Value>> {
    let id = ExecutionId::new(id);
    head(&state, &id).await?;
    let entries = state.scheduler.history(&id, after, HISTORY_ENTRIES_MAX).await?;
    Ok(Json(entries.iter().map(|(number, entry)| shown(*number, entry)).collect()))
}

/// An entry of history as clients see it.
pub(super) fn shown(number: u64, entry: &HistoryEntry) -> Value {
    json!({
        "number": number, "at": entry.at, "stage": entry.stage,
        "kind": entry.kind, "text": entry.text,
    })
}

#[derive(Deserialize)]
pub(in super::super) struct Offset {
    #[serde(default)]
    offset: u64,
}

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
