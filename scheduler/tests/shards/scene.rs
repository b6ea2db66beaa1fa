use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use scheduler::start::Start;
use scheduler::{Config, Scheduler, Sharing};
use serde_json::{Value, json};
use shared_adapters::{SystemClock, memory};
use shared_model::{ExecutionId, Limits};
use shared_ports::journal::Query;
use shared_ports::{Clock, Ports};
use shared_runtime::Supervisor;
use tokio::runtime::Runtime;

use crate::asking;

pub(crate) const SHARDS: u16 = 64;
/// The longest wait for anything.
const LIMIT: Duration = Duration::from_secs(60);

/// Who says that it owns what.
pub(crate) type Owners = BTreeMap<String, BTreeSet<u16>>;

/// What schedulers share, and those that live.
pub(crate) struct World {
    pub(crate) ports: Ports,
    limits: Limits,
    live: Vec<(String, Life)>,
}

struct Life {
    scheduler: Scheduler,
    supervisor: Supervisor,
    /// Dropped in the background, everything in it is gone at once: as a process that is killed.
    runtime: Runtime,
}

impl Default for World {
    fn default() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let ports = memory::ports(clock, 100_000);
        Self { ports, limits: Limits::default(), live: Vec::new() }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for (_, life) in self.live.drain(..) {
            life.runtime.shutdown_background();
        }
    }
}

impl World {
    /// Schedulers that have divided the shards among themselves.
    pub(crate) async fn of(names: &[&str]) -> Self {
        Self::limited(names, Limits::default()).await
    }

    /// The same, with limits.
    pub(crate) async fn limited(names: &[&str], limits: Limits) -> Self {
        let mut world = Self::default();
        world.limits = limits;
        for name in names {
            world.start(name).await;
        }
        let all = |owners: &Owners| {
            owners.values().map(BTreeSet::len).sum::<usize>() == usize::from(SHARDS)
        };
        world.until("the shards are divided", all).await;
        world
    }

    pub(crate) async fn start(&mut self, name: &str) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let sharing = Some(Sharing {
            name: name.to_owned(),
            shards: SHARDS,
            references_after: Duration::ZERO,
        });
        let config = Config {
            sharing,
            limits: self.limits.clone(),
            leases_are_fresh: false,
            sweep_interval: Duration::from_secs(1),
            ..Config::default()
        };
        let (ports, supervisor) = (self.ports.clone(), Supervisor::new());
        let started = {
            let supervisor = supervisor.clone();
            runtime.spawn(async move {
                Scheduler::start(config, ports, vec![asking::call()], &supervisor).await
            })
        };
        let scheduler = started.await.unwrap().unwrap();
        self.live.push((name.to_owned(), Life { scheduler, supervisor, runtime }));
    }

    fn take(&mut self, name: &str) -> Life {
        let place = self.live.iter().position(|(live, _)| live == name).unwrap();
        self.live.remove(place).1
    }

    /// It ends in order.
    pub(crate) async fn stop(&mut self, name: &str) {
        let Life { scheduler, supervisor, runtime } = self.take(name);
        assert!(supervisor.shut_down(LIMIT).await);
        drop(scheduler);
        runtime.shutdown_background();
    }

    /// It is gone in the middle of whatever it does.
    pub(crate) fn kill(&mut self, name: &str) {
        self.take(name).runtime.shutdown_background();
    }

    /// Any of those that live.
    pub(crate) fn at(&self, number: usize) -> &Scheduler {
        &self.live[number % self.live.len()].1.scheduler
    }

    pub(crate) async fn owners(&self) -> Owners {
        let notes = self.ports.leases.notes("schedulers").await.unwrap();
        let owned = notes.into_iter().map(|note| {
            let said: Value = serde_json::from_str(&note.body).unwrap();
            (note.name, serde_json::from_value(said["owns"].clone()).unwrap())
        });
        owned.collect()
    }

    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Owners) -> bool) -> Duration {
        let began = Instant::now();
        loop {
            let owners = self.owners().await;
            if holds(&owners) {
                return began.elapsed();
            }
            assert!(began.elapsed() < LIMIT, "{what}: not within {LIMIT:?}: {owners:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn execution(&self, id: &ExecutionId) -> Value {
        self.at(0).execution(id).await.unwrap().unwrap()
    }

    async fn until_execution(&self, id: &ExecutionId, holds: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let execution = self.execution(id).await;
            if holds(&execution) {
                return execution;
            }
            let owners = self.owners().await;
            assert!(
                began.elapsed() < LIMIT,
                "{id}: not within {LIMIT:?}: {execution:#} {owners:?}"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn until_ended(&self, id: &ExecutionId) -> Value {
        self.until_execution(id, |execution| !execution["endTime"].is_null()).await
    }

    pub(crate) async fn until_waiting(&self, id: &ExecutionId) -> Value {
        self.until_execution(id, |found| found["waitingFor"][0]["kind"] == "judgment").await
    }

    pub(crate) async fn until_child_of(&self, id: &ExecutionId) -> ExecutionId {
        let pointer = "/stages/0/context/executionId";
        let found = self.until_execution(id, |found| found.pointer(pointer).is_some()).await;
        ExecutionId::new(found.pointer(pointer).unwrap().as_str().unwrap())
    }

    /// Saves a pipeline and gives its id.
    pub(crate) async fn save(&self, name: &str, stages: Value) -> String {
        let document = json!({ "application": "shop", "name": name, "stages": stages });
        let library = self.at(0).library();
        let document = document.as_object().cloned().unwrap();
        let saved = library.save_pipeline(document, false, "somebody").await.unwrap();
        saved["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn executions(&self, name: &str) -> Vec<ExecutionId> {
        let query = Query { name: Some(name.to_owned()), limit: 10_000, ..Query::default() };
        let found = self.ports.journal.search(&query).await.unwrap();
        found.into_iter().map(|(id, _)| id).collect()
    }

    /// As its history tells.
    pub(crate) async fn assert_each_stage_ran_once(&self, id: &ExecutionId) {
        let history = self.at(0).history(id, 0, 10_000).await.unwrap();
        let mut started = BTreeMap::<String, u32>::new();
        for (_, entry) in history.iter().filter(|(_, entry)| entry.kind == "stage-started") {
            *started.entry(entry.stage.clone().unwrap_or_default()).or_default() += 1;
        }
        assert!(!started.is_empty(), "{history:#?}");
        assert!(started.values().all(|times| *times == 1), "{id}: {started:?}");
    }
}

pub(crate) fn start(name: &str, stages: Value) -> Start {
    let document = json!({ "application": "shop", "name": name, "stages": stages });
    Start { document, ..Start::default() }
}

pub(crate) fn judged() -> Value {
    json!([{ "refId": "ask", "type": "manualJudgment", "name": "Ask" }])
}

pub(crate) fn wait(reference: &str, seconds: u32, after: &[&str]) -> Value {
    json!({
        "refId": reference, "type": "wait", "name": reference, "waitTime": seconds,
        "requisiteStageRefIds": after,
    })
}
