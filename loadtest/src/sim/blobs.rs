//! Blobs that cannot be reached at times.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use shared_adapters::memory::MemoryBlobs;
use shared_ports::blobs::Kept;
use shared_ports::{BlobRef, Blobs, LogName, PortError};

use super::chance::Weather;
use super::life::Life;

/// Calls of which one fails.
const CALLS: u64 = 30;

pub(crate) struct FaultyBlobs {
    pub(crate) inner: Arc<MemoryBlobs>,
    pub(crate) weather: Weather,
    pub(crate) life: Arc<Life>,
}

impl FaultyBlobs {
    async fn reach<T>(
        &self,
        doing: &str,
        call: impl Future<Output = Result<T, PortError>>,
    ) -> Result<T, PortError> {
        let call = async {
            self.weather.fail(CALLS, doing)?;
            call.await
        };
        self.life.call(call).await
    }
}

#[async_trait]
impl Blobs for FaultyBlobs {
    async fn put(&self, bytes: Bytes) -> Result<BlobRef, PortError> {
        self.reach("storing a blob", self.inner.put(bytes)).await
    }

    async fn get(&self, blob: &BlobRef, range: Option<(u64, u64)>) -> Result<Bytes, PortError> {
        self.reach("reading a blob", self.inner.get(blob, range)).await
    }

    async fn append(&self, log: &LogName, chunk: Bytes) -> Result<(), PortError> {
        self.reach("appending to a log", self.inner.append(log, chunk)).await
    }

    async fn read(&self, log: &LogName, offset: u64, bytes_max: usize) -> Result<Bytes, PortError> {
        self.reach("reading a log", self.inner.read(log, offset, bytes_max)).await
    }

    async fn remove(&self, blobs: &[BlobRef], execution: Option<&str>) -> Result<(), PortError> {
        self.reach("removing blobs", self.inner.remove(blobs, execution)).await
    }

    async fn sweep(&self, unused_since: Timestamp) -> Result<Kept, PortError> {
        self.reach("sweeping blobs", self.inner.sweep(unused_since)).await
    }

    async fn ready(&self) -> Result<(), PortError> {
        self.reach("looking whether it is ready", self.inner.ready()).await
    }
}
