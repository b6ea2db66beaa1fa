//! Leases that cannot be reached at times.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use shared_adapters::memory::MemoryLeases;
use shared_model::{AttemptId, Epoch, WorkerId};
use shared_ports::leases::{Claim, Heard, Heartbeat, Holder, Leases, Note};
use shared_ports::{Clock, PortError};

use super::chance::Weather;
use super::ledger::Ledger;
use super::life::Life;
use super::owners::Owners;

/// Calls of which one fails before, and one after it was carried out.
const CALLS: u64 = 25;
/// What schedulers say of themselves is said about that.
const SCHEDULERS: &str = "schedulers";

/// The server. Once it came back empty it says nothing of what it does not know, for as long as somebody
/// may hold what it forgot, and takes the word of whoever beats: as Redis does.
pub(crate) struct Server {
    clock: Arc<dyn Clock>,
    grace: Duration,
    state: Mutex<State>,
}

struct State {
    inner: Arc<MemoryLeases>,
    silent_until: Duration,
}

impl Server {
    pub(crate) fn new(clock: Arc<dyn Clock>, grace: Duration) -> Self {
        let inner = Arc::new(MemoryLeases::new(Arc::clone(&clock)));
        let state = State { inner, silent_until: Duration::ZERO };
        Self { clock, grace, state: Mutex::new(state) }
    }

    /// Comes back empty.
    pub(crate) fn forget(&self) {
        let inner = Arc::new(MemoryLeases::new(Arc::clone(&self.clock)));
        let silent_until = self.clock.elapsed() + self.grace;
        *self.lock() = State { inner, silent_until };
    }

    fn inner(&self) -> Arc<MemoryLeases> {
        Arc::clone(&self.lock().inner)
    }

    /// Whether what is not known may be held all the same.
    fn is_silent(&self) -> bool {
        self.clock.elapsed() < self.lock().silent_until
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn claim(
        &self,
        attempt: &AttemptId,
        epoch: Epoch,
        holder: &Holder,
        ttl: SignedDuration,
    ) -> Result<Claim, PortError> {
        if self.is_silent() {
            self.holders(std::slice::from_ref(attempt)).await?;
        }
        self.inner().claim(attempt, epoch, holder, ttl).await
    }

    async fn beat(&self, heartbeat: &Heartbeat, ttl: SignedDuration) -> Result<Heard, PortError> {
        let inner = self.inner();
        if self.is_silent() {
            let holder = Holder::new(heartbeat.worker.clone(), &*heartbeat.instance);
            for (attempt, epoch) in &heartbeat.in_flight {
                if inner.holders(std::slice::from_ref(attempt)).await? == [None] {
                    inner.claim(attempt, *epoch, &holder, ttl).await?;
                }
            }
        }
        inner.beat(heartbeat, ttl).await
    }

    async fn holders(
        &self,
        attempts: &[AttemptId],
    ) -> Result<Vec<Option<(WorkerId, Epoch)>>, PortError> {
        let holders = self.inner().holders(attempts).await?;
        if self.is_silent() && holders.contains(&None) {
            let source = "it came back empty a short time ago".into();
            return Err(PortError::Unavailable { doing: "asking for a lease".into(), source });
        }
        Ok(holders)
    }
}

pub(crate) struct FaultyLeases {
    pub(crate) server: Arc<Server>,
    pub(crate) weather: Weather,
    pub(crate) life: Arc<Life>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) owners: Arc<Owners>,
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
            let claim = self.server.claim(attempt, epoch, holder, ttl).await?;
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
            let heard = self.server.beat(heartbeat, ttl).await?;
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
        self.reach("leaving", async { self.server.inner().leave(holder).await }).await
    }

    async fn release(&self, attempt: &AttemptId, epoch: Epoch) -> Result<(), PortError> {
        let released = async { self.server.inner().release(attempt, epoch).await };
        self.reach("releasing", released).await
    }

    async fn holders(
        &self,
        attempts: &[AttemptId],
    ) -> Result<Vec<Option<(WorkerId, Epoch)>>, PortError> {
        self.reach("asking who holds what", self.server.holders(attempts)).await
    }

    async fn live(&self) -> Result<Vec<(Heartbeat, Timestamp)>, PortError> {
        self.reach("asking who lives", async { self.server.inner().live().await }).await
    }

    async fn note(&self, note: &Note, ttl: SignedDuration) -> Result<(), PortError> {
        let said = async {
            self.server.inner().note(note, ttl).await?;
            if note.topic == SCHEDULERS {
                self.owners.said(&note.name, &note.body, self.server.clock.elapsed());
            }
            Ok(())
        };
        self.reach("saying something", said).await
    }

    async fn notes(&self, topic: &str) -> Result<Vec<Note>, PortError> {
        self.reach("asking what was said", async { self.server.inner().notes(topic).await }).await
    }
}
