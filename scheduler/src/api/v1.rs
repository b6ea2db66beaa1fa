//! What Gate does not have.

pub(super) mod executions;
pub(super) mod fleet;
pub(super) mod health;
pub(super) mod live;
pub(super) mod metrics;
pub(super) mod pipelines;
pub(super) mod store;
pub(super) mod tokens;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{State, openapi};

pub(super) fn router() -> OpenApiRouter<State> {
    OpenApiRouter::default()
        .routes(routes!(health::health))
        .routes(routes!(health::version))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(metrics::scrape))
        .routes(routes!(openapi::serve))
        .routes(routes!(executions::history))
        .routes(routes!(live::events))
        .routes(routes!(executions::log))
        .routes(routes!(live::log))
        .routes(routes!(fleet::show))
        .routes(routes!(store::show))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::revoke))
        .routes(routes!(pipelines::validate))
}
