//! One beat for everything in flight; what is no longer ours ends.

use std::sync::Arc;
use std::time::Duration;

use shared_model::{AttemptId, Capability, Epoch};
use shared_ports::{Claim, Heartbeat, Holder, WorkerPorts};
use shared_runtime::metrics::metrics;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::Config;
use crate::in_flight::{InFlight, Why};
use crate::standing::{Known, Name};
use crate::vitals::Monitor;

type InFlightOf = (AttemptId, Epoch);

/// How long a worker that ends waits until that is known.
const LEAVE_LIMIT: Duration = Duration::from_secs(2);

/// What beats.
pub(crate) struct Beats {
    pub(crate) config: Arc<Config>,
    pub(crate) holder: Holder,
    pub(crate) ports: WorkerPorts,
    pub(crate) capabilities: Vec<Capability>,
    pub(crate) catalog_hash: String,
    pub(crate) in_flight: InFlight,
    pub(crate) draining: CancellationToken,
    /// `None` where nothing is told of the machine.
    pub(crate) monitor: Option<Monitor>,
    pub(crate) known: watch::Sender<Known>,
}

impl Beats {
    /// Beats until `done`. Without a beat for two thirds of the lease everything ends that nobody would
    /// recognise, were it done twice: somebody else may take it over from then on.
    pub(crate) async fn run(self, done: CancellationToken) -> anyhow::Result<()> {
        let clock = Arc::clone(&self.ports.clock);
        let patience = self.config.lease_ttl.unsigned_abs() * 2 / 3;
        let (mut last, mut says_so) = (clock.elapsed(), false);
        loop {
            let before = clock.elapsed();
            let left = |now: Duration| (last + patience).checked_sub(now).filter(|d| !d.is_zero());
            let limit = left(before).unwrap_or(self.config.heartbeat_interval);
            let mut pause = self.config.heartbeat_interval;
            if self.beat(limit, last).await {
                last = before;
            } else if let Some(left) = left(clock.elapsed()) {
                pause = pause.min(left);
            } else {
                self.in_flight.stop_those_that_need_leases();
            }
            tokio::select! {
                biased;
                () = done.cancelled() => {
                    self.leave().await;
                    return Ok(());
                }
                // Whoever counts on its slots is to hear of it at once.
                () = self.draining.cancelled(), if !says_so => says_so = true,
                () = clock.sleep(pause) => {}
            }
        }
    }

    /// So that nobody counts on it for as long as its last beat lives.
    async fn leave(&self) {
        let left = tokio::select! {
            biased;
            left = self.ports.leases.leave(&self.holder) => left,
            () = self.ports.clock.sleep(LEAVE_LIMIT) => return,
        };
        if let Err(error) = left {
            tracing::debug!(%error, "this worker counts as live until its last beat lapses");
        }
    }

    /// Whether the beat was heard.
    async fn beat(&self, limit: Duration, last: Duration) -> bool {
        let unleased = self.in_flight.list_unleased();
        let listed = self.in_flight.list().into_iter().chain(unleased.iter().cloned());
        let heartbeat = Heartbeat {
            worker: self.holder.worker.clone(),
            instance: self.holder.instance.clone(),
            capabilities: self.capabilities.clone(),
            slots: self.config.slots,
            in_flight: listed.collect(),
            vitals: self.monitor.as_ref().map(Monitor::read).unwrap_or_default(),
            catalog: self.catalog_hash.clone(),
            draining: self.draining.is_cancelled(),
            takes_out: true,
        };
        let beat = self.ports.leases.beat(&heartbeat, self.config.lease_ttl);
        let heard = tokio::select! {
            biased;
            heard = beat => heard,
            () = self.ports.clock.sleep(limit) => {
                metrics().heartbeat(false);
                self.nobody_says(last);
                return false;
            }
        };
        metrics().heartbeat(heard.is_ok());
        match heard {
            Ok(heard) => {
                self.name_is(heard.name_taken);
                self.sort_out(&heartbeat.in_flight, &unleased, &heard.lost);
                self.claim_late().await;
                true
            }
            Err(error) => {
                tracing::warn!(%error, "a heartbeat was not heard");
                self.nobody_says(last);
                false
            }
        }
    }

    /// What lost its lease ends; what had none, and is not lost, has one now.
    fn sort_out(&self, listed: &[InFlightOf], unleased: &[InFlightOf], lost: &[AttemptId]) {
        for one @ (attempt, epoch) in listed {
            match (unleased.contains(one), lost.contains(attempt)) {
                (true, true) | (false, false) => {}
                (true, false) => self.in_flight.claimed(attempt, *epoch),
                (false, true) => {
                    tracing::warn!(%attempt, %epoch, "its lease is gone; it ends");
                    self.in_flight.stop(attempt, *epoch, Why::LeaseLost);
                }
            }
        }
    }

    /// Asks for the leases of what began without one.
    async fn claim_late(&self) {
        for (attempt, epoch) in self.in_flight.list_unleased() {
            let ttl = self.config.lease_ttl;
            match self.ports.leases.claim(&attempt, epoch, &self.holder, ttl).await {
                Ok(Claim::Granted) => self.in_flight.claimed(&attempt, epoch),
                Ok(
                    Claim::Refused { holder, epoch: newest }
                    | Claim::Ended { holder, epoch: newest },
                ) => {
                    tracing::warn!(%attempt, %epoch, %holder, %newest, "another has it; it ends");
                    self.in_flight.stop(&attempt, epoch, Why::LeaseLost);
                }
                Err(error) => {
                    return tracing::debug!(%attempt, %error, "still without a lease");
                }
            }
        }
    }

    /// Whoever cannot ask whose its name is works: the name is but a name, and claims tell two apart.
    fn nobody_says(&self, last: Duration) {
        let silence = self.ports.clock.elapsed().saturating_sub(last);
        let unheard = silence >= self.config.heartbeat_interval * 5 / 2;
        let before = self.known.borrow().name;
        let name = if before == Name::Unknown { Name::Own } else { before };
        self.is_known(Known { name, unheard });
    }

    fn name_is(&self, taken: bool) {
        let name = if taken { Name::Taken } else { Name::Own };
        let before = self.known.borrow().name;
        self.is_known(Known { name, unheard: false });
        let worker = &self.holder.worker;
        match (before, name) {
            (Name::Unknown | Name::Own, Name::Taken) => tracing::error!(
                %worker, "another worker that lives has this name and was first: no work is taken until \
                that one is gone; give each worker a name of its own"
            ),
            (Name::Taken, Name::Own) => {
                tracing::info!(%worker, "the other worker of this name is gone; work is taken");
            }
            (Name::Unknown | Name::Own | Name::Taken, _) => {}
        }
    }

    fn is_known(&self, now: Known) {
        self.known.send_if_modified(|known| std::mem::replace(known, now) != now);
    }
}
