//! The stage types that documents may ask for: those that need no worker, and those that workers
//! announced (D18).

use std::collections::BTreeMap;

use shared_model::{Capability, StageView};
use shared_plugin::StageDescriptor;

/// Descriptors by name and alias.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    by_name: BTreeMap<String, StageDescriptor>,
}

impl Registry {
    /// A registry of these descriptors.
    pub fn new(descriptors: Vec<StageDescriptor>) -> Self {
        let mut by_name = BTreeMap::new();
        for descriptor in descriptors {
            for alias in &descriptor.aliases {
                by_name.insert(alias.clone(), descriptor.clone());
            }
            by_name.insert(descriptor.name.clone(), descriptor);
        }
        Self { by_name }
    }

    /// The descriptor of a stage type.
    pub fn find(&self, name: &str) -> Option<&StageDescriptor> {
        self.by_name.get(name)
    }

    /// Whether a stage of a document can run: its alias or its type is known.
    pub fn knows(&self, stage: StageView<'_>) -> bool {
        [stage.alias(), stage.kind()]
            .into_iter()
            .any(|name| self.find(name).is_some() || scheduler_engine::native::is_native(name))
    }

    /// What workers must be able to do; one may come more than once.
    pub fn capabilities(&self) -> impl Iterator<Item = Capability> + '_ {
        let tasks = self.by_name.values().flat_map(|descriptor| &descriptor.tasks);
        tasks.map(|task| task.capability.clone())
    }

    /// Every known name, for errors.
    pub fn names(&self) -> Vec<&str> {
        self.by_name.keys().map(String::as_str).collect()
    }
}
