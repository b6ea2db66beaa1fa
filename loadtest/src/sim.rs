//! A world in one thread whose every accident follows from a seed.
//!
//! The scheduler's loop and the worker's runner are the real ones; the ports under them fail, and the
//! processes die. Time is tokio's paused clock: a day passes in milliseconds.

mod blobs;
mod broker;
mod chance;
mod clock;
mod document;
mod forge;
mod journal;
mod jumps;
mod leases;
mod ledger;
mod life;
mod meddling;
mod observer;
mod owners;
mod processes;
mod servers;
mod setting;
mod shrink;
mod slowness;
mod users;
mod verdict;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use shared_adapters::memory::{MemoryBlobs, MemoryDocuments, MemoryJournal};
use shared_ports::{Clock, Ports};
use tokio::sync::watch;

pub use self::clock::SimClock;
pub(crate) use self::forge::{Forger, let_begin};
pub use self::setting::{Fault, Mutation, Setting};
pub use self::shrink::{Shrunk, shrink};
pub use self::verdict::{Verdict, Violation};

use self::chance::{Chance, Weather};

use self::document::{Limit, Plan};
use self::jumps::{Jumps, ServersClock};
use self::ledger::Ledger;
use self::life::Life;
use self::observer::Observer;
use self::owners::Owners;
use self::slowness::Slowness;

/// Lives through one seed.
///
/// # Errors
/// If the single-threaded runtime cannot be built.
pub fn run(seed: u64, setting: &Setting) -> std::io::Result<Verdict> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    // Made inside: outside, tokio's clock is the machine's, and the world would begin by chance.
    Ok(runtime.block_on(async { World::new(seed, setting.clone()).live().await }))
}

/// Whether two schedulers, many of whose calls take their time, are asked at once for more executions of one
/// pipeline than may run: where both take the same room in one moment, if anywhere.
pub fn is_rush(seed: u64, setting: &Setting) -> bool {
    let is_crowd = Limit::roll(seed, setting).is_some_and(|limit| limit.all_at.is_some());
    is_crowd && processes::schedulers_of(seed) > 1 && slowness::is_slow(seed, setting)
}

/// What all processes of one seed share: the servers behind the ports, and the outside world.
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) setting: Setting,
    pub(crate) weather: Weather,
    pub(crate) clock: Arc<SimClock>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) observer: Arc<Observer>,
    pub(crate) owners: Arc<Owners>,
    pub(crate) plans: Vec<Plan>,
    broker: Arc<broker::Shared>,
    journal: Arc<MemoryJournal>,
    documents: Arc<MemoryDocuments>,
    leases: Arc<leases::Server>,
    blobs: Arc<MemoryBlobs>,
    pub(crate) views: verdict::Views,
    /// How many clocks there were so far.
    clocks: AtomicU64,
    /// The schedulers of the moment by their number, for users.
    pub(crate) schedulers: watch::Sender<BTreeMap<u64, scheduler::Scheduler>>,
}

impl World {
    fn new(seed: u64, setting: Setting) -> Arc<Self> {
        let chance = Chance::of(seed);
        let clock = Arc::new(SimClock::begin());
        let storm = Duration::from_secs(chance.between(30, 400));
        let storm = storm.min(setting.storm_max.unwrap_or(storm));
        let limit = Limit::roll(seed, &setting);
        let plans = plans(&chance, seed, limit, &setting);
        let lease_ttl = Duration::from_secs(worker::LEASE_TTL_SECONDS.unsigned_abs());
        let looked_up = setting.mutation != Mutation::EffectsNotLookedUp;
        let jumps = jumps(seed, 0, &clock, &setting);
        let servers = Arc::new(ServersClock { inner: Arc::clone(&clock), jumps });
        let right = !(setting.has(Fault::Clocks) && Jumps::are_in(seed));
        let ledger = Arc::new(Ledger::new(looked_up, right, Arc::clone(&clock), lease_ttl));
        let running_max = limit.map(|limit| limit.running_max);
        Arc::new(Self {
            seed,
            weather: Weather::new(chance, storm),
            observer: Observer::new(running_max, Arc::clone(&ledger)),
            ledger,
            owners: Arc::default(),
            plans,
            broker: Arc::new(broker::Shared::new()),
            journal: Arc::default(),
            documents: Arc::default(),
            leases: Arc::new(leases::Server::new(servers, lease_ttl)),
            blobs: Arc::default(),
            views: verdict::Views::default(),
            clocks: AtomicU64::new(1),
            clock,
            schedulers: watch::Sender::default(),
            setting,
        })
    }

