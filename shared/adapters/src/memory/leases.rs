//! Leases in memory. They die with the process, and so do all who held them.

mod table;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use shared_model::{AttemptId, Epoch, WorkerId};
use shared_ports::leases::{Claim, Heard, Heartbeat, Holder, Leases, Note};
use shared_ports::{Clock, PortError};

use self::table::Table;
use crate::memory::lock;

/// Leases in memory, timed by the durations of a clock, which do not jump as the wall clock may.
pub struct MemoryLeases {
    clock: Arc<dyn Clock>,
    table: Mutex<Table>,
    workers: Mutex<BTreeMap<WorkerId, Beat>>,
    notes: Mutex<Vec<Noted>>,
}

struct Noted {
    note: Note,
    /// By the clock's `elapsed`.
    until: Duration,
}

struct Beat {
    heartbeat: Heartbeat,
    at: Timestamp,
    /// By the clock's `elapsed`.
    until: Duration,
}

impl MemoryLeases {
    /// No leases yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, table: Mutex::default(), workers: Mutex::default(), notes: Mutex::default() }
    }

    fn until(&self, ttl: SignedDuration) -> Duration {
        self.clock.elapsed().saturating_add(Duration::try_from(ttl).unwrap_or_default())
    }
}

#[async_trait]
impl Leases for MemoryLeases {
    async fn claim(
        &self,
        attempt: &AttemptId,
        epoch: Epoch,
        holder: &Holder,
        ttl: SignedDuration,
    ) -> Result<Claim, PortError> {
        let (now, until) = (self.clock.elapsed(), self.until(ttl));
        Ok(lock(&self.table).claim(attempt, epoch, holder, now, until))
    }

    async fn beat(&self, heartbeat: &Heartbeat, ttl: SignedDuration) -> Result<Heard, PortError> {
        let (now, until) = (self.clock.elapsed(), self.until(ttl));
        let beat = Beat { heartbeat: heartbeat.clone(), at: self.clock.now(), until };
        let mut workers = lock(&self.workers);
        workers.retain(|_, beat| beat.until > now);
        let owner = workers.get(&heartbeat.worker).map(|beat| &beat.heartbeat.instance);
        let name_taken = owner.is_some_and(|owner| *owner != heartbeat.instance);
        if !name_taken {
            workers.insert(heartbeat.worker.clone(), beat);
        }
        drop(workers);
        let holder = Holder::new(heartbeat.worker.clone(), &*heartbeat.instance);
        let mut table = lock(&self.table);
        let lost = heartbeat
            .in_flight
            .iter()
            .filter(|(attempt, epoch)| !table.renew(attempt, *epoch, &holder, now, until))
            .map(|(attempt, _)| attempt.clone());
        Ok(Heard { lost: lost.collect(), name_taken })
    }

    async fn leave(&self, holder: &Holder) -> Result<(), PortError> {
        let mut workers = lock(&self.workers);
        if workers.get(&holder.worker).is_some_and(|b| b.heartbeat.instance == holder.instance) {
            workers.remove(&holder.worker);
        }
        Ok(())
    }

    async fn release(&self, attempt: &AttemptId, epoch: Epoch) -> Result<(), PortError> {
        lock(&self.table).release(attempt, epoch, self.clock.elapsed());
        Ok(())
    }

    async fn holders(
        &self,
        attempts: &[AttemptId],
    ) -> Result<Vec<Option<(WorkerId, Epoch)>>, PortError> {
        let now = self.clock.elapsed();
        let table = lock(&self.table);
        Ok(attempts.iter().map(|attempt| table.holder(attempt, now)).collect())
    }

    async fn live(&self) -> Result<Vec<(Heartbeat, Timestamp)>, PortError> {
        let now = self.clock.elapsed();
        let workers = lock(&self.workers);
        let live = workers.values().filter(|beat| beat.until > now);
        Ok(live.map(|beat| (beat.heartbeat.clone(), beat.at)).collect())
    }

    async fn note(&self, note: &Note, ttl: SignedDuration) -> Result<(), PortError> {
        let (now, until) = (self.clock.elapsed(), self.until(ttl));
        let mut notes = lock(&self.notes);
        let is_another = |said: &Note| (&said.topic, &said.name) != (&note.topic, &note.name);
        notes.retain(|noted| noted.until > now && is_another(&noted.note));
        notes.push(Noted { note: note.clone(), until });
        Ok(())
    }

    async fn notes(&self, topic: &str) -> Result<Vec<Note>, PortError> {
        let now = self.clock.elapsed();
        let notes = lock(&self.notes);
        let held = notes.iter().filter(|noted| noted.until > now && noted.note.topic == topic);
        let mut held: Vec<Note> = held.map(|noted| noted.note.clone()).collect();
        held.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(held)
    }
}
