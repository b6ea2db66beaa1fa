//! What a worker says of itself over HTTP: that it lives, whether it can work, what it counted.
//!
//! Nobody is sent here by a load balancer: readiness tells whoever rolls out workers, or looks.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shared_model::WorkerId;
use shared_ports::{PortError, Queue, WorkerPorts};
use shared_runtime::metrics::{PROMETHEUS, metrics};
use shared_runtime::{Kind, Supervisor};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::Standing;

/// How long one check may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a connection may take to ask.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long it may last.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);
/// Pause after a connection that could not be taken.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Connections at once; more wait.
const CONNECTIONS_MAX: usize = 64;

/// What is asked, and who may ask for metrics.
#[derive(Clone)]
pub struct Probes {
    /// What the worker stands on.
    pub ports: WorkerPorts,
    /// Who it is.
    pub worker: WorkerId,
    /// How it is.
    pub standing: Standing,
    /// The bearer token of metrics; without one they are shown on loopback only.
    pub token: Option<SecretString>,
}

/// Everything that a request is answered from.
struct Served {
    probes: Probes,
    is_loopback: bool,
    draining: CancellationToken,
}

/// How much one thing matters.
enum Matters {
    /// Without it no work is done.
    Much,
    /// Without it some work waits.
    Little,
}

/// Serves `/livez`, `/readyz` and `/metrics` until the supervisor's services stop.
pub fn serve(listener: TcpListener, probes: Probes, supervisor: &Supervisor) {
    let is_loopback = listener.local_addr().is_ok_and(|address| address.ip().is_loopback());
    let draining = supervisor.stopping();
    let served = Arc::new(Served { probes, is_loopback, draining });
    let stop = supervisor.stopping_of(Kind::Http);
    supervisor.spawn(Kind::Http, async move {
        accept(listener, served, stop).await;
        Ok(())
    });
}

async fn accept(listener: TcpListener, served: Arc<Served>, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut open = JoinSet::new();
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            next = next => next,
        };
        match accepted {
            Ok((stream, _)) => {
                let served = Arc::clone(&served);
                open.spawn(async move {
                    answer_all(stream, served).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
        while open.try_join_next().is_some() {}
    }
}

async fn answer_all(stream: TcpStream, served: Arc<Served>) {
    let answer = service_fn(move |request| {
        let served = Arc::clone(&served);
        async move { Ok::<_, Infallible>(served.answer(&request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), answer);
    if let Ok(Err(error)) = timeout(CONNECTION_TIMEOUT, connection).await {
        tracing::debug!(%error, "a connection broke");
    }
}

impl Served {
    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered here\n");
        }
        match request.uri().path() {
            "/livez" => json(StatusCode::OK, &json!({ "status": "live" })),
            "/readyz" => self.ready().await,
            "/metrics" => self.metrics(request),
            _ => text(StatusCode::NOT_FOUND, "there are /livez, /readyz and /metrics\n"),
        }
    }

    async fn ready(&self) -> Response<Full<Bytes>> {
        let Probes { ports, worker, .. } = &self.probes;
        let control = Queue::Control(worker.clone());
        let (broker, leases, blobs) = tokio::join!(
            check("broker", Matters::Much, async { ports.broker.depth(&control).await.map(drop) }),
            check("leases", Matters::Little, ports.leases.are_given_out()),
            check("blobs", Matters::Much, ports.blobs.ready()),
        );
        let checks = [self.taking(), broker, leases, blobs];
        let any = |status: &str| checks.iter().any(|check| check["status"] == status);
        let (code, status) = match (any("failed"), any("degraded")) {
            (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
            (false, true) => (StatusCode::OK, "degraded"),
            (false, false) => (StatusCode::OK, "ready"),
        };
        json(code, &json!({ "status": status, "checks": checks }))
    }

    /// Whether it takes work.
    fn taking(&self) -> Value {
        let why = match self.draining.is_cancelled() {
            true => Some("it drains".to_owned()),
            false => self.probes.standing.why_idle(),
        };
        match why {
            Some(why) => json!({ "name": "taking", "status": "failed", "why": why }),
            None => json!({ "name": "taking", "status": "ok" }),
        }
    }

    fn metrics(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let is_allowed = match &self.probes.token {
            Some(token) => bearer(request).is_some_and(|given| is_same(token, given)),
            None => self.is_loopback,
        };
        if !is_allowed {
            let why = "metrics need `Authorization: Bearer …` with what `worker.token` is set to\n";
            return text(StatusCode::UNAUTHORIZED, why);
        }
        let mut response = text(StatusCode::OK, &metrics().prometheus());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROMETHEUS));
        response
    }
}

async fn check(
    name: &str,
    matters: Matters,
    look: impl Future<Output = Result<(), PortError>>,
) -> Value {
    let why = match timeout(CHECK_TIMEOUT, look).await {
        Ok(Ok(())) => return json!({ "name": name, "status": "ok" }),
        Ok(Err(error)) => error.with_causes(),
        Err(_) => format!("no answer within {CHECK_TIMEOUT:?}"),
    };
    let status = match matters {
        Matters::Much => "failed",
        Matters::Little => "degraded",
    };
    json!({ "name": name, "status": status, "why": why })
}

fn bearer(request: &Request<Incoming>) -> Option<&str> {
    let (kind, token) = request.headers().get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    kind.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Compares hashes: the time that takes says nothing about the token.
fn is_same(token: &SecretString, given: &str) -> bool {
    Sha256::digest(token.expose_secret()) == Sha256::digest(given)
}

fn json(code: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut response = text(code, &body.to_string());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn text(code: StatusCode, body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_owned())));
    *response.status_mut() = code;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}
