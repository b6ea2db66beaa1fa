//! Changes server groups: each step can be repeated, and goes on where an earlier one died.

mod instances;
mod traffic;

use std::sync::Arc;

use shared_plugin::{Ending, TaskContext};

use crate::config::LocalConfig;
use crate::error::{LocalError, invalid};
use crate::group::{Group, STATE_VERSION};
use crate::request::Deploy;
use crate::store::{Held, Store};

/// Why an operation did not come to its end.
#[derive(Debug)]
pub(crate) enum Halt {
    Failed(LocalError),
    Cancelled,
    /// Another worker goes on with it: everything is left as it stands.
    HandedOver,
}

impl From<Ending> for Halt {
    fn from(why: Ending) -> Self {
        match why {
            Ending::Cancel => Self::Cancelled,
            Ending::HandOver => Self::HandedOver,
        }
    }
}

impl From<LocalError> for Halt {
    fn from(error: LocalError) -> Self {
        Self::Failed(error)
    }
}

/// The server groups of this machine.
#[derive(Clone)]
pub(crate) struct Local {
    pub(crate) config: Arc<LocalConfig>,
    pub(crate) store: Store,
}

impl Local {
    pub(crate) fn new(config: LocalConfig) -> Self {
        let store = Store::new(&config.folder);
        Self { config: Arc::new(config), store }
    }

    /// Does something that waits for files or locks.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, LocalError> + Send + 'static,
    ) -> Result<T, LocalError> {
        let this = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&this)).await;
        done.unwrap_or_else(|error| Err(invalid(format!("a step broke down: {error}"))))
    }

    /// The server groups of a cluster, oldest first, destroyed ones too.
    pub(crate) async fn groups(&self, cluster: &str) -> Result<Vec<Group>, LocalError> {
        let cluster = cluster.to_owned();
        self.blocking(move |this| this.store.groups(&cluster)).await
    }

    /// Changes the record of a server group that is there, while nobody else does.
    async fn update(
        &self,
        name: &str,
        change: impl FnOnce(&mut Group) + Send + 'static,
    ) -> Result<Group, LocalError> {
        let name = name.to_owned();
        self.blocking(move |this| {
            let cluster = deploy::Moniker::of_name(&name).cluster;
            let held = this.store.hold(&cluster)?;
            let mut group = live(&held, &name)?;
            change(&mut group);
            held.save(&group)?;
            Ok(group)
        })
        .await
    }

    /// The server group that an effect makes: found, or made with the next free number. One that was
    /// taken back when an attempt was told to end is made again under its name.
    pub(crate) async fn create(
        &self,
        cx: &TaskContext,
        ordinal: u32,
        wanted: &Deploy,
    ) -> Result<Group, LocalError> {
        let (effect, epoch) = (cx.effect(ordinal).to_string(), cx.epoch.0);
        let wanted = wanted.clone();
        self.blocking(move |this| {
            let held = this.store.hold(&wanted.cluster)?;
            let found = held.groups()?.into_iter().find(|group| group.effect == effect);
            let mut group = match found {
                Some(group) if group.epoch > epoch => {
                    return Err(LocalError::TakenOver(group.name));
                }
                Some(group) => group,
                None => new_group(&held, &wanted, effect)?,
            };
            group.epoch = epoch;
            if group.destroyed.take().is_some() {
                group.instances.clear();
            }
            held.save(&group)?;
            Ok(group)
        })
        .await
    }
}

fn new_group(held: &Held, wanted: &Deploy, effect: String) -> Result<Group, LocalError> {
    let groups = held.groups()?;
    let views: Vec<deploy::ServerGroup> = groups.iter().map(Group::view).collect();
    let name = deploy::server_group::next_name(&wanted.cluster, &views).map_err(invalid)?;
    Ok(Group {
        v: STATE_VERSION,
        name,
        cluster: wanted.cluster.clone(),
        age_order: groups.iter().map(|group| group.age_order).max().map_or(1, |age| age + 1),
        effect,
        epoch: 0,
        service: wanted.service.clone(),
        capacity: wanted.capacity,
        enabled: false,
        destroyed: None,
        instances: Vec::new(),
    })
}

/// A server group that is there.
fn live(held: &Held, name: &str) -> Result<Group, LocalError> {
    let found = held.group(name)?.filter(Group::is_live);
    found.ok_or_else(|| invalid(format!("there is no server group `{name}` any more")))
}
