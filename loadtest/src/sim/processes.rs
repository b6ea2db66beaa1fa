//! Schedulers and workers that start, stop, die and start again.

use std::sync::Arc;
use std::time::Duration;

use scheduler::Scheduler;
use shared_model::WorkerId;
use shared_plugin::Catalog;
use shared_runtime::Supervisor;
use tokio::task::JoinSet;

use super::ledger::Act;
use super::life::Life;
use super::setting::Fault;
use super::{World, servers};

/// Into how many parts two schedulers divide the executions.
const SHARDS: u16 = 4;
/// Workers of a world.
const WORKERS: u64 = 3;
/// Calls of ports, twice counted, after which a process has died.
const STEPS_MAX: u64 = 600;
/// How long a process that is asked to stop may take.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// Starts everything; it ends when the answer is dropped.
pub(crate) fn start(world: &Arc<World>) -> JoinSet<()> {
    let mut processes = JoinSet::new();
    for n in 0..schedulers_of(world.seed) {
        processes.spawn(schedulers(Arc::clone(world), n));
    }
    for n in 0..WORKERS {
        processes.spawn(workers(Arc::clone(world), n));
    }
    processes.spawn(servers::forget(Arc::clone(world)));
    processes
}

/// Half of all worlds have one scheduler, which owns everything, as that of `capstan dev`; two share
/// the executions of the others.
pub(crate) fn schedulers_of(seed: u64) -> u64 {
    1 + (seed >> 1) % 2
}

/// One scheduler after the other.
async fn schedulers(world: Arc<World>, n: u64) {
    for run in 0_u64.. {
        let (life, supervisor) = (begin(&world), Supervisor::new());
        let types = catalog(&world).descriptors();
        let config = config(&world, format!("s{n}-{run}"));
        let started = Scheduler::start(config, world.ports(&life), types, &supervisor);
        let started = tokio::select! {
            biased;
            () = life.over() => None,
            started = started => started.ok(),
        };
        if let Some(started) = started {
            world.schedulers.send_modify(|all| drop(all.insert(n, started)));
            end(&world, &life).await;
        }
        world.schedulers.send_modify(|all| drop(all.remove(&n)));
        stop(&world, &life, &supervisor).await;
    }
}

fn config(world: &World, name: String) -> scheduler::Config {
    let is_shared = schedulers_of(world.seed) > 1;
    scheduler::Config {
        leases_are_fresh: false,
        limits: shared_model::Limits { takeovers_max: 1_000, ..Default::default() },
        sharing: is_shared.then_some(scheduler::Sharing {
            name,
            shards: SHARDS,
            references_after: Duration::ZERO,
        }),
        // The verdict reads everything that was ever submitted, however far the clock jumped.
        retention: scheduler::Retention { enabled: false, ..Default::default() },
        ..Default::default()
    }
}

/// One worker after the other, each with a name of its own.
async fn workers(world: Arc<World>, n: u64) {
    for run in 0_u64.. {
        let (life, supervisor) = (begin(&world), Supervisor::new());
        let named = worker::Config::named(WorkerId::new(format!("w{n}-{run}")));
        let config = worker::Config { tells_vitals: false, ..named };
        let started = worker::start(config, world.ports(&life), catalog(&world), &supervisor);
        let started = tokio::select! {
            biased;
            () = life.over() => false,
            started = started => started.is_ok(),
        };
        if started {
            end(&world, &life).await;
        }
        stop(&world, &life, &supervisor).await;
    }
}

fn catalog(world: &World) -> Catalog {
    let act = |is_seen| Act { ledger: Arc::clone(&world.ledger), is_seen };
    Catalog::default().with(act(true)).with(act(false))
}

fn begin(world: &World) -> Arc<Life> {
    let steps = world.weather.chance.between(1, STEPS_MAX);
    let weather = world.weather.of(Fault::Deaths, &world.setting);
    let (jumps, slowness) = world.next_clock();
    Life::of(weather, steps, jumps, slowness)
}

/// Completes when a process dies, or is asked to stop.
async fn end(world: &World, life: &Life) {
    let asked = async {
        let after = world.weather.chance.between(10, 300);
        tokio::time::sleep(Duration::from_secs(after)).await;
        let is_spared = world.weather.is_calm() || !world.weather.chance.one_in(2);
        if is_spared || !world.setting.has(Fault::Deaths) {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        biased;
        () = life.over() => {}
        () = asked => {}
    }
}

/// Stops a process as far as it lives; the next one starts after a while.
async fn stop(world: &World, life: &Life, supervisor: &Supervisor) {
    tokio::select! {
        biased;
        () = life.over() => {}
        _all = supervisor.shut_down(STOP_LIMIT) => {}
    }
    supervisor.shut_down(Duration::ZERO).await;
    let pause = world.weather.chance.between(1, 20_000);
    tokio::time::sleep(Duration::from_millis(pause)).await;
}
