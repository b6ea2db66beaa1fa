//! What is asked of workers, counted as the loop stores it: an execution that changed says what it has
//! in flight, and the difference to what it said before is added up. Nothing walks all of them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use scheduler_engine::autoscale::Demand;
use scheduler_engine::event::AttemptKey;
use scheduler_engine::plan::TaskKind;
use scheduler_engine::{Execution, Flight};
use serde::{Deserialize, Serialize};
use shared_model::{Capability, ExecutionId};

/// How long one count of ended attempts goes on.
const SPAN: Duration = Duration::from_secs(5);
/// Counts that are kept: together a minute.
const SPANS: usize = 12;

/// What one scheduler knows to be asked of workers with a capability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// The capability.
    pub capability: Capability,
    /// Attempts that are ready and wait for a slot.
    pub ready: u64,
    /// Attempts that a worker has.
    pub running: u64,
    /// Since when the oldest ready one waits.
    pub oldest: Option<Timestamp>,
    /// Attempts that ended a second, in the last minute.
    pub drained_per_second: f64,
}

impl Part {
    /// The same, at a time.
    pub(super) fn demand(&self, at: Timestamp) -> Demand {
        let waited = self.oldest.map(|since| at.duration_since(since));
        Demand {
            ready: self.ready,
            running: self.running,
            oldest_wait: waited.unwrap_or_default().max(SignedDuration::ZERO),
            drained_per_second: self.drained_per_second,
        }
    }
}

/// What is in flight of the executions of this process.
#[derive(Debug, Default)]
pub(crate) struct Counted(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    executions: BTreeMap<ExecutionId, Vec<Attempt>>,
    capabilities: BTreeMap<Capability, Counts>,
}

#[derive(Debug, PartialEq)]
struct Attempt {
    key: AttemptKey,
    capability: Capability,
    running: bool,
    since: Timestamp,
}

#[derive(Debug, Default)]
struct Counts {
    /// How many wait since when.
    ready: BTreeMap<Timestamp, u64>,
    running: u64,
    drained: Drained,
}

impl Counted {
    /// Notes what an execution has in flight now, in place of what it had.
    pub(crate) fn note(&self, execution: &Execution, now: Duration) {
        let attempts = execution.in_flight().filter_map(|flight| attempt(execution, &flight));
        let attempts: Vec<Attempt> = attempts.collect();
        self.table().replace(execution.id(), attempts, Some(now));
    }

    /// An execution has ended, or is no longer this process's.
    pub(crate) fn forget(&self, execution: &ExecutionId) {
        self.table().replace(execution, Vec::new(), None);
    }

    /// What is asked of workers, by capability.
    pub(crate) fn parts(&self, now: Duration) -> Vec<Part> {
        let table = self.table();
        let part = |(capability, counts): (&Capability, &Counts)| Part {
            capability: capability.clone(),
            ready: counts.ready.values().sum(),
            running: counts.running,
            oldest: counts.ready.keys().next().copied(),
            drained_per_second: counts.drained.per_second(now),
        };
        table.capabilities.iter().map(part).collect()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn attempt(execution: &Execution, flight: &Flight) -> Option<Attempt> {
    let Flight { attempt: key, leased, since, .. } = *flight;
    match &execution.stage(key.stage).task(key.task).kind {
        TaskKind::Worker { capability, .. } => {
            Some(Attempt { key, capability: capability.clone(), running: leased, since })
        }
        TaskKind::Native | TaskKind::Wait { .. } | TaskKind::Judgment | TaskKind::Child => None,
    }
}

impl Table {
    /// `now` is given where what is gone has ended, and not only left.
    fn replace(&mut self, id: &ExecutionId, attempts: Vec<Attempt>, now: Option<Duration>) {
        let before = self.executions.remove(id).unwrap_or_default();
        for old in &before {
            let counts = self.counts(&old.capability);
            counts.remove(old);
            let is_gone = !attempts.iter().any(|new| new.key == old.key);
            if let Some(now) = now.filter(|_| is_gone) {
                counts.drained.note(now);
            }
        }
        for new in &attempts {
            self.counts(&new.capability).add(new);
        }
        if !attempts.is_empty() {
            self.executions.insert(id.clone(), attempts);
        }
    }

    fn counts(&mut self, capability: &Capability) -> &mut Counts {
        self.capabilities.entry(capability.clone()).or_default()
    }
}

impl Counts {
    fn add(&mut self, attempt: &Attempt) {
        match attempt.running {
            true => self.running += 1,
            false => *self.ready.entry(attempt.since).or_default() += 1,
        }
    }

    fn remove(&mut self, attempt: &Attempt) {
        if attempt.running {
            self.running -= 1;
        } else if let Some(count) = self.ready.get_mut(&attempt.since) {
            *count -= 1;
            if *count == 0 {
                self.ready.remove(&attempt.since);
            }
        }
    }
}

/// How many ended in each of the last spans.
#[derive(Debug, Default)]
struct Drained([(u64, u64); SPANS]);

impl Drained {
    fn note(&mut self, now: Duration) {
        let span = span(now);
        let place = (span % SPANS as u64) as usize;
        if self.0[place].0 != span {
            self.0[place] = (span, 0);
        }
        self.0[place].1 += 1;
    }

    fn per_second(&self, now: Duration) -> f64 {
        let span = span(now);
        let recent = self.0.iter().filter(|(then, _)| then + SPANS as u64 > span);
        let count: u64 = recent.map(|(_, count)| count).sum();
        count as f64 / (SPAN.as_secs() * SPANS as u64) as f64
    }
}

/// Counts spans from 1: 0 is none.
fn span(now: Duration) -> u64 {
    now.as_secs() / SPAN.as_secs() + 1
}

#[cfg(test)]
mod tests;
