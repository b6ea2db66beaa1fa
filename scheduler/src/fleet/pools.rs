//! Pools: workers that are started and stopped together, because they can do the same.

use std::collections::BTreeSet;

use scheduler_engine::autoscale::Policy;
use serde::{Deserialize, Serialize};
use shared_model::{Capability, WorkerId};
use shared_ports::Heartbeat;

/// The pool of what no other pool does.
const REST: &str = "default";

/// How many workers are wished for.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What holds for each capability, and for pools that have no policy.
    pub policy: Policy,
    /// Pools of workers. What none of them names is asked of the one that names nothing, else of a
    /// further one, `default`.
    pub pools: Vec<Pool>,
}

/// Workers that can do the same.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// What its workers can do, in whatever account or in one (`deploy.kubernetes@prod`); of several pools with the same capability the first is asked. None:
    /// whatever no other pool names.
    #[serde(default)]
    pub capabilities: Vec<Capability>,
    /// How many are wished for.
    #[serde(default)]
    pub policy: Option<Policy>,
}

/// A pool with what is asked of it, and by whom it is done.
#[derive(Debug)]
pub(super) struct Share<'a> {
    pub(super) name: String,
    pub(super) capabilities: BTreeSet<Capability>,
    pub(super) policy: Policy,
    pub(super) workers: Vec<&'a Heartbeat>,
}

impl Share<'_> {
    pub(super) fn has(&self, worker: &WorkerId) -> bool {
        self.workers.iter().any(|beat| beat.worker == *worker)
    }
}

impl Config {
    /// Whether a pool names it: itself or, where no pool does so, the same in whatever account.
    fn is_listed(&self, pool: &Pool, name: &Capability) -> bool {
        let names =
            |pool: &Pool, what: &str| pool.capabilities.iter().any(|one| one.as_str() == what);
        let is_named = || self.pools.iter().any(|pool| names(pool, name.as_str()));
        names(pool, name.as_str())
            || name.account().is_some_and(|(what, _)| names(pool, what) && !is_named())
    }

    /// Gives each capability to one pool, and each worker to the one whose work it can do most of.
    pub(super) fn split<'a, 'c>(
        &self,
        capabilities: impl Iterator<Item = &'c Capability>,
        workers: impl Iterator<Item = &'a Heartbeat>,
    ) -> Vec<Share<'a>> {
        let mut left: BTreeSet<Capability> = capabilities.cloned().collect();
        let mut shares: Vec<Share<'a>> = Vec::new();
        for pool in &self.pools {
            let capabilities = left.extract_if(.., |name| self.is_listed(pool, name)).collect();
            let policy = pool.policy.unwrap_or(self.policy);
            shares.push(Share { name: pool.name.clone(), capabilities, policy, workers: vec![] });
        }
        let rest = self.pools.iter().position(|pool| pool.capabilities.is_empty());
        match rest {
            Some(place) => shares[place].capabilities = left,
            None if left.is_empty() && !shares.is_empty() => {}
            None => {
                let (name, policy) = (REST.to_owned(), self.policy);
                shares.push(Share { name, capabilities: left, policy, workers: vec![] });
            }
        }
        for worker in workers {
            let fits = |share: &Share<'_>| {
                let can = worker.capabilities.iter();
                can.filter(|name| share.capabilities.contains(name)).count()
            };
            // The first of those that fit best.
            let best = shares.iter().map(fits).enumerate().rev().max_by_key(|(_, fits)| *fits);
            if let Some((place, 1..)) = best {
                shares[place].workers.push(worker);
            }
        }
        shares
    }
}
