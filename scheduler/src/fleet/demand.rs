//! What is asked of workers, counted as the loop stores it: an execution says of the stages that
//! changed what they have in flight, and the difference to what they had before is added up. Nothing
//! walks all executions, nor all stages of a large one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use scheduler_engine::autoscale::Demand;
use scheduler_engine::event::{AttemptKey, StageIndex};
use scheduler_engine::plan::TaskKind;
use scheduler_engine::{Execution, Flight};
use serde::{Deserialize, Serialize};
use shared_model::{Capability, ExecutionId, Status};

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
    executions: BTreeMap<ExecutionId, Known>,
    capabilities: BTreeMap<Capability, Counts>,
}

/// What an execution has in flight.
#[derive(Debug, Default)]
struct Known {
    /// Nobody is to begin with anything while it is held: that is said of all its stages at once.
    is_held: bool,
    attempts: BTreeMap<StageIndex, Attempt>,
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
    /// Notes what the stages of an execution that changed have in flight now, in place of what they had;
    /// what all have, where that is not known yet.
    pub(crate) fn note(
        &self,
        execution: &Execution,
        changed: Option<&BTreeSet<StageIndex>>,
        now: Duration,
    ) {
        let is_held = execution.status() == Status::Paused;
        let mut table = self.table();
        let known = table.executions.get(execution.id());
        match changed.filter(|_| known.is_some_and(|known| known.is_held == is_held)) {
            Some(changed) => {
                let of = |stage: &StageIndex| {
                    let flight = execution.flight(*stage);
                    (*stage, flight.and_then(|flight| attempt(execution, &flight)))
                };
                changed.iter().map(of).for_each(|(stage, attempt)| {
                    table.replace(execution.id(), stage, attempt, now);
                });
            }
            None => {
                let flights = execution.in_flight();
                let attempts = flights.filter_map(|flight| {
                    Some((flight.attempt.stage, attempt(execution, &flight)?))
                });
                table.replace_all(
                    execution.id(),
                    Known { is_held, attempts: attempts.collect() },
                    now,
                );
            }
        }
    }

    /// An execution has ended, or is no longer this process's.
    pub(crate) fn forget(&self, execution: &ExecutionId) {
        self.table().forget(execution);
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
    /// One stage's attempt, in place of the one that it had: that one has ended.
    fn replace(
        &mut self,
        id: &ExecutionId,
        stage: StageIndex,
        attempt: Option<Attempt>,
        now: Duration,
    ) {
        let Some(known) = self.executions.get_mut(id) else { return };
        let key = attempt.as_ref().map(|attempt| attempt.key);
        if let Some(new) = &attempt {
            self.capabilities.entry(new.capability.clone()).or_default().add(new);
        }
        let old = match attempt {
            Some(new) => known.attempts.insert(stage, new),
            None => known.attempts.remove(&stage),
        };
        let Some(old) = old else { return };
        let counts = self.capabilities.entry(old.capability.clone()).or_default();
        counts.remove(&old);
        if key != Some(old.key) {
            counts.drained.note(now);
        }
    }

    /// All of an execution's attempts, in place of those that it had.
    fn replace_all(&mut self, id: &ExecutionId, now_known: Known, now: Duration) {
        let known = self.executions.entry(id.clone()).or_default();
        known.is_held = now_known.is_held;
        let stages: BTreeSet<StageIndex> =
            known.attempts.keys().chain(now_known.attempts.keys()).copied().collect();
        let mut attempts = now_known.attempts;
        for stage in stages {
            let attempt = attempts.remove(&stage);
            self.replace(id, stage, attempt, now);
        }
    }

    /// What is left only leaves: nothing of it has ended here.
    fn forget(&mut self, id: &ExecutionId) {
        let known = self.executions.remove(id).unwrap_or_default();
        for old in known.attempts.values() {
            self.capabilities.entry(old.capability.clone()).or_default().remove(old);
        }
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
