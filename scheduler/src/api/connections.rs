//! Connections: so many at once, and none that only keeps a place.

mod paced;
mod places;
mod watched;

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower_service::Service;

use self::paced::Paced;
use self::places::{Places, Seat};
use self::watched::Watched;
use super::limits::ApiLimits;

/// Size of a request's head, and of what is kept of a connection at a time.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Pause after a connection that could not be taken: no file descriptors are left, as a rule.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long open connections may take to end once we stop.
pub(super) const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// From where a request comes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) IpAddr);

/// Serves connections until told to stop; then what is being answered is answered, for a while.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ApiLimits,
    stop: CancellationToken,
) {
    let places = Places::new(limits.connections_max);
    let mut open = JoinSet::new();
    while let Some((stream, peer, seat)) = next(&listener, &places, &stop).await {
        let served = Served { router: router.clone(), peer: Peer(peer.ip()), seat: Arc::new(seat) };
        open.spawn(connection(stream, served, limits.clone(), stop.clone()));
        while open.try_join_next().is_some() {}
    }
    drop(listener);
    let all = async { while open.join_next().await.is_some() {} };
    drop(tokio::time::timeout(DRAIN_TIMEOUT, all).await);
}

/// The next connection, and a place for it; `None` once we stop.
async fn next(
    listener: &TcpListener,
    places: &Arc<Places>,
    stop: &CancellationToken,
) -> Option<(TcpStream, SocketAddr, Seat)> {
    let taken = async {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => return (stream, peer, places.take().await),
                Err(error) => tracing::warn!(%error, "a connection could not be taken"),
            }
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => None,
        taken = taken => Some(taken),
    }
}

/// What answers the requests of one connection.
#[derive(Clone)]
struct Served {
    router: Router,
    peer: Peer,
    seat: Arc<Seat>,
}

async fn connection(stream: TcpStream, served: Served, limits: ApiLimits, stop: CancellationToken) {
    // Answers are written whole: waiting for more to send only delays them.
    drop(stream.set_nodelay(true));
    let seat = Arc::clone(&served.seat);
    let answer = service_fn(move |request| answer(served.clone(), request));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(Paced::new(stream, limits.write_timeout)), answer);
    tokio::pin!(served);
    let ended = tokio::select! {
        biased;
        ended = served.as_mut() => ended,
        () = seat.sent_away() => return tracing::debug!("a connection made room for another"),
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}

async fn answer(served: Served, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let Served { mut router, peer, seat } = served;
    if request.body().is_end_stream() {
        seat.answers();
    } else {
        seat.receives();
    }
    let (received, answered) = (Arc::clone(&seat), seat);
    let mut request = request.map(|body| Body::new(Watched::new(body, move || received.answers())));
    request.extensions_mut().insert(peer);
    let response = router.call(request).await?;
    Ok(response.map(|body| Body::new(Watched::new(body, move || answered.waits()))))
}
