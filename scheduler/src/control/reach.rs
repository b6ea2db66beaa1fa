//! Which workers there are for what is to be done, and in which accounts: an attempt goes only where
//! its credentials are.
//!
//! A worker says which accounts it reaches, a capability for each. One that says so of none, although
//! it can do the work, is older, and is taken to reach them all.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use shared_model::{Capability, ExecutionId};
use shared_ports::Heartbeat;

/// What workers said when they were heard last.
#[derive(Default)]
pub(crate) struct Reach {
    /// Whether workers have accounts of their own; where there is but one, it has them all.
    by_account: bool,
    seen: RwLock<Seen>,
}

#[derive(Default)]
struct Seen {
    is_told: bool,
    /// Whether nobody could say who lives, when that was asked last.
    is_failed: bool,
    slots: BTreeMap<Capability, Count>,
    /// Slots of workers that do not say which accounts they reach.
    older: BTreeMap<Capability, Count>,
    /// Whether there is a worker that does not know of long texts that lie elsewhere.
    has_one_that_does_not_take_out: bool,
}

/// The slots of workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Count {
    pub(crate) slots: usize,
    /// Those at which nobody worked when they were counted.
    pub(crate) free: usize,
    /// Those at which somebody worked on executions that are owned here.
    pub(crate) own: usize,
}

impl Count {
    fn of(beat: &Heartbeat, is_own: &dyn Fn(&ExecutionId) -> bool) -> Self {
        let slots = usize::from(beat.slots);
        let free = slots.saturating_sub(beat.in_flight.len());
        let own = beat.in_flight.iter().filter(|(attempt, _)| is_own(&attempt.execution)).count();
        Self { slots, free, own }
    }

    fn add(&mut self, other: Self) {
        self.slots += other.slots;
        self.free += other.free;
        self.own += other.own;
    }
}

/// How many slots there are for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slots {
    /// So many.
    Of(Count),
    /// Nobody knows, or none for now: whoever comes finds what waits.
    Unknown,
    /// None, and what waits is to wait here: a queue for it may not be there.
    NotYet,
}

impl Reach {
    /// Nobody was heard yet.
    pub(crate) fn new(by_account: bool) -> Self {
        Self { by_account, ..Self::default() }
    }

    /// Takes note of who lives.
    pub(crate) fn note(&self, live: &[Heartbeat], is_own: &dyn Fn(&ExecutionId) -> bool) {
        let mut seen = Seen { is_told: true, ..Seen::default() };
        for beat in live.iter().filter(|beat| !beat.draining) {
            seen.has_one_that_does_not_take_out |= !beat.takes_out;
            let says = |what: &str| {
                let accounts = beat.capabilities.iter().filter_map(Capability::account);
                accounts.into_iter().any(|(of, _)| of == what)
            };
            let count = Count::of(beat, is_own);
            for capability in &beat.capabilities {
                seen.slots.entry(capability.clone()).or_default().add(count);
                if !says(capability.as_str()) && capability.account().is_none() {
                    seen.older.entry(capability.clone()).or_default().add(count);
                }
            }
        }
        *self.seen.write().unwrap_or_else(PoisonError::into_inner) = seen;
    }

    /// Whether every worker takes long texts of its inputs out of blobs, as far as they were heard.
    pub(crate) fn all_take_out(&self) -> bool {
        !self.seen().has_one_that_does_not_take_out
    }

    /// Nobody can say who lives: what was said before holds.
    pub(crate) fn cannot_be_told(&self) {
        self.seen.write().unwrap_or_else(PoisonError::into_inner).is_failed = true;
    }

    /// What a stage that names this account asks of a worker.
    pub(crate) fn of_stage(&self, capability: &Capability, account: Option<&str>) -> Capability {
        let account = account.filter(|_| self.by_account);
        let Some(account) = account else { return capability.clone() };
        // An older scheduler that took the stage over could give it to older workers by this alone.
        if self.seen().older.contains_key(capability) {
            return capability.clone();
        }
        capability.in_account(account)
    }

