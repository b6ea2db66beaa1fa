//! The stage types that documents may ask for: those that need no worker, and those that workers
//! announced (D18).

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use shared_model::{Capability, StageView};
use shared_plugin::StageDescriptor;

/// Descriptors by name and alias. What it was made of stays; what workers announce is added.
#[derive(Debug, Default)]
pub struct Registry {
    own: BTreeMap<String, Arc<StageDescriptor>>,
    announced: RwLock<BTreeMap<String, Arc<StageDescriptor>>>,
}

impl Registry {
    /// A registry of these descriptors.
    pub fn new(descriptors: Vec<StageDescriptor>) -> Self {
        let mut own = BTreeMap::new();
        descriptors.into_iter().for_each(|descriptor| insert(&mut own, descriptor));
        Self { own, ..Self::default() }
    }

    /// Whether a descriptor says something that is not known. Names of our own stay what they are.
    pub fn is_news(&self, descriptor: &StageDescriptor) -> bool {
        let name = &descriptor.name;
        !self.own.contains_key(name) && self.find(name).is_none_or(|known| *known != *descriptor)
    }

    /// Adds what a worker announced, in place of what was announced under the name before.
    pub fn learn(&self, descriptor: StageDescriptor) {
        let mut announced = self.announced.write().unwrap_or_else(PoisonError::into_inner);
        announced.retain(|_, known| known.name != descriptor.name);
        insert(&mut announced, descriptor);
    }

    /// The descriptor of a stage type.
    pub fn find(&self, name: &str) -> Option<Arc<StageDescriptor>> {
        if let Some(own) = self.own.get(name) {
            return Some(Arc::clone(own));
        }
        self.announced.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Whether a stage of a document can run: its alias or its type is known.
    pub fn knows(&self, stage: StageView<'_>) -> bool {
        [stage.alias(), stage.kind()]
            .into_iter()
            .any(|name| self.find(name).is_some() || scheduler_engine::native::is_native(name))
    }

    /// What workers must be able to do; one may come more than once.
    pub fn capabilities(&self) -> Vec<Capability> {
        let all = self.all();
        let tasks = all.values().flat_map(|descriptor| &descriptor.tasks);
        tasks.map(|task| task.capability.clone()).collect()
    }

    /// Every known name, for errors.
    pub fn names(&self) -> Vec<String> {
        self.all().into_keys().collect()
    }

    fn all(&self) -> BTreeMap<String, Arc<StageDescriptor>> {
        let mut all = self.announced.read().unwrap_or_else(PoisonError::into_inner).clone();
        all.extend(self.own.clone());
        all
    }
}

fn insert(by_name: &mut BTreeMap<String, Arc<StageDescriptor>>, descriptor: StageDescriptor) {
    let descriptor = Arc::new(descriptor);
    for alias in &descriptor.aliases {
        by_name.insert(alias.clone(), Arc::clone(&descriptor));
    }
    by_name.insert(descriptor.name.clone(), descriptor);
}
