//! Documents, looked at without saving or running them.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State as Shared;
use serde_json::{Value, json};

use super::super::State;
use super::super::request::{Answer, json as read};

/// Everything that is wrong with a document; the answer is 200 whatever is found.
pub(in super::super) async fn validate(
    Shared(state): Shared<State>,
    body: Bytes,
) -> Answer<Json<Value>> {
    let source = std::str::from_utf8(&body).ok();
    let problems = state.scheduler.check(&read(&body)?, source);
    Ok(Json(json!({ "problems": problems })))
}
