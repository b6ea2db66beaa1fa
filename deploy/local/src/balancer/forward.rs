//! One request: to a process, and its answer back.
//!
//! Each request has a connection of its own to the process: one that is kept may be closed by the
//! process in the moment in which it is used again, and then nobody knows whether the request was
//! taken. On loopback a connection costs next to nothing.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode, Uri, Version};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::task::TaskTracker;

use super::backends::{Backends, Picked};
use crate::health::address;

/// How long a process may take to begin an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(300);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Headers that are about one connection only.
const HOP_BY_HOP: [&str; 7] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

pub(super) type Body = BoxBody<Bytes, hyper::Error>;

/// Answers a request by what a process answers.
pub(super) async fn forward(
    backends: Backends,
    tasks: TaskTracker,
    request: Request<Incoming>,
) -> Response<Body> {
    let mut tried = Vec::new();
    while let Some(picked) = backends.pick(&tried) {
        let connect = TcpStream::connect(address(picked.port));
        match tokio::time::timeout(CONNECT_TIMEOUT, connect).await {
            Ok(Ok(stream)) => return send(picked, stream, &tasks, request).await,
            // Nothing was sent: another process can take it.
            Ok(Err(_)) => backends.refused(picked.port),
            Err(_) => {}
        }
        tried.push(picked.port);
    }
    failed(StatusCode::SERVICE_UNAVAILABLE, "no instance of an enabled server group takes requests")
}

async fn send(
    picked: Picked,
    stream: TcpStream,
    tasks: &TaskTracker,
    request: Request<Incoming>,
) -> Response<Body> {
    let _small = stream.set_nodelay(true);
    let shaken = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let Ok((mut sender, connection)) = shaken else {
        return failed(StatusCode::BAD_GATEWAY, "the instance closed the connection");
    };
    let port = picked.port;
    tasks.spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, port, "a connection to an instance broke");
        }
        // Counted until its last byte is through.
        drop(picked);
    });
    match tokio::time::timeout(ANSWER_TIMEOUT, sender.send_request(outgoing(request))).await {
        Ok(Ok(response)) => incoming(response),
        Ok(Err(error)) => failed(StatusCode::BAD_GATEWAY, &format!("the instance failed: {error}")),
        Err(_) => failed(StatusCode::GATEWAY_TIMEOUT, "the instance did not answer in time"),
    }
}

fn outgoing(request: Request<Incoming>) -> Request<Incoming> {
    let (mut head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    head.uri = path.parse().unwrap_or_else(|_| Uri::from_static("/"));
    head.version = Version::HTTP_11;
    remove_hop_by_hop(&mut head.headers);
    head.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    Request::from_parts(head, body)
}

fn incoming(response: Response<Incoming>) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    head.version = Version::HTTP_11;
    remove_hop_by_hop(&mut head.headers);
    Response::from_parts(head, body.boxed())
}

/// Also what `Connection` names.
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

fn failed(status: StatusCode, why: &str) -> Response<Body> {
    let body = Full::new(Bytes::from(format!("load balancer: {why}\n")));
    let mut response = Response::new(body.map_err(|never| match never {}).boxed());
    *response.status_mut() = status;
    response
}
