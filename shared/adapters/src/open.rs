//! Chooses what is behind the ports, and opens it. Nothing else in this crate knows of modes.

mod error;

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use shared_ports::{Clock, PortError, Ports};

pub use self::error::OpenError;
use crate::blobs::FolderBlobs;
use crate::clock::SystemClock;
use crate::folder::DataFolder;
use crate::memory::{MemoryBroker, MemoryLeases};
use crate::sql::{Database, Stop};

/// What is behind the ports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Config {
    /// One process, one folder.
    Embedded(Embedded),
}

/// One process, one folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Embedded {
    /// The data folder: created if it is not there, held by one process at a time.
    pub data_dir: PathBuf,
    /// Messages that may wait in one queue.
    #[serde(default = "queue_len_max")]
    pub queue_len_max: usize,
    /// Length of one blob, in bytes.
    #[serde(default = "blob_bytes_max")]
    pub blob_bytes_max: u64,
    /// Length of one log, in bytes.
    #[serde(default = "log_bytes_max")]
    pub log_bytes_max: u64,
}

impl Config {
    /// The embedded mode in a folder, with the default limits.
    pub fn embedded(data_dir: impl Into<PathBuf>) -> Self {
        Self::Embedded(Embedded {
            data_dir: data_dir.into(),
            queue_len_max: queue_len_max(),
            blob_bytes_max: blob_bytes_max(),
            log_bytes_max: log_bytes_max(),
        })
    }
}

/// Keeps what is behind the ports open: hold it as long as the ports are used.
///
/// Dropped, it lets the journal finish what it was given and then lets go of the data folder, at
/// some time soon; [`Guard::close`] waits for that.
#[derive(Debug)]
pub struct Guard {
    database: Stop,
    folder: Arc<DataFolder>,
}

impl Guard {
    /// Finishes what the journal was given, closes it and lets go of the data folder. Whoever uses
    /// the ports afterwards is refused.
    ///
    /// # Errors
    /// [`PortError`] if the journal did not end well; what it acknowledged is stored nevertheless.
    pub async fn close(self) -> Result<(), PortError> {
        let Self { database, folder } = self;
        let closed = database.stop().await;
        drop(folder);
        closed
    }
}

/// Opens what is behind the ports.
///
/// # Errors
/// [`OpenError`] says what is in the way, where, and what to do.
pub async fn open(config: &Config) -> Result<(Ports, Guard), OpenError> {
    match config {
        Config::Embedded(embedded) => open_embedded(embedded).await,
    }
}

async fn open_embedded(config: &Embedded) -> Result<(Ports, Guard), OpenError> {
    let folder = Arc::new(DataFolder::hold(&config.data_dir)?);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let blobs = FolderBlobs::open(folder.path(), config.blob_bytes_max, config.log_bytes_max)
        .map_err(|error| {
            let parts = ["blobs", "logs"].map(|part| folder.path().join(part));
            let in_the_way = parts.iter().find(|part| part.is_file());
            let at = in_the_way.map_or(folder.path(), |part| part);
            OpenError::of_io(error, at, "preparing it for blobs")
        })?;
    let (database, stop) = Database::open(Arc::clone(&folder)).await?;
    folder.sync().map_err(|error| OpenError::of_io(error, folder.path(), "syncing it"))?;
    let ports = Ports {
        broker: Arc::new(MemoryBroker::new(config.queue_len_max)),
        journal: Arc::new(database.journal()),
        documents: Arc::new(database.documents()),
        leases: Arc::new(MemoryLeases::new(Arc::clone(&clock))),
        blobs: Arc::new(blobs),
        clock,
    };
    Ok((ports, Guard { database: stop, folder }))
}

fn queue_len_max() -> usize {
    100_000
}

fn blob_bytes_max() -> u64 {
    256 * 1024 * 1024
}

fn log_bytes_max() -> u64 {
    256 * 1024 * 1024
}
