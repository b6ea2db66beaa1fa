//! Workers, and how many are wanted.

use axum::Json;
use axum::extract::State as Shared;

use super::super::State;
use super::super::request::Answer;
use crate::fleet::FleetView;

/// Shows the live workers, what they do, and how many are wanted and why.
///
/// The answer is at most a second old.
#[utoipa::path(get, path = "/v1/fleet", tag = "fleet", operation_id = "getFleet",
    responses((status = 200, description = "The fleet.", body = FleetView)))]
pub(in super::super) async fn show(Shared(state): Shared<State>) -> Answer<Json<FleetView>> {
    let fleet = state.scheduler.fleet().await?;
    Ok(Json(FleetView::clone(&fleet)))
}
