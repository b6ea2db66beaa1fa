//! Connections: so many at once, and none that only keeps a place.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower_service::Service;

/// Connections that are open at once; further ones wait to be taken.
const CONNECTIONS_MAX: usize = 900;
/// How long a client may take to send the head of its next request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause after a connection that could not be taken: no file descriptors are left, as a rule.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long open connections may take to end once we stop.
pub(super) const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// Serves connections until told to stop; then what is being answered is answered, for a while.
pub(super) async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut open = JoinSet::new();
    while let Some((stream, place)) = next(&listener, &places, &stop).await {
        open.spawn(connection(stream, router.clone(), stop.clone(), place));
        while open.try_join_next().is_some() {}
    }
    drop(listener);
    let all = async { while open.join_next().await.is_some() {} };
    drop(tokio::time::timeout(DRAIN_TIMEOUT, all).await);
}

/// The next connection, and a place for it; `None` once we stop.
async fn next(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    stop: &CancellationToken,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let taken = async {
        let place = Arc::clone(places).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => return Some((stream, place)),
                Err(error) => tracing::warn!(%error, "a connection could not be taken"),
            }
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => None,
        taken = taken => taken,
    }
}

async fn connection(
    stream: TcpStream,
    router: Router,
    stop: CancellationToken,
    _place: OwnedSemaphorePermit,
) {
    // Answers are written whole: waiting for more to send only delays them.
    drop(stream.set_nodelay(true));
    let answer = service_fn(move |request| answer(router.clone(), request));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), answer);
    tokio::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}

async fn answer(
    mut router: Router,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    router.call(request.map(Body::new)).await
}
