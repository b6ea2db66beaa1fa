//! Ports, scheduler, worker and API in one process.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use scheduler::{Config, Scheduler};
use shared_adapters::open::{self, Guard};
use shared_model::WorkerId;
use shared_plugin::{Catalog, StageDescriptor};
use shared_runtime::Supervisor;
use shared_runtime::tool::{GuardCommand, Tools};
use worker::catalog::{Account, Accounts, BakeConfig, CatalogConfig, catalog};

use crate::args::RunArgs;

/// How long everything may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// Everything, running.
pub(crate) struct Engine {
    pub(crate) scheduler: Scheduler,
    pub(crate) supervisor: Supervisor,
    /// Where the API listens.
    pub(crate) address: SocketAddr,
    guard: Guard,
}

impl Engine {
    /// Starts everything; what an earlier process left is taken up.
    ///
    /// # Errors
    /// What is in the way, and what to do.
    pub(crate) async fn start(arguments: &RunArgs) -> Result<Self> {
        let config = open::Config::embedded(&arguments.data_dir);
        let (ports, guard) = open::open(&config).await?;
        let supervisor = Supervisor::new();
        shared_runtime::shutdown::on_signals(&supervisor).context("signals cannot be caught")?;
        let catalog = stage_types(arguments)?;
        let descriptors = catalog.descriptors();
        let scheduler =
            Scheduler::start(Config::default(), ports.clone(), descriptors, &supervisor).await?;
        let id = WorkerId::new(format!("worker-{}", std::process::id()));
        worker::start(worker::Config::named(id), ports, catalog, &supervisor).await?;
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let address = scheduler::api::serve(scheduler.clone(), anywhere, &supervisor)
            .await
            .context("no loopback port can be listened on")?;
        Ok(Self { scheduler, supervisor, address, guard })
    }

    /// Stops everything in order; what runs is handed over to the next start.
    pub(crate) async fn stop(self) -> Result<()> {
        let all = self.supervisor.shut_down(STOP_LIMIT).await;
        if !all {
            eprintln!("warning: not everything ended within {STOP_LIMIT:?}");
        }
        drop(self.scheduler);
        self.guard.close().await.context("the data folder was not closed well")
    }
}

fn stage_types(arguments: &RunArgs) -> Result<Catalog> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let bake = bake_config(&arguments.data_dir, arguments.artifacts_root.clone(), path)?;
    let bake = BakeConfig { helm: arguments.helm.clone(), ..bake };
    Ok(catalog(CatalogConfig { bake, kubernetes: clusters(arguments)? }))
}

/// Tools run under this very program; local charts lie below the current folder unless told otherwise.
fn bake_config(data: &Path, root: Option<PathBuf>, path: OsString) -> Result<BakeConfig> {
    let guard = GuardCommand::this_program("guard").context("this program cannot be found")?;
    let tools = Tools::new(guard, &data.join("tools"), path).context("no folder for tools")?;
    let root = std::path::absolute(root.unwrap_or_else(|| ".".into()));
    Ok(BakeConfig::new(tools, root.context("the artifacts' root cannot be found")?))
}

/// The clusters of the kubeconfig that is named, else of the usual one if it is there.
fn clusters(arguments: &RunArgs) -> Result<Accounts> {
    let more = arguments.accounts.iter().map(|(name, context)| {
        (name.clone(), Account { context: context.clone(), ..Account::default() })
    });
    let usual = std::env::home_dir().map(|home| home.join(".kube/config"));
    let file = arguments.kubeconfig.clone().or_else(|| usual.filter(|file| file.is_file()));
    match file {
        Some(file) => Ok(Accounts::of_kubeconfig(&file, more.collect())?),
        None if arguments.accounts.is_empty() => Ok(Accounts::none()),
        None => anyhow::bail!("--account needs a kubeconfig; give one with --kubeconfig"),
    }
}

/// What the stage types of this binary say of themselves.
///
/// # Errors
/// If this program cannot be found.
pub(crate) fn descriptors() -> Result<Vec<StageDescriptor>> {
    let bake = bake_config(Path::new("."), None, OsString::new())?;
    Ok(catalog(CatalogConfig { bake, kubernetes: Accounts::none() }).descriptors())
}
