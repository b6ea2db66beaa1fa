//! The attempts that need one capability: how many of them may be in the broker, and whose.

use std::time::Duration;

use scheduler_engine::fair::Fair;

use super::super::reach::{Count, Slots};
use super::super::shards::Part;
use super::Which;

/// Attempts that wait in the broker while nobody knows its workers.
pub(crate) const SENT_BLINDLY: usize = 64;
/// What waits in the broker beyond the free slots: as much as begins in this time, so that no slot
/// rests meanwhile, and within these bounds, the latter for each slot. Whatever is there is before
/// everything that comes after it, whosever it is.
const SENT_AHEAD: Duration = Duration::from_millis(20);
pub(crate) const SENT_AHEAD_MIN: usize = 2;
const SENT_AHEAD_PER_SLOT_MAX: usize = 4;

/// Of so many slots one is left free for whoever comes next, by a tenant that has all others: work that
/// lasts frees none before it ends.
const RESERVED_OF: usize = 16;
/// For how long after others had work.
const RESERVED_FOR: Duration = Duration::from_secs(300);

/// The attempts that need one capability.
#[derive(Default)]
pub(crate) struct Line {
    pub(crate) fair: Fair<Which>,
    pub(crate) sent: usize,
    pub(crate) running: usize,
    /// Those that began since workers were counted, and how many did in a second before that.
    pub(crate) began: u32,
    began_per_second: f64,
    recent: Recent,
}

/// Who had work lately.
#[derive(Default)]
struct Recent {
    /// When workers were counted last.
    looked: Duration,
    /// The two tenants that had work last, and when somebody had looked then.
    tenants: [Option<(String, Duration)>; 2],
}

/// How many may be in the broker.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    sent_max: usize,
    /// How many one tenant may have there and with workers, where others had work lately.
    of_one_max: usize,
}

impl Line {
    /// Work of a tenant came.
    pub(crate) fn has_work_of(&mut self, tenant: &str, now: Duration) {
        self.recent.note(tenant, now);
    }

    /// How many may be in the broker, of the slots that there are. Each scheduler may fill its part of
    /// them, and what nobody did when workers were counted last.
    pub(crate) fn bounds(&self, slots: Slots, part: Part) -> Bounds {
        let Count { slots, free, own: busy } = match slots {
            Slots::Of(count) => count,
            Slots::Unknown => return Bounds { sent_max: SENT_BLINDLY, of_one_max: usize::MAX },
            Slots::NotYet => return Bounds { sent_max: 0, of_one_max: 0 },
        };
        let (own, seen) = (part.of(slots), slots.min(busy + free));
        let ahead = (self.began_per_second * SENT_AHEAD.as_secs_f64()).ceil() as usize;
        let most = (slots * SENT_AHEAD_PER_SLOT_MAX).max(SENT_AHEAD_MIN);
        let ahead = ahead.clamp(SENT_AHEAD_MIN, most);
        let reserved = |of: usize| of.saturating_sub(slots / RESERVED_OF);
        Bounds {
            sent_max: own.max(seen).saturating_sub(self.running) + ahead,
            of_one_max: (own - own / RESERVED_OF).max(reserved(seen)),
        }
    }

    /// The next that is to be sent.
    pub(crate) fn send_next(&mut self, bounds: Bounds) -> Option<Which> {
        if self.sent >= bounds.sent_max {
            return None;
        }
        let Self { fair, recent, .. } = self;
        let has_room = |occupied| usize::try_from(occupied).is_ok_and(|is| is < bounds.of_one_max);
        let may_have_more = |name: &str, occupied| has_room(occupied) || !recent.has_others(name);
        let (_, _, which) = fair.take_next_of(may_have_more)?;
        self.sent += 1;
        Some(which)
    }

    /// Workers were counted, and had been before.
    pub(crate) fn is_looked_at(&mut self, before: Duration, now: Duration) {
        let passed = now.saturating_sub(before);
        self.recent.looked = now;
        if !passed.is_zero() {
            let measured = f64::from(std::mem::take(&mut self.began)) / passed.as_secs_f64();
            self.began_per_second = f64::midpoint(self.began_per_second, measured);
        }
    }

    /// Whether there is work, or it is remembered who had some.
    pub(crate) fn is_needed(&self) -> bool {
        self.sent > 0 || !self.fair.is_empty() || self.recent.names().next().is_some()
    }

    #[cfg(test)]
    pub(crate) fn began_per_second(&self) -> f64 {
        self.began_per_second
    }
}

impl Recent {
    fn note(&mut self, tenant: &str, now: Duration) {
        let [last, before] = &mut self.tenants;
        if last.as_ref().is_some_and(|(name, _)| name != tenant) {
            std::mem::swap(last, before);
        }
        match last {
            Some((name, at)) if name == tenant => *at = now,
            Some(_) | None => *last = Some((tenant.to_owned(), now)),
        }
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let is_recent = |at: &Duration| self.looked.saturating_sub(*at) < RESERVED_FOR;
        let recent = self.tenants.iter().flatten().filter(move |(_, at)| is_recent(at));
        recent.map(|(name, _)| name.as_str())
    }

    fn has_others(&self, tenant: &str) -> bool {
        self.names().any(|name| name != tenant)
    }
}
