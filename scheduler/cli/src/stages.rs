//! What stages are run with: tools, clusters, folders. Looked at before anything is made.

mod tools;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use shared_plugin::{Catalog, Secrets, StageDescriptor};
use shared_runtime::tool::GuardCommand;
use worker::catalog::{
    Account, AccountError, Accounts, AllowEntry, AllowList, CatalogConfig, ClusterSecrets, LOCAL,
    LocalConfig, ServiceAccount, WebhookConfig, catalog,
};
use worker::secrets::{Environment, Files};

use crate::args::EngineArgs;
use crate::config::{KubernetesSecrets, SecretSources};

/// What somebody chose, by flags or settings.
#[derive(Debug, Clone)]
pub(crate) struct Chosen {
    /// Below it lie the runs of tools, and server groups.
    pub(crate) data_dir: PathBuf,
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The account that means the cluster which this process runs in.
    pub(crate) in_cluster: Option<String>,
    pub(crate) accounts: Vec<(String, String)>,
    pub(crate) artifacts_root: Option<PathBuf>,
    pub(crate) helm: String,
    pub(crate) packer: String,
    pub(crate) recipes: Option<PathBuf>,
    pub(crate) docker_host: Option<OsString>,
    pub(crate) packer_env: Vec<String>,
    pub(crate) allow_urls: Vec<AllowEntry>,
    /// How long a tool may go on once its worker is gone, where that is not the tool's own.
    pub(crate) tool_grace: Option<Duration>,
    pub(crate) secrets: SecretSources,
    /// Whether stages may start processes here (D27).
    pub(crate) local_provider: bool,
    /// Whether a Packer template may come from an artifact (D27).
    pub(crate) artifact_templates: bool,
}

/// What stages are run with; everything that was named is there.
pub(crate) struct Stages {
    clusters: Accounts,
    tools: tools::Configured,
    webhook: WebhookConfig,
    secrets: Secrets,
    /// Where server groups lie, if there may be any.
    local: Option<PathBuf>,
}

impl Chosen {
    /// What the command line of a process with everything in it says.
    pub(crate) fn by_flags(arguments: &EngineArgs) -> Self {
        let usual = std::env::home_dir().map(|home| home.join(".kube/config"));
        let kubeconfig = arguments.kubeconfig().or_else(|| usual.filter(|file| file.is_file()));
        Self {
            data_dir: arguments.data_dir.clone(),
            kubeconfig,
            in_cluster: None,
            accounts: arguments.accounts.clone(),
            artifacts_root: arguments.artifacts_root.clone(),
            helm: arguments.helm.clone(),
            packer: arguments.packer.clone(),
            recipes: arguments.recipes.clone(),
            docker_host: arguments.docker_host().map(OsString::from),
            packer_env: arguments.packer_env.clone(),
            allow_urls: arguments.allow_urls.clone(),
            tool_grace: None,
            secrets: arguments.secrets(),
            local_provider: true,
            artifact_templates: true,
        }
    }
}

impl Stages {
    /// Looks at everything that was chosen; makes nothing.
    ///
    /// # Errors
    /// What is not there, and what to do.
    pub(crate) fn look(chosen: &Chosen) -> Result<Self> {
        let clusters = clusters(chosen)?;
        Ok(Self {
            secrets: secrets(chosen, &clusters)?,
            clusters,
            tools: tools::configured(chosen)?,
            webhook: webhook(chosen),
            local: chosen.local_provider.then(|| chosen.data_dir.clone()),
        })
    }

    /// What clients see of the accounts that stages may name.
    pub(crate) fn accounts(&self) -> Vec<scheduler::Account> {
        let local = self.local.as_ref().map(|_| scheduler::Account::new(LOCAL, LOCAL));
        let clusters = self.clusters.names();
        let clusters = clusters.map(|name| scheduler::Account::new("kubernetes", name));
        let mut all: Vec<_> = clusters.chain(local).collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }

