//! A world in one thread whose every accident follows from a seed.
//!
//! The scheduler's loop and the worker's runner are the real ones; the ports under them fail, and the
//! processes die. Time is tokio's paused clock: a day passes in milliseconds.

mod blobs;
mod broker;
mod chance;
mod clock;
mod document;
mod journal;
mod leases;
mod ledger;
mod life;
mod meddling;
mod processes;
mod users;
mod verdict;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use shared_adapters::memory::{
    MemoryBlobs, MemoryBroker, MemoryDocuments, MemoryJournal, MemoryLeases,
};
use shared_ports::{Clock, Ports};
use tokio::sync::watch;

pub use self::clock::SimClock;
pub use self::verdict::{Verdict, Violation};

use self::chance::{Chance, Weather};

use self::document::{Limit, Plan};
use self::ledger::Ledger;
use self::life::Life;

/// Messages that may wait in one queue of the world.
const QUEUE_LEN_MAX: usize = 10_000;

/// Something that is switched off, to show that the world notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mutation {
    /// Nothing: the product as it is.
    #[default]
    None,
    /// Leases are granted to everybody who asks, and never lost.
    LeasesAlwaysGranted,
    /// Reports count whoever sends them: the engine sees the newest epoch on each.
    EpochIgnored,
    /// Work that cannot be recognised begins before its claim is in the journal.
    GrantNotAwaited,
    /// Stage types do not look for what an earlier attempt did.
    EffectsNotLookedUp,
    /// Nobody counts the executions of a pipeline when one of them begins. (What the store's own count is
    /// for, two schedulers that begin one each in the same moment, is the model's, and the conformance
    /// suite's.)
    RoomNotCounted,
}

impl Mutation {
    /// All of them, with the names by which a command line calls them.
    pub const NAMED: [(&str, Self); 5] = [
        ("leases-always-granted", Self::LeasesAlwaysGranted),
        ("epoch-ignored", Self::EpochIgnored),
        ("grant-not-awaited", Self::GrantNotAwaited),
        ("effects-not-looked-up", Self::EffectsNotLookedUp),
        ("room-not-counted", Self::RoomNotCounted),
    ];
}

/// Lives through one seed.
///
/// # Errors
/// If the single-threaded runtime cannot be built.
pub fn run(seed: u64, mutation: Mutation) -> std::io::Result<Verdict> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    // Made inside: outside, tokio's clock is the machine's, and the world would begin by chance.
    Ok(runtime.block_on(async { World::new(seed, mutation).live().await }))
}

/// What all processes of one seed share: the servers behind the ports, and the outside world.
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) mutation: Mutation,
    pub(crate) weather: Weather,
    pub(crate) clock: Arc<SimClock>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) plans: Vec<Plan>,
    broker: Arc<broker::Shared>,
    journal: Arc<MemoryJournal>,
    documents: Arc<MemoryDocuments>,
    leases: Arc<MemoryLeases>,
    blobs: Arc<MemoryBlobs>,
    /// The schedulers of the moment by their number, for users.
    pub(crate) schedulers: watch::Sender<BTreeMap<u64, scheduler::Scheduler>>,
}

impl World {
    fn new(seed: u64, mutation: Mutation) -> Arc<Self> {
        let chance = Chance::of(seed);
        let clock = Arc::new(SimClock::begin());
        let storm = Duration::from_secs(chance.between(30, 400));
        let plans = (0..chance.between(1, 4)).map(|n| Plan::roll(&chance, seed, n));
        let limit = Limit::roll(seed);
        let plans = plans.map(|plan| plan.limited(limit));
        let plans = (0..).zip(plans).map(|(n, plan)| plan.meddled_with(seed, n)).collect();
        Arc::new(Self {
            seed,
            mutation,
            weather: Weather::new(chance, storm),
            ledger: Arc::new(Ledger::new(
                mutation != Mutation::EffectsNotLookedUp,
                Arc::clone(&clock),
                Duration::from_secs(worker::LEASE_TTL_SECONDS.unsigned_abs()),
            )),
            plans,
            broker: Arc::new(broker::Shared::new(MemoryBroker::new(QUEUE_LEN_MAX))),
            journal: Arc::default(),
            documents: Arc::default(),
            leases: Arc::new(MemoryLeases::new(Arc::clone(&clock) as Arc<dyn Clock>)),
            blobs: Arc::default(),
            clock,
            schedulers: watch::Sender::default(),
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
        let weather = self.weather.clone();
        let life = Arc::clone(life);
        Ports {
            broker: Arc::new(broker::FaultyBroker {
                shared: Arc::clone(&self.broker),
                weather: weather.clone(),
                life: Arc::clone(&life),
                ledger: Arc::clone(&self.ledger),
                epoch_ignored: self.mutation == Mutation::EpochIgnored,
                grant_not_awaited: self.mutation == Mutation::GrantNotAwaited,
            }),
            journal: Arc::new(journal::FaultyJournal {
                inner: Arc::clone(&self.journal),
                weather: weather.clone(),
                life: Arc::clone(&life),
                room_not_counted: self.mutation == Mutation::RoomNotCounted,
            }),
            documents: Arc::clone(&self.documents) as Arc<dyn shared_ports::Documents>,
            leases: Arc::new(leases::FaultyLeases {
                inner: Arc::clone(&self.leases),
                weather: weather.clone(),
                life: Arc::clone(&life),
                ledger: Arc::clone(&self.ledger),
                always_granted: self.mutation == Mutation::LeasesAlwaysGranted,
            }),
            blobs: Arc::new(blobs::FaultyBlobs {
                inner: Arc::clone(&self.blobs),
                weather,
                life: Arc::clone(&life),
            }),
            clock: Arc::new(life::MortalClock { inner: Arc::clone(&self.clock), life }),
        }
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
