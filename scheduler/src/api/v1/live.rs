//! What happens, as it happens: server-sent events that go on where a client left off.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Path, State as Shared};
use axum::http::HeaderMap;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures::Stream;
use futures::stream::unfold;
use serde_json::json;
use shared_model::ExecutionId;
use shared_ports::LogName;
use shared_runtime::metrics::{self, metrics};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::TryRecvError;

use super::super::State;
use super::super::error::ApiError;
use super::super::request::{Answer, head, outline, reference};
use super::executions::{HISTORY_ENTRIES_MAX, shown};
use crate::control::Update;
use crate::view::Detail;

/// How often a stream looks by itself: an update may be missed, a log has none.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// How often a quiet stream says that it is there.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Most of a log that one event holds.
const CHUNK_BYTES_MAX: usize = 64 * 1024;

type Events = Result<Event, Infallible>;

/// Follows what happens to an execution.
///
/// History, entry by entry, as server-sent events: the id of an event is its entry's number. The
/// last one, `end`, has the status that the execution ended with.
#[utoipa::path(get, path = "/v1/executions/{id}/events", tag = "executions",
    operation_id = "followExecution",
    params(
        ("id" = String, Path, description = "The execution's id."),
        ("Last-Event-ID" = Option<u64>, Header, description = "Where to go on: the id of an event.")),
    responses(
        (status = 200, description = "Events `history` and `end`.", body = String, content_type = "text/event-stream"),
        (status = 404, description = "There is no such execution.")))]
pub(in super::super) async fn events(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer<Sse<impl Stream<Item = Events>>> {
    let id = ExecutionId::new(id);
    let updates = state.scheduler.subscribe();
    head(&state, &id).await?;
    let after = last_id(&headers)?;
    let (ready, counted) = (VecDeque::new(), metrics().stream());
    let follower = Follower { state, id, after, updates, ready, is_over: false, _counted: counted };
    let stream = unfold(follower, |mut follower| async {
        follower.next().await.map(|event| (Ok(event), follower))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

struct Follower {
    state: State,
    id: ExecutionId,
    after: u64,
    updates: broadcast::Receiver<Update>,
    ready: VecDeque<Event>,
    is_over: bool,
    _counted: metrics::Stream,
}

impl Follower {
    /// The next event; `None` once the execution has ended and everything was said.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.is_over || self.state.is_stopping() {
                return None;
            }
            self.look().await;
            if self.ready.is_empty() {
                self.wait().await;
            }
        }
    }

    async fn look(&mut self) {
        let status = self.ended().await;
        let read = self.state.scheduler.history(&self.id, self.after, HISTORY_ENTRIES_MAX).await;
        // A store that fails now may answer at the next look.
        let Ok(entries) = read else { return };
        let is_last = entries.len() < HISTORY_ENTRIES_MAX as usize;
        for (number, entry) in entries {
            self.after = number;
            let data = json!(shown(number, &entry)).to_string();
            self.ready.push_back(event("history", number, data));
        }
        if let (Some(status), true) = (status, is_last) {
            let data = json!({ "status": status }).to_string();
            self.ready.push_back(event("end", self.after, data));
            self.is_over = true;
        }
    }

    /// The status that it ended with.
    async fn ended(&self) -> Option<&'static str> {
        let head = self.state.scheduler.head(&self.id).await.ok()??;
        head.end_time.map(|_| head.status.name())
    }

    /// Until something happened to it, or it is time to look.
    async fn wait(&mut self) {
        let happened = async {
            while self.updates.recv().await.is_ok_and(|update| update.execution != self.id) {}
        };
        drop(tokio::time::timeout(LOOK_INTERVAL, happened).await);
    }
}

