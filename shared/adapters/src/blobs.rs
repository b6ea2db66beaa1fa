//! Blobs and logs in a local folder.
//!
//! ```text
//! <data folder>/blobs/<first two digits>/<sha256>     a blob, whole or not there
//! <data folder>/blobs/incoming/…                      blobs being written, emptied at start
//! <data folder>/logs/<execution>/<stage>.log          frames: length, checksum, chunk
//! ```
//!
//! Everything blocks on the disk, so everything runs on the threads meant for that.

mod frame;
mod log;
mod logs;
mod name;
mod store;

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use shared_ports::blobs::{Kept, Uses};
use shared_ports::{BlobRef, Blobs, LogName, PortError};
use shared_runtime::metrics::metrics;

pub(crate) use self::log::Log as LogFile;
use self::logs::Logs;
pub(crate) use self::name::escape;
use self::store::Store;
use crate::folder::{make_private, room, sync_folder};

const SHA256_DIGITS: usize = 64;

/// Blobs and logs in a local folder.
#[derive(Debug, Clone)]
pub struct FolderBlobs {
    store: Arc<Store>,
    logs: Arc<Logs>,
}

impl FolderBlobs {
    /// Uses `blobs` and `logs` in a data folder, which it creates if need be. A blob may have
    /// `blob_bytes_max` bytes, a log `log_bytes_max`.
    ///
    /// # Errors
    /// Of the file system, if the folders cannot be created or tidied.
    pub fn open(data_dir: &Path, blob_bytes_max: u64, log_bytes_max: u64) -> io::Result<Self> {
        Self::within(data_dir, blob_bytes_max, log_bytes_max, false)
    }

    /// The same in a folder that other processes may use at the same time, on this machine or by a
    /// file system that knows locks and tells everybody at once what was written.
    ///
    /// # Errors
    /// As [`FolderBlobs::open`].
    pub fn share(folder: &Path, blob_bytes_max: u64, log_bytes_max: u64) -> io::Result<Self> {
        make_private(folder)?;
        Self::within(folder, blob_bytes_max, log_bytes_max, true)
    }

    fn within(
        folder: &Path,
        blob_bytes_max: u64,
        log_bytes_max: u64,
        is_shared: bool,
    ) -> io::Result<Self> {
        let store = Arc::new(Store::open(&folder.join("blobs"), blob_bytes_max, is_shared)?);
        let logs = Arc::new(Logs::open(&folder.join("logs"), log_bytes_max)?);
        sync_folder(folder)?;
        Ok(Self { store, logs })
    }
}

impl FolderBlobs {
    /// Removes what is old, but for what is in use.
    async fn sweep_but(
        &self,
        unused_since: Timestamp,
        in_use: BTreeSet<String>,
    ) -> Result<Kept, PortError> {
        let (store, logs) = (Arc::clone(&self.store), Arc::clone(&self.logs));
        blocking("sweeping blobs", move || {
            let swept = store.sweep(unused_since.into(), &in_use);
            let (blobs, blob_bytes) =
                swept.map_err(|error| failed(error, "sweeping blobs", store.folder()))?;
            Ok(Kept { blobs, blob_bytes, log_bytes: logs.bytes()? })
        })
        .await
    }
}

#[async_trait]
impl Blobs for FolderBlobs {
    async fn put(&self, bytes: Bytes) -> Result<BlobRef, PortError> {
        let (store, len) = (Arc::clone(&self.store), bytes.len());
        let stored = blocking("storing a blob", move || store.put(&bytes)).await?;
        metrics().blob_written(len);
        Ok(stored)
    }

    async fn get(&self, blob: &BlobRef, range: Option<(u64, u64)>) -> Result<Bytes, PortError> {
        let (store, blob) = (Arc::clone(&self.store), blob.clone());
        let bytes = blocking("reading a blob", move || Ok(clip(&store.get(&blob)?, range))).await?;
        metrics().blob_read(bytes.len());
        Ok(bytes)
    }

    async fn append(&self, log: &LogName, chunk: Bytes) -> Result<(), PortError> {
        let len = chunk.len();
        self.logs.append(log, chunk).await?;
        metrics().blob_written(len);
        Ok(())
    }

