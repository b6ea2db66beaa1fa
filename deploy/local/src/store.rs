//! The folder of the provider: server groups by cluster, load balancers, logs.
//!
//! `clusters/<cluster>/<name>.json` is a server group, `clusters/<cluster>/lock` is held while one is
//! changed, `logs/<name>-<index>.log` is what a process wrote, `balancers/<name>/` is a load balancer.

use std::path::{Path, PathBuf};

use crate::error::LocalError;
use crate::files::{self, Lock};
use crate::group::{Group, STATE_VERSION};

/// Records of destroyed server groups that are kept per cluster.
const DESTROYED_MAX: usize = 50;

/// The folder of the provider.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    folder: PathBuf,
}

/// A cluster that nobody else changes.
pub(crate) struct Held {
    folder: PathBuf,
    _lock: Lock,
}

impl Store {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Takes a cluster; names were checked to be no paths.
    pub(crate) fn hold(&self, cluster: &str) -> Result<Held, LocalError> {
        let folder = self.clusters().join(cluster);
        files::make_folder(&folder)?;
        let lock = files::lock(&folder.join("lock"), cluster)?;
        Ok(Held { folder, _lock: lock })
    }

    /// Keeps ports from being given out twice.
    pub(crate) fn hold_ports(&self) -> Result<Lock, LocalError> {
        files::make_folder(&self.folder)?;
        files::lock(&self.folder.join("ports.lock"), "the ports of this machine")
    }

    /// The server groups of a cluster, oldest first, destroyed ones too.
    pub(crate) fn groups(&self, cluster: &str) -> Result<Vec<Group>, LocalError> {
        groups_in(&self.clusters().join(cluster))
    }

    /// The server groups of every cluster.
    pub(crate) fn all(&self) -> Result<Vec<Group>, LocalError> {
        let mut all = Vec::new();
        for entry in std::fs::read_dir(self.clusters()).into_iter().flatten().flatten() {
            all.extend(groups_in(&entry.path())?);
        }
        all.sort_by(|a, b| (&a.cluster, a.age_order).cmp(&(&b.cluster, b.age_order)));
        Ok(all)
    }

    /// Where an instance writes to.
    pub(crate) fn log(&self, group: &str, index: u32) -> PathBuf {
        self.logs().join(format!("{group}-{index}.log"))
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }

    /// The folder of a load balancer.
    pub(crate) fn balancer(&self, name: &str) -> PathBuf {
        self.folder.join("balancers").join(name)
    }

    fn clusters(&self) -> PathBuf {
        self.folder.join("clusters")
    }
}

impl Held {
    pub(crate) fn groups(&self) -> Result<Vec<Group>, LocalError> {
        groups_in(&self.folder)
    }

    /// A server group that is there.
    pub(crate) fn group(&self, name: &str) -> Result<Option<Group>, LocalError> {
        Ok(self.groups()?.into_iter().find(|group| group.name == name))
    }

    pub(crate) fn save(&self, group: &Group) -> Result<(), LocalError> {
        files::write(&self.folder.join(format!("{}.json", group.name)), group)
    }

    /// Forgets the oldest of those that are gone.
    pub(crate) fn forget_old(&self) -> Result<(), LocalError> {
        let groups = self.groups()?;
        let gone: Vec<&Group> = groups.iter().filter(|group| !group.is_live()).collect();
        for group in &gone[..gone.len().saturating_sub(DESTROYED_MAX)] {
            let _gone = std::fs::remove_file(self.folder.join(format!("{}.json", group.name)));
        }
        Ok(())
    }
}

fn groups_in(folder: &Path) -> Result<Vec<Group>, LocalError> {
    let mut groups = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        if let Some(group) = files::read::<Group>(&path)? {
            if group.v > STATE_VERSION {
                let why = format!("it has version {}, known is {STATE_VERSION}", group.v);
                return Err(LocalError::Broken { path, why });
            }
            groups.push(group);
        }
    }
    groups.sort_by_key(|group| group.age_order);
    Ok(groups)
}
