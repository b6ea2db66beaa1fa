//! Bytes, stored once by content hash (D9), and logs, appended in chunks.

use std::collections::BTreeSet;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::PortError;

/// Names bytes by what they are: lower-case hexadecimal SHA-256, and their length.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BlobRef {
    /// SHA-256, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// Length in bytes.
    pub bytes: u64,
}

/// Names one log, e.g. `<execution>/<stage>`; characters outside letters, digits and `-_.:` are
/// escaped by the implementation, so that no name leaves its folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogName {
    /// The execution's id.
    pub execution: String,
    /// The stage's reference.
    pub stage: String,
}

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kept {
    /// Blobs.
    pub blobs: u64,
    /// Their bytes.
    pub blob_bytes: u64,
    /// Bytes of all logs.
    pub log_bytes: u64,
}

/// Bytes and logs.
///
/// - `put` of bytes that are there already changes nothing and gives the same reference.
/// - What `put` or `append` acknowledged survives a crash of the process and of the machine.
/// - A reader never sees part of a blob, nor part of a chunk.
#[async_trait]
pub trait Blobs: Send + Sync {
    /// Stores bytes and names them.
    ///
    /// # Errors
    /// [`PortError::Full`] when there is no room; nothing is left behind then.
    async fn put(&self, bytes: Bytes) -> Result<BlobRef, PortError>;

    /// The bytes, or those of `range` (start, end exclusive; clipped to the length).
    ///
    /// # Errors
    /// [`PortError::Refused`] if nothing of that name is stored or what is stored does not match it.
    async fn get(&self, blob: &BlobRef, range: Option<(u64, u64)>) -> Result<Bytes, PortError>;

    /// Appends a chunk to a log; chunks keep the order of their appends.
    ///
    /// # Errors
    /// [`PortError::Full`] when there is no room.
    async fn append(&self, log: &LogName, chunk: Bytes) -> Result<(), PortError>;

    /// The log from byte `offset` on, at most `bytes_max`; empty at its end or if there is none.
    ///
    /// # Errors
    /// [`PortError`] if it cannot be read.
    async fn read(&self, log: &LogName, offset: u64, bytes_max: usize) -> Result<Bytes, PortError>;

    /// Removes blobs (unless somebody stores them again meanwhile) and logs of an execution.
    ///
    /// # Errors
    /// [`PortError`] if something could not be removed; what is gone already is no error.
    async fn remove(&self, blobs: &[BlobRef], execution: Option<&str>) -> Result<(), PortError>;

    /// Removes blobs that were last put before `unused_since`, and says what is kept; it takes a while.
    /// Putting bytes that are there already counts, so what is put again and again stays; a store may
    /// let a day pass before it notes that.
    ///
    /// # Errors
    /// [`PortError`] if something could not be read or removed.
    async fn sweep(&self, unused_since: Timestamp) -> Result<Kept, PortError>;

    /// The same, but what is in use stays. A store that cannot tell removes nothing.
    ///
    /// # Errors
    /// [`PortError`] if something could not be read or removed, or nobody can say what is in use.
    async fn sweep_unused(
        &self,
        unused_since: Timestamp,
        uses: &dyn Uses,
    ) -> Result<Kept, PortError> {
        let _unknown = (unused_since, uses);
        self.sweep(Timestamp::UNIX_EPOCH).await
    }

    /// Whether something could be stored now, as far as that shows without storing: for probes.
    ///
    /// # Errors
    /// [`PortError`] says what is in the way.
    async fn ready(&self) -> Result<(), PortError>;
}

/// Knows which blobs are referred to.
#[async_trait]
pub trait Uses: Send + Sync {
    /// Those of some that are in use, by their SHA-256.
    ///
    /// # Errors
    /// [`PortError`] if that cannot be said.
    async fn in_use(&self, of: &[String]) -> Result<BTreeSet<String>, PortError>;
}
