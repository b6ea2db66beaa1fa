//! Ports, scheduler, worker and API in one process.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use scheduler::{Config, Scheduler};
use shared_adapters::open::{self, Guard, OpenError};
use shared_model::WorkerId;
use shared_ports::Ports;
use shared_runtime::Supervisor;
use tokio::net::TcpListener;

use crate::args::{EngineArgs, LimitArgs};
use crate::limits;
use crate::listen::listen;
use crate::say::say;
use crate::stages::{Chosen, Stages};

/// How long everything may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// How long a stage may take to end once it is cancelled: longer than Packer may take to take down
/// what it made half, and we to remove what it could not.
const CANCEL_GRACE: Duration = Duration::from_secs(120);

/// Everything, running.
pub(crate) struct Engine {
    pub(crate) scheduler: Scheduler,
    pub(crate) supervisor: Supervisor,
    /// Where the API listens.
    pub(crate) address: SocketAddr,
    guard: Guard,
}

impl Engine {
    /// Starts everything and serves the API on an address, with a free port if that is 0; what an
    /// earlier process left is taken up.
    ///
    /// # Errors
    /// What is in the way, and what to do.
    pub(crate) async fn start(
        arguments: &EngineArgs,
        limits: &LimitArgs,
        address: SocketAddr,
    ) -> Result<Self> {
        // Before the data folder is made: a mistyped path or a taken port must leave nothing behind.
        let stages = Stages::look(&Chosen::by_flags(arguments))?;
        let otherwise = "choose another address with --host or another port with --port";
        let listener = listen(address, otherwise)?;
        let config = open::Config::embedded(&arguments.data_dir);
        let (ports, guard) = open::open(&config).await.map_err(with_flag)?;
        match serve(arguments, limits, stages, ports, listener).await {
            Ok((scheduler, supervisor, address)) => {
                Ok(Self { scheduler, supervisor, address, guard })
            }
            Err(error) => {
                // Files of the database would be left behind if the program just ended.
                drop(guard.close().await);
                Err(error)
            }
        }
    }

    /// Stops everything in order; what runs is handed over to the next start.
    pub(crate) async fn stop(self) -> Result<()> {
        let all = self.supervisor.shut_down(STOP_LIMIT).await;
        if !all {
            say(&format!("warning: not everything ended within {STOP_LIMIT:?}"));
        }
        drop(self.scheduler);
        self.guard.close().await.context("the data folder was not closed well")
    }
}

async fn serve(
    arguments: &EngineArgs,
    limits: &LimitArgs,
    stages: Stages,
    ports: Ports,
    listener: TcpListener,
) -> Result<(Scheduler, Supervisor, SocketAddr)> {
    // Before anything runs: what an earlier process left is not taken up in vain.
    scheduler::api::may_serve(&ports, listener.local_addr()?).await?;
    let supervisor = Supervisor::new();
    shared_runtime::shutdown::on_signals(&supervisor).context("signals cannot be caught")?;
    shared_runtime::telemetry::start_export(&supervisor)?;
    let config = Config {
        limits: limits.of_pipelines(),
        executions_unfinished_max: limits.executions_unfinished_max,
        executions_unfinished_per_application_max: limits.executions_unfinished_per_application_max,
        accounts: stages.accounts(),
        window_zone: arguments.window_zone.clone(),
        retention: arguments.retention(),
        ..Config::default()
    };
    let catalog = stages.catalog()?;
    let descriptors = catalog.descriptors();
    let scheduler = Scheduler::start(config, ports.clone(), descriptors, &supervisor);
    let scheduler = scheduler.await.with_context(|| {
        let data = arguments.data_dir.display();
        format!("what is in the data folder `{data}` cannot be taken up; nothing was changed")
    })?;
    let id = WorkerId::new(format!("worker-{}", std::process::id()));
    let named = worker::Config::named(id);
    let scratch_dir = arguments.data_dir.clone();
    let working = worker::Config { cancel_grace: CANCEL_GRACE, scratch_dir, ..named };
    worker::start(working, ports, catalog, &supervisor).await?;
    let api = limits::of_api(limits)?;
    let served = scheduler::api::serve(scheduler.clone(), listener, api, &supervisor).await;
    let address = served.context("the API is not served")?;
    Ok((scheduler, supervisor, address))
}

/// The store does not know by which flag another folder is chosen.
fn with_flag(error: OpenError) -> anyhow::Error {
    if let OpenError::InUse { .. } = error {
        return anyhow::anyhow!("{error} with --data-dir");
    }
    error.into()
}