/// Follows a stage's log.
///
/// Chunk by chunk, as server-sent events: the id of an event is the byte behind it.
#[utoipa::path(get, path = "/v1/executions/{id}/stages/{stage}/log/stream", tag = "executions",
    operation_id = "followStageLog",
    params(
        ("id" = String, Path, description = "The execution's id."),
        ("stage" = String, Path, description = "The stage's `id` or `refId`."),
        ("Last-Event-ID" = Option<u64>, Header, description = "Where to go on: the id of an event.")),
    responses(
        (status = 200, description = "Events `log` and `end`.", body = String, content_type = "text/event-stream"),
        (status = 404, description = "There is no such execution, or no such stage in it.")))]
pub(in super::super) async fn log(
    Shared(state): Shared<State>,
    Path((id, stage)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answer<Sse<impl Stream<Item = Events>>> {
    let updates = state.scheduler.subscribe();
    let found = outline(&state, &ExecutionId::new(&id)).await?;
    let name = LogName { execution: id, stage: reference(&found, &stage)? };
    let (offset, counted) = (last_id(&headers)?, metrics().stream());
    let is_over = false;
    let tail = Tail { state, name, offset, updates, has_changed: true, is_over, _counted: counted };
    let stream =
        unfold(tail, |mut tail| async { tail.next().await.map(|event| (Ok(event), tail)) });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

struct Tail {
    state: State,
    name: LogName,
    offset: u64,
    updates: broadcast::Receiver<Update>,
    /// Whether the execution may have changed since it was last looked at.
    has_changed: bool,
    is_over: bool,
    _counted: metrics::Stream,
}

impl Tail {
    async fn next(&mut self) -> Option<Event> {
        while !self.is_over && !self.state.is_stopping() {
            // Asked before reading: what is written until the end is read then.
            let has_ended = self.has_ended().await;
            let blobs = &self.state.scheduler.ports().blobs;
            match blobs.read(&self.name, self.offset, CHUNK_BYTES_MAX).await {
                Ok(bytes) if !bytes.is_empty() => return Some(self.chunk(&bytes)),
                Ok(_) if has_ended => {
                    self.is_over = true;
                    return Some(event("end", self.offset, "{}".into()));
                }
                Ok(_) | Err(_) => tokio::time::sleep(LOOK_INTERVAL).await,
            }
        }
        None
    }

    /// Whole lines, where there are any.
    fn chunk(&mut self, bytes: &[u8]) -> Event {
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
        self.offset += end as u64;
        let text = String::from_utf8_lossy(&bytes[..end]);
        event("log", self.offset, text.trim_end_matches('\n').replace('\r', ""))
    }

    /// Whether the stage, or all of it, has ended. Its stages are looked at only where something
    /// happened to it.
    async fn has_ended(&mut self) -> bool {
        let id = ExecutionId::new(&self.name.execution);
        let Ok(Some(head)) = self.state.scheduler.head(&id).await else { return false };
        if head.end_time.is_some() {
            return true;
        }
        self.note_updates(&id);
        // What happens at other schedulers is not told here.
        self.has_changed |= self.state.scheduler.is_shared();
        if !self.has_changed {
            return false;
        }
        let found = self.state.scheduler.look(&id, Detail::Outline).await;
        let Ok(Some(found)) = found else { return false };
        self.has_changed = false;
        let stages = found["stages"].as_array().into_iter().flatten();
        let mut stage = stages.filter(|stage| stage["refId"] == self.name.stage.as_str());
        stage.next().is_some_and(|stage| !stage["endTime"].is_null())
    }

    /// Whoever falls behind has missed something.
    fn note_updates(&mut self, id: &ExecutionId) {
        loop {
            match self.updates.try_recv() {
                Ok(update) => self.has_changed |= update.execution == *id,
                Err(TryRecvError::Lagged(_)) => self.has_changed = true,
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }
}

fn event(name: &str, id: u64, data: String) -> Event {
    Event::default().event(name).id(id.to_string()).data(data)
}

/// Where a client left off.
fn last_id(headers: &HeaderMap) -> Answer<u64> {
    let Some(last) = headers.get("last-event-id") else { return Ok(0) };
    let number = last.to_str().ok().and_then(|text| text.trim().parse().ok());
    number.ok_or_else(|| ApiError::invalid("Last-Event-ID is not a number that this stream sent"))
}
