//! The list of everything plugged in: one line per stage type.

use shared_plugin::Catalog;

/// What the stage types need to know.
pub struct CatalogConfig {
    /// Clusters and how to reach them.
    pub kubernetes: deploy_kubernetes::Accounts,
    /// Tools, and where charts and recipes may lie.
    pub bake: bake::Config,
}

/// Every stage type of this binary.
pub fn catalog(config: CatalogConfig) -> Catalog {
    Catalog::default()
        .with(bake::BakeManifest::new(config.bake))
        .with(deploy_kubernetes::DeployManifest::new(config.kubernetes))
}
