//! The fleet as clients see it.

use jiff::Timestamp;
use scheduler_engine::autoscale::{Demand, Wanted};
use serde::Serialize;
use shared_model::Capability;
use shared_ports::Heartbeat;
use utoipa::ToSchema;

use super::pools::Share;

/// The live workers, and how many are wanted.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FleetView {
    /// When this was so.
    pub at: Timestamp,
    /// The live workers, by name.
    pub workers: Vec<WorkerView>,
    /// What workers can do, or should be able to, by name.
    pub capabilities: Vec<CapabilityView>,
    /// Pools of workers, in the order in which they are configured.
    pub pools: Vec<PoolView>,
    /// Why no worker begins anything for now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_up: Option<String>,
}

/// A live worker.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkerView {
    /// Its name.
    pub name: String,
    /// The pool that it belongs to.
    pub pool: Option<String>,
    /// What it can do.
    pub capabilities: Vec<String>,
    /// Those of them that no stage type here needs: it is given nothing of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown_capabilities: Vec<String>,
    /// Attempts that it can run at once.
    pub slots: u16,
    /// Attempts that it runs.
    pub busy: usize,
    /// Whether it takes no more work, because it is about to stop.
    pub draining: bool,
    /// When its last heartbeat came.
    pub last_beat: Timestamp,
    /// How long ago that was, in seconds.
    pub beat_age_seconds: f64,
    /// Share of its machine's cores in use, 0 to 1.
    pub cpu: f32,
    /// Share of its machine's memory in use, 0 to 1.
    pub memory: f32,
    /// Memory of the worker itself, in bytes.
    pub resident_bytes: u64,
    /// Processes on its machine that run or wait to, on average over a minute.
    pub load: f32,
    /// Share in use of the disk that its tools write to, 0 to 1.
    pub disk: f32,
    /// Hash of the stage types that it knows.
    pub catalog: String,
    /// What it works on.
    pub in_flight: Vec<InFlight>,
}

/// An attempt that a worker has.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InFlight {
    /// The execution.
    pub execution: String,
    /// The stage's `refId`.
    pub stage: String,
    /// Position of the task in the stage, from 0.
    pub task: u16,
    /// Counts the attempts at the task, from 1.
    pub attempt: u32,
    /// Grows with each worker that has it.
    pub epoch: u64,
}

/// What is asked of workers.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// Slots that it would fill: what is ready, and what runs.
    pub slots: u64,
    /// Attempts that are ready and wait.
    pub ready: u64,
    /// Attempts that a worker has.
    pub running: u64,
    /// How long the oldest ready one has waited, in seconds; none is ready otherwise.
    pub oldest_wait_seconds: Option<f64>,
    /// Attempts that ended a second, in the last minute.
    pub drained_per_second: f64,
}

/// Something that workers can do.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CapabilityView {
    /// Its name.
    pub name: String,
    /// What is asked of them.
    pub demand: Asked,
    /// Live workers that can do it, without those that stop.
    pub workers: usize,
    /// Slots of these.
    pub slots: u64,
    /// Workers that are wanted.
    pub wanted: u32,
    /// Why that many.
    pub why: String,
}

/// Workers that can do the same.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PoolView {
    /// Its name.
    pub name: String,
    /// What it is asked for.
    pub capabilities: Vec<String>,
    /// What is asked of it.
    pub demand: Asked,
    /// Its live workers, without those that stop.
    pub workers: usize,
    /// Slots of these.
    pub slots: u64,
    /// Workers that are wanted.
    pub wanted: u32,
    /// Why that many.
    pub why: String,
}

/// Workers that are named in one sentence.
const TOLD_MAX: usize = 5;

impl FleetView {
    /// Which workers there are, if none of them that takes work can do this; `None` if one can.
    pub(crate) fn who_cannot(&self, capability: &Capability) -> Option<String> {
        let (what, account) = match capability.account() {
            Some((what, account)) => (what, Some(account)),
            None => (capability.as_str(), None),
        };
        let taking: Vec<&WorkerView> = self.workers.iter().filter(|one| !one.draining).collect();
        let says = |worker: &WorkerView| accounts(worker, what).next().is_some();
        let can = |worker: &&WorkerView| {
            let does = |name: &str| worker.capabilities.iter().any(|one| one == name);
            // An older one that does not say which accounts it reaches may reach this one.
            does(capability.as_str()) || (account.is_some() && does(what) && !says(worker))
        };
        if taking.iter().any(can) {
            return None;
        }
        Some(match account {
            _ if taking.is_empty() => "there is no live worker".to_owned(),
            None => format!("no live worker can do that; there are {}", listed(&taking, |_| None)),
            Some(account) => {
                let reached = |worker: &WorkerView| {
                    let names: Vec<&str> = accounts(worker, what).collect();
                    let names = if names.is_empty() { "none".into() } else { names.join(", ") };
                    Some(format!("accounts: {names}"))
                };
                format!(
                    "no live worker reaches `{account}`; there are {}",
                    listed(&taking, reached)
                )
            }
        })
    }
}

