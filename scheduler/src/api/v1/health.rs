//! Whether it is there, and whether what it stands on is.

use std::time::Duration;

use axum::Json;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use serde_json::{Value, json};
use shared_ports::journal::{Kind, Query};
use shared_ports::{LogName, PortError};

use super::super::State;

/// How long one check may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

pub(in super::super) async fn health() -> Json<Value> {
    Json(json!({ "status": "UP" }))
}

pub(in super::super) async fn version() -> Json<Value> {
    Json(json!({ "version": env!("CARGO_PKG_VERSION") }))
}

/// The process answers: that is all that this says.
pub(in super::super) async fn live() -> Json<Value> {
    Json(json!({ "status": "live" }))
}

/// A check by name for each thing that work needs; 503 if one of them fails.
pub(in super::super) async fn ready(Shared(state): Shared<State>) -> (StatusCode, Json<Value>) {
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
    let is_ready = checks.iter().all(|check| check["status"] == "ok");
    let (code, status) = match is_ready {
        true => (StatusCode::OK, "ready"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
    };
    (code, Json(json!({ "status": status, "checks": checks })))
}

async fn check(name: &str, look: impl Future<Output = Result<(), PortError>>) -> Value {
    let why = match tokio::time::timeout(CHECK_TIMEOUT, look).await {
        Ok(Ok(())) => return json!({ "name": name, "status": "ok" }),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {CHECK_TIMEOUT:?}"),
    };
    json!({ "name": name, "status": "failed", "why": why })
}
