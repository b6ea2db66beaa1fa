//! The list of everything plugged in: one line per stage type.

use shared_plugin::Catalog;

/// What the stage types need to know.
pub struct CatalogConfig {}

/// Every stage type of this binary.
pub fn catalog(_config: CatalogConfig) -> Catalog {
    Catalog::default()
}
