#![doc = include_str!("../README.md")]

mod announcing;
mod attempt;
pub mod catalog;
mod heartbeat;
mod in_flight;
mod log;
mod observed;
mod outbox;
pub mod pod;
pub mod probes;
mod queues;
mod reporting;
mod runner;
pub mod secrets;
pub mod stages;
mod standing;
mod vitals;

use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;
use shared_model::{Capability, WorkerId};
use shared_plugin::Catalog;
use shared_ports::{PortError, WorkerPorts};
use shared_runtime::{Kind, Supervisor};

pub use self::standing::Standing;

/// How long a lease lives without a beat, unless the settings say otherwise.
pub const LEASE_TTL_SECONDS: i64 = 15;

/// How a worker behaves.
#[derive(Debug, Clone)]
pub struct Config {
    /// Its name, unique among live workers.
    pub id: WorkerId,
    /// Attempts that it runs at once.
    pub slots: u16,
    /// Where its tools write; its heartbeats say how full that disk is.
    pub scratch_dir: PathBuf,
    /// Whether its heartbeats say how its machine does. They do not where one world after the other is
    /// simulated on it.
    pub tells_vitals: bool,
    /// The queues that it takes work from; those of its whole catalog if none is named.
    pub capabilities: Vec<Capability>,
    /// How long a lease lives without a heartbeat.
    pub lease_ttl: SignedDuration,
    /// How often it beats; well below a third of `lease_ttl`.
    pub heartbeat_interval: Duration,
    /// Work that lasts longer than this acknowledges its message before it ends.
    pub hold_message_for: Duration,
    /// How long a worker may take to stop. What ends within the first half of it needs nobody else; the
    /// rest is told then to leave what it made to others, and is cut off shortly before the end.
    pub drain_timeout: Duration,
    /// How long an attempt may take to end once it is cancelled.
    pub cancel_grace: Duration,
    /// Most that one attempt adds to its stage's log, in bytes.
    pub log_bytes_max: u64,
    /// Whether it tells schedulers of its stage types: they are other processes, and may not know them.
    pub announces: bool,
}

impl Config {
    /// The defaults, under a name.
    pub fn named(id: WorkerId) -> Self {
        Self {
            id,
            slots: 8,
            scratch_dir: std::env::temp_dir(),
            tells_vitals: true,
            capabilities: Vec::new(),
            lease_ttl: SignedDuration::from_secs(LEASE_TTL_SECONDS),
            heartbeat_interval: Duration::from_secs(3),
            hold_message_for: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(10),
            cancel_grace: Duration::from_secs(10),
            log_bytes_max: 64 * 1024 * 1024,
            announces: false,
        }
    }

    /// How long running attempts may go on when the worker stops, before they are handed over.
    fn finish_within(&self) -> Duration {
        self.drain_timeout / 2
    }

    /// How long an attempt may take to answer once it is to be handed over; what is left of
    /// `drain_timeout` after that is for its report.
    fn hand_over_grace(&self) -> Duration {
        self.drain_timeout * 2 / 5
    }
}

/// Starts a worker under a supervisor; it drains when the supervisor stops. What is returned tells how
/// it is.
///
/// # Errors
/// [`PortError`] if its queues cannot be reached.
pub async fn start(
    config: Config,
    ports: impl Into<WorkerPorts>,
    catalog: Catalog,
    supervisor: &Supervisor,
) -> Result<Standing, PortError> {
    let ports = ports.into();
    if config.announces {
        supervisor.spawn(Kind::Upkeep, announcing::run(ports.clone(), catalog.clone()));
    }
    let runner = runner::Runner::open(config, ports, catalog, supervisor.clone()).await?;
    let standing = runner.standing();
    supervisor.spawn(Kind::Runner, runner.run());
    Ok(standing)
}

/// What a worker with this catalog can do, and in which accounts.
pub fn capabilities_by_account(catalog: &Catalog) -> Vec<Capability> {
    let mut found = catalog.capabilities();
    found.sort();
    found.dedup();
    found
}

/// What a worker with this catalog can do where it is the only one: whatever it is asked.
pub fn capabilities(catalog: &Catalog) -> Vec<Capability> {
    let tasks = catalog.descriptors().into_iter().flat_map(|descriptor| descriptor.tasks);
    let mut found: Vec<Capability> = tasks.map(|task| task.capability).collect();
    found.sort();
    found.dedup();
    found
}
