//! Schedulers and workers of the storm that are this program: with its stage types, and, where that is
//! asked for, without one of the guards.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use jiff::SignedDuration;
use scheduler::{Scheduler, Sharing};
use serde_json::{Value, json};
use shared_adapters::{Config, Distributed, Patience, Workplace, open_patiently, open_worker};
use shared_model::{Limits, WorkerId};
use shared_plugin::Catalog;
use shared_runtime::Supervisor;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::acting::Act;
use super::guards::{self, Guard};

const STOP_LIMIT: Duration = Duration::from_secs(20);
const WAIT_MAX: Duration = Duration::from_secs(120);
/// How long a lease lives: short, so that what a storm does to workers is soon made good.
pub(super) const LEASE_TTL: SignedDuration = SignedDuration::from_secs(3);
const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(600);
/// Work that lasts longer has no message that comes again.
const HOLD_MESSAGE_FOR: Duration = Duration::from_secs(4);
const SLOTS: u16 = 32;
/// Into how many parts schedulers divide the executions.
pub(super) const SHARDS: u16 = 8;

/// What both have.
#[derive(Debug, clap::Args)]
pub struct Acting {
    /// Its settings.
    #[arg(long)]
    config: PathBuf,
    /// A folder of its own.
    #[arg(long)]
    data_dir: PathBuf,
    /// The guard that is switched off.
    #[arg(long)]
    without: Option<Guard>,
}

/// A worker of the storm.
#[derive(Debug, clap::Args)]
pub struct Worker {
    #[command(flatten)]
    acting: Acting,
    /// Its name.
    #[arg(long)]
    name: String,
    /// The port of the ledger.
    #[arg(long)]
    ledger: u16,
}

/// A scheduler that lacks a guard.
#[derive(Debug, clap::Args)]
pub struct Unguarded {
    #[command(flatten)]
    acting: Acting,
    /// Where its API listens.
    #[arg(long)]
    listen: String,
}

impl Acting {
    fn settings(&self) -> Result<Value> {
        Ok(serde_json::from_str(&std::fs::read_to_string(&self.config)?)?)
    }

    fn local(&self, settings: &Value) -> Value {
        json!({ "data_dir": self.data_dir, "shared_dir": settings["local"]["shared_dir"] })
    }
}

impl Worker {
    /// Works until a signal.
    ///
    /// # Errors
    /// What could not be reached.
    pub async fn run(self) -> Result<()> {
        let settings = self.acting.settings()?;
        let own = json!({
            "amqp": settings["amqp"], "redis": settings["redis"],
            "local": self.acting.local(&settings),
        });
        let workplace: Workplace = serde_json::from_value(own)?;
        let mut patience = Patience::of(WAIT_MAX, |_| ());
        let (ports, guard) = open_worker(&workplace, &mut patience).await?;
        let act = |is_keyed| Act {
            ledger: self.ledger,
            worker: self.name.clone(),
            is_keyed,
            keys_by_epoch: self.acting.without == Some(Guard::EffectKey),
        };
        let catalog = Catalog::default().with(act(true)).with(act(false));
        let config = worker::Config {
            slots: SLOTS,
            lease_ttl: LEASE_TTL,
            heartbeat_interval: HEARTBEAT_INTERVAL,
            hold_message_for: HOLD_MESSAGE_FOR,
            announces: true,
            ..worker::Config::named(WorkerId::new(self.name))
        };
        let supervisor = Supervisor::new();
        let ports = guards::of_worker(ports, self.acting.without);
        worker::start(config, ports, catalog, &supervisor).await?;
        let mut told = signal(SignalKind::terminate())?;
        tokio::select! {
            _ = told.recv() => {}
            () = supervisor.stopping().cancelled_owned() => {}
        }
        supervisor.shut_down(STOP_LIMIT).await;
        guard.close().await?;
        Ok(())
    }
}

impl Unguarded {
    /// Serves until a signal.
    ///
    /// # Errors
    /// What could not be reached.
    pub async fn run(self) -> Result<()> {
        let settings = self.acting.settings()?;
        let own = json!({
            "store": settings["store"], "amqp": settings["amqp"], "redis": settings["redis"],
            "local": self.acting.local(&settings),
        });
        let config = Config::Distributed(serde_json::from_value::<Distributed>(own)?);
        let listener = TcpListener::bind(&self.listen).await?;
        let mut patience = Patience::of(WAIT_MAX, |_| ());
        let (ports, guard) = open_patiently(&config, &mut patience).await?;
        let supervisor = Supervisor::new();
        let config = scheduler::Config {
            limits: Limits { takeovers_max: super::site::TAKEOVERS_MAX, ..Limits::default() },
            leases_are_fresh: false,
            sharing: Some(Sharing {
                name: ports.clock.new_id(),
                shards: SHARDS,
                references_after: Duration::ZERO,
            }),
            sweep_interval: Duration::from_secs(1),
            ..scheduler::Config::default()
        };
        let ports = guards::of_scheduler(ports, self.acting.without);
        let scheduler = Scheduler::start(config, ports, Vec::new(), &supervisor).await?;
        let limits = scheduler::api::ApiLimits::default();
        scheduler::api::serve(scheduler, listener, limits, &supervisor).await?;
        signal(SignalKind::terminate())?.recv().await;
        supervisor.shut_down(STOP_LIMIT).await;
        guard.close().await?;
        Ok(())
    }
}
