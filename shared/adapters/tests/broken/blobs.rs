use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use shared_adapters::memory::MemoryBlobs;
use shared_ports::blobs::Kept;
use shared_ports::conformance::{Subject, blobs::blobs};
use shared_ports::{BlobRef, Blobs, LogName, PortError};

use crate::assert_caught;

#[derive(Clone, Copy, PartialEq)]
enum Breaks {
    /// Takes a range that reaches beyond the end for a mistake.
    Range,
    /// Writes chunks in two pieces.
    Chunks,
    /// Looks at the hash alone.
    Length,
    /// Uses the stage's name as it is.
    Names,
    /// Removes blobs and keeps logs.
    Logs,
}

struct Broken {
    blobs: MemoryBlobs,
    breaks: Breaks,
}

#[tokio::test]
async fn blobs_that_do_not_clip() {
    fails(Breaks::Range, &["a_range_is_clipped"]).await;
}

#[tokio::test]
async fn logs_with_torn_chunks() {
    fails(Breaks::Chunks, &["a_reader_never_sees_part_of_a_chunk"]).await;
}

#[tokio::test]
async fn blobs_that_do_not_match_their_name() {
    fails(Breaks::Length, &["what_is_not_there_is_refused"]).await;
}

#[tokio::test]
async fn logs_whose_names_leave_their_folder() {
    fails(Breaks::Names, &["names_stay_in_their_place"]).await;
}

#[tokio::test]
async fn logs_that_outlive_their_execution() {
    fails(Breaks::Logs, &["logs_go_with_their_execution"]).await;
}

async fn fails(breaks: Breaks, expected: &[&str]) {
    let new = async || {
        let blobs = MemoryBlobs::default();
        Subject::<dyn Blobs>::new(Arc::new(Broken { blobs, breaks }))
    };
    assert_caught(&blobs().failures(new).await, expected);
}

impl Broken {
    fn name(&self, log: &LogName) -> LogName {
        if self.breaks != Breaks::Names {
            return log.clone();
        }
        // What a file system makes of `<execution>/<stage>`.
        let path = format!("{}/{}", log.execution, log.stage);
        let (execution, stage) = path.rsplit_once('/').unwrap();
        LogName { execution: execution.to_owned(), stage: stage.to_owned() }
    }
}

#[async_trait]
impl Blobs for Broken {
    async fn put(&self, bytes: Bytes) -> Result<BlobRef, PortError> {
        self.blobs.put(bytes).await
    }

    async fn get(&self, blob: &BlobRef, range: Option<(u64, u64)>) -> Result<Bytes, PortError> {
        if let (Breaks::Range, Some((start, end))) = (self.breaks, range)
            && (start > end || end > blob.bytes)
        {
            let (doing, why) = ("reading".to_owned(), "the range is beyond the end".to_owned());
            return Err(PortError::Refused { doing, why });
        }
        let mut blob = blob.clone();
        if self.breaks == Breaks::Length && blob.bytes == 5 {
            blob.bytes = 4;
        }
        self.blobs.get(&blob, range).await
    }

    async fn append(&self, log: &LogName, chunk: Bytes) -> Result<(), PortError> {
        let log = self.name(log);
        if self.breaks == Breaks::Chunks {
            self.blobs.append(&log, chunk.slice(..chunk.len() / 2)).await?;
            tokio::task::yield_now().await;
            return self.blobs.append(&log, chunk.slice(chunk.len() / 2..)).await;
        }
        self.blobs.append(&log, chunk).await
    }

    async fn read(&self, log: &LogName, offset: u64, bytes_max: usize) -> Result<Bytes, PortError> {
        self.blobs.read(&self.name(log), offset, bytes_max).await
    }

    async fn remove(&self, blobs: &[BlobRef], execution: Option<&str>) -> Result<(), PortError> {
        let execution = if self.breaks == Breaks::Logs { None } else { execution };
        self.blobs.remove(blobs, execution).await
    }

    async fn sweep(&self, unused_since: Timestamp) -> Result<Kept, PortError> {
        self.blobs.sweep(unused_since).await
    }

    async fn ready(&self) -> Result<(), PortError> {
        self.blobs.ready().await
    }
}
