//! A scheduler as a process of its own that knows the stage type of [`super::working`]; for the rest
//! it does what `capstan scheduler` does.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use scheduler::api::ApiLimits;
use scheduler::{Config, Scheduler, Sharing};
use serde_json::json;
use shared_adapters::{Patience, open_patiently};
use shared_runtime::Supervisor;
use shared_runtime::telemetry::{self, Format};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::{settings_of, working};

/// As the shipped one.
const LOG: &str = "warn,scheduler=info,worker=info,kube_client=off,lapin=off,opentelemetry=off";
const STOP_LIMIT: Duration = Duration::from_secs(20);
const WAIT_MAX: Duration = Duration::from_secs(60);
/// As the shipped one.
const SHARDS: u16 = 64;
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// One scheduler.
#[derive(Debug, clap::Args)]
pub struct Deciding {
    /// Its name.
    #[arg(long)]
    name: String,
    /// Where it listens.
    #[arg(long)]
    listen: SocketAddr,
    /// The folder of everything.
    #[arg(long)]
    folder: PathBuf,
}

impl Deciding {
    /// Serves until a signal.
    ///
    /// # Errors
    /// What could not be reached.
    pub async fn run(self) -> Result<()> {
        telemetry::start(LOG, Format::Text)?;
        let settings = settings_of(&self.folder)?;
        let local = json!({
            "data_dir": self.folder.join(&self.name),
            "shared_dir": settings["local"]["shared_dir"],
        });
        let distributed = serde_json::from_value(json!({
            "store": settings["store"], "amqp": settings["amqp"], "redis": settings["redis"],
            "local": local,
        }))?;
        let mut patience = Patience::of(WAIT_MAX, |_| ());
        let opened = shared_adapters::Config::Distributed(distributed);
        let (ports, guard) = open_patiently(&opened, &mut patience).await?;
        let config = Config {
            leases_are_fresh: false,
            sharing: Some(Sharing { name: ports.clock.new_id(), shards: SHARDS }),
            sweep_interval: SWEEP_INTERVAL,
            ..Config::default()
        };
        let supervisor = Supervisor::new();
        let scheduler = Scheduler::start(config, ports, working::descriptors(), &supervisor);
        let listener = TcpListener::bind(self.listen).await?;
        let limits = ApiLimits::default();
        scheduler::api::serve(scheduler.await?, listener, limits, &supervisor).await?;
        signal(SignalKind::terminate())?.recv().await;
        supervisor.shut_down(STOP_LIMIT).await;
        guard.close().await?;
        Ok(())
    }
}
