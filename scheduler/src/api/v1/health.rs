//! Whether it is there, and whether what it stands on is.

use std::time::Duration;

use axum::Json;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use shared_ports::journal::{Kind, Query};
use shared_ports::{LogName, PortError};

use super::super::State;
use super::super::schema::{Check, Health, Readiness, Version};

/// How long one check may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);
/// A check whose failure takes everything out of service.
const FAILED: &str = "failed";
/// A check whose failure makes some work wait.
const DEGRADED: &str = "degraded";

/// Says that it is there, as Gate does.
#[utoipa::path(get, path = "/health", tag = "probes", operation_id = "health",
    responses((status = 200, description = "It is there.", body = Health)))]
pub(in super::super) async fn health() -> Json<Health> {
    Json(Health { status: "UP" })
}

/// Says which version it is.
#[utoipa::path(get, path = "/version", tag = "probes", operation_id = "getVersion",
    responses((status = 200, description = "The version.", body = Version)))]
pub(in super::super) async fn version() -> Json<Version> {
    Json(Version { version: env!("CARGO_PKG_VERSION") })
}

/// Says that the process answers, and nothing else.
#[utoipa::path(get, path = "/livez", tag = "probes", operation_id = "live",
    responses((status = 200, description = "It answers.", body = Health)))]
pub(in super::super) async fn live() -> Json<Health> {
    Json(Health { status: "live" })
}

/// Says whether everything that work needs is there: a check by name for each.
#[utoipa::path(get, path = "/readyz", tag = "probes", operation_id = "ready",
    responses(
        (status = 200, description = "All of it is, or (`degraded`) some work waits and requests are \
         answered all the same.", body = Readiness),
        (status = 503, description = "Something is not.", body = Readiness)))]
pub(in super::super) async fn ready(Shared(state): Shared<State>) -> (StatusCode, Json<Readiness>) {
    let (stored, broker, leases) = tokio::join!(stored(&state), broker(&state), leases(&state));
    let checks: Vec<Check> = stored.into_iter().chain([broker, leases]).collect();
    let any = |status: &str| checks.iter().any(|check| check.status == status);
    let (code, status) = match (any(FAILED), any(DEGRADED)) {
        (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
        (false, true) => (StatusCode::OK, DEGRADED),
        (false, false) => (StatusCode::OK, "ready"),
    };
    (code, Json(Readiness { status, checks }))
}

/// Without these no request can be carried out.
async fn stored(state: &State) -> [Check; 4] {
    let ports = state.scheduler.ports();
    let newest = Query { kind: Some(Kind::Pipeline), limit: 1, ..Query::default() };
    let nobody = LogName { execution: "readiness".into(), stage: "0".into() };
    let journal = check("journal", FAILED, async {
        ports.journal.search(&newest).await?;
        state.scheduler.is_storing()?;
        ports.journal.ready().await
    });
    let documents =
        check("documents", FAILED, async { ports.documents.get("readiness", "0").await.map(drop) });
    let blobs = check("blobs", FAILED, async {
        ports.blobs.read(&nobody, 0, 1).await?;
        ports.blobs.ready().await
    });
    let driver = check("driver", FAILED, async { state.scheduler.is_running() });
    let (journal, documents, blobs, driver) = tokio::join!(journal, documents, blobs, driver);
    [journal, documents, blobs, driver]
}

/// Without it work waits, while requests are stored: no reason to send them elsewhere, where it is
/// just as lost.
async fn broker(state: &State) -> Check {
    let broker = &state.scheduler.ports().broker;
    check("broker", DEGRADED, async { broker.set_aside().await.map(drop) }).await
}

/// Without them only takeovers wait; for a while after their store came up empty nothing new begins.
async fn leases(state: &State) -> Check {
    let leases = &state.scheduler.ports().leases;
    let look = async {
        leases.live().await?;
        leases.are_given_out().await
    };
    check("leases", DEGRADED, look).await
}

/// `otherwise` is what it is called when it is not well.
async fn check(
    name: &'static str,
    otherwise: &'static str,
    look: impl Future<Output = Result<(), PortError>>,
) -> Check {
    let why = match tokio::time::timeout(CHECK_TIMEOUT, look).await {
        Ok(Ok(())) => return Check { name, status: "ok", why: None },
        Ok(Err(error)) => error.with_causes(),
        Err(_) => format!("no answer within {CHECK_TIMEOUT:?}"),
    };
    Check { name, status: otherwise, why: Some(why) }
}
