//! The list of stage types that a worker has.

use std::collections::BTreeMap;
use std::sync::Arc;

use shared_model::Capability;

use crate::{Secrets, StageDescriptor, StageType};

/// Stage types by name and alias.
#[derive(Clone, Default)]
pub struct Catalog {
    by_name: BTreeMap<String, Arc<dyn StageType>>,
    secrets: Secrets,
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

    /// The same with the secrets that its stage types read: what they read is in nothing that a worker
    /// says.
    #[must_use]
    pub fn with_secrets(self, secrets: Secrets) -> Self {
        Self { secrets, ..self }
    }

    /// The secrets that its stage types read.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// The stage type that a document calls `name`.
    pub fn find(&self, name: &str) -> Option<Arc<dyn StageType>> {
        self.by_name.get(name).cloned()
    }

    /// What a worker with it can do, task by task: of stages that name an account, what is done in
    /// those that the worker has credentials for. One may come more than once.
    pub fn capabilities(&self) -> Vec<Capability> {
        let types = self.by_name.iter().map(|(name, kind)| (name, kind, kind.describe()));
        let once = types.filter(|(name, _, found)| **name == found.name);
        once.flat_map(|(_, kind, descriptor)| reached(&**kind, &descriptor)).collect()
    }

    /// Names what the catalog announces: the same stage types have the same hash.
    pub fn hash(&self) -> String {
        let descriptors = serde_json::to_string(&self.descriptors()).unwrap_or_default();
        let sum = descriptors.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        format!("{sum:016x}")
    }

    /// Every descriptor, once, by name.
    pub fn descriptors(&self) -> Vec<StageDescriptor> {
        let named = self.by_name.iter().map(|(name, kind)| (name, kind.describe()));
        named.filter(|(name, found)| **name == found.name).map(|(_, found)| found).collect()
    }
}

/// The topic under which workers whose catalog has a hash note its descriptors, each under the name of
/// its stage type (D18).
pub fn catalog_topic(hash: &str) -> String {
    format!("catalog/{hash}")
}

/// What can be done of a stage type. What stages without an account of their own ask for, or older
/// schedulers, is there as soon as any account is.
fn reached(kind: &dyn StageType, descriptor: &StageDescriptor) -> Vec<Capability> {
    let tasks = descriptor.tasks.iter().map(|task| task.capability.clone());
    if descriptor.account_fields().next().is_none() {
        return tasks.collect();
    }
    let accounts = kind.accounts();
    let of_task = |capability: Capability| {
        let own = accounts.iter().map(|account| capability.in_account(account));
        own.chain([capability.clone()]).collect::<Vec<_>>()
    };
    if accounts.is_empty() { Vec::new() } else { tasks.flat_map(of_task).collect() }
}
