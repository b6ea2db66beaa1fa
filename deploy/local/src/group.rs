//! What is kept of a server group.

use std::collections::BTreeMap;

use deploy::{Capacity, ServerGroup};
use serde::{Deserialize, Serialize};

use crate::process::Process;

/// The version of the state files written here.
pub(crate) const STATE_VERSION: u16 = 1;

/// A server group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Group {
    pub(crate) v: u16,
    pub(crate) name: String,
    pub(crate) cluster: String,
    /// Grows with each server group of the cluster.
    pub(crate) age_order: u64,
    /// What made it: another attempt at the same finds it (D5).
    pub(crate) effect: String,
    /// The newest attempt that works on it.
    pub(crate) epoch: u64,
    pub(crate) service: Service,
    pub(crate) capacity: Capacity,
    /// Whether it takes requests.
    pub(crate) enabled: bool,
    /// Why it is gone; the record stays for a while, so that its effect is not repeated.
    pub(crate) destroyed: Option<String>,
    pub(crate) instances: Vec<Instance>,
}

/// What a server group runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Service {
    pub(crate) command: Vec<String>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) health_path: String,
    pub(crate) load_balancers: Vec<String>,
}

/// One process of a server group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Instance {
    pub(crate) index: u32,
    pub(crate) port: u16,
    /// Absent until it was started and that was stored.
    pub(crate) process: Option<Process>,
    /// Whether it was healthy and may take requests.
    pub(crate) ready: bool,
}

impl Group {
    /// As strategies and targets see it.
    pub(crate) fn view(&self) -> ServerGroup {
        ServerGroup { name: self.name.clone(), age_order: self.age_order, enabled: self.enabled }
    }

    /// Whether it is there.
    pub(crate) fn is_live(&self) -> bool {
        self.destroyed.is_none()
    }

    /// What names the process of an instance in its environment.
    pub(crate) fn variable(&self, instance: &Instance) -> String {
        format!("CAPSTAN_EFFECT={}", self.effect_of(instance))
    }

    /// The key of the effect that an instance is. Its port tells it from earlier ones of its index.
    pub(crate) fn effect_of(&self, instance: &Instance) -> String {
        format!("{}/{}/{}", self.effect, instance.index, instance.port)
    }
}

/// Those that are there, as strategies and targets see them.
pub(crate) fn views(groups: &[Group]) -> Vec<ServerGroup> {
    groups.iter().filter(|group| group.is_live()).map(Group::view).collect()
}
