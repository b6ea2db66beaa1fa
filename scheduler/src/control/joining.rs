//! How a scheduler joins those that work on the same store.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use shared_ports::documents::{Change, Changed};
use shared_ports::{PortError, Ports};
use shared_runtime::{Kind, Supervisor};
use tokio::sync::watch;

use super::Config;
use super::presence::Presence;
use super::shards::{Shards, Sharing};
use super::share::Share;
use super::writes::{Readers, Writes};

/// Where the number of shards is stored: it is the store's, not a scheduler's (D17).
const KIND: &str = "setting";
const ID: &str = "shards";

/// Joins the others, where there may be some.
///
/// # Errors
/// [`PortError`] if the store cannot be read.
pub(super) async fn join(
    config: &Config,
    ports: &Ports,
    writes: &Writes,
    supervisor: &Supervisor,
) -> Result<Share, PortError> {
    let (peers, heard) = watch::channel(None);
    let (owns, owned) = watch::channel(BTreeSet::new());
    let Some(sharing) = &config.sharing else {
        return Ok(Share::new(Shards::alone(), heard, owns));
    };
    let count = count(ports, sharing).await?;
    let presence = Presence {
        name: sharing.name.clone(),
        leases: Arc::clone(&ports.leases),
        clock: Arc::clone(&ports.clock),
        owns: owned,
        peers,
        writes: writes.clone(),
        references_after: sharing.references_after,
        readers: Readers::default(),
    };
    let end = supervisor.stopping_of(Kind::Heartbeat);
    supervisor.spawn(Kind::Heartbeat, presence.run(end));
    Ok(Share::new(Shards::shared(&sharing.name, count), heard, owns))
}

/// Into how many shards executions are divided: whoever comes first says it.
async fn count(ports: &Ports, sharing: &Sharing) -> Result<u16, PortError> {
    if let Some(known) = stored(ports).await? {
        if known != sharing.shards {
            let (stored, asked) = (known, sharing.shards);
            tracing::warn!(stored, asked, "the store has another number of shards, which counts");
        }
        return Ok(known);
    }
    let first = Change {
        kind: KIND.to_owned(),
        id: ID.to_owned(),
        expected: 0,
        body: Some(json!({ "count": sharing.shards })),
        by: sharing.name.clone(),
        at: ports.clock.now(),
    };
    match ports.documents.change(first).await? {
        Changed::Stored(_) => Ok(sharing.shards),
        // Another one came first.
        Changed::Conflict { .. } => Ok(stored(ports).await?.unwrap_or(sharing.shards)),
    }
}

async fn stored(ports: &Ports) -> Result<Option<u16>, PortError> {
    let Some(found) = ports.documents.get(KIND, ID).await? else { return Ok(None) };
    let count = found.body.get("count").and_then(Value::as_u64);
    let count = count.and_then(|count| u16::try_from(count).ok()).filter(|count| *count > 0);
    count.map(Some).ok_or_else(|| PortError::Refused {
        doing: format!("reading the document `{KIND}/{ID}`"),
        why: "its `count` is not a number from 1 to 65535".into(),
    })
}
