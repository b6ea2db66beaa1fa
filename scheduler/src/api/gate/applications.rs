//! Applications, as Gate shows them.

use axum::Json;
use axum::extract::{Path, State as Shared};
use shared_model::Object;

use super::super::State;
use super::super::error::ApiError;
use super::super::request::Answer;
use super::super::schema::{Application, Attributes};

/// Lists applications: the attributes of each.
#[utoipa::path(get, path = "/applications", tag = "applications",
    operation_id = "getAllApplications",
    responses((status = 200, description = "Their attributes, by name.", body = [Attributes])))]
pub(in super::super) async fn list(Shared(state): Shared<State>) -> Answer<Json<Vec<Object>>> {
    Ok(Json(state.scheduler.library().applications().await?))
}

/// Shows an application.
#[utoipa::path(get, path = "/applications/{app}", tag = "applications",
    operation_id = "getApplication",
    params(("app" = String, Path, description = "Its name; case does not matter.")),
    responses(
        (status = 200, description = "The application.", body = Application),
        (status = 404, description = "There is none of that name.")))]
pub(in super::super) async fn get(
    Shared(state): Shared<State>,
    Path(app): Path<String>,
) -> Answer<Json<Application>> {
    let found = state.scheduler.library().application(&app).await?;
    let found = found.ok_or_else(|| ApiError::not_found(&format!("application `{app}`")))?;
    Ok(Json(Application::of(found)))
}
