//! Metrics as text.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State as Shared;
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use futures::future::join_all;
use shared_model::Capability;
use shared_ports::Queue;
use shared_runtime::metrics::{Asked, OPEN_METRICS, PROMETHEUS, metrics};

use super::super::State;
use crate::fleet::FleetView;

/// How long the broker may take to say how much waits; what it does not say in time stays as it was.
const DEPTH_TIMEOUT: Duration = Duration::from_millis(500);

/// Shows what is counted and measured.
///
/// As OpenMetrics where `Accept` asks for it, else as Prometheus' text. The store is not asked; the
/// broker is, for a number per capability, and so is who keeps the workers' heartbeats.
#[utoipa::path(get, path = "/metrics", tag = "probes", operation_id = "getMetrics",
    responses((status = 200, description = "Everything that is recorded.", content(
        (String = "text/plain"),
        (String = "application/openmetrics-text")))))]
pub(in super::super) async fn scrape(
    Shared(state): Shared<State>,
    headers: HeaderMap,
) -> impl IntoResponse {
    let fleet = ask_fleet(&state).await;
    ask_depths(&state, fleet.as_deref()).await;
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let (kind, text) = match accept.is_some_and(|kinds| kinds.contains("openmetrics-text")) {
        true => (OPEN_METRICS, metrics().open_metrics()),
        false => (PROMETHEUS, metrics().prometheus()),
    };
    ([(header::CONTENT_TYPE, kind)], text)
}

/// Queues that nobody reads are not looked at: there are as many as documents name accounts.
async fn ask_depths(state: &State, fleet: Option<&FleetView>) {
    let broker = &state.scheduler.ports().broker;
    let workers = fleet.into_iter().flat_map(|fleet| &fleet.workers);
    let read = workers.flat_map(|worker| worker.capabilities.iter().map(Capability::new));
    let capabilities: BTreeSet<_> =
        state.scheduler.capabilities().into_iter().chain(read).collect();
    let depths = capabilities.into_iter().map(|capability| async move {
        let depth = broker.depth(&Queue::Ready(capability.clone())).await;
        if let Ok(waiting) = depth {
            metrics().queue_ready(capability.as_str(), waiting);
        }
    });
    drop(tokio::time::timeout(DEPTH_TIMEOUT, join_all(depths)).await);
}

/// Without an answer the last figures stay as they were.
async fn ask_fleet(state: &State) -> Option<Arc<FleetView>> {
    let asked = tokio::time::timeout(DEPTH_TIMEOUT, state.scheduler.fleet()).await;
    let Ok(Ok(fleet)) = asked else { return None };
    for capability in &fleet.capabilities {
        let demand = &capability.demand;
        let oldest_wait = Duration::from_secs_f64(demand.oldest_wait_seconds.unwrap_or_default());
        let (ready, running, wanted) = (demand.ready, demand.running, capability.wanted);
        let asked = Asked { ready, running, oldest_wait, wanted };
        metrics().asked(&capability.name, &asked);
    }
    for pool in &fleet.pools {
        metrics().pool(&pool.name, pool.workers, pool.wanted);
    }
    Some(fleet)
}
