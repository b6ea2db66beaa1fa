//! What is run on a stand, and what is measured of it.

mod figures;
mod load;

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use self::figures::{between_stages, quantiles};
use self::load::Load;
use crate::serve::now;
use crate::stand::cpu::{self, Spent};
use crate::stand::{Moment, Shape, Stand};

/// Stages of one chain.
const CHAIN_STAGES: usize = 10;
/// How long a load runs before anything is counted.
const WARM_UP: Duration = Duration::from_secs(5);
/// How long everything stands idle before its memory is read.
const IDLE: Duration = Duration::from_secs(5);
/// How long work lasts whose worker is killed, and how often one is.
const KILLED_WORK_MS: u64 = 1_000;
const KILLS: usize = 10;

/// A workload by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Workload {
    /// Chains of ten stages that do nothing, many at once: stages per second, and what one costs.
    Chain10,
    /// The same, one at a time: from stage to stage.
    Alone,
    /// A worker is killed while it works: how long until its work runs elsewhere.
    KillWorker,
    /// Nothing is done: memory of each role.
    Idle,
}

/// How it is run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What it runs on.
    pub shape: Shape,
    /// Executions that run at once.
    pub at_once: usize,
    /// How long is measured.
    pub duration: Duration,
}

/// Runs a workload; the figures by name, with their units in the names.
///
/// # Errors
/// What could not be started or submitted, or what did not hold at the end.
pub fn run(workload: Workload, plan: &Plan) -> Result<Value> {
    match workload {
        Workload::Chain10 => chains(plan),
        Workload::Alone => chains(&Plan { at_once: 1, ..plan.clone() }),
        Workload::KillWorker => kill_worker(plan),
        Workload::Idle => idle(plan),
    }
}

fn chains(plan: &Plan) -> Result<Value> {
    let stand = Stand::start(plan.shape.clone())?;
    let load = Load::start(&stand, plan.at_once, CHAIN_STAGES);
    std::thread::sleep(WARM_UP);
    let (before, from, began) = (Spent::now()?, stand.ledger.len(), now());
    std::thread::sleep(plan.duration);
    let (after, seconds) = (Spent::now()?, began.elapsed().as_secs_f64());
    let entries = stand.ledger.from(from);
    let verified = load.end(&stand)?;
    let stages = entries.iter().filter(|entry| entry.moment == Moment::Done).count();
    ensure!(stages > 0, "no stage was worked on in {:?}", plan.duration);
    let spent = after.since(&before);
    let microseconds = |spent: Duration| (spent.as_secs_f64() * 1e6 / stages as f64).round();
    let each: serde_json::Map<_, _> =
        spent.0.iter().map(|(sort, spent)| (sort.clone(), microseconds(*spent).into())).collect();
    Ok(json!({
        "executions at once": plan.at_once,
        "stages per second": (stages as f64 / seconds).round(),
        "CPU per stage without the load, us": microseconds(spent.total()),
        "CPU per stage, us": each,
        "stage to next stage, ms": quantiles(&between_stages(&entries)),
        "verified": verified,
    }))
}

fn kill_worker(plan: &Plan) -> Result<Value> {
    let shape = Shape { work_ms: KILLED_WORK_MS, ..plan.shape.clone() };
    let mut stand = Stand::start(shape)?;
    let at_once = usize::from(plan.shape.slots) * plan.shape.workers / 2;
    let load = Load::start(&stand, at_once.max(2), CHAIN_STAGES);
    std::thread::sleep(WARM_UP);
    let mut waits = Vec::new();
    for kill in 0..KILLS {
        let number = kill % stand.workers.len();
        let from = stand.ledger.len();
        let (pid, at) = (stand.workers[number].pid(), crate::stand::working::nanoseconds());
        stand.workers[number].kill()?;
        std::thread::sleep(Duration::from_secs(4));
        let before = stand.ledger.from(0);
        waits.extend(figures::again(&before, from, pid, at));
        stand.workers[number] = stand.start_worker(number)?;
        std::thread::sleep(Duration::from_secs(2));
    }
    waits.sort();
    let verified = load.end(&stand)?;
    ensure!(!waits.is_empty(), "no worker was killed while it worked");
    Ok(
        json!({ "killed to running again, ms": quantiles(&waits), "kills": KILLS, "verified": verified }),
    )
}

fn idle(plan: &Plan) -> Result<Value> {
    let shape = Shape { schedulers: 0, workers: 0, ..plan.shape.clone() };
    let stand = Stand::start(shape)?;
    let (scheduler, worker) = (stand.start_shipped("scheduler")?, stand.start_shipped("worker")?);
    std::thread::sleep(IDLE);
    let memory =
        |pid| cpu::memory_mib(pid).map(|(rss, pss)| json!({ "RSS, MiB": rss, "PSS, MiB": pss }));
    let figures = json!({ "scheduler": memory(scheduler.pid())?, "worker": memory(worker.pid())? });
    worker.stop()?;
    scheduler.stop()?;
    Ok(figures)
}
