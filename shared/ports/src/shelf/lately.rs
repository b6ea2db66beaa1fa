//! What was put and read lately.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use crate::BlobRef;

/// How long it is remembered that a blob was put, at least; at most twice as long.
const REMEMBERED: Duration = Duration::from_secs(300);
/// How many of them; beyond, the older half is forgotten, and would be put again.
const REMEMBERED_COUNT_MAX: usize = 100_000;
/// What is kept in memory of what was read, in bytes.
const KEPT_BYTES_MAX: usize = 32 * 1024 * 1024;

/// What was put lately: putting it again would cost a file's sync each time.
#[derive(Default)]
pub(super) struct Recent {
    young: BTreeSet<BlobRef>,
    old: BTreeSet<BlobRef>,
    since: Duration,
}

impl Recent {
    pub(super) fn has(&mut self, name: &BlobRef, now: Duration) -> bool {
        let age = now.saturating_sub(self.since);
        if age >= REMEMBERED || self.young.len() >= REMEMBERED_COUNT_MAX / 2 {
            self.old = std::mem::take(&mut self.young);
            if age >= REMEMBERED * 2 {
                self.old.clear();
            }
            self.since = now;
        }
        self.young.contains(name) || self.old.contains(name)
    }

    pub(super) fn note(&mut self, name: BlobRef, now: Duration) {
        self.has(&name, now);
        self.young.insert(name);
    }
}

/// What was read, the oldest first.
#[derive(Default)]
pub(super) struct Kept {
    bytes: BTreeMap<BlobRef, Bytes>,
    order: VecDeque<BlobRef>,
    length: usize,
}

impl Kept {
    pub(super) fn get(&self, name: &BlobRef) -> Option<Bytes> {
        self.bytes.get(name).cloned()
    }

    pub(super) fn keep(&mut self, name: BlobRef, bytes: Bytes) {
        if bytes.len() > KEPT_BYTES_MAX || self.bytes.contains_key(&name) {
            return;
        }
        self.length += bytes.len();
        self.bytes.insert(name.clone(), bytes);
        self.order.push_back(name);
        while self.length > KEPT_BYTES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            let gone = self.bytes.remove(&oldest).map_or(0, |bytes| bytes.len());
            self.length = self.length.saturating_sub(gone);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_remembered_for_a_while_and_only_so_much_of_it() {
        let name = |n: usize| BlobRef { sha256: n.to_string(), bytes: 1 };
        let mut recent = Recent::default();
        recent.note(name(0), Duration::ZERO);
        assert!(recent.has(&name(0), REMEMBERED) && !recent.has(&name(0), REMEMBERED * 3));
        for n in 0..REMEMBERED_COUNT_MAX * 2 {
            recent.note(name(n), Duration::ZERO);
        }
        assert!(recent.young.len() + recent.old.len() <= REMEMBERED_COUNT_MAX);
        assert!(recent.has(&name(REMEMBERED_COUNT_MAX * 2 - 1), Duration::ZERO));
    }
}
