//! HTTP: Gate's routes as far as they are built, `/v1` for what Gate does not have.
//!
//! | Call | Answer |
//! | --- | --- |
//! | `GET /health`, `/version`, `/livez`, `/readyz` | that it is there, which version, what it stands on |
//! | `GET /metrics` | what is counted and measured, as Prometheus' text or OpenMetrics |
//! | `GET /auth/user` | as whom a request acts |
//! | `GET /applications`, `/applications/{app}` | applications |
//! | `GET /applications/{app}/pipelineConfigs[/{name}]` | saved pipelines |
//! | `POST /pipelines`, `PUT /pipelines/{id}` | saves one |
//! | `DELETE /pipelines/{app}/{name}` | deletes one |
//! | `GET /pipelineConfigs/{id}/history` | its versions, newest first |
//! | `POST /pipelines/{app}/{nameOrId}`, `POST /pipelines/start` | starts a saved one, or the one in the body: 202 and `ref` |
//! | `GET /executions`, `/applications/{app}/pipelines`, `/applications/{app}/executions/search` | executions |
//! | `GET /pipelines/{id}` | an execution in Gate's shape, with `waitingFor` |
//! | `PUT /pipelines/{id}/cancel?reason=` | nothing; the execution ends |
//! | `PATCH /pipelines/{id}/stages/{stage}` | the execution; `judgmentStatus`, `judgmentInput`, `skipRemainingWait` or `outcome` go into the stage |
//! | `POST /tasks`, `GET /tasks/{id}` | operations one by one, outside of pipelines |
//! | `POST /v1/pipelines/validate` | everything that is wrong with a document |
//! | `GET /v1/executions/{id}/history?after=` | what happened, oldest first |
//! | `GET /v1/executions/{id}/events` | the same, as it happens: server-sent events |
//! | `GET /v1/executions/{id}/stages/{stage}/log?offset=` | a stage's log as text, from a byte on |
//! | `GET /v1/executions/{id}/stages/{stage}/log/stream` | the same, as it is written |
//!
//! | `POST`, `GET /v1/tokens`, `DELETE /v1/tokens/{id}` | makes a token (its text is shown once), lists them, takes one back |
//!
//! On loopback nobody needs a token; anywhere else everybody does, probes excepted.
//!
//! A stage is named by its `id` or its `refId`. Errors have Spring's shape on Gate's routes and that of
//! problem details on `/v1`, a stable `code`, and for a document `errors`, a list of everything that
//! is wrong with it.

mod connections;
mod error;
mod gate;
mod guard;
mod login;
mod observed;
mod request;
#[cfg(test)]
mod tests;
mod v1;

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, OriginalUri};
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use shared_runtime::{Kind, Supervisor};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::error::ApiError;
use crate::Scheduler;
use crate::access::TokenError;

/// Size of a request's body.
const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;
/// How long a request may take, its body included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// What every route works with.
#[derive(Clone)]
struct State {
    scheduler: Scheduler,
    address: SocketAddr,
    stop: CancellationToken,
}

impl State {
    /// Whether streams are to end.
    fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }
}

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Other machines reach the address, and nobody could log in.
    #[error(
        "{0} is reachable from other machines, which needs authentication, and there is no token; \
         start on 127.0.0.1, make one with `capstan token create`, and start again"
    )]
    Open(SocketAddr),
    /// The listener has no address.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The tokens cannot be read.
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// Serves the API until the supervisor stops. Returns the address that it serves.
///
/// # Errors
/// [`ServeError::Open`] on an address that is not loopback while there is no token.
pub async fn serve(
    scheduler: Scheduler,
    listener: TcpListener,
    supervisor: &Supervisor,
) -> Result<SocketAddr, ServeError> {
    let address = listener.local_addr()?;
    may_serve(&scheduler, address).await?;
    let stop = supervisor.stopping_of(Kind::Http);
    let router = router(State { scheduler, address, stop: stop.clone() });
    supervisor.spawn(Kind::Http, async move {
        connections::serve(listener, router, stop).await;
        Ok(())
    });
    Ok(address)
}

/// Refuses an address that others reach while nobody could log in.
async fn may_serve(scheduler: &Scheduler, address: SocketAddr) -> Result<(), ServeError> {
    if address.ip().is_loopback() || scheduler.tokens().has_live_one().await? {
        return Ok(());
    }
    Err(ServeError::Open(address))
}

fn router(state: State) -> Router {
    gate::router()
        .merge(v1::router())
        .fallback(no_route)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn_with_state(state.clone(), login::check))
        .layer(from_fn_with_state(state.clone(), guard::check))
        .layer(from_fn(error::limit_time))
        .layer(from_fn_with_state(state.clone(), error::shape))
        .layer(from_fn_with_state(state.clone(), observed::observe))
        .with_state(state)
}

async fn no_route(OriginalUri(uri): OriginalUri) -> ApiError {
    let why = format!("there is no route `{}`", uri.path());
    ApiError::new(StatusCode::NOT_FOUND, "no-route", why)
}
