//! Several schedulers share the executions: each tells the others what its own ask of workers, so that
//! any of them can answer for all.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use shared_ports::{Note, PortError, Ports};
use tokio_util::sync::CancellationToken;

use super::{Counted, Part};

/// What the notes are about.
const TOPIC: &str = "demand";
/// How often it is told.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long it holds: a scheduler that is gone, and whose executions others took over, counts no longer.
const TTL: SignedDuration = SignedDuration::from_secs(4);

/// Says what is asked of workers by the executions of this process.
pub(super) struct Telling {
    pub(super) name: String,
    pub(super) counted: Arc<Counted>,
    pub(super) ports: Ports,
}

impl Telling {
    /// Tells until `end`; then it takes back what it told, because others count the same executions.
    pub(super) async fn run(self, end: CancellationToken) -> anyhow::Result<()> {
        while !end.is_cancelled() {
            let parts = self.counted.parts(self.ports.clock.elapsed());
            self.tell(&parts, TTL).await;
            tokio::select! {
                biased;
                () = end.cancelled() => {}
                () = self.ports.clock.sleep(INTERVAL) => {}
            }
        }
        tokio::select! {
            biased;
            () = self.tell(&[], SignedDuration::ZERO) => {}
            () = self.ports.clock.sleep(INTERVAL) => {}
        }
        Ok(())
    }

    async fn tell(&self, parts: &[Part], ttl: SignedDuration) {
        let body = serde_json::to_string(parts).unwrap_or_default();
        let note = Note { topic: TOPIC.to_owned(), name: self.name.clone(), body };
        if let Err(error) = self.ports.leases.note(&note, ttl).await {
            tracing::debug!(%error, "what is asked of workers is not told for now");
        }
    }
}

/// What the others told.
///
/// # Errors
/// [`PortError`] if nobody can say.
pub(super) async fn heard(me: &str, ports: &Ports) -> Result<Vec<Part>, PortError> {
    let notes = ports.leases.notes(TOPIC).await?;
    let others = notes.into_iter().filter(|note| note.name != me);
    let parts = others.map(|note| {
        serde_json::from_str::<Vec<Part>>(&note.body).unwrap_or_else(|error| {
            tracing::warn!(scheduler = %note.name, %error, "what it asks of workers cannot be read");
            Vec::new()
        })
    });
    Ok(parts.flatten().collect())
}
