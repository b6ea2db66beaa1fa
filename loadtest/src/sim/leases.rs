//! Leases that cannot be reached at times.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use shared_adapters::memory::MemoryLeases;
use shared_model::{AttemptId, Epoch, WorkerId};
use shared_ports::PortError;
use shared_ports::leases::{Claim, Heard, Heartbeat, Holder, Leases, Note};

use super::chance::Weather;
use super::ledger::Ledger;
use super::life::Life;

/// Calls of which one fails before, and one after it was carried out.
const CALLS: u64 = 25;

pub(crate) struct FaultyLeases {
    pub(crate) inner: Arc<MemoryLeases>,
    pub(crate) weather: Weather,
    pub(crate) life: Arc<Life>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) always_granted: bool,
}

impl FaultyLeases {
    async fn reach<T>(
        &self,
        doing: &str,
        call: impl Future<Output = Result<T, PortError>>,
    ) -> Result<T, PortError> {
        let call = async {
            self.weather.fail(CALLS, doing)?;
            let done = call.await?;
            self.weather.fail(CALLS, doing)?;
            Ok(done)
        };
        self.life.call(call).await
    }
}

#[async_trait]
impl Leases for FaultyLeases {
    async fn claim(
        &self,
        attempt: &AttemptId,
        epoch: Epoch,
        holder: &Holder,
        ttl: SignedDuration,
    ) -> Result<Claim, PortError> {
        let claim = async {
            let claim = self.inner.claim(attempt, epoch, holder, ttl).await?;
            if claim == Claim::Granted {
                self.ledger.is_leased(attempt, epoch);
            }
            Ok(claim)
        };
        let claim = self.reach("claiming", claim).await?;
        let claim = if self.always_granted { Claim::Granted } else { claim };
        if claim == Claim::Granted {
            self.ledger.is_granted(attempt, epoch, holder);
        }
        Ok(claim)
    }

    async fn beat(&self, heartbeat: &Heartbeat, ttl: SignedDuration) -> Result<Heard, PortError> {
        let heard = async {
            let heard = self.inner.beat(heartbeat, ttl).await?;
            let renewed = |(attempt, _): &&(AttemptId, Epoch)| !heard.lost.contains(attempt);
            for (attempt, epoch) in heartbeat.in_flight.iter().filter(renewed) {
                self.ledger.is_leased(attempt, *epoch);
            }
            Ok(heard)
        };
        let heard = self.reach("beating", heard).await?;
        let lost = if self.always_granted { Vec::new() } else { heard.lost };
        Ok(Heard { lost, ..heard })
    }

    async fn leave(&self, holder: &Holder) -> Result<(), PortError> {
        self.reach("leaving", self.inner.leave(holder)).await
    }

    async fn release(&self, attempt: &AttemptId, epoch: Epoch) -> Result<(), PortError> {
        self.reach("releasing", self.inner.release(attempt, epoch)).await
    }

    async fn holders(
        &self,
        attempts: &[AttemptId],
    ) -> Result<Vec<Option<(WorkerId, Epoch)>>, PortError> {
        self.reach("asking who holds what", self.inner.holders(attempts)).await
    }

    async fn live(&self) -> Result<Vec<(Heartbeat, Timestamp)>, PortError> {
        self.reach("asking who lives", self.inner.live()).await
    }

    async fn note(&self, note: &Note, ttl: SignedDuration) -> Result<(), PortError> {
        self.reach("saying something", self.inner.note(note, ttl)).await
    }

    async fn notes(&self, topic: &str) -> Result<Vec<Note>, PortError> {
        self.reach("asking what was said", self.inner.notes(topic)).await
    }
}
