//! Several schedulers share the executions: each tells the others what its own ask of workers, so that
//! any of them can answer for all.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use shared_ports::{Note, PortError, Ports};

use super::{Counted, Part};

/// What the notes are about.
const TOPIC: &str = "demand";
/// How often it is told.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long it holds: a scheduler that is gone, and whose executions others took over, counts no longer.
const TTL: SignedDuration = SignedDuration::from_secs(4);

/// Tells what is asked of workers until it is dropped.
pub(super) async fn tell(name: String, counted: Arc<Counted>, ports: Ports) -> anyhow::Result<()> {
    loop {
        let body = serde_json::to_string(&counted.parts(ports.clock.elapsed()))?;
        let note = Note { topic: TOPIC.to_owned(), name: name.clone(), body };
        if let Err(error) = ports.leases.note(&note, TTL).await {
            tracing::debug!(%error, "what is asked of workers is not told for now");
        }
        ports.clock.sleep(INTERVAL).await;
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
