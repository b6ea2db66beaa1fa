//! `external.metrics.k8s.io/v1beta1`: Kubernetes asks how many workers are wanted, so that a plain HPA
//! needs no adapter.
//!
//! The API server of the cluster asks for its clients, after it has let them through (RBAC), and shows
//! a certificate that its front proxy's authority has signed; nobody else gets a word. It is the only
//! one of an `APIService`, so it is opt-in.

mod metric;
mod selector;
mod tls;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared_runtime::{Kind, Supervisor};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower_service::Service;

use self::metric::NAME;
pub use self::tls::TlsError;
use self::tls::{Handshakes, Keys};
use crate::Scheduler;

/// The group and version that is served.
const GROUP_VERSION: &str = "external.metrics.k8s.io/v1beta1";
/// Connections at once: there are a few API servers, with a few connections each.
const CONNECTIONS_MAX: usize = 256;
/// How long a handshake, or the head of a request, may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long finding out how many are wanted may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause after a connection that could not be taken.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How Kubernetes asks for metrics.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ExternalMetrics {
    /// Where to listen, e.g. `0.0.0.0:6443`.
    pub listen: SocketAddr,
    /// A PEM file with our certificate, made out to `<service>.<namespace>.svc`, and those between it
    /// and its authority. Read again when it changes.
    pub cert_file: PathBuf,
    /// A PEM file with its key.
    pub key_file: PathBuf,
    /// A PEM file with the authority of the API server's front proxy: `requestheader-client-ca-file`
    /// in the ConfigMap `extension-apiserver-authentication` of `kube-system`.
    pub client_ca_file: PathBuf,
}

/// Serves the metrics until the supervisor stops. Returns the address that it serves.
///
/// # Errors
/// [`TlsError`] if a file cannot be used, or the address not be listened on.
pub async fn serve(
    scheduler: Scheduler,
    config: &ExternalMetrics,
    supervisor: &Supervisor,
) -> Result<SocketAddr, TlsError> {
    let handshakes = Handshakes::new(Keys::of(config))?;
    let failed = |source| TlsError::Listen { address: config.listen, source };
    let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let (router, stop) = (router(scheduler), supervisor.stopping_of(Kind::Http));
    supervisor.spawn(Kind::Http, async move {
        accept(listener, Arc::new(handshakes), router, stop).await;
        Ok(())
    });
    Ok(address)
}

async fn accept(
    listener: TcpListener,
    handshakes: Arc<Handshakes>,
    router: Router,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    // Dropped at the end, and what is open with it: whoever asks asks again, and somebody else.
    let mut open = JoinSet::new();
    loop {
        let taken = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (listener.accept().await, place)
        };
        let (taken, place) = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            taken = taken => taken,
        };
        while open.try_join_next().is_some() {}
        match taken {
            Ok((stream, _)) => {
                let served = connection(stream, Arc::clone(&handshakes), router.clone());
                open.spawn(async move {
                    served.await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection for metrics could not be taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, handshakes: Arc<Handshakes>, router: Router) {
    let stream = match tokio::time::timeout(HEAD_TIMEOUT, handshakes.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "whoever asks for metrics is refused"),
        Err(_) => return tracing::debug!("whoever asks for metrics did not say who they are"),
    };
    let answer = service_fn(move |request: Request<Incoming>| {
        let mut router = router.clone();
        async move { router.call(request.map(Body::new)).await }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), answer);
    if let Err(error) = served.await {
        tracing::debug!(%error, "a connection for metrics broke");
    }
}

fn router(scheduler: Scheduler) -> Router {
    let group = format!("/apis/{GROUP_VERSION}");
    Router::new()
        .route(&group, get(resources))
        .route(&format!("{group}/namespaces/{{namespace}}/{{metric}}"), get(values))
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(|| async { "ok" }))
        .fallback(async || failure(StatusCode::NOT_FOUND, "NotFound", "there is nothing here"))
        .with_state(scheduler)
}

/// What can be asked for.
async fn resources() -> Json<Value> {
    Json(json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": GROUP_VERSION,
        "resources": [{
            "name": NAME, "singularName": "", "namespaced": true,
            "kind": "ExternalMetricValueList", "verbs": ["get"],
        }],
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    #[serde(default)]
    label_selector: String,
}

/// How many workers are wanted: the same in every namespace.
async fn values(
    State(scheduler): State<Scheduler>,
    Path((_namespace, metric)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Response {
    if metric != NAME {
        let why = format!("there is no metric `{metric}` here; ask for `{NAME}`");
        return failure(StatusCode::NOT_FOUND, "NotFound", &why);
    }
    let selector = match selector::read(&asked.label_selector) {
        Ok(selector) => selector,
        Err(why) => return failure(StatusCode::BAD_REQUEST, "BadRequest", &why),
    };
    let found = tokio::time::timeout(ANSWER_TIMEOUT, scheduler.fleet()).await;
    let why = match found {
        Ok(Ok(fleet)) => return Json(metric::list(&fleet, &selector)).into_response(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("nobody said within {ANSWER_TIMEOUT:?} which workers live"),
    };
    // Without an answer an HPA leaves the workers as they are.
    failure(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", &why)
}

/// An error as Kubernetes writes it.
fn failure(code: StatusCode, reason: &str, message: &str) -> Response {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code.as_u16(),
    });
    (code, Json(status)).into_response()
}

#[cfg(test)]
mod tests;
