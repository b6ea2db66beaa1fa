//! How fast one process is: everything in it, on the embedded ports, over stages that do nothing.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::SignedDuration;
use scheduler::{Scheduler, Start};
use serde_json::{Value, json};
use shared_adapters::open;
use shared_model::{Capability, Effects, ExecutionId, TaskAnswer, WorkerId};
use shared_plugin::{Catalog, StageDescriptor, StageType, TaskContext, TaskDescriptor, When};
use shared_ports::{Clock, Ports};
use shared_runtime::Supervisor;
use tokio::task::JoinSet;

use crate::graphs::Shape;
use crate::stepping::limits;

/// How long a process that is asked to stop may take.
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// How often an execution is looked at that does not say that it has ended.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// The type of the stages.
pub const STAGE_TYPE: &str = "nothing";

/// What is run.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Executions in all.
    pub executions: usize,
    /// Executions that run at once.
    pub at_once: usize,
    /// How the stages of each follow each other.
    pub shape: Shape,
    /// Stages of each.
    pub stages: usize,
    /// Attempts that the worker runs at once.
    pub slots: u16,
}

/// What it took.
#[derive(Debug, Clone)]
pub struct Figures {
    /// From the first submission to the last end.
    pub took: Duration,
    /// From submission to end of each execution, sorted.
    pub executions: Vec<Duration>,
}

/// Runs a load in a data folder.
///
/// # Errors
/// What could not be started, or an execution that did not succeed.
pub async fn run(load: Load, folder: &Path) -> anyhow::Result<Figures> {
    let (ports, guard) = open::open(&open::Config::embedded(folder)).await?;
    let figures = run_on(load, ports).await;
    guard.close().await?;
    figures
}

/// Runs one pipeline on given ports to its end, and says how it looks then.
///
/// # Errors
/// As [`run_on`].
pub async fn run_one(document: Value, slots: u16, ports: Ports) -> anyhow::Result<Value> {
    let supervisor = Supervisor::new();
    let scheduler = start(slots, ports, &supervisor).await?;
    let ended = one(scheduler, document).await;
    supervisor.shut_down(STOP_LIMIT).await;
    ended
}

/// Runs a load on given ports.
///
/// # Errors
/// What could not be started, or an execution that did not succeed.
pub async fn run_on(load: Load, ports: Ports) -> anyhow::Result<Figures> {
    let (supervisor, clock) = (Supervisor::new(), Arc::clone(&ports.clock));
    let scheduler = start(load.slots, ports, &supervisor).await?;
    let figures = all(load, &scheduler, &*clock).await;
    supervisor.shut_down(STOP_LIMIT).await;
    figures
}

async fn start(slots: u16, ports: Ports, supervisor: &Supervisor) -> anyhow::Result<Scheduler> {
    let catalog = Catalog::default().with(Nothing);
    let config = scheduler::Config { limits: limits(), ..scheduler::Config::default() };
    let scheduler =
        Scheduler::start(config, ports.clone(), catalog.descriptors(), supervisor).await?;
    let config = worker::Config { slots, ..worker::Config::named(WorkerId::new("load")) };
    worker::start(config, ports, catalog, supervisor).await?;
    Ok(scheduler)
}

async fn all(load: Load, scheduler: &Scheduler, clock: &dyn Clock) -> anyhow::Result<Figures> {
    let (begin, mut running, mut done) = (clock.elapsed(), JoinSet::new(), Vec::new());
    for _ in 0..load.executions {
        if running.len() == load.at_once
            && let Some(ended) = running.join_next().await
        {
            done.push(ended??);
        }
        running.spawn(one(scheduler.clone(), load.shape.pipeline(load.stages, STAGE_TYPE)));
    }
    while let Some(ended) = running.join_next().await {
        done.push(ended??);
    }
    let took = clock.elapsed().saturating_sub(begin);
    Ok(figures(took, &done))
}

/// Runs one execution to its end, and returns how it looks then.
async fn one(scheduler: Scheduler, document: Value) -> anyhow::Result<Value> {
    let mut updates = scheduler.subscribe();
    let id = scheduler.submit(Start { document, ..Start::default() }).await?;
    loop {
        // Updates that were too many are made up for by looking.
        let update = tokio::time::timeout(LOOK_INTERVAL, updates.recv()).await;
        let other = matches!(&update, Ok(Ok(update)) if update.execution != id
            || !update.status.is_complete());
        if !other && let Some(ended) = ended(&scheduler, &id).await? {
            return Ok(ended);
        }
    }
}

async fn ended(scheduler: &Scheduler, id: &ExecutionId) -> anyhow::Result<Option<Value>> {
    let found = scheduler.execution(id).await?.unwrap_or_default();
    if found["endTime"].is_null() {
        return Ok(None);
    }
    anyhow::ensure!(found["status"] == "SUCCEEDED", "an execution ended {}", found["status"]);
    Ok(Some(found))
}

fn figures(took: Duration, done: &[Value]) -> Figures {
    let mut executions: Vec<Duration> =
        done.iter().map(|done| span(&done["buildTime"], &done["endTime"])).collect();
    executions.sort();
    Figures { took, executions }
}

/// Between two times in milliseconds.
fn span(from: &Value, to: &Value) -> Duration {
    let at = |time: &Value| time.as_u64().unwrap_or_default();
    Duration::from_millis(at(to).saturating_sub(at(from)))
}

/// A stage that does nothing, on a worker.
struct Nothing;

#[async_trait]
impl StageType for Nothing {
    fn describe(&self) -> StageDescriptor {
        let capability = Capability::new("nothing");
        StageDescriptor {
            name: STAGE_TYPE.into(),
            aliases: Vec::new(),
            summary: "Does nothing.".into(),
            schema: json!({"type": "object"}),
            tasks: vec![TaskDescriptor {
                name: "nothing".into(),
                capability,
                effects: Effects::None,
                when: When::Always,
            }],
            timeout: SignedDuration::from_mins(10),
        }
    }

    async fn run(&self, _: &str, _: &TaskContext) -> TaskAnswer {
        TaskAnswer::done()
    }
}
