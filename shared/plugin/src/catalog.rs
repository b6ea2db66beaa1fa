//! The list of stage types that a worker has.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{StageDescriptor, StageType};

/// Stage types by name and alias.
#[derive(Clone, Default)]
pub struct Catalog {
    by_name: BTreeMap<String, Arc<dyn StageType>>,
}

impl Catalog {
    /// The same with one more stage type; a later one of the same name wins.
    #[must_use]
    pub fn with(mut self, stage_type: impl StageType + 'static) -> Self {
        let stage_type: Arc<dyn StageType> = Arc::new(stage_type);
        let descriptor = stage_type.describe();
        for name in descriptor.aliases.into_iter().chain([descriptor.name]) {
            self.by_name.insert(name, Arc::clone(&stage_type));
        }
        self
    }

    /// The stage type that a document calls `name`.
    pub fn find(&self, name: &str) -> Option<Arc<dyn StageType>> {
        self.by_name.get(name).cloned()
    }

    /// Every descriptor, once, by name.
    pub fn descriptors(&self) -> Vec<StageDescriptor> {
        let named = self.by_name.iter().map(|(name, kind)| (name, kind.describe()));
        named.filter(|(name, found)| **name == found.name).map(|(_, found)| found).collect()
    }
}
