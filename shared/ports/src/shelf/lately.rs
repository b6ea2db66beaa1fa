//! What was put and read lately.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use crate::BlobRef;

/// How long it is remembered that a blob was put, at least; at most twice as long.
const REMEMBERED: Duration = Duration::from_secs(300);
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
        if now.saturating_sub(self.since) >= REMEMBERED {
            let is_over = now.saturating_sub(self.since) >= REMEMBERED * 2;
            self.old = std::mem::take(&mut self.young);
            if is_over {
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
