//! Ports, scheduler, worker and API in one process.

mod tools;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use scheduler::{Config, Scheduler};
use shared_adapters::open::{self, Guard, OpenError};
use shared_model::WorkerId;
use shared_plugin::StageDescriptor;
use shared_ports::Ports;
use shared_runtime::Supervisor;
use shared_runtime::tool::GuardCommand;
use tokio::net::{TcpListener, TcpSocket};
use worker::catalog::{
    Account, AccountError, Accounts, AllowList, CatalogConfig, LOCAL, LocalConfig, WebhookConfig,
    catalog,
};

use crate::args::{EngineArgs, LimitArgs};
use crate::limits;
use crate::say::say;

/// How long everything may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// How long a stage may take to end once it is cancelled: longer than Packer may take to take down
/// what it made half, and we to remove what it could not.
const CANCEL_GRACE: Duration = Duration::from_secs(120);

/// Connections that the system keeps for us until we take them: each further one tries again a second
/// later.
const CONNECTIONS_WAITING_MAX: u32 = 4_096;

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
        let clusters = clusters(arguments)?;
        let tools = tools::configured(arguments)?;
        let listener = listen(address).with_context(|| cannot_listen(address))?;
        let config = open::Config::embedded(&arguments.data_dir);
        let (ports, guard) = open::open(&config).await.map_err(with_flag)?;
        let stages = Stages { clusters, tools };
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

/// What stages are run with.
struct Stages {
    clusters: Accounts,
    tools: tools::Configured,
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
        executions_unfinished_max: limits.executions_unfinished_max,
        accounts: accounts(&stages.clusters),
        ..Config::default()
    };
    let local = Some(local_config(&arguments.data_dir)?);
    let Stages { clusters: kubernetes, tools: tools::Configured { bake, packer } } = stages;
    let webhook = webhook_config(arguments);
    let catalog = catalog(CatalogConfig { bake, packer, kubernetes, local, webhook });
    let descriptors = catalog.descriptors();
    let scheduler = Scheduler::start(config, ports.clone(), descriptors, &supervisor);
    let scheduler = scheduler.await.with_context(|| {
        let data = arguments.data_dir.display();
        format!("what is in the data folder `{data}` cannot be taken up; nothing was changed")
    })?;
    let id = WorkerId::new(format!("worker-{}", std::process::id()));
    let named = worker::Config::named(id);
    let working = worker::Config { cancel_grace: CANCEL_GRACE, ..named };
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

/// What clients see of the accounts that stages may name.
fn accounts(clusters: &Accounts) -> Vec<scheduler::Account> {
    let clusters = clusters.names().map(|name| scheduler::Account::new("kubernetes", name));
    let mut all: Vec<_> = clusters.chain([scheduler::Account::new(LOCAL, LOCAL)]).collect();
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // The port of a server that was just killed is free for us.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(CONNECTIONS_WAITING_MAX)
}

fn cannot_listen(address: SocketAddr) -> String {
    format!(
        "{address} cannot be listened on; choose another address with --host or another port with --port (0 takes a free one)"
    )
}

fn webhook_config(arguments: &EngineArgs) -> WebhookConfig {
    let allow = AllowList::new(arguments.allow_urls.iter().cloned());
    WebhookConfig { allow, ..WebhookConfig::default() }
}

/// Load balancers are processes of this very program, too.
fn local_config(data: &Path) -> Result<LocalConfig> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let balancer = GuardCommand::this_program("local-balancer");
    let balancer = balancer.context("this program cannot be found")?;
    LocalConfig::new(data, balancer, path).context("no folder for server groups")
}

/// The clusters of the kubeconfig that is named, else of the usual one if it is there.
fn clusters(arguments: &EngineArgs) -> Result<Accounts> {
    let more = arguments.accounts.iter().map(|(name, context)| {
        (name.clone(), Account { context: context.clone(), ..Account::default() })
    });
    let usual = std::env::home_dir().map(|home| home.join(".kube/config"));
    let file = arguments.kubeconfig().or_else(|| usual.filter(|file| file.is_file()));
    match file {
        Some(file) => Accounts::of_kubeconfig(&file, more.collect()).map_err(|error| match error {
            AccountError::NoContext { .. } => anyhow::anyhow!(
                "{error}; the kubeconfig is `{}`: name a context of it with --account, or another \
                 file with --kubeconfig",
                file.display()
            ),
            AccountError::Kubeconfig { .. } | AccountError::Unknown { .. } => error.into(),
        }),
        None if arguments.accounts.is_empty() => Ok(Accounts::none()),
        None => anyhow::bail!("--account needs a kubeconfig; give one with --kubeconfig"),
    }
}

/// What the stage types of this binary say of themselves.
///
/// # Errors
/// If this program cannot be found.
pub(crate) fn descriptors() -> Result<Vec<StageDescriptor>> {
    let tools::Configured { bake, packer } = tools::anywhere()?;
    let local = Some(local_config(Path::new("."))?);
    let (kubernetes, webhook) = (Accounts::none(), WebhookConfig::default());
    Ok(catalog(CatalogConfig { bake, packer, kubernetes, local, webhook }).descriptors())
}
