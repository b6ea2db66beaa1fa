//! What requests bring: who asks, and JSON within the limits.

use axum::body::Bytes;
use axum::http::HeaderMap;
use serde_json::Value;
use shared_model::{ExecutionId, Limits, Object, Status, parse};
use shared_ports::journal::Head;
use shared_runtime::telemetry::TraceContext;

use super::State;
use super::error::ApiError;
use crate::view::Detail;

pub(super) type Answer<T> = Result<T, ApiError>;

/// The header that names a place in a trace (W3C Trace Context).
pub(super) const TRACEPARENT: &str = "traceparent";
/// Length of a user's name.
pub(super) const USER_BYTES_MAX: usize = 250;

/// As whom a request acts: on loopback the header is believed.
pub(super) fn user(headers: &HeaderMap) -> Answer<&str> {
    Ok(named_user(headers)?.unwrap_or("anonymous"))
}

/// The user that a request names.
pub(super) fn named_user(headers: &HeaderMap) -> Answer<Option<&str>> {
    let Some(name) = headers.get("x-spinnaker-user") else { return Ok(None) };
    let name = name.to_str().unwrap_or_default();
    if name.is_empty() || name.len() > USER_BYTES_MAX {
        let why = format!("X-Spinnaker-User is not 1 to {USER_BYTES_MAX} visible characters");
        return Err(ApiError::invalid(why));
    }
    Ok(Some(name))
}

/// In which trace a request stands: behind `observed` in that of its own span, if it has one.
pub(super) fn trace(headers: &HeaderMap) -> Option<TraceContext> {
    TraceContext::parse(headers.get(TRACEPARENT)?.to_str().ok()?)
}

/// The JSON of a body.
pub(super) fn json(body: &Bytes) -> Answer<Value> {
    let text = std::str::from_utf8(body).map_err(|_| ApiError::invalid("it is not UTF-8"))?;
    parse::json(text, &Limits::default()).map_err(|problem| ApiError::refused(vec![problem]))
}

/// The JSON object of a body.
pub(super) fn json_object(body: &Bytes) -> Answer<Object> {
    let Value::Object(object) = json(body)? else {
        return Err(ApiError::invalid("the body is not a JSON object"));
    };
    Ok(object)
}

/// The JSON object of a body, or none where the body is empty.
pub(super) fn optional_object(body: &Bytes) -> Answer<Object> {
    if body.iter().all(u8::is_ascii_whitespace) { Ok(Object::new()) } else { json_object(body) }
}

/// An execution in Gate's shape.
pub(super) async fn execution(state: &State, id: &ExecutionId) -> Answer<Value> {
    let found = state.scheduler.execution(id).await?;
    found.ok_or_else(|| ApiError::not_found(&format!("execution `{id}`")))
}

/// An execution without what its stages carry.
pub(super) async fn outline(state: &State, id: &ExecutionId) -> Answer<Value> {
    let found = state.scheduler.look(id, Detail::Outline).await?;
    found.ok_or_else(|| ApiError::not_found(&format!("execution `{id}`")))
}

/// An execution's own row.
pub(super) async fn head(state: &State, id: &ExecutionId) -> Answer<Head> {
    let found = state.scheduler.head(id).await?;
    found.ok_or_else(|| ApiError::not_found(&format!("execution `{id}`")))
}

/// The `refId` of a stage that is named by its id or its `refId`.
pub(super) fn reference(execution: &Value, stage: &str) -> Answer<String> {
    let stages = execution["stages"].as_array().into_iter().flatten();
    let mut named = stages.filter(|found| found["id"] == stage || found["refId"] == stage);
    let found = named.next().and_then(|found| found["refId"].as_str()).map(str::to_owned);
    found.ok_or_else(|| ApiError::not_found(&format!("stage `{stage}`")))
}

/// The entries of a list that is written with commas.
pub(super) fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect()
}

/// The statuses of a list that is written with commas.
pub(super) fn statuses(text: &str) -> Answer<Vec<Status>> {
    let known = |name: &String| {
        serde_json::from_value(Value::from(name.to_uppercase())).map_err(|_| {
            let why =
                format!("`{name}` is no status; use RUNNING, SUCCEEDED, TERMINAL, CANCELED …");
            ApiError::invalid(why)
        })
    };
    list(text).iter().map(known).collect()
}

/// The header that says as whom a request acts.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "described here, read by `user`")]
pub(super) struct Acting {
    /// As whom to act: believed on loopback without a token, and with a token that speaks for others.
    #[param(rename = "X-Spinnaker-User", min_length = 1, max_length = 250)]
    user: Option<String>,
}
