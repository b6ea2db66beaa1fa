//! HTTP: Gate's routes as far as they are built, `/v1` for what Gate does not have.
//!
//! | Call | Answer |
//! | --- | --- |
//! | `GET /health`, `GET /version` | that it is there, and which version it is |
//! | `GET /pipelines/{id}` | an execution in Gate's shape, with `waitingFor` |
//! | `PUT /pipelines/{id}/cancel?reason=` | nothing; the execution ends |
//! | `PATCH /pipelines/{id}/stages/{stage}` | the execution; `judgmentStatus`, `judgmentInput` or `skipRemainingWait` go into the stage |
//! | `GET /v1/executions/{id}/history?after=` | what happened, oldest first |
//! | `GET /v1/executions/{id}/stages/{stage}/log?offset=` | a stage's log as text, from a byte on |
//!
//! A stage is named by its `id` or its `refId`. Errors have Spring's shape, and a stable `code`.

mod error;
mod guard;
mod routes;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, patch, put};
use shared_runtime::{Kind, Supervisor};
use tokio::net::TcpListener;

use crate::Scheduler;

/// Size of a request's body.
const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;
/// How long a request may take, its body included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long open connections may take to end once we stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// What every route works with.
#[derive(Clone)]
struct State {
    scheduler: Scheduler,
    address: SocketAddr,
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
    let stop = supervisor.stopping_of(Kind::Http);
    supervisor.spawn(Kind::Http, async move {
        let served = axum::serve(listener, router)
            .with_graceful_shutdown(stop.clone().cancelled_owned())
            .into_future();
        // A client that keeps a connection open must not keep the process.
        let too_long = async {
            stop.cancelled().await;
            tokio::time::sleep(DRAIN_TIMEOUT).await;
        };
        tokio::select! {
            served = served => served?,
            () = too_long => {}
        }
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
        .layer(from_fn_with_state(state.clone(), guard::check))
        .layer(from_fn(error::limit_time))
        .layer(from_fn_with_state(state.clone(), error::shape))
        .with_state(state)
}
