//! The list of everything plugged in: one line per stage type.

pub use bake::{Config as BakeConfig, PackerConfig};
use deploy_kubernetes::DeployManifest;
pub use deploy_kubernetes::{Account, AccountError, Accounts, ClusterSecrets, ServiceAccount};
use deploy_local::{DeployLocal, OperateLocal, Operation};
pub use deploy_local::{LOCAL, LocalConfig, balancer_main, sample};
use shared_plugin::{Catalog, Secrets};

use crate::stages::webhook::Webhook;
pub use crate::stages::webhook::{AllowEntry, AllowError, AllowList, WebhookConfig};

/// What the stage types need to know.
pub struct CatalogConfig {
    /// Tools, and where charts may lie.
    pub bake: BakeConfig,
    /// Packer, and where its templates lie.
    pub packer: PackerConfig,
    /// Clusters and how to reach them.
    pub kubernetes: Accounts,
    /// Server groups of processes on this machine; none where stages may not start any (D27).
    pub local: Option<LocalConfig>,
    /// What webhooks may ask.
    pub webhook: WebhookConfig,
    /// What references to secrets mean.
    pub secrets: Secrets,
}

/// Every stage type of this binary.
pub fn catalog(config: CatalogConfig) -> Catalog {
    let catalog = Catalog::default()
        .with(bake::BakeManifest::new(config.bake))
        .with(bake::Bake::new(config.packer).with_secrets(config.secrets.clone()))
        .with(DeployManifest::new(config.kubernetes).with_secrets(config.secrets.clone()))
        .with(Webhook::new(WebhookConfig { secrets: config.secrets.clone(), ..config.webhook }))
        .with_secrets(config.secrets);
    match config.local {
        Some(config) => with_local(catalog, &config),
        None => catalog,
    }
}

/// Server groups of processes on this machine.
fn with_local(catalog: Catalog, config: &LocalConfig) -> Catalog {
    let catalog = catalog.with(DeployLocal::new(config.clone()));
    let operations = Operation::ALL.map(|operation| OperateLocal::new(operation, config.clone()));
    operations.into_iter().fold(catalog, Catalog::with)
}
