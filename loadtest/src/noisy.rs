//! Whether one tenant's flood delays the others: how long work of some tenants waits for a worker,
//! alone and while another tenant has many thousands of pipelines waiting.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::SignedDuration;
use scheduler::{Scheduler, Start};
use serde_json::json;
use shared_adapters::open;
use shared_model::{Capability, Effects, TaskAnswer, WorkerId};
use shared_plugin::{Catalog, StageDescriptor, StageType, TaskContext, TaskDescriptor, When};
use shared_ports::Clock;
use shared_runtime::Supervisor;
use tokio::task::JoinSet;

/// How long a process that is asked to stop may take.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// Submissions of the flood at once.
const FLOODING: usize = 64;
/// The application that floods.
const FLOOD: &str = "flood";

/// What is run.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Pipelines of the tenant that floods.
    pub flood: usize,
    /// The others.
    pub tenants: usize,
    /// Pipelines that each of the others submits at once, as a push to a repository does.
    pub burst: usize,
    /// How often each of them does.
    pub bursts: usize,
    /// Between two bursts of one tenant.
    pub pause: Duration,
    /// How long the work of one pipeline takes.
    pub work: Duration,
    /// Attempts that the worker runs at once.
    pub slots: u16,
}

/// How long the others waited from submission to the beginning of their work, sorted.
#[derive(Debug, Clone)]
pub struct Figures {
    /// Without the flood.
    pub alone: Vec<Duration>,
    /// While the flood waits.
    pub flooded: Vec<Duration>,
    /// Pipelines of the flood that were still to be worked on when the others were done.
    pub left: usize,
}

/// Runs a load in a data folder.
///
/// # Errors
/// What could not be started or submitted.
pub async fn run(load: Load, folder: &Path) -> anyhow::Result<Figures> {
    let (ports, guard) = open::open(&open::Config::embedded(folder)).await?;
    let supervisor = Supervisor::new();
    let clock = Arc::clone(&ports.clock);
    let begun = Arc::new(Begun { clock: Arc::clone(&clock), at: Mutex::default() });
    let work = Work { begun: Arc::clone(&begun), lasts: load.work };
    let catalog = Catalog::default().with(work);
    let config = scheduler::Config::default();
    let scheduler =
        Scheduler::start(config, ports.clone(), catalog.descriptors(), &supervisor).await?;
    let config =
        worker::Config { slots: load.slots, ..worker::Config::named(WorkerId::new("load")) };
    worker::start(config, ports, catalog, &supervisor).await?;
    // Workers are counted once in a while; nothing is to be measured before.
    clock.sleep(load.pause).await;
    let alone = others(load, &scheduler, &begun).await?;
    flood(load, &scheduler).await?;
    let flooded = others(load, &scheduler, &begun).await?;
    let left = load.flood.saturating_sub(begun.count(FLOOD));
    supervisor.shut_down(STOP_LIMIT).await;
    drop(scheduler);
    guard.close().await?;
    Ok(Figures { alone, flooded, left })
}

async fn flood(load: Load, scheduler: &Scheduler) -> anyhow::Result<()> {
    let mut under_way = JoinSet::new();
    for _ in 0..load.flood {
        if under_way.len() == FLOODING
            && let Some(submitted) = under_way.join_next().await
        {
            submitted??;
        }
        under_way.spawn(submit(scheduler.clone(), FLOOD.to_owned()));
    }
    while let Some(submitted) = under_way.join_next().await {
        submitted??;
    }
    Ok(())
}

async fn submit(scheduler: Scheduler, application: String) -> anyhow::Result<String> {
    let document = json!({
        "application": application, "name": "work",
        "stages": [{"refId": "1", "type": "work", "name": "work", "whose": application}],
    });
    Ok(scheduler.submit(Start { document, ..Start::default() }).await?.to_string())
}

/// Everybody but the one that floods, each in its rhythm; how long each piece of work waited.
async fn others(
    load: Load,
    scheduler: &Scheduler,
    begun: &Arc<Begun>,
) -> anyhow::Result<Vec<Duration>> {
    let mut tenants = JoinSet::new();
    for tenant in 0..load.tenants {
        tenants.spawn(bursts(load, tenant, scheduler.clone(), Arc::clone(begun)));
    }
    let mut waits = Vec::new();
    while let Some(of_one) = tenants.join_next().await {
        waits.extend(of_one??);
    }
    waits.sort();
    Ok(waits)
}

async fn bursts(
    load: Load,
    tenant: usize,
    scheduler: Scheduler,
    begun: Arc<Begun>,
) -> anyhow::Result<Vec<Duration>> {
    let clock = Arc::clone(&begun.clock);
    let share = u32::try_from(load.tenants).unwrap_or(u32::MAX).max(1);
    clock.sleep(load.pause / share * u32::try_from(tenant).unwrap_or_default()).await;
    let mut waits = JoinSet::new();
    for _ in 0..load.bursts {
        for _ in 0..load.burst {
            let (scheduler, begun) = (scheduler.clone(), Arc::clone(&begun));
            let application = format!("tenant{tenant}");
            waits.spawn(async move {
                let from = begun.clock.elapsed();
                let id = submit(scheduler, application).await?;
                anyhow::Ok(begun.of(&id).await.saturating_sub(from))
            });
        }
        clock.sleep(load.pause).await;
    }
    let mut all = Vec::new();
    while let Some(wait) = waits.join_next().await {
        all.push(wait??);
    }
    Ok(all)
}

/// When the work of which execution began, and whose it was.
struct Begun {
    clock: Arc<dyn Clock>,
    at: Mutex<BTreeMap<String, (Duration, String)>>,
}

impl Begun {
    fn note(&self, execution: String, application: String) {
        let mut at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        at.entry(execution).or_insert((self.clock.elapsed(), application));
    }

    fn count(&self, application: &str) -> usize {
        let at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        at.values().filter(|(_, whose)| whose == application).count()
    }

    async fn of(&self, execution: &str) -> Duration {
        loop {
            let found =
                self.at.lock().unwrap_or_else(PoisonError::into_inner).get(execution).cloned();
            if let Some((at, _)) = found {
                return at;
            }
            self.clock.sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A stage that takes its time on a worker.
struct Work {
    begun: Arc<Begun>,
    lasts: Duration,
}

#[async_trait]
impl StageType for Work {
    fn describe(&self) -> StageDescriptor {
        StageDescriptor {
            name: "work".into(),
            aliases: Vec::new(),
            summary: "Takes its time.".into(),
            schema: json!({"type": "object"}),
            tasks: vec![TaskDescriptor {
                name: "work".into(),
                capability: Capability::new("work"),
                effects: Effects::None,
                when: When::Always,
            }],
            timeout: SignedDuration::from_hours(10),
        }
    }

    async fn run(&self, _: &str, cx: &TaskContext) -> TaskAnswer {
        self.begun.note(cx.attempt.execution.to_string(), cx.text("whose").to_owned());
        cx.clock.sleep(self.lasts).await;
        TaskAnswer::done()
    }
}
