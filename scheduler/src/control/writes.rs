//! What is written only once everybody reads it, and has for so long that nobody goes back to a version
//! that does not (`fleet.references_after`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::shards::Peer;

/// What may be written. Clones are handles on the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Writes(Arc<Both>);

#[derive(Debug, Default)]
struct Both {
    references: AtomicBool,
    joined_reports: AtomicBool,
}

impl Writes {
    /// Everything, where there is no other scheduler; else nothing before the others were heard.
    pub(crate) fn new(is_alone: bool) -> Self {
        let allowed = || AtomicBool::new(is_alone);
        Self(Arc::new(Both { references: allowed(), joined_reports: allowed() }))
    }

    /// References to long texts that lie elsewhere.
    pub(crate) fn references(&self) -> bool {
        self.0.references.load(Ordering::Relaxed)
    }

    /// Several reports in one message.
    pub(crate) fn joined_reports(&self) -> bool {
        self.0.joined_reports.load(Ordering::Relaxed)
    }
}

/// Since when all schedulers read what.
#[derive(Debug, Default)]
pub(crate) struct Readers {
    references: Option<Duration>,
    joined_reports: Option<Duration>,
}

impl Readers {
    /// Takes note of what the others say; `after` is how long all of them must have read something.
    pub(crate) fn note(&mut self, peers: &[Peer], writes: &Writes, now: Duration, after: Duration) {
        let reads = |reads: fn(&Peer) -> bool| peers.iter().all(reads);
        let both = [
            (&mut self.references, reads(|peer| peer.takes_out), &writes.0.references),
            (&mut self.joined_reports, reads(|peer| peer.reads_joined), &writes.0.joined_reports),
        ];
        for (since, all_read, allowed) in both {
            *since = all_read.then(|| since.unwrap_or(now));
            let is_long = since.is_some_and(|since| now.saturating_sub(since) >= after);
            allowed.store(is_long, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_is_written_once_all_have_read_it_for_long() {
        let (writes, mut readers) = (Writes::new(false), Readers::default());
        let peer = |takes_out, reads_joined| {
            [Peer { name: "b".into(), owns: BTreeSet::new(), takes_out, reads_joined }]
        };
        let mut at = |seconds, peers: &[Peer]| {
            let after = Duration::from_secs(10);
            readers.note(peers, &writes, Duration::from_secs(seconds), after);
            (writes.references(), writes.joined_reports())
        };
        assert_eq!(at(0, &peer(true, false)), (false, false));
        assert_eq!(at(10, &peer(true, true)), (true, false));
        assert_eq!(at(20, &peer(true, true)), (true, true));
        assert_eq!(at(21, &peer(false, true)), (false, true), "one came that cannot");
        assert_eq!(at(22, &[]), (false, true));
    }
}
