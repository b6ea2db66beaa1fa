//! One beat for everything in flight; what is no longer ours ends.

use std::sync::Arc;
use std::time::Duration;

use shared_model::Capability;
use shared_ports::{Heartbeat, WorkerPorts};
use shared_runtime::metrics::metrics;
use tokio_util::sync::CancellationToken;

use crate::Config;
use crate::in_flight::{InFlight, Why};
use crate::vitals::Monitor;

/// What beats.
pub(crate) struct Beats {
    pub(crate) config: Arc<Config>,
    pub(crate) ports: WorkerPorts,
    pub(crate) capabilities: Vec<Capability>,
    pub(crate) catalog_hash: String,
    pub(crate) in_flight: InFlight,
    pub(crate) draining: CancellationToken,
    pub(crate) monitor: Monitor,
}

impl Beats {
    /// Beats until `done`. Without a beat for two thirds of the lease everything in flight ends:
    /// somebody else may take it over from then on.
    pub(crate) async fn run(self, done: CancellationToken) -> anyhow::Result<()> {
        let clock = Arc::clone(&self.ports.clock);
        let patience = self.config.lease_ttl.unsigned_abs() * 2 / 3;
        let mut last = clock.elapsed();
        loop {
            let before = clock.elapsed();
            let left = |now: Duration| (last + patience).checked_sub(now).filter(|d| !d.is_zero());
            let limit = left(before).unwrap_or(self.config.heartbeat_interval);
            let mut pause = self.config.heartbeat_interval;
            if self.beat(limit).await {
                last = before;
            } else if let Some(left) = left(clock.elapsed()) {
                pause = pause.min(left);
            } else {
                self.in_flight.stop_all(Why::LeaseLost);
            }
            tokio::select! {
                biased;
                () = done.cancelled() => return Ok(()),
                () = clock.sleep(pause) => {}
            }
        }
    }

    /// Whether the beat was heard.
    async fn beat(&self, limit: Duration) -> bool {
        let heartbeat = Heartbeat {
            worker: self.config.id.clone(),
            capabilities: self.capabilities.clone(),
            slots: self.config.slots,
            in_flight: self.in_flight.list(),
            vitals: self.monitor.read(),
            catalog: self.catalog_hash.clone(),
            draining: self.draining.is_cancelled(),
        };
        let beat = self.ports.leases.beat(&heartbeat, self.config.lease_ttl);
        let heard = tokio::select! {
            biased;
            heard = beat => heard,
            () = self.ports.clock.sleep(limit) => {
                metrics().heartbeat(false);
                return false;
            }
        };
        metrics().heartbeat(heard.is_ok());
        match heard {
            Ok(lost) => {
                let listed = heartbeat.in_flight.iter();
                for (attempt, epoch) in listed.filter(|(attempt, _)| lost.contains(attempt)) {
                    tracing::warn!(%attempt, %epoch, "its lease is gone; it ends");
                    self.in_flight.stop(attempt, *epoch, Why::LeaseLost);
                }
                true
            }
            Err(error) => {
                tracing::warn!(%error, "a heartbeat was not heard");
                false
            }
        }
    }
}
