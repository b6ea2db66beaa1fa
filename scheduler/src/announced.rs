//! Learns the stage types that workers announce (D18).
//!
//! A heartbeat has the hash of its worker's catalog; what a catalog of that hash has, its workers say in
//! notes. What was heard once is stored: a stage type outlives its workers, so a stage of it waits for
//! one, and says so, instead of failing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use shared_plugin::{StageDescriptor, catalog_topic};
use shared_ports::documents::{Change, Changed};
use shared_ports::{Note, PortError, Ports};
use shared_runtime::{Kind, Supervisor};

use crate::registry::Registry;

/// The kind of documents that hold descriptors, by name of their stage type.
const KIND: &str = "stageType";
/// Who stores them.
const BY: &str = "workers";
/// How often workers are looked at.
const INTERVAL: Duration = Duration::from_secs(1);
/// Stage types that are learned at most.
const STAGE_TYPES_MAX: u32 = 1_000;

/// Takes up what was announced before, and goes on to listen.
///
/// # Errors
/// [`PortError`] if the store cannot be read.
pub(crate) async fn listen(
    registry: &Arc<Registry>,
    ports: &Ports,
    supervisor: &Supervisor,
) -> Result<(), PortError> {
    for known in ports.documents.list(KIND, "", None, STAGE_TYPES_MAX).await? {
        match serde_json::from_value(known.body) {
            Ok(descriptor) => registry.learn(descriptor),
            Err(error) => {
                let stage_type = known.id;
                tracing::warn!(stage_type, %error, "a stored stage type cannot be read");
            }
        }
    }
    let listener = Listener { registry: Arc::clone(registry), ports: ports.clone() };
    supervisor.spawn(Kind::Upkeep, listener.run());
    Ok(())
}

struct Listener {
    registry: Arc<Registry>,
    ports: Ports,
}

impl Listener {
    async fn run(self) -> anyhow::Result<()> {
        let mut heard = BTreeSet::new();
        loop {
            if let Err(error) = self.look(&mut heard).await {
                tracing::debug!(%error, "what workers announce is not heard for now");
            }
            self.ports.clock.sleep(INTERVAL).await;
        }
    }

    /// Hears catalogs that were not heard before.
    async fn look(&self, heard: &mut BTreeSet<String>) -> Result<(), PortError> {
        let live = self.ports.leases.live().await?;
        let hashes: BTreeSet<String> = live.into_iter().map(|(beat, _)| beat.catalog).collect();
        heard.retain(|hash| hashes.contains(hash));
        for hash in hashes {
            if heard.contains(&hash) {
                continue;
            }
            let notes = self.ports.leases.notes(&catalog_topic(&hash)).await?;
            for note in &notes {
                self.hear(note).await?;
            }
            if !notes.is_empty() {
                heard.insert(hash);
            }
        }
        Ok(())
    }

    async fn hear(&self, note: &Note) -> Result<(), PortError> {
        let stage_type = note.name.as_str();
        let descriptor: StageDescriptor = match serde_json::from_str(&note.body) {
            Ok(descriptor) => descriptor,
            Err(error) => {
                tracing::warn!(stage_type, %error, "a stage type that a worker announces cannot be read");
                return Ok(());
            }
        };
        if self.registry.is_news(&descriptor) {
            tracing::info!(stage_type, "workers announce a stage type");
            self.store(stage_type, serde_json::to_value(&descriptor).unwrap_or_default()).await?;
            self.registry.learn(descriptor);
        }
        Ok(())
    }

    /// Another scheduler may have stored it just now.
    async fn store(&self, stage_type: &str, body: Value) -> Result<(), PortError> {
        let found = self.ports.documents.get(KIND, stage_type).await?;
        if found.as_ref().is_some_and(|found| found.body == body) {
            return Ok(());
        }
        let change = Change {
            kind: KIND.to_owned(),
            id: stage_type.to_owned(),
            expected: found.map_or(0, |found| found.version),
            body: Some(body),
            by: BY.to_owned(),
            at: self.ports.clock.now(),
        };
        match self.ports.documents.change(change).await? {
            Changed::Stored(_) | Changed::Conflict { .. } => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