/// The accounts in which a worker does something.
fn accounts<'a>(worker: &'a WorkerView, what: &'a str) -> impl Iterator<Item = &'a str> {
    let own = worker.capabilities.iter().filter_map(|name| name.split_once('@'));
    own.filter(move |(of, _)| *of == what).map(|(_, account)| account)
}

fn listed(workers: &[&WorkerView], more: impl Fn(&WorkerView) -> Option<String>) -> String {
    let named = workers.iter().take(TOLD_MAX).map(|worker| match more(worker) {
        None => worker.name.clone(),
        Some(more) => format!("{} ({more})", worker.name),
    });
    let rest = workers.len().saturating_sub(TOLD_MAX);
    let named: Vec<String> = named.collect();
    let named = named.join(", ");
    if rest == 0 { named } else { format!("{named} and {rest} more") }
}

impl WorkerView {
    pub(super) fn of(
        beat: &Heartbeat,
        last: Timestamp,
        pool: Option<String>,
        unknown: &[Capability],
        at: Timestamp,
    ) -> Self {
        let in_flight = beat.in_flight.iter().map(|(attempt, epoch)| InFlight {
            execution: attempt.execution.to_string(),
            stage: attempt.stage.to_string(),
            task: attempt.task,
            attempt: attempt.number,
            epoch: epoch.0,
        });
        Self {
            name: beat.worker.to_string(),
            pool,
            capabilities: names(beat.capabilities.iter()),
            unknown_capabilities: names(unknown.iter()),
            slots: beat.slots,
            busy: beat.in_flight.len(),
            draining: beat.draining,
            last_beat: last,
            beat_age_seconds: at.duration_since(last).as_secs_f64().max(0.0),
            cpu: beat.vitals.cpu,
            memory: beat.vitals.memory,
            resident_bytes: beat.vitals.resident_bytes,
            load: beat.vitals.load,
            disk: beat.vitals.disk,
            catalog: beat.catalog.clone(),
            in_flight: in_flight.collect(),
        }
    }
}

impl Asked {
    fn of(demand: &Demand) -> Self {
        let waited = (demand.ready > 0).then(|| demand.oldest_wait.as_secs_f64());
        Self {
            slots: demand.slots(),
            ready: demand.ready,
            running: demand.running,
            oldest_wait_seconds: waited,
            drained_per_second: demand.drained_per_second,
        }
    }
}

impl CapabilityView {
    pub(super) fn of(
        name: &Capability,
        demand: &Demand,
        workers: &[&Heartbeat],
        wanted: Wanted,
    ) -> Self {
        let (count, slots) = taking(workers);
        let Wanted { workers: wanted, why } = wanted;
        let demand = Asked::of(demand);
        Self { name: name.to_string(), demand, workers: count, slots, wanted, why }
    }
}

impl PoolView {
    pub(super) fn of(pool: &Share<'_>, demand: &Demand, wanted: Wanted) -> Self {
        let (count, slots) = taking(&pool.workers);
        let Wanted { workers: wanted, why } = wanted;
        let capabilities = names(pool.capabilities.iter());
        let (name, demand) = (pool.name.clone(), Asked::of(demand));
        Self { name, capabilities, demand, workers: count, slots, wanted, why }
    }
}

/// How many of them take work, and their slots.
fn taking(workers: &[&Heartbeat]) -> (usize, u64) {
    let slots = workers.iter().filter(|beat| !beat.draining).map(|beat| u64::from(beat.slots));
    (slots.clone().count(), slots.sum())
}

fn names<'a>(capabilities: impl Iterator<Item = &'a Capability>) -> Vec<String> {
    capabilities.map(ToString::to_string).collect()
}
