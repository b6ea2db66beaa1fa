//! Versioned documents: applications, pipelines, stage descriptors.

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;

use crate::PortError;

/// A stored document.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Its kind, e.g. `pipeline`.
    pub kind: String,
    /// Its id, unique within the kind.
    pub id: String,
    /// 1 when it is first stored, one more with every change.
    pub version: u64,
    /// What it says.
    pub body: Value,
    /// When this version was stored.
    pub at: Timestamp,
    /// Who stored it.
    pub by: String,
}

/// A change to one document.
#[derive(Debug, Clone)]
pub struct Change {
    /// Its kind.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// The version that this change was made from; 0 if there was none, or a deleted one.
    pub expected: u64,
    /// The new body; `None` deletes it (its history stays).
    pub body: Option<Value>,
    /// Who changes it.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// What a change answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// Stored with this version.
    Stored(u64),
    /// Nothing was changed: the newest version is another than expected.
    Conflict {
        /// The newest version; 0 if there is none.
        newest: u64,
    },
}

/// Versioned documents.
///
/// - Optimistic: a change names the version that it was made from and is refused if that is not the
///   newest, so no edit overwrites another unseen.
/// - Every version is kept and can be read; reads see every acknowledged change.
#[async_trait]
pub trait Documents: Send + Sync {
    /// The newest version; `None` if there is none or it was deleted.
    ///
    /// # Errors
    /// [`PortError`] if it cannot be read.
    async fn get(&self, kind: &str, id: &str) -> Result<Option<Document>, PortError>;

    /// Stores or deletes.
    ///
    /// # Errors
    /// [`PortError`] if it may not have happened.
    async fn change(&self, change: Change) -> Result<Changed, PortError>;

    /// Documents of a kind whose id begins with `prefix` and comes after `after`, by id.
    ///
    /// # Errors
    /// [`PortError`] if they cannot be read.
    async fn list(
        &self,
        kind: &str,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Document>, PortError>;

    /// The versions of one document, newest first; a deletion has the body `null`.
    ///
    /// # Errors
    /// [`PortError`] if they cannot be read.
    async fn history(&self, kind: &str, id: &str, limit: u32) -> Result<Vec<Document>, PortError>;

    /// Documents of a kind whose newest version was stored before `until`, a deletion too.
    ///
    /// # Errors
    /// [`PortError`] if they cannot be read.
    async fn stored_before(
        &self,
        kind: &str,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<String>, PortError>;

    /// Removes documents with every version: as if they had never been.
    ///
    /// # Errors
    /// [`PortError`] if they may still be there.
    async fn forget(&self, kind: &str, ids: &[String]) -> Result<(), PortError>;
}
