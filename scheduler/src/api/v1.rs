//! What Gate does not have.

pub(super) mod executions;
pub(super) mod health;
pub(super) mod live;
pub(super) mod metrics;
pub(super) mod pipelines;
pub(super) mod tokens;

use axum::Router;
use axum::routing::{delete, get, post};

use super::State;

pub(super) fn router() -> Router<State> {
    Router::new()
        .route("/health", get(health::health))
        .route("/version", get(health::version))
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::scrape))
        .route("/v1/executions/{id}/history", get(executions::history))
        .route("/v1/executions/{id}/events", get(live::events))
        .route("/v1/executions/{id}/stages/{stage}/log", get(executions::log))
        .route("/v1/executions/{id}/stages/{stage}/log/stream", get(live::log))
        .route("/v1/tokens", get(tokens::list).post(tokens::create))
        .route("/v1/tokens/{id}", delete(tokens::revoke))
        .route("/v1/pipelines/validate", post(pipelines::validate))
}
