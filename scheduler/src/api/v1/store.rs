//! How much is stored.

use axum::Json;
use axum::extract::State as Shared;

use super::super::State;
use super::super::error::ApiError;
use super::super::request::Answer;
use crate::control::StoreSize;

/// Shows how much is stored, as the last pass of retention found it.
#[utoipa::path(get, path = "/v1/store", tag = "fleet", operation_id = "getStore",
    responses(
        (status = 200, description = "How much is stored.", body = StoreSize),
        (status = 404, description = "Nobody has looked yet: this scheduler has just started.")))]
pub(in super::super) async fn show(Shared(state): Shared<State>) -> Answer<Json<StoreSize>> {
    let size = state.scheduler.store_size();
    size.map(Json).ok_or_else(|| ApiError::not_found("the size of the store"))
}
