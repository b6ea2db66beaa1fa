//! Gate's routes (reference §6).

pub(super) mod applications;
pub(super) mod credentials;
pub(super) mod executions;
pub(super) mod expressions;
pub(super) mod pipelines;
pub(super) mod search;
pub(super) mod session;
pub(super) mod tasks;
pub(super) mod templates;

use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

use super::State;

pub(super) fn router() -> OpenApiRouter<State> {
    OpenApiRouter::default()
        .routes(routes!(applications::list))
        .routes(routes!(applications::get))
        .routes(routes!(pipelines::list))
        .routes(routes!(pipelines::get))
        .routes(routes!(search::of_application))
        .routes(routes!(executions::cancel_in))
        .routes(routes!(search::search))
        .routes(routes!(tasks::start_in))
        .routes(routes!(session::who))
        .routes(routes!(credentials::list))
        .routes(routes!(credentials::get))
        .routes(routes!(search::list))
        .routes(routes!(pipelines::history))
        .routes(routes!(pipelines::save))
        .routes(routes!(pipelines::start))
        .routes(routes!(executions::get, pipelines::update, executions::delete))
        .routes(routes!(pipelines::execute, pipelines::delete))
        .routes(
            routes!(executions::cancel).map(|cancel| {
                cancel.post(pipelines::execute_cancel).delete(pipelines::delete_cancel)
            }),
        )
        .routes(routes!(executions::force_cancel))
        .routes(routes!(executions::pause))
        .routes(routes!(executions::resume))
        .routes(routes!(executions::patch_stage))
        .routes(routes!(executions::restart_stage))
        .routes(routes!(expressions::expression))
        .routes(routes!(expressions::expression_of_stage))
        .routes(routes!(expressions::variables))
        .routes(routes!(templates::list))
        .routes(routes!(templates::create))
        .routes(routes!(templates::plan))
        .routes(routes!(templates::update))
        .routes(routes!(templates::dependents))
        .routes(routes!(templates::get, templates::delete))
        .routes(routes!(tasks::start))
        .routes(routes!(tasks::get, tasks::delete))
}
