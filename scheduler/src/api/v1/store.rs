//! How much is stored.

use std::time::Duration;

use axum::Json;
use axum::extract::State as Shared;
use axum::http::StatusCode;

use super::super::State;
use super::super::error::ApiError;
use super::super::request::Answer;
use crate::control::StoreSize;

/// When to ask a scheduler again that has just started.
const FIRST: Duration = Duration::from_secs(60);

/// Shows how much is stored, as the last pass of retention found it.
///
/// The first pass comes a minute after the start.
#[utoipa::path(get, path = "/v1/store", tag = "fleet", operation_id = "getStore",
    responses((status = 200, description = "How much is stored.", body = StoreSize)))]
pub(in super::super) async fn show(Shared(state): Shared<State>) -> Answer<Json<StoreSize>> {
    let size = state.scheduler.store_size();
    size.map(Json).ok_or_else(|| {
        let why = "the store was not measured yet; that is done a minute after the start";
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "not-measured", why).retry_after(FIRST)
    })
}
