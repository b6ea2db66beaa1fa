//! HTTP: Gate's routes as far as they are built, `/v1` for what Gate does not have.
//!
//! Every route describes itself; [`openapi`] makes one document of that, which is served as
//! `/v1/openapi.json` and kept as `scheduler/openapi.json`: the table of routes.
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
mod limits;
mod login;
mod observed;
pub mod openapi;
mod rates;
mod request;
mod schema;
#[cfg(test)]
mod tests;
mod v1;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, OriginalUri};
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use shared_ports::Ports;
use shared_runtime::{Kind, Supervisor};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;

use self::error::ApiError;
pub use self::limits::ApiLimits;
use self::rates::Rates;
use crate::Scheduler;
use crate::access::{TokenError, Tokens};

/// Size of a request's body.
const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;
/// How long a request may take, its body included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// What every route works with.
#[derive(Clone)]
struct State {
    scheduler: Scheduler,
    address: SocketAddr,
    rates: Arc<Rates>,
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
    limits: ApiLimits,
    supervisor: &Supervisor,
) -> Result<SocketAddr, ServeError> {
    let address = listener.local_addr()?;
    may_serve(scheduler.ports(), address).await?;
    let stop = supervisor.stopping_of(Kind::Http);
    let rates = Arc::new(Rates::new(&limits));
    let router = router(State { scheduler, address, rates, stop: stop.clone() });
    supervisor.spawn(Kind::Http, async move {
        connections::serve(listener, router, limits, stop).await;
        Ok(())
    });
    Ok(address)
}

/// Refuses an address that others reach while nobody could log in: ask before any work begins.
///
/// # Errors
/// [`ServeError::Open`] on an address that is not loopback while there is no token.
pub async fn may_serve(ports: &Ports, address: SocketAddr) -> Result<(), ServeError> {
    if address.ip().is_loopback() || Tokens::new(ports).has_live_one().await? {
        return Ok(());
    }
    Err(ServeError::Open(address))
}

/// Every route, with its description.
fn routes() -> OpenApiRouter<State> {
    gate::router().merge(v1::router())
}

/// The routes, and around them what looks at a request before its route is chosen.
fn router(state: State) -> Router {
    let (router, _) = routes().split_for_parts();
    let routed = router
        .route_layer(from_fn(observed::note_route))
        .fallback(no_route)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(state.clone());
    Router::new()
        .fallback_service(routed)
        .layer(from_fn_with_state(state.clone(), login::check))
        .layer(from_fn_with_state(state.clone(), guard::check))
        .layer(from_fn(error::limit_time))
        .layer(from_fn_with_state(state.clone(), error::shape))
        .layer(from_fn_with_state(state, observed::observe))
}

async fn no_route(OriginalUri(uri): OriginalUri) -> ApiError {
    let why = format!("there is no route `{}`", uri.path());
    ApiError::new(StatusCode::NOT_FOUND, "no-route", why)
}
