//! What is run on a stand, and what is measured of it.

mod beats;
mod cancel;
mod clients;
mod deploy;
mod ebb;
pub(crate) mod figures;
pub(crate) mod graph;
mod idle;
mod kills;
pub(crate) mod load;
mod noisy;
mod park;
mod signal;
mod soak;
mod steady;
pub(crate) mod window;

use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

pub use self::deploy::Cluster;
use self::graph::Graph;
use self::load::{Pace, Work};
use crate::stand::Shape;

/// How long a load runs before anything is counted.
const WARM_UP: Duration = Duration::from_secs(5);
/// Bytes of each stage's context in [`Workload::Payload`].
const PAYLOAD_BYTES: usize = 64 * 1024;

/// A workload by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Workload {
    /// One stage that does nothing, a hundred executions a second: from the request to the end.
    Noop1,
    /// Chains of ten stages, a thousand at once: stages a second, and what one costs.
    Chain10,
    /// Chains of a hundred stages, a hundred at once.
    Chain100,
    /// One stage, a hundred behind it, and a join; one at a time.
    Fan100,
    /// The same with a thousand.
    Fan1000,
    /// A random DAG of a thousand stages in layers of a hundred; four at once.
    Dag1k,
    /// The same with ten thousand stages; one at a time.
    Dag10k,
    /// Five diamonds in a row, a thousand at once: no join begins twice.
    DiamondStorm,
    /// Chains of ten stages with 64 KiB of context each, a hundred at once: bytes written.
    Payload,
    /// Pipelines of three stages, more and more a second, until they are too many.
    Rate,
    /// A worker is killed while it works: how long until its work runs elsewhere.
    KillWorker,
    /// A scheduler is killed under load: how long until the next stage ends.
    KillScheduler,
    /// RabbitMQ is killed and started again under load.
    KillBroker,
    /// Redis is killed, and started again empty, under load.
    KillRedis,
    /// 10,000 executions wait for a time or a judgment: what each takes, how quickly one goes on, and how
    /// late 10,000 timers are that are due at once.
    Park10k,
    /// The same with 100,000 that wait.
    Park100k,
    /// A backlog of 200,000 stages grows, and drains: how quickly, beside the rate without one.
    Ebb,
    /// One tenant submits 100,000 pipelines: how long the work of others waits, beside alone.
    Noisy,
    /// 10,000 workers say once a second that they live, and 1,000 of them die: what it costs, and how soon
    /// that is known.
    Hb10k,
    /// 200,000 attempts are ready at once: how old what autoscaling goes by is, and what it costs.
    Signal,
    /// 1, 20 and 200 manifests to a real API server: what is asked of it for each.
    Deploy,
    /// 10,000 executions are cancelled while they run: how long until all is quiet.
    Cancel,
    /// 60 % of what is carried, for as long as is said: what grows.
    Soak,
    /// Nothing is done: memory of each role.
    Idle,
}

/// How it is run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What it runs on.
    pub shape: Shape,
    /// Executions that run at once, where that is not the workload's own.
    pub at_once: Option<usize>,
    /// Executions a second, in its place.
    pub per_second: Option<f64>,
    /// How many there are of what the workload is about, where that is not its own.
    pub count: Option<usize>,
    /// What [`Workload::Deploy`] deploys to.
    pub cluster: Option<Cluster>,
    /// How long is measured.
    pub duration: Duration,
}

impl Plan {
    fn pace(&self, own: Pace) -> Pace {
        let rate = self.per_second.map(Pace::PerSecond);
        rate.or(self.at_once.map(Pace::AtOnce)).unwrap_or(own)
    }
}

/// Runs a workload; the figures by name, with their units in the names.
///
/// # Errors
/// What could not be started or submitted, or what did not hold at the end.
pub fn run(workload: Workload, plan: &Plan) -> Result<Value> {
    let steady = |own: Pace, graph: Graph, stage_bytes: usize| {
        steady::run(plan, plan.pace(own), Work { graph, stage_bytes })
    };
    let count = |own: usize| plan.count.unwrap_or(own);
    match workload {
        Workload::Noop1 => steady(Pace::PerSecond(100.0), Graph::Chain { stages: 1 }, 0),
        Workload::Chain10 => steady(Pace::AtOnce(1_000), Graph::Chain { stages: 10 }, 0),
        Workload::Chain100 => steady(Pace::AtOnce(100), Graph::Chain { stages: 100 }, 0),
        Workload::Fan100 => steady(Pace::AtOnce(1), Graph::Fan { branches: 100 }, 0),
        Workload::Fan1000 => steady(Pace::AtOnce(1), Graph::Fan { branches: 1_000 }, 0),
        Workload::Dag1k => steady(Pace::AtOnce(4), Graph::Layers { stages: 1_000 }, 0),
        Workload::Dag10k => steady(Pace::AtOnce(1), Graph::Layers { stages: 10_000 }, 0),
        Workload::DiamondStorm => steady(Pace::AtOnce(1_000), Graph::Diamonds { levels: 5 }, 0),
        Workload::Payload => steady(Pace::AtOnce(100), Graph::Chain { stages: 10 }, PAYLOAD_BYTES),
        Workload::Rate => steady::rise(plan, Graph::Chain { stages: 3 }),
        Workload::KillWorker => kills::worker(plan),
        Workload::KillScheduler => kills::scheduler(plan),
        Workload::KillBroker => kills::broker(plan),
        Workload::KillRedis => kills::redis(plan),
        Workload::Park10k => park::run(plan, count(10_000)),
        Workload::Park100k => park::run(plan, count(100_000)),
        Workload::Ebb => ebb::run(plan, count(200_000)),
        Workload::Noisy => noisy::run(plan, count(100_000)),
        Workload::Hb10k => beats::run(plan, count(10_000)),
        Workload::Signal => signal::run(plan, count(200_000)),
        Workload::Cancel => cancel::run(plan, count(10_000)),
        Workload::Deploy => deploy::run(plan),
        Workload::Soak => soak::run(plan),
        Workload::Idle => idle::run(plan),
    }
}