    async fn live(self: Arc<Self>) -> Verdict {
        let processes = processes::start(&self);
        let users = users::start(&self);
        let in_time = verdict::wait_for_end(&self, users).await;
        let failing = verdict::not_storing(&self).await;
        drop(processes);
        let mut verdict = verdict::judge(&self, in_time).await;
        verdict.violations.extend(failing);
        verdict
    }

    /// The ports as a process sees them.
    pub(crate) fn ports(self: &Arc<Self>, life: &Arc<Life>) -> Ports {
        let weather = |fault| self.weather.of(fault, &self.setting);
        let (life, mutation) = (Arc::clone(life), self.setting.mutation);
        Ports {
            broker: Arc::new(broker::FaultyBroker {
                shared: Arc::clone(&self.broker),
                weather: weather(Fault::Connections),
                messages: weather(Fault::Messages),
                life: Arc::clone(&life),
                ledger: Arc::clone(&self.ledger),
                mutation,
                is_shared: processes::schedulers_of(self.seed) > 1,
            }),
            journal: Arc::new(journal::FaultyJournal {
                inner: Arc::clone(&self.journal),
                weather: weather(Fault::Store),
                life: Arc::clone(&life),
                observer: Arc::clone(&self.observer),
                mutation,
            }),
            documents: Arc::clone(&self.documents) as Arc<dyn shared_ports::Documents>,
            leases: Arc::new(leases::FaultyLeases {
                server: Arc::clone(&self.leases),
                weather: weather(Fault::Leases),
                life: Arc::clone(&life),
                ledger: Arc::clone(&self.ledger),
                owners: Arc::clone(&self.owners),
                always_granted: mutation == Mutation::LeasesAlwaysGranted,
            }),
            blobs: Arc::new(blobs::FaultyBlobs {
                inner: Arc::clone(&self.blobs),
                weather: weather(Fault::Blobs),
                life: Arc::clone(&life),
            }),
            clock: Arc::new(life::MortalClock { inner: Arc::clone(&self.clock), life }),
        }
    }

    /// By how much the wall clock of the next process is wrong, and how slow it is.
    pub(crate) fn next_clock(&self) -> (Jumps, Slowness) {
        let number = self.clocks.fetch_add(1, Ordering::Relaxed);
        let slowness = Slowness::roll(self.seed, number, &self.weather, &self.setting);
        (jumps(self.seed, number, &self.clock, &self.setting), slowness)
    }

    /// Time since the world began.
    pub(crate) fn clock_elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    /// One of the schedulers that run, whichever; requests go to any of them.
    pub(crate) fn any_scheduler(&self) -> Option<scheduler::Scheduler> {
        let schedulers = self.schedulers.borrow();
        let chosen = match u64::try_from(schedulers.len()).ok()? {
            0 => return None,
            1 => 0,
            count => usize::try_from(self.weather.chance.between(0, count)).ok()?,
        };
        schedulers.values().nth(chosen).cloned()
    }

    /// The truth, without accidents.
    pub(crate) fn journal(&self) -> &MemoryJournal {
        &self.journal
    }
}

fn plans(chance: &Chance, seed: u64, limit: Option<Limit>, setting: &Setting) -> Vec<Plan> {
    let first = chance.between(1, 4);
    let rolled = (0..first).map(|n| Plan::roll(chance, seed, n));
    let more = limit.into_iter().flat_map(|limit| limit.more(seed, first));
    let rolled: Vec<Plan> =
        rolled.chain(more).map(|plan| plan.limited(limit).cut(setting)).collect();
    let kept = (0..).zip(rolled).take(setting.plans_max.unwrap_or(usize::MAX));
    kept.map(|(n, plan)| plan.meddled_with(seed, n, setting)).collect()
}

fn jumps(seed: u64, number: u64, clock: &SimClock, setting: &Setting) -> Jumps {
    match setting.has(Fault::Clocks) {
        true => Jumps::roll(seed, number, clock.elapsed()),
        false => Jumps::default(),
    }
}