    /// The stage types, ready to run.
    ///
    /// # Errors
    /// If this program cannot be found, or no folder be made.
    pub(crate) fn catalog(self) -> Result<Catalog> {
        let Self { clusters: kubernetes, tools, webhook, secrets, local } = self;
        let tools::Configured { bake, packer } = tools;
        let local = local.map(|data| local_config(&data)).transpose()?;
        Ok(catalog(CatalogConfig { bake, packer, kubernetes, local, webhook, secrets }))
    }
}

/// What the stage types of this binary say of themselves, those of the provider `local` only if they
/// are wanted.
///
/// # Errors
/// If this program cannot be found.
pub(crate) fn descriptors(with_local: bool) -> Result<Vec<StageDescriptor>> {
    let tools::Configured { bake, packer } = tools::anywhere()?;
    let local = with_local.then(|| local_config(Path::new("."))).transpose()?;
    let (kubernetes, webhook) = (Accounts::none(), WebhookConfig::default());
    let secrets = Secrets::default();
    let config = CatalogConfig { bake, packer, kubernetes, local, webhook, secrets };
    Ok(catalog(config).descriptors())
}

fn webhook(chosen: &Chosen) -> WebhookConfig {
    let allow = AllowList::new(chosen.allow_urls.iter().cloned());
    WebhookConfig { allow, ..WebhookConfig::default() }
}

/// Load balancers are processes of this very program, too.
fn local_config(data: &Path) -> Result<LocalConfig> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let balancer = GuardCommand::this_program("local-balancer");
    let balancer = balancer.context("this program cannot be found")?;
    LocalConfig::new(data, balancer, path).context("no folder for server groups")
}

/// What references to secrets mean here.
fn secrets(chosen: &Chosen, clusters: &Accounts) -> Result<Secrets> {
    let SecretSources { folder, env, kubernetes } = &chosen.secrets;
    let mut secrets = Secrets::default();
    if let Some(folder) = folder {
        let shown = folder.display();
        ensure!(
            folder.is_dir(),
            "the folder of secrets, `{shown}`, is not there or no folder; name another with \
             `worker.secrets.folder` (--secrets-dir)"
        );
        secrets = secrets.with("file", Files::below(folder));
    }
    if !env.is_empty() {
        secrets = secrets.with("env", Environment::of(env.iter().cloned()));
    }
    if let Some(KubernetesSecrets { account, namespace }) = kubernetes {
        ensure!(
            clusters.names().any(|name| name == account),
            "`worker.secrets.kubernetes.account` is `{account}`, which this worker does not reach; \
             name one of its accounts: {}",
            clusters.names().collect::<Vec<_>>().join(", ")
        );
        let source = ClusterSecrets::new(clusters.clone(), account, namespace);
        secrets = secrets.with("kubernetes", source);
    }
    Ok(secrets)
}

/// The clusters of the kubeconfig, and the one that this runs in.
fn clusters(chosen: &Chosen) -> Result<Accounts> {
    let of_file = of_kubeconfig(chosen)?;
    match &chosen.in_cluster {
        None => Ok(of_file),
        Some(name) => Ok(of_file.and_own_cluster(name, &ServiceAccount::of_pod()?)?),
    }
}

fn of_kubeconfig(chosen: &Chosen) -> Result<Accounts> {
    let more = chosen.accounts.iter().map(|(name, context)| {
        (name.clone(), Account { context: context.clone(), ..Account::default() })
    });
    match &chosen.kubeconfig {
        Some(file) => Accounts::of_kubeconfig(file, more.collect()).map_err(|error| match error {
            AccountError::NoContext { .. } => anyhow::anyhow!(
                "{error}; the kubeconfig is `{}`: name a context of it with --account, or another \
                 file with --kubeconfig",
                file.display()
            ),
            AccountError::Kubeconfig { .. }
            | AccountError::Unknown { .. }
            | AccountError::OwnCluster { .. }
            | AccountError::Twice { .. }
            | AccountError::Credentials { .. } => error.into(),
        }),
        None if chosen.accounts.is_empty() => Ok(Accounts::none()),
        None => anyhow::bail!("--account needs a kubeconfig; give one with --kubeconfig"),
    }
}