    /// The queue that is read by those who can do it.
    pub(crate) fn queue(&self, capability: &Capability) -> Capability {
        let seen = self.seen();
        match plain(capability) {
            Some(what) if !seen.slots.contains_key(capability) => {
                if seen.older.contains_key(&what) { what } else { capability.clone() }
            }
            Some(_) | None => capability.clone(),
        }
    }

    /// The slots that there are for it.
    pub(crate) fn slots(&self, capability: &Capability) -> Slots {
        let seen = self.seen();
        let plain = plain(capability);
        let older = plain.as_ref().and_then(|what| seen.older.get(what));
        match (seen.slots.get(capability).or(older), plain) {
            (Some(count @ Count { slots: 1.., .. }), _) => Slots::Of(*count),
            // Anybody may make accounts up; what no worker reads has no queue.
            (Some(_) | None, Some(_)) if seen.is_told || !seen.is_failed => Slots::NotYet,
            (Some(_) | None, _) => Slots::Unknown,
        }
    }

    fn seen(&self) -> std::sync::RwLockReadGuard<'_, Seen> {
        self.seen.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn plain(capability: &Capability) -> Option<Capability> {
    capability.account().map(|(what, _)| Capability::new(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beats(workers: &[&[&str]]) -> Vec<Heartbeat> {
        let beat = |capabilities: &&[&str]| {
            let text = serde_json::json!({
                "worker": "w", "capabilities": capabilities, "slots": 4,
            });
            serde_json::from_value(text).unwrap()
        };
        workers.iter().map(beat).collect()
    }

    fn of(slots: usize) -> Slots {
        Slots::Of(Count { slots, free: slots, own: 0 })
    }

    #[test]
    fn work_goes_where_its_account_is() {
        let (reach, deploy) = (Reach::new(true), Capability::new("deploy"));
        let prod = reach.of_stage(&deploy, Some("prod"));
        assert_eq!(prod.as_str(), "deploy@prod");
        assert_eq!(reach.of_stage(&deploy, None), deploy);
        assert_eq!(reach.slots(&prod), Slots::NotYet, "nobody was heard");
        assert_eq!(reach.slots(&deploy), Slots::Unknown);
        reach.cannot_be_told();
        assert_eq!(reach.slots(&prod), Slots::Unknown, "without Redis work goes on");
        reach.note(&beats(&[&["deploy", "deploy@prod"], &["deploy", "deploy@test"]]), &|_| true);
        assert_eq!(reach.slots(&prod), of(4));
        assert_eq!(reach.slots(&deploy), of(8));
        assert_eq!(reach.slots(&deploy.in_account("made-up")), Slots::NotYet);
        assert_eq!(reach.queue(&prod), prod);
        assert_eq!(reach.queue(&deploy.in_account("made-up")).as_str(), "deploy@made-up");
    }

    #[test]
    fn older_workers_are_taken_to_reach_everything() {
        let (reach, deploy) = (Reach::new(true), Capability::new("deploy"));
        let prod = deploy.in_account("prod");
        reach.note(&beats(&[&["deploy"], &["deploy", "deploy@test"]]), &|_| true);
        assert_eq!(reach.of_stage(&deploy, Some("prod")), deploy);
        assert_eq!((reach.queue(&prod), reach.slots(&prod)), (deploy.clone(), of(4)));
        reach.note(&beats(&[&["deploy", "deploy@prod"], &["deploy", "deploy@test"]]), &|_| true);
        assert_eq!(reach.of_stage(&deploy, Some("prod")), prod);
        assert_eq!(reach.queue(&prod), prod);
    }

    #[test]
    fn a_worker_that_is_the_only_one_is_asked_for_all_accounts() {
        let (reach, deploy) = (Reach::new(false), Capability::new("deploy"));
        assert_eq!(reach.of_stage(&deploy, Some("prod")), deploy);
    }
}
