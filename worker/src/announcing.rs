//! Tells schedulers which stage types this worker has (D18): they may be of another program, or of
//! another version of this one.

use std::time::Duration;

use jiff::SignedDuration;
use shared_plugin::{Catalog, catalog_topic};
use shared_ports::{Note, WorkerPorts};

/// How often it is told: whoever heard it keeps it, so this is for those who come later.
const INTERVAL: Duration = Duration::from_secs(60);
/// The same while it could not be told.
const RETRY: Duration = Duration::from_secs(2);
/// How long it can be asked for.
const TTL: SignedDuration = SignedDuration::from_mins(5);

/// Tells it again and again.
pub(crate) async fn run(ports: WorkerPorts, catalog: Catalog) -> anyhow::Result<()> {
    let notes = notes(&catalog);
    loop {
        let pause = if tell(&ports, &notes).await { INTERVAL } else { RETRY };
        ports.clock.sleep(pause).await;
    }
}

fn notes(catalog: &Catalog) -> Vec<Note> {
    let topic = catalog_topic(&catalog.hash());
    let note = |descriptor: shared_plugin::StageDescriptor| Note {
        topic: topic.clone(),
        body: serde_json::to_string(&descriptor).unwrap_or_default(),
        name: descriptor.name,
    };
    catalog.descriptors().into_iter().map(note).collect()
}

/// Whether all of it was heard.
async fn tell(ports: &WorkerPorts, notes: &[Note]) -> bool {
    let mut is_heard = true;
    for note in notes {
        if let Err(error) = ports.leases.note(note, TTL).await {
            let stage_type = &note.name;
            tracing::warn!(stage_type, %error, "a stage type is not announced for now");
            is_heard = false;
        }
    }
    is_heard
}