    async fn read(&self, log: &LogName, offset: u64, bytes_max: usize) -> Result<Bytes, PortError> {
        let bytes = self.logs.read(log, offset, bytes_max).await?;
        metrics().blob_read(bytes.len());
        Ok(bytes)
    }

    async fn remove(&self, blobs: &[BlobRef], execution: Option<&str>) -> Result<(), PortError> {
        if let Some(execution) = execution {
            self.logs.remove(execution).await?;
        }
        let (store, blobs) = (Arc::clone(&self.store), blobs.to_vec());
        blocking("removing blobs", move || store.remove(&blobs)).await
    }

    async fn sweep(&self, unused_since: Timestamp) -> Result<Kept, PortError> {
        self.sweep_but(unused_since, BTreeSet::new()).await
    }

    async fn sweep_unused(
        &self,
        unused_since: Timestamp,
        uses: &dyn Uses,
    ) -> Result<Kept, PortError> {
        let store = Arc::clone(&self.store);
        let older = blocking("sweeping blobs", move || {
            let older = store.older(unused_since.into());
            older.map_err(|error| failed(error, "looking for old blobs", store.folder()))
        });
        let in_use = uses.in_use(&older.await?).await?;
        self.sweep_but(unused_since, in_use).await
    }

    async fn ready(&self) -> Result<(), PortError> {
        room(self.store.folder(), "storing blobs")
    }
}

/// What bytes are called.
pub(crate) fn name_of(bytes: &[u8]) -> BlobRef {
    BlobRef { sha256: hex::encode(Sha256::digest(bytes)), bytes: bytes.len() as u64 }
}

/// Refuses what names no blob; a name may come from a document.
pub(crate) fn checked(blob: &BlobRef) -> Result<(), PortError> {
    let digits = blob.sha256.as_bytes();
    let is_hash = digits.len() == SHA256_DIGITS
        && digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    if is_hash {
        return Ok(());
    }
    Err(PortError::Refused {
        doing: format!("looking for blob {:?}", blob.sha256),
        why: "a blob is named by 64 lower-case hexadecimal digits".to_owned(),
    })
}

/// Says no to a blob that is longer than one may be.
pub(crate) fn too_long(blob: &BlobRef, blob_bytes_max: u64) -> PortError {
    PortError::Refused {
        doing: format!("storing a blob of {} bytes", blob.bytes),
        why: format!(
            "the limit `blob_bytes_max` is {blob_bytes_max} bytes; make it smaller or raise the limit"
        ),
    }
}

/// The part of `bytes` inside `range` (start, end exclusive); empty where they do not meet.
pub(crate) fn clip(bytes: &Bytes, range: Option<(u64, u64)>) -> Bytes {
    let Some((start, end)) = range else { return bytes.clone() };
    let len = bytes.len();
    let within = |offset: u64| usize::try_from(offset).unwrap_or(len).min(len);
    let (start, end) = (within(start), within(end));
    if start < end { bytes.slice(start..end) } else { Bytes::new() }
}

/// Runs what blocks on the disk beside the tasks. It runs to its end even if nobody waits for it.
pub(crate) async fn blocking<T: Send + 'static>(
    doing: &'static str,
    work: impl FnOnce() -> Result<T, PortError> + Send + 'static,
) -> Result<T, PortError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|died| {
        Err(PortError::Unavailable { doing: doing.to_owned(), source: Box::new(died) })
    })
}

/// What an error of the file system means to a caller.
pub(crate) fn failed(error: io::Error, doing: &str, path: &Path) -> PortError {
    let doing = format!("{doing} (`{}`)", path.display());
    let is = |kinds: [io::ErrorKind; 2]| kinds.contains(&error.kind());
    if is([io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded]) {
        return PortError::Full { doing };
    }
    if is([io::ErrorKind::ReadOnlyFilesystem, io::ErrorKind::PermissionDenied]) {
        return PortError::Refused {
            doing,
            why: format!("{error}; make the data folder writable"),
        };
    }
    PortError::Unavailable { doing, source: Box::new(error) }
}
