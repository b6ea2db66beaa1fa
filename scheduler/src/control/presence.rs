//! Says which shards this scheduler owns, and hears what the others say of theirs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use shared_ports::{Clock, Leases, Note, PortError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::shards::{Peer, Peers};
use super::writes::{Readers, Writes};

/// What the notes are about.
const TOPIC: &str = "schedulers";
/// How often a scheduler says that it lives.
const INTERVAL: Duration = Duration::from_millis(250);
/// How long that holds.
const TTL: SignedDuration = SignedDuration::from_millis(1_000);

/// One scheduler among others.
pub(super) struct Presence {
    pub(super) name: String,
    pub(super) leases: Arc<dyn Leases>,
    pub(super) clock: Arc<dyn Clock>,
    /// What this one owns.
    pub(super) owns: watch::Receiver<BTreeSet<u16>>,
    /// What the others say.
    pub(super) peers: watch::Sender<Peers>,
    /// What is written that not every version reads.
    pub(super) writes: Writes,
    /// How long all of them must have been able to read it before.
    pub(super) references_after: Duration,
    /// Since when all of them are.
    pub(super) readers: Readers,
}

impl Presence {
    /// Says and hears until `end`; then it takes back what it said.
    pub(super) async fn run(mut self, end: CancellationToken) -> anyhow::Result<()> {
        loop {
            let owns = self.owns.borrow_and_update().clone();
            let heard = tokio::select! {
                biased;
                () = end.cancelled() => break,
                heard = self.exchange(owns) => heard,
                () = self.clock.sleep(INTERVAL * 4) => Ok(None),
            };
            if let Ok(Some(peers)) = &heard {
                let now = self.clock.elapsed();
                self.readers.note(peers, &self.writes, now, self.references_after);
            }
            self.peers.send_replace(heard.unwrap_or_else(|error| {
                tracing::debug!(%error, "other schedulers are not heard for now");
                None
            }));
            tokio::select! {
                biased;
                () = end.cancelled() => break,
                () = self.clock.sleep(INTERVAL) => {}
            }
        }
        let last = self.note(&BTreeSet::new());
        let gone = self.leases.note(&last, SignedDuration::ZERO);
        tokio::select! {
            biased;
            _unheard = gone => {}
            () = self.clock.sleep(INTERVAL) => {}
        }
        Ok(())
    }

    async fn exchange(&self, owns: BTreeSet<u16>) -> Result<Peers, PortError> {
        self.leases.note(&self.note(&owns), TTL).await?;
        let notes = self.leases.notes(TOPIC).await?;
        let others = notes.iter().filter(|note| note.name != self.name);
        let peers: Vec<Peer> = others.filter_map(read).collect();
        Ok(Some(peers))
    }

    fn note(&self, owns: &BTreeSet<u16>) -> Note {
        let (name, owns) = (self.name.clone(), owns.clone());
        let peer = Peer { name, owns, takes_out: true, reads_joined: true };
        let body = serde_json::to_string(&peer).unwrap_or_default();
        Note { topic: TOPIC.to_owned(), name: self.name.clone(), body }
    }
}

/// `None` for one of another version that says what is not understood here.
fn read(note: &Note) -> Option<Peer> {
    let read = serde_json::from_str(&note.body);
    if read.is_err() {
        tracing::warn!(scheduler = note.name, "what another scheduler says cannot be read");
    }
    read.ok()
}
