//! Gate's routes (reference §6).

pub(super) mod applications;
pub(super) mod executions;
pub(super) mod pipelines;
pub(super) mod search;
pub(super) mod session;
pub(super) mod tasks;

use axum::Router;
use axum::routing::{get, patch, post, put};

use super::State;

pub(super) fn router() -> Router<State> {
    Router::new()
        .route("/applications", get(applications::list))
        .route("/applications/{app}", get(applications::get))
        .route("/applications/{app}/pipelineConfigs", get(pipelines::list))
        .route("/applications/{app}/pipelineConfigs/{name}", get(pipelines::get))
        .route("/applications/{app}/pipelines", get(search::of_application))
        .route("/applications/{app}/pipelines/{id}/cancel", put(executions::cancel_in))
        .route("/applications/{app}/executions/search", get(search::search))
        .route("/applications/{app}/tasks", post(tasks::start))
        .route("/auth/user", get(session::who))
        .route("/executions", get(search::list))
        .route("/pipelineConfigs/{id}/history", get(pipelines::history))
        .route("/pipelines", post(pipelines::save))
        .route("/pipelines/start", post(pipelines::start))
        .route("/pipelines/{id}", get(executions::get).put(pipelines::update))
        .route("/pipelines/{app}/{name}", post(pipelines::execute).delete(pipelines::delete))
        .route("/pipelines/{id}/cancel", put(executions::cancel))
        .route("/pipelines/{id}/stages/{stage}", patch(executions::patch_stage))
        .route("/tasks", post(tasks::start))
        .route("/tasks/{id}", get(tasks::get))
}
