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
        (status = 200, description = "All of it is.", body = Readiness),
        (status = 503, description = "Something is not.", body = Readiness)))]
pub(in super::super) async fn ready(Shared(state): Shared<State>) -> (StatusCode, Json<Readiness>) {
    let ports = state.scheduler.ports();
    let newest = Query { kind: Some(Kind::Pipeline), limit: 1, ..Query::default() };
    let nobody = LogName { execution: "readiness".into(), stage: "0".into() };
    let checks = [
        check("journal", async {
            ports.journal.search(&newest).await?;
            state.scheduler.is_storing()?;
            ports.journal.ready().await
        })
        .await,
        check("documents", async { ports.documents.get("readiness", "0").await.map(drop) }).await,
        check("blobs", async {
            ports.blobs.read(&nobody, 0, 1).await?;
            ports.blobs.ready().await
        })
        .await,
        check("driver", async { state.scheduler.is_running() }).await,
    ];
    let is_ready = checks.iter().all(|check| check.status == "ok");
    let (code, status) = match is_ready {
        true => (StatusCode::OK, "ready"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
    };
    (code, Json(Readiness { status, checks: checks.into() }))
}

async fn check(name: &'static str, look: impl Future<Output = Result<(), PortError>>) -> Check {
    let why = match tokio::time::timeout(CHECK_TIMEOUT, look).await {
        Ok(Ok(())) => return Check { name, status: "ok", why: None },
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {CHECK_TIMEOUT:?}"),
    };
    Check { name, status: "failed", why: Some(why) }
}
