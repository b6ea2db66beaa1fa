//! Bytes and logs in memory, for the simulated world.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use shared_ports::blobs::Kept;
use shared_ports::{BlobRef, Blobs, LogName, PortError};

use crate::blobs::name_of;
use crate::memory::lock;

/// Bytes and logs in memory.
#[derive(Debug, Default)]
pub struct MemoryBlobs {
    blobs: Mutex<BTreeMap<BlobRef, Bytes>>,
    logs: Mutex<BTreeMap<LogName, Vec<u8>>>,
}

#[async_trait]
impl Blobs for MemoryBlobs {
    async fn put(&self, bytes: Bytes) -> Result<BlobRef, PortError> {
        let name = name_of(&bytes);
        lock(&self.blobs).entry(name.clone()).or_insert(bytes);
        Ok(name)
    }

    async fn get(&self, blob: &BlobRef, range: Option<(u64, u64)>) -> Result<Bytes, PortError> {
        let stored = lock(&self.blobs).get(blob).cloned();
        let Some(bytes) = stored else {
            return Err(PortError::Refused {
                doing: format!("reading blob {}", blob.sha256),
                why: "it is not stored; it was removed, or never put here".to_owned(),
            });
        };
        Ok(crate::blobs::clip(&bytes, range))
    }

    async fn append(&self, log: &LogName, chunk: Bytes) -> Result<(), PortError> {
        lock(&self.logs).entry(log.clone()).or_default().extend_from_slice(&chunk);
        Ok(())
    }

    async fn read(&self, log: &LogName, offset: u64, bytes_max: usize) -> Result<Bytes, PortError> {
        let logs = lock(&self.logs);
        let rest = usize::try_from(offset)
            .ok()
            .and_then(|offset| logs.get(log)?.get(offset..))
            .unwrap_or_default();
        Ok(Bytes::copy_from_slice(&rest[..rest.len().min(bytes_max)]))
    }

    async fn remove(&self, blobs: &[BlobRef], execution: Option<&str>) -> Result<(), PortError> {
        lock(&self.blobs).retain(|name, _| !blobs.contains(name));
        if let Some(execution) = execution {
            lock(&self.logs).retain(|name, _| name.execution != execution);
        }
        Ok(())
    }

    /// There is no clock here: nothing is old.
    async fn sweep(&self, _unused_since: Timestamp) -> Result<Kept, PortError> {
        let (blobs, logs) = (lock(&self.blobs), lock(&self.logs));
        let blob_bytes = blobs.keys().map(|name| name.bytes).sum();
        let log_bytes = logs.values().map(|log| log.len() as u64).sum();
        Ok(Kept { blobs: blobs.len() as u64, blob_bytes, log_bytes })
    }

    async fn ready(&self) -> Result<(), PortError> {
        Ok(())
    }
}
