//! HTTP: Gate's routes as far as they are built, `/v1` for what Gate does not have.

mod error;
mod guard;
mod routes;

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{get, patch, put};
use shared_runtime::{Kind, Supervisor};
use tokio::net::TcpListener;

use crate::Scheduler;

/// Size of a request's body.
const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;
/// How long a request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// What every route works with.
#[derive(Clone)]
pub(crate) struct State {
    pub(crate) scheduler: Scheduler,
    pub(crate) address: SocketAddr,
}

/// Serves the API on a loopback address until the supervisor stops; the port may be 0. Returns the
/// address that it serves.
///
/// # Errors
/// If the address is not loopback, or cannot be listened on.
pub async fn serve(
    scheduler: Scheduler,
    address: SocketAddr,
    supervisor: &Supervisor,
) -> std::io::Result<SocketAddr> {
    if !address.ip().is_loopback() {
        return Err(std::io::Error::other(format!(
            "{address} is reachable from other machines, which needs authentication, and there is \
             none yet; listen on 127.0.0.1"
        )));
    }
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let router = router(State { scheduler, address });
    let stop = supervisor.stopping();
    supervisor.spawn(Kind::Http, async move {
        axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await?;
        Ok(())
    });
    Ok(address)
}

fn router(state: State) -> Router {
    Router::new()
        .route("/health", get(routes::health))
        .route("/version", get(routes::version))
        .route("/pipelines/{id}", get(routes::execution))
        .route("/pipelines/{id}/cancel", put(routes::cancel))
        .route("/pipelines/{id}/stages/{stage}", patch(routes::patch_stage))
        .route("/v1/executions/{id}/history", get(routes::history))
        .route("/v1/executions/{id}/stages/{stage}/log", get(routes::log))
        .fallback(routes::not_found)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(state.clone(), guard::check))
        .layer(middleware::from_fn(limit_time))
        .with_state(state)
}

async fn limit_time(
    request: axum::extract::Request,
    next: middleware::Next,
) -> axum::response::Response {
    let path = request.uri().path().to_owned();
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => error::ApiError::timeout(&path).into(),
    }
}
