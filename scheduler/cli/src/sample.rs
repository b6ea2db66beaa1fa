//! Something to run at the first start.

use anyhow::{Context, Result};
use scheduler::Scheduler;
use serde_json::{Value, json};
use shared_ports::documents::{Change, Changed};

/// Remembers that it was saved: deleted samples do not come back.
const KIND: &str = "setting";
const ID: &str = "sample";
/// As whom it is saved.
const BY: &str = "capstan";
/// The pipelines of the sample, the first one first.
const PIPELINES: [&str; 3] = [
    include_str!("../examples/sample/release.json"),
    include_str!("../examples/sample/roll-back.json"),
    include_str!("../examples/sample/take-down.json"),
];

/// Saves the sample, once in the life of a data folder. Says whether it did.
///
/// # Errors
/// If it cannot be stored.
pub(crate) async fn save_once(scheduler: &Scheduler) -> Result<bool> {
    let documents = &scheduler.ports().documents;
    if documents.get(KIND, ID).await?.is_some()
        || !scheduler.library().applications().await?.is_empty()
    {
        return Ok(false);
    }
    for text in PIPELINES {
        let document: Value = serde_json::from_str(text).context("a sample is no JSON")?;
        let document = document.as_object().cloned().unwrap_or_default();
        scheduler.library().save_pipeline(document, false, BY).await?;
    }
    let change = Change {
        kind: KIND.into(),
        id: ID.into(),
        expected: 0,
        body: Some(json!({ "saved": true })),
        by: BY.into(),
        at: scheduler.ports().clock.now(),
    };
    Ok(matches!(documents.change(change).await?, Changed::Stored(_)))
}
