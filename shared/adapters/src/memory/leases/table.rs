use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::Duration;

use shared_model::{AttemptId, Epoch, WorkerId};
use shared_ports::leases::{Claim, Holder};

/// How long an attempt's epoch is remembered after its lease ended: far longer than a worker is
/// ever paused, so that one that comes back with an older epoch is still recognised.
const EPOCH_MEMORY: Duration = Duration::from_secs(3600);
/// The table is not swept while it has fewer entries than this.
const SWEEP_ENTRIES_MIN: usize = 1024;

/// The newest lease of each attempt; times are those of the clock's `elapsed`.
#[derive(Debug, Default)]
pub(super) struct Table {
    leases: BTreeMap<AttemptId, Lease>,
    sweep_at_entries: usize,
}

#[derive(Debug)]
struct Lease {
    holder: Holder,
    epoch: Epoch,
    until: Duration,
}

impl Table {
    pub(super) fn claim(
        &mut self,
        attempt: &AttemptId,
        epoch: Epoch,
        holder: &Holder,
        now: Duration,
        until: Duration,
    ) -> Claim {
        self.sweep(now);
        if let Some(last) = self.leases.get(attempt)
            && let Some(claim) = last.stands_against(epoch, holder, now)
        {
            return claim;
        }
        self.leases.insert(attempt.clone(), Lease { holder: holder.clone(), epoch, until });
        Claim::Granted
    }

    /// Whether the lease is held by this process with this epoch, and so was renewed. One that has
    /// ended stays ended: its worker may have been paused while others acted.
    pub(super) fn renew(
        &mut self,
        attempt: &AttemptId,
        epoch: Epoch,
        holder: &Holder,
        now: Duration,
        until: Duration,
    ) -> bool {
        let held = |lease: &&mut Lease| {
            lease.until > now && lease.epoch == epoch && lease.holder == *holder
        };
        let Some(lease) = self.leases.get_mut(attempt).filter(held) else { return false };
        lease.until = lease.until.max(until);
        true
    }

    pub(super) fn release(&mut self, attempt: &AttemptId, epoch: Epoch, now: Duration) {
        let held = |lease: &&mut Lease| lease.until > now && lease.epoch == epoch;
        if let Some(lease) = self.leases.get_mut(attempt).filter(held) {
            lease.until = now;
        }
    }

    pub(super) fn holder(&self, attempt: &AttemptId, now: Duration) -> Option<(WorkerId, Epoch)> {
        let lease = self.leases.get(attempt).filter(|lease| lease.until > now)?;
        Some((lease.holder.worker.clone(), lease.epoch))
    }

    /// Forgets what ended long ago. The table has doubled since the last time, so that on average
    /// a claim pays for one entry.
    fn sweep(&mut self, now: Duration) {
        if self.leases.len() < self.sweep_at_entries.max(SWEEP_ENTRIES_MIN) {
            return;
        }
        self.leases.retain(|_, lease| lease.until.saturating_add(EPOCH_MEMORY) > now);
        self.sweep_at_entries = self.leases.len() * 2;
    }
}

impl Lease {
    /// What is in the way of another lease; `None` if nothing is.
    fn stands_against(&self, epoch: Epoch, by: &Holder, now: Duration) -> Option<Claim> {
        let (holder, held) = (self.holder.worker.clone(), self.epoch);
        let is_live = self.until > now;
        match epoch.cmp(&held) {
            Ordering::Greater => None,
            Ordering::Equal if !is_live => Some(Claim::Ended { holder, epoch: held }),
            Ordering::Equal if self.holder == *by => None,
            Ordering::Equal | Ordering::Less => Some(Claim::Refused { holder, epoch: held }),
        }
    }
}
