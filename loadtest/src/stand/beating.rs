//! Workers that do nothing but say that they live, many in one process, through the real adapter.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use shared_adapters::{Redis, RedisLeases};
use shared_model::{AttemptId, Capability, Epoch, ExecutionId, StageRef, WorkerId};
use shared_ports::PortError;
use shared_ports::leases::{Claim, Heartbeat, Holder, Leases, Vitals};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::settings_of;
use crate::serve::now;

/// Workers that share a connection: a real one has its own, which needs as many open files.
const WORKERS_PER_CONNECTION: usize = 10;
/// What each of them can do.
const CAPABILITIES: [&str; 8] = [
    "bake.helm",
    "bake.kustomize",
    "bake.packer",
    "deploy.kubernetes",
    "deploy.kubernetes@production",
    "deploy.kubernetes@staging",
    "nothing",
    "webhook",
];
const SLOTS: u16 = 8;
/// How long Redis may take to answer whoever begins, and between two tries.
const BEGIN_LIMIT: Duration = Duration::from_secs(60);
const BEGIN_PAUSE: Duration = Duration::from_millis(200);

/// So many workers.
#[derive(Debug, clap::Args)]
pub struct Beating {
    /// The folder of everything.
    #[arg(long)]
    folder: PathBuf,
    /// What their names begin with.
    #[arg(long)]
    name: String,
    /// How many.
    #[arg(long)]
    count: usize,
    /// Between two beats of each, in milliseconds.
    #[arg(long)]
    interval_ms: u64,
    /// How long each lives without one, in milliseconds.
    #[arg(long)]
    ttl_ms: i64,
}

/// What became of the beats.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Beaten {
    /// Those that were heard.
    pub(crate) heard: u64,
    /// Those that were not.
    pub(crate) unheard: u64,
    /// Leases that a beat listed and no longer held.
    pub(crate) lost: u64,
    /// How many took how many milliseconds.
    pub(crate) took_ms: BTreeMap<u64, u64>,
}

impl Beaten {
    fn note(&mut self, heard: Option<usize>, took: Duration) {
        match heard {
            Some(lost) => {
                self.heard += 1;
                self.lost += lost as u64;
            }
            None => self.unheard += 1,
        }
        *self.took_ms.entry(took.as_millis() as u64).or_default() += 1;
    }

    fn add(&mut self, other: Self) {
        self.heard += other.heard;
        self.unheard += other.unheard;
        self.lost += other.lost;
        for (took, count) in other.took_ms {
            *self.took_ms.entry(took).or_default() += count;
        }
    }
}

impl Beating {
    /// Beats until a signal, and leaves what came of it in a file of its name.
    ///
    /// # Errors
    /// Redis cannot be reached, or a lease was not to be had.
    pub async fn run(self) -> Result<()> {
        let settings: Redis = serde_json::from_value(settings_of(&self.folder)?["redis"].clone())?;
        let end = CancellationToken::new();
        let mut workers = JoinSet::new();
        let interval = Duration::from_millis(self.interval_ms);
        for first in (0..self.count).step_by(WORKERS_PER_CONNECTION) {
            let leases = patiently(|| RedisLeases::open(&settings)).await?;
            let leases = Arc::new(leases);
            for number in first..self.count.min(first + WORKERS_PER_CONNECTION) {
                let worker = self.worker(number, &leases, end.clone());
                let offset = interval.mul_f64(number as f64 / self.count as f64);
                workers.spawn(worker.live(interval, offset));
            }
        }
        std::fs::write(self.folder.join(format!("{}.ready", self.name)), "")?;
        signal(SignalKind::terminate())?.recv().await;
        end.cancel();
        let mut all = Beaten::default();
        while let Some(one) = workers.join_next().await {
            all.add(one??);
        }
        let file = self.folder.join(format!("{}.json", self.name));
        Ok(std::fs::write(file, serde_json::to_string(&all)?)?)
    }

    fn worker(&self, number: usize, leases: &Arc<RedisLeases>, end: CancellationToken) -> Worker {
        let name = format!("{}-{number}", self.name);
        let attempt = AttemptId {
            execution: ExecutionId::new(format!("of-{name}")),
            stage: StageRef::new("1"),
            run: 0,
            task: 0,
            number: 1,
        };
        let beat = Heartbeat {
            worker: WorkerId::new(name),
            instance: std::process::id().to_string(),
            capabilities: CAPABILITIES.map(Capability::new).to_vec(),
            slots: SLOTS,
            in_flight: vec![(attempt, Epoch(1))],
            vitals: Vitals {
                cpu: 0.25,
                memory: 0.5,
                resident_bytes: 40 << 20,
                load: 0.5,
                disk: 0.3,
            },
            catalog: "0123456789abcdef".into(),
            draining: false,
            takes_out: true,
        };
        let ttl = SignedDuration::from_millis(self.ttl_ms);
        Worker { leases: Arc::clone(leases), beat, ttl, end }
    }
}

/// What is asked of Redis, again and again if it does not answer in time.
async fn patiently<T, F: Future<Output = Result<T, PortError>>>(ask: impl Fn() -> F) -> Result<T> {
    let began = now();
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) if began.elapsed() >= BEGIN_LIMIT => return Err(error.into()),
            Err(_) => tokio::time::sleep(BEGIN_PAUSE).await,
        }
    }
}

/// One of them, with an attempt under way.
struct Worker {
    leases: Arc<RedisLeases>,
    beat: Heartbeat,
    ttl: SignedDuration,
    end: CancellationToken,
}

impl Worker {
    async fn live(self, interval: Duration, offset: Duration) -> Result<Beaten> {
        tokio::time::sleep(offset).await;
        let Heartbeat { worker, instance, in_flight, .. } = &self.beat;
        let holder = Holder::new(worker.clone(), instance.clone());
        for (attempt, epoch) in in_flight {
            let claim = || self.leases.claim(attempt, *epoch, &holder, self.ttl);
            let claim = patiently(claim).await?;
            ensure!(claim == Claim::Granted, "{worker} was not given {attempt}: {claim:?}");
        }
        let mut beaten = Beaten::default();
        let mut turns = tokio::time::interval(interval);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = self.end.cancelled() => return Ok(beaten),
                _turn = turns.tick() => {}
            }
            let began = now();
            let heard = self.leases.beat(&self.beat, self.ttl).await;
            beaten.note(heard.ok().map(|heard| heard.lost.len()), began.elapsed());
        }
    }
}
