//! Documents, looked at without saving or running them.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State as Shared;

use super::super::State;
use super::super::request::{Answer, json as read};
use super::super::schema::Problems;

/// Lists everything that is wrong with a document.
///
/// The answer is 200 whatever is found.
#[utoipa::path(post, path = "/v1/pipelines/validate", tag = "pipelines",
    operation_id = "validatePipeline",
    request_body(content = serde_json::Value, description = "A pipeline, as it would be saved or started."),
    responses((status = 200, description = "Errors first, then warnings.", body = Problems)))]
pub(in super::super) async fn validate(
    Shared(state): Shared<State>,
    body: Bytes,
) -> Answer<Json<Problems>> {
    let source = std::str::from_utf8(&body).ok();
    let problems = state.scheduler.check(&read(&body)?, source);
    Ok(Json(Problems { problems }))
}
