//! The list of everything plugged in: one line per stage type.

pub use bake::Config as BakeConfig;
pub use deploy_kubernetes::{Account, AccountError, Accounts};
use shared_plugin::Catalog;

/// What the stage types need to know.
pub struct CatalogConfig {
    /// Tools, and where charts may lie.
    pub bake: BakeConfig,
    /// Clusters and how to reach them.
    pub kubernetes: Accounts,
}

/// Every stage type of this binary.
pub fn catalog(config: CatalogConfig) -> Catalog {
    Catalog::default()
        .with(bake::BakeManifest::new(config.bake))
        .with(deploy_kubernetes::DeployManifest::new(config.kubernetes))
}
